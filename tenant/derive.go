package tenant

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"helm-tenant/failure"
)

// Credentials are the credentials of a derived kubeconfig.
type Credentials struct {
	// Token replaces the caller's own credentials by those of the service account in
	// User. Both are empty for the caller's own credentials.
	Token, User string
}

// Derivation is how a kubeconfig that acts as a tenant is made.
type Derivation struct {
	// EachNamespace asks for a context for each of the tenant's namespaces, instead of one.
	EachNamespace bool
	// ContextName is the context's name, empty for the tenant's name.
	ContextName string
	Credentials Credentials
}

// Derive returns a kubeconfig with which every client acts as the tenant: it has the
// credentials, with `as:` the tenant's deployer, and one context for the tenant, or one
// for each of its namespaces. The contexts have the extension that `use` writes. Files that the kubeconfig names keep
// their absolute paths; with a token it has no credentials but the token, and the
// server's certificate.
//
// Errors: a tenant with a Tiller, which nobody impersonates; a user that acts as somebody
// else already; credentials of an auth-provider, whose refresh token can't be used by two
// copies; an entry with control characters that client-go can't write.
func (k *Kubeconfig) Derive(t Known, d Derivation) (text []byte, contexts []string, err error) {
	config, contexts, err := k.derive(t, d)
	if err != nil {
		return nil, nil, err
	}
	text, err = writeConfig(config)
	return text, contexts, err
}

// writeConfig is clientcmd.Write with a readable error for a kubeconfig that can be read
// and can't be written because of certain characters, which are escaped in the error:
// client-go writes U+007F to U+009F unescaped in JSON, which JSON allows, and reads that
// as YAML (sigs.k8s.io/yaml, JSONToYAML).
func writeConfig(config *clientcmdapi.Config) ([]byte, error) {
	text, err := clientcmd.Write(*config)
	if plain, _ := json.Marshal(config); err == nil && bytes.ContainsRune(plain, '\u0085') {
		err = errors.New("control characters are not allowed: U+0085") // it has become a space
	}
	if err != nil {
		return nil, fmt.Errorf("a name, path or argument in the kubeconfig's entry can't be written again: %w", err)
	}
	return text, nil
}

func (k *Kubeconfig) derive(t Known, d Derivation) (config *clientcmdapi.Config, contexts []string, err error) {
	deployer := AccountUser(t.HomeNamespace, t.Account())
	if !t.Engine.Has(EngineImpersonation) {
		return nil, nil, fmt.Errorf("tenant %q has a Tiller and no account that can be impersonated", t.Name)
	}
	clusterName, userName := k.Cluster, k.User
	if k.pod != nil {
		clusterName, userName = k.config.Contexts[podContext].Cluster, k.config.Contexts[podContext].AuthInfo
	}
	cluster, user := k.config.Clusters[clusterName], k.config.AuthInfos[userName]
	if cluster == nil || user == nil {
		return nil, nil, failure.Naming(fmt.Errorf("%s names a cluster or user that the kubeconfig does not hold", k.Where()), k.Where())
	}
	cluster, user = cluster.DeepCopy(), user.DeepCopy()
	if d.Credentials.Token != "" {
		if cluster, err = inlineCA(cluster); err != nil {
			return nil, nil, err
		}
		user, userName = clientcmdapi.NewAuthInfo(), d.Credentials.User
		user.Token = d.Credentials.Token
	} else if err := k.checkCopied(user, deployer); err != nil {
		return nil, nil, err
	}
	name := cmp.Or(d.ContextName, t.Name)
	if owner, derived := strings.CutPrefix(userName, name+"/"); derived && user.Impersonate == deployer {
		userName = owner // the context was derived and merged itself
	}
	user.Impersonate = deployer
	extension, err := json.Marshal(Extension{APIVersion: APIVersion, Current: t.Name, Tenants: []Known{t}})
	if err != nil {
		return nil, nil, err
	}
	config = clientcmdapi.NewConfig()
	userName = name + "/" + userName
	config.Clusters[clusterName], config.AuthInfos[userName] = cluster, user
	add := func(context, namespace string) {
		kctx := clientcmdapi.NewContext()
		kctx.Cluster, kctx.AuthInfo, kctx.Namespace = clusterName, userName, namespace
		kctx.Extensions[extensionName] = &runtime.Unknown{Raw: extension, ContentType: runtime.ContentTypeJSON}
		config.Contexts[context] = kctx
		contexts = append(contexts, context)
	}
	switch {
	case d.EachNamespace && len(t.Namespaces) > 0:
		for _, ns := range t.Namespaces {
			add(name+"/"+ns, ns)
		}
	case len(t.Namespaces) > 0:
		add(name, t.Namespaces[0])
	default:
		add(name, k.Namespace)
	}
	config.CurrentContext = contexts[0]
	return config, contexts, nil
}

// checkCopied returns an error if the user's entry can't be copied into another
// kubeconfig that acts as the deployer.
func (k *Kubeconfig) checkCopied(user *clientcmdapi.AuthInfo, deployer string) error {
	if as, acts := k.Impersonates(); acts && as != deployer {
		return fmt.Errorf("user %q of the kubeconfig acts as %q already (\"as\"), and impersonation does not chain; use a context whose user acts as itself", k.User, as)
	}
	user.ImpersonateUID, user.ImpersonateGroups, user.ImpersonateUserExtra = "", nil, nil
	if user.AuthProvider != nil {
		return fmt.Errorf("user %q of the kubeconfig has the auth-provider %q, whose refresh token works once: in two files one of them would stop working; use an exec plugin, or a context with other credentials", k.User, user.AuthProvider.Name)
	}
	return nil
}

// inlineCA puts the certificate of the cluster's authority into its entry.
func inlineCA(cluster *clientcmdapi.Cluster) (*clientcmdapi.Cluster, error) {
	if cluster.CertificateAuthority == "" {
		return cluster, nil
	}
	data, err := os.ReadFile(cluster.CertificateAuthority)
	if err != nil {
		return nil, fmt.Errorf("the certificate authority of the cluster can't be read: %w", err)
	}
	cluster.CertificateAuthority, cluster.CertificateAuthorityData = "", data
	return cluster, nil
}

// WriteDerived writes a derived kubeconfig with mode 0600. An existing file is replaced
// only if it is empty, or all its contexts are in the new one, so that nobody's contexts
// are lost. A symbolic link stays one. A device or a pipe, such as /dev/stdout, gets the text.
func WriteDerived(file string, text []byte, contexts []string) error {
	write, err := derivedWriter(file, contexts)
	if err != nil {
		return err
	}
	return write(text)
}

// CheckDerived returns the error that WriteDerived would return before it writes.
func CheckDerived(file string, contexts []string) error {
	_, err := derivedWriter(file, contexts)
	return err
}

// derivedWriter returns what writes a derived kubeconfig into a file.
func derivedWriter(file string, contexts []string) (func(text []byte) error, error) {
	replace := func(text []byte) error { return replaceDerived(file, text) }
	info, err := os.Stat(file)
	switch {
	case errors.Is(err, os.ErrNotExist):
		if _, err := os.Stat(filepath.Dir(file)); err != nil {
			return nil, fmt.Errorf("%s can't be written: %w", file, reason(err))
		}
		return replace, nil
	case err != nil:
		return nil, err
	case info.IsDir():
		return nil, fmt.Errorf("%s is a folder; name a file", file)
	case !info.Mode().IsRegular():
		return func(text []byte) error { return writeInto(file, text) }, nil
	}
	if file, err = filepath.EvalSymlinks(file); err != nil {
		return nil, err
	}
	if info.Size() == 0 {
		return replace, nil // as mktemp makes it
	}
	old, err := clientcmd.LoadFromFile(file)
	if err != nil || len(old.Contexts) == 0 {
		return nil, fmt.Errorf("%s exists and is no kubeconfig of this tenant; name another file, or remove it", file)
	}
	for name := range old.Contexts {
		if !slices.Contains(contexts, name) {
			return nil, fmt.Errorf("%s holds the context %q, which is not this tenant's; name another file, or remove it", file, name)
		}
	}
	return replace, nil
}

func writeInto(file string, text []byte) error {
	stream, err := os.OpenFile(file, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = stream.Write(text)
	return errors.Join(err, stream.Close())
}

func replaceDerived(file string, text []byte) error {
	err := ReplaceFile(file, 0o600, func(temp *os.File) error {
		_, err := temp.Write(text)
		return err
	})
	if err != nil {
		return fmt.Errorf("%s can't be written: %w", file, err)
	}
	return nil
}
