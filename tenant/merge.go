package tenant

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"helm-tenant/envvar"
)

// Merged is the result of Merge.
type Merged struct {
	// Contexts are the requested contexts, Users their users.
	Contexts, Users []string
	// Files are the files that are changed, none if they had all entries already.
	Files []string
	// Into is the file that has the contexts.
	Into string
}

// Merge adds the contexts and the user of Derive to the caller's own kubeconfig; the
// cluster's entry stays. The current context stays as well. Entries of an earlier Merge
// are replaced, and users with credentials that no context has any more are removed.
//
// The file is edited as by Use: under client-go's lock file, keeping comments, unknown
// keys, symbolic links and modes. With dryRun the result is the same, and nothing is locked or
// written: errors of these two steps are not found.
//
// Errors: those of Derive; a name that another entry has.
func (k *Kubeconfig) Merge(t Known, d Derivation, dryRun bool) (Merged, error) {
	if k.file() == "" {
		return Merged{}, errors.New("there is no kubeconfig to merge into: give --output-file FILE instead of --merge")
	}
	if err := k.CheckReadAgain(); err != nil {
		return Merged{}, err
	}
	derived, contexts, err := k.derive(t, d)
	if err != nil {
		return Merged{}, err
	}
	derived.Clusters = nil
	for context, kctx := range derived.Contexts {
		if err := k.checkReplaced(context, kctx, derived.AuthInfos[kctx.AuthInfo].Impersonate); err != nil {
			return Merged{}, err
		}
	}
	merged := Merged{Contexts: contexts, Users: slices.Sorted(maps.Keys(derived.AuthInfos)), Into: k.file()}
	edit := kubeconfigEdit{instead: insteadOfMerge, dryRun: dryRun}
	// The user is written first: a context without its user can't be used.
	if err := edit.apply(k.file(), func(text []byte) ([]byte, error) { return withEntries(text, derived) }); err != nil {
		return Merged{}, err
	}
	replaced := replacedUsers(k.config, derived)
	for _, file := range k.files() {
		contexts, users := slices.Collect(maps.Keys(derived.Contexts)), slices.Concat(replaced, merged.Users)
		if file == k.file() {
			contexts, users = nil, replaced
		}
		if err := edit.remove(file, contexts, users); err != nil {
			return Merged{}, err
		}
	}
	merged.Files = edit.changed
	return merged, nil
}

const insteadOfMerge = "write a file of its own with --output-file FILE"

// replacedUsers returns the users of contexts that an earlier Merge wrote with other
// credentials, such as a token, if no other context has them.
func replacedUsers(before, derived *clientcmdapi.Config) (users []string) {
	used := map[string]bool{}
	for name, kctx := range before.Contexts {
		if derived.Contexts[name] == nil {
			used[kctx.AuthInfo] = true
		}
	}
	for name := range derived.Contexts {
		if kctx := before.Contexts[name]; kctx != nil && !used[kctx.AuthInfo] && derived.AuthInfos[kctx.AuthInfo] == nil && !slices.Contains(users, kctx.AuthInfo) {
			users = append(users, kctx.AuthInfo)
		}
	}
	return users
}

// remove removes entries from a file of a kubeconfig, if it has them. Of two entries with the
// same name in several files, that of the first counts.
func (e *kubeconfigEdit) remove(file string, contexts, users []string) error {
	config, err := clientcmd.LoadFromFile(file)
	if err != nil {
		return nil // client-go ignores a file that can't be read
	}
	contexts = slices.DeleteFunc(slices.Clone(contexts), func(name string) bool { return config.Contexts[name] == nil })
	users = slices.DeleteFunc(slices.Clone(users), func(name string) bool { return config.AuthInfos[name] == nil })
	if len(contexts)+len(users) == 0 {
		return nil
	}
	return e.apply(file, func(text []byte) ([]byte, error) { return withoutEntries(text, contexts, users) })
}

// checkReplaced returns an error if the kubeconfig has a context or user of that name
// that was not written by Merge for the same deployer on the same cluster.
func (k *Kubeconfig) checkReplaced(name string, next *clientcmdapi.Context, deployer string) error {
	if existing := k.config.Contexts[name]; existing != nil {
		tenant, merged := mergedTenant(k.config, name)
		switch {
		case !merged:
			return fmt.Errorf("the kubeconfig has a context %q of its own: give another name with --context-name", name)
		case existing.Cluster != next.Cluster:
			return fmt.Errorf("context %q is tenant %q of the cluster %q, not of %q: give another name with --context-name", name, tenant, existing.Cluster, next.Cluster)
		}
	}
	if existing := k.config.AuthInfos[next.AuthInfo]; existing != nil && existing.Impersonate != deployer {
		return fmt.Errorf("the kubeconfig has a user %q of its own: give another name with --context-name", next.AuthInfo)
	}
	return nil
}

// mergedTenant returns the tenant for which Merge wrote a context: its user acts as the
// deployer of a tenant in the context's extension, and has the context's name.
func mergedTenant(config *clientcmdapi.Config, context string) (name string, merged bool) {
	kctx := config.Contexts[context]
	user := config.AuthInfos[kctx.AuthInfo]
	extension, err := readExtension(kctx)
	if user == nil || extension == nil || err != nil {
		return "", false
	}
	for _, t := range extension.Tenants {
		if user.Impersonate != AccountUser(t.HomeNamespace, t.Account()) {
			continue
		}
		for _, prefix := range []string{context, strings.TrimSuffix(context, "/"+kctx.Namespace)} {
			if strings.HasPrefix(kctx.AuthInfo, prefix+"/") {
				return t.Name, true
			}
		}
	}
	return "", false
}

// Unmerged is the result of Unmerge.
type Unmerged struct {
	Contexts, Users []string
	// Current reports whether the current context is among them.
	Current bool
	// Files are the files that are changed.
	Files []string
}

// Unmerge removes the contexts that Merge wrote for the named tenant from the kubeconfig,
// and their users if nothing else uses them. With context it removes only that one, and
// those of its namespaces. It asks no cluster, since the tenant may have been removed.
// env and explicitFile are as in LoadKubeconfig; dryRun is as in Merge.
//
// Errors: contexts of several clusters without a context that names one of them.
func Unmerge(env envvar.Environment, explicitFile, name, context string, dryRun bool) (Unmerged, error) {
	k, err := readFiles(env, explicitFile)
	if err == nil {
		err = k.CheckReadAgain()
	}
	if err != nil {
		return Unmerged{}, err
	}
	config := k.config
	var removed Unmerged
	clusters := map[string]bool{}
	for _, one := range slices.Sorted(maps.Keys(config.Contexts)) {
		if owner, merged := mergedTenant(config, one); !merged || owner != name || context != "" && one != context && !strings.HasPrefix(one, context+"/") {
			continue
		}
		removed.Contexts = append(removed.Contexts, one)
		clusters[config.Contexts[one].Cluster] = true
		removed.Current = removed.Current || one == config.CurrentContext
	}
	if len(clusters) > 1 {
		return Unmerged{}, fmt.Errorf("the kubeconfig has contexts of tenant %q on the clusters %s: name one with --context-name: %s", name, strings.Join(slices.Sorted(maps.Keys(clusters)), " and "), strings.Join(removed.Contexts, ", "))
	}
	used := map[string]bool{}
	for other, kctx := range config.Contexts {
		if !slices.Contains(removed.Contexts, other) {
			used[kctx.AuthInfo] = true
		}
	}
	for _, one := range removed.Contexts {
		if user := config.Contexts[one].AuthInfo; !used[user] && !slices.Contains(removed.Users, user) {
			removed.Users = append(removed.Users, user)
		}
	}
	if len(removed.Contexts) == 0 {
		return removed, nil
	}
	edit := kubeconfigEdit{dryRun: dryRun}
	for _, file := range k.files() {
		if err := edit.remove(file, removed.Contexts, removed.Users); err != nil {
			return Unmerged{}, err
		}
	}
	removed.Files = edit.changed
	return removed, nil
}
