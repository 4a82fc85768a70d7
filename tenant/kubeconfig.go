package tenant

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

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
	files := strings.Join(rules.GetLoadingPrecedence(), ", ")
	if explicitFile != "" {
		files = explicitFile
	}
	config, err := rules.Load()
	switch {
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("kubeconfig %s can't be read: %w", files, err)
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("kubeconfig %s does not exist", files)
	case err != nil:
		return nil, fmt.Errorf("kubeconfig %s can't be understood: %s", files, oneLine(err))
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
		return nil, fmt.Errorf("context %q in kubeconfig %s: %w; write it anew with: helm tenant use TENANT", k.Context, kctx.LocationOfOrigin, err)
	}
	return k, nil
}

// ClientConfig is what client-go makes its clients from; it answers for this
// context only, whatever the current one is.
func (k *Kubeconfig) ClientConfig() clientcmd.ClientConfig {
	if k.Context == "" {
		return clientcmd.NewNonInteractiveDeferredLoadingClientConfig(k.rules, &clientcmd.ConfigOverrides{})
	}
	return clientcmd.NewNonInteractiveClientConfig(*k.config, k.Context, &clientcmd.ConfigOverrides{}, k.rules)
}

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

// oneLine is the error's text without line breaks: client-go reports several
// errors as a list.
func oneLine(err error) string {
	return strings.Join(strings.Fields(err.Error()), " ")
}
