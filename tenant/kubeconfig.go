package tenant

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// Kubeconfig is one context of the caller's kubeconfig.
type Kubeconfig struct {
	// Context is the context's name; empty inside a pod that has no kubeconfig.
	Context string
	// Cluster and User are the names that the context refers to.
	Cluster, User string
	// Server is the address of the context's API server.
	Server string
	// Namespace is the context's namespace, "default" where it has none.
	Namespace string
	// Extension is what `use` wrote into the context, nil where it did not.
	Extension *Extension
	// Broken is why the context's extension can't be read. Then no tenant is
	// resolved, and `use` writes it anew.
	Broken error

	config *clientcmdapi.Config
	rules  *clientcmd.ClientConfigLoadingRules
}

// LoadKubeconfig reads the kubeconfig as kubectl and helm do: the explicit file
// when one is named, else those of $KUBECONFIG, else ~/.kube/config, and picks
// the named context, or the current one where context is empty. It makes no API
// call.
//
// Every error is one line that names the file or the context and says what to
// type.
func LoadKubeconfig(explicitFile, context string) (*Kubeconfig, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = explicitFile
	rules.Warner = func(error) {} // of missing files in KUBECONFIG, as kubectl ignores them
	paths := rules.GetLoadingPrecedence()
	if explicitFile != "" {
		paths = []string{explicitFile}
	}
	files := strings.Join(paths, ", ")
	config, err := rules.Load()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("kubeconfig %s does not exist", files)
	case err != nil:
		return nil, explainLoad(paths, err)
	}
	k := &Kubeconfig{config: config, rules: rules}
	if len(config.Contexts) == 0 {
		if context == "" && os.Getenv("KUBERNETES_SERVICE_HOST") != "" {
			return k, nil // inside a pod; client-go and helm use its service account
		}
		if context != "" {
			return nil, fmt.Errorf("context %q is not in kubeconfig %s, which has no contexts", context, files)
		}
		return nil, fmt.Errorf("no kubeconfig with a context was found in %s; set KUBECONFIG or give --kubeconfig", files)
	}
	k.Context = context
	if k.Context == "" {
		k.Context = config.CurrentContext
	}
	if k.Context == "" {
		return nil, fmt.Errorf("kubeconfig %s has no current context; give --context with one of: %s", files, contextNames(config))
	}
	kctx, found := config.Contexts[k.Context]
	if !found {
		return nil, fmt.Errorf("context %q is not in kubeconfig %s, which has: %s", k.Context, files, contextNames(config))
	}
	k.Cluster, k.User, k.Namespace = kctx.Cluster, kctx.AuthInfo, kctx.Namespace
	if k.Namespace == "" {
		k.Namespace = "default"
	}
	if cluster := config.Clusters[kctx.Cluster]; cluster != nil {
		k.Server = cluster.Server
	}
	k.Extension, err = readExtension(kctx)
	if err != nil {
		k.Broken = fmt.Errorf("context %q in kubeconfig %s: %w", k.Context, kctx.LocationOfOrigin, err)
	}
	return k, nil
}

// explainLoad names the first file that client-go could not load, and says why:
// its own error is one text about all files that names types of Go's.
func explainLoad(files []string, err error) error {
	for _, file := range files {
		_, why := clientcmd.LoadFromFile(file)
		var atPath *fs.PathError
		var kind *json.UnmarshalTypeError
		switch {
		case why == nil, errors.Is(why, fs.ErrNotExist):
			continue
		case errors.As(why, &atPath):
			return fmt.Errorf("kubeconfig %s can't be read: %w", file, atPath.Err)
		case runtime.IsNotRegisteredError(why), strings.HasPrefix(why.Error(), "couldn't get version/kind"):
			return fmt.Errorf("kubeconfig %s is not one: it does not hold a Config of apiVersion v1", file)
		case errors.As(why, &kind):
			return fmt.Errorf("kubeconfig %s can't be understood: %s can't be a %s", file, kind.Field, kind.Value)
		}
		return fmt.Errorf("kubeconfig %s can't be understood: %s", file, strings.TrimPrefix(oneLine(why), "yaml: "))
	}
	return fmt.Errorf("kubeconfig %s can't be understood: %s", strings.Join(files, ", "), oneLine(err))
}

// ClientConfig is what client-go makes its clients from; it answers for this
// context only, whatever the current one is.
func (k *Kubeconfig) ClientConfig() clientcmd.ClientConfig {
	if k.Context == "" {
		return clientcmd.NewNonInteractiveDeferredLoadingClientConfig(k.rules, &clientcmd.ConfigOverrides{})
	}
	return clientcmd.NewNonInteractiveClientConfig(*k.config, k.Context, &clientcmd.ConfigOverrides{}, k.rules)
}

// IsCurrent says whether this is the kubeconfig's current context.
func (k *Kubeconfig) IsCurrent() bool { return k.config.CurrentContext == k.Context }

// NamespaceOf is the namespace of a context, of the current one where the name is
// empty, as helm resolves it: where the context has none it is that of the pod that
// this runs in, or else "default".
func (k *Kubeconfig) NamespaceOf(context string) string {
	if context == "" {
		context = k.config.CurrentContext
	}
	if kctx := k.config.Contexts[context]; kctx != nil && kctx.Namespace != "" {
		return kctx.Namespace
	}
	overrides := &clientcmd.ConfigOverrides{CurrentContext: context}
	namespace, _, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(k.rules, overrides).Namespace()
	if err != nil {
		return "default" // a context that is not there
	}
	return namespace
}

// Contexts are the names of all contexts of the kubeconfig, sorted.
func (k *Kubeconfig) Contexts() []string { return slices.Sorted(maps.Keys(k.config.Contexts)) }

// File is the file that defines the context; empty when there is none.
func (k *Kubeconfig) File() string {
	if kctx := k.config.Contexts[k.Context]; kctx != nil {
		return kctx.LocationOfOrigin
	}
	return ""
}

// Where says in a few words which context this is, for messages.
func (k *Kubeconfig) Where() string {
	if k.Context == "" {
		return "the cluster of this pod"
	}
	return fmt.Sprintf("context %q", k.Context)
}

func contextNames(config *clientcmdapi.Config) string {
	names := make([]string, 0, len(config.Contexts))
	for name := range config.Contexts {
		names = append(names, name)
	}
	slices.Sort(names)
	const few = 10
	if len(names) > few {
		names = append(names[:few], fmt.Sprintf("and %d more", len(names)-few))
	}
	return strings.Join(names, ", ")
}

// reason is what the system said, without the call and the path before it.
func reason(err error) error {
	var atPath *fs.PathError
	if errors.As(err, &atPath) {
		return atPath.Err
	}
	return err
}

// oneLine is the error's text without line breaks: client-go reports several
// errors as a list.
func oneLine(err error) string {
	return strings.Join(strings.Fields(err.Error()), " ")
}
