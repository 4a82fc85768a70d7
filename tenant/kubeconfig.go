package tenant

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"strings"

	_ "k8s.io/client-go/plugin/pkg/client/auth" // what kubectl knows: oidc, and what to do instead of gcp and azure
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"helm-tenant/envvar"
)

// Kubeconfig is one context of the caller's kubeconfig.
type Kubeconfig struct {
	// Context is the context's name; empty in a pod that has no kubeconfig.
	Context string
	// Cluster and User are the names that the context refers to.
	Cluster, User string
	// Server is the address of the context's API server.
	Server string
	// Namespace is the context's namespace, "default" if it has none.
	Namespace string
	// Extension is what `use` wrote into the context, nil if there is none.
	Extension *Extension
	// Broken is the error of reading the context's extension. Then no tenant is resolved,
	// and `use` writes the extension again.
	Broken error

	// TLS overrides the kubeconfig's settings for the server's certificate.
	TLS TLS

	config *clientcmdapi.Config
	rules  *clientcmd.ClientConfigLoadingRules
	env    envvar.Environment
	// pod is not nil if there is no kubeconfig and the process runs in a pod.
	pod *pod
}

// TLS says how the API server's certificate is checked: helm's --kube-ca-file,
// --kube-tls-server-name and --kube-insecure-skip-tls-verify. Empty fields leave it to
// the kubeconfig.
type TLS struct {
	CAFile, ServerName string
	Insecure           bool
}

// LoadKubeconfig reads the kubeconfig as kubectl and helm do: the explicit file if one is
// named, else those of $KUBECONFIG, else ~/.kube/config. It selects the named context, or
// the current one if context is empty. env is the caller's environment. It makes no API
// call.
//
// Every error is one line that names the file or the context and says what to type.
func LoadKubeconfig(env envvar.Environment, explicitFile, context string) (*Kubeconfig, error) {
	k, err := readFiles(env, explicitFile)
	if err != nil {
		return nil, err
	}
	config, files := k.config, strings.Join(k.files(), ", ")
	if files == "" {
		files = envvar.Kubeconfig + ", which names no file"
	}
	if len(config.Contexts) == 0 || isPodConfig(config) {
		if pod, found := thisPod(env.Get, accountFolder); found && context == "" {
			k.pod, k.config, k.Server, k.Namespace = &pod, pod.config(), pod.server, pod.namespace
			return k, nil
		}
		if err := k.CheckReadAgain(); err != nil {
			return nil, err // the wrapper has read it, and started this program
		}
		if context != "" {
			return nil, fmt.Errorf("context %q is not in kubeconfig %s, which has no contexts", context, files)
		}
		return nil, noKubeconfig(fmt.Sprintf("no kubeconfig with a context was found in %s; set KUBECONFIG or give --kubeconfig", files))
	}
	k.Context = context
	if k.Context == "" {
		k.Context = config.CurrentContext
	}
	if k.Context == "" {
		return nil, fmt.Errorf("kubeconfig %s has no current context; give --context with one of: %s", files, contextNames(config))
	}
	kctx, found := config.Contexts[k.Context]
	switch {
	case !found && context == "":
		return nil, fmt.Errorf("the current context %q is not in kubeconfig %s; give --context with one of: %s", k.Context, files, contextNames(config))
	case !found:
		return nil, fmt.Errorf("context %q is not in kubeconfig %s, which has: %s", k.Context, files, contextNames(config))
	}
	k.Cluster, k.User, k.Namespace = kctx.Cluster, kctx.AuthInfo, k.NamespaceOf(k.Context)
	if cluster := config.Clusters[kctx.Cluster]; cluster != nil {
		k.Server = cluster.Server
	}
	k.Extension, err = readExtension(kctx)
	if err != nil {
		k.Broken = fmt.Errorf("context %q in kubeconfig %s: %w", k.Context, kctx.LocationOfOrigin, err)
	}
	return k, nil
}

// readFiles reads the files of the kubeconfig without selecting a context.
func readFiles(env envvar.Environment, explicitFile string) (*Kubeconfig, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.Precedence = kubeconfigPaths(env)
	rules.ExplicitPath = explicitFile
	rules.Warner = func(error) {} // kubectl ignores missing files in KUBECONFIG as well
	k := &Kubeconfig{rules: rules, env: env}
	var err error
	k.config, err = rules.Load()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("kubeconfig %s does not exist", strings.Join(k.files(), ", "))
	case err != nil:
		return nil, explainLoad(k.files(), err)
	}
	return k, nil
}

// kubeconfigPaths returns the files of the kubeconfig if no file is named
// (k8s.io/client-go/tools/clientcmd, NewDefaultClientConfigLoadingRules; the user's home
// is that of k8s.io/client-go/util/homedir).
func kubeconfigPaths(env envvar.Environment) []string {
	var paths []string
	for _, path := range filepath.SplitList(env.Get(envvar.Kubeconfig)) {
		if path != "" && !slices.Contains(paths, path) {
			paths = append(paths, path)
		}
	}
	switch {
	case env.Get(envvar.Kubeconfig) != "":
		return paths
	case goruntime.GOOS == "windows": // Windows has several variables and files for the home
		return []string{clientcmd.RecommendedHomeFile}
	}
	return []string{filepath.Join(env.Get(envvar.UserHome), clientcmd.RecommendedHomeDir, clientcmd.RecommendedFileName)}
}

// files returns the files of the kubeconfig, whether they exist or not. There are none if KUBECONFIG
// is a list of empty names, which client-go does not take for an unset one.
func (k *Kubeconfig) files() []string {
	if k.rules.ExplicitPath != "" {
		return []string{k.rules.ExplicitPath}
	}
	return slices.DeleteFunc(k.rules.GetLoadingPrecedence(), func(name string) bool { return name == "" })
}

// ErrNoKubeconfig reports that there is no kubeconfig with a context.
var ErrNoKubeconfig = errors.New("no kubeconfig")

// RESTConfig returns client-go's configuration for this context, whatever the current
// context is, with k.TLS.
func (k *Kubeconfig) RESTConfig() (*rest.Config, error) {
	context := k.Context
	if k.pod != nil {
		if err := k.pod.checkToken(); err != nil {
			return nil, err
		}
		context = podContext
	}
	if err := k.CheckCluster(); err != nil {
		return nil, err
	}
	if err := k.checkAuthProvider(); err != nil {
		return nil, err
	}
	overrides := &clientcmd.ConfigOverrides{ClusterInfo: clientcmdapi.Cluster{
		CertificateAuthority: k.TLS.CAFile, TLSServerName: k.TLS.ServerName, InsecureSkipTLSVerify: k.TLS.Insecure,
	}}
	return clientcmd.NewNonInteractiveClientConfig(*k.config, context, overrides, k.rules).ClientConfig()
}

// CheckReadAgain returns an error if a file of the kubeconfig is a pipe, as a shell's process
// substitution is. It was read, and whatever reads it again, helm or an edit of the file, would
// find it empty or wait for ever.
func (k *Kubeconfig) CheckReadAgain() error {
	for _, file := range k.files() {
		if info, err := os.Stat(file); err == nil && info.Mode()&fs.ModeNamedPipe != 0 {
			return fmt.Errorf("kubeconfig %s is a pipe, which can be read only once: write it into a file", file)
		}
	}
	return nil
}

// CheckCluster returns an error if the context names no cluster of the kubeconfig. Helm and
// client-go would take whatever answers at localhost:8080 for it.
func (k *Kubeconfig) CheckCluster() error {
	if k.config == nil || k.InPod() {
		return nil
	}
	switch cluster := k.config.Clusters[k.Cluster]; {
	case k.Cluster == "":
		return errors.New("it names no cluster of the kubeconfig")
	case cluster == nil:
		return fmt.Errorf("the kubeconfig has no cluster %q", k.Cluster)
	case cluster.Server == "":
		return fmt.Errorf("cluster %q of the kubeconfig has no server", k.Cluster)
	}
	return nil
}

// checkAuthProvider returns an error if the context's user has an auth-provider that
// client-go does not have (k8s.io/client-go/plugin/pkg/client/auth): gcp and azure were
// removed in 1.26, openstack in 1.22, and Helm 2 is built with an older one.
func (k *Kubeconfig) checkAuthProvider() error {
	if k.config == nil {
		return nil
	}
	user := k.config.AuthInfos[k.User]
	if user == nil || user.AuthProvider == nil || user.AuthProvider.Name == "oidc" {
		return nil
	}
	instead := map[string]string{
		"gcp":       "use the exec plugin gke-gcloud-auth-plugin, which \"gcloud container clusters get-credentials\" writes into a kubeconfig",
		"azure":     "use the exec plugin kubelogin, which \"kubelogin convert-kubeconfig\" writes into a kubeconfig",
		"openstack": "use the exec plugin client-keystone-auth",
	}[user.AuthProvider.Name]
	if instead == "" {
		return fmt.Errorf("user %q of the kubeconfig has the auth-provider %q, which clients of Kubernetes do not know; use an exec plugin", k.User, user.AuthProvider.Name)
	}
	return fmt.Errorf("user %q of the kubeconfig has the auth-provider %q, which clients of Kubernetes have no more (Helm 2's own commands work with it); %s", k.User, user.AuthProvider.Name, instead)
}

// Impersonates returns the user that the context's user impersonates ("as:" in a
// kubeconfig), and whether it impersonates any user or group.
func (k *Kubeconfig) Impersonates() (user string, found bool) {
	if k.config == nil {
		return "", false
	}
	info := k.config.AuthInfos[k.User]
	if info == nil {
		return "", false
	}
	return info.Impersonate, info.Impersonate != "" || info.ImpersonateUID != "" || len(info.ImpersonateGroups) > 0 || len(info.ImpersonateUserExtra) > 0
}

// IsCurrent reports whether this is the kubeconfig's current context.
func (k *Kubeconfig) IsCurrent() bool { return k.InPod() || k.config.CurrentContext == k.Context }

// NamespaceOf returns the namespace of a context, of the current one if the name is
// empty, as helm resolves it: if the context has none it is that of the pod in which this
// runs, or else "default" (k8s.io/client-go/tools/clientcmd,
// DeferredLoadingClientConfig.Namespace).
func (k *Kubeconfig) NamespaceOf(context string) string {
	if context == "" {
		context = k.config.CurrentContext
	}
	kctx := k.config.Contexts[context]
	if kctx == nil {
		return "default"
	}
	if kctx.Namespace == "" {
		if pod, found := thisPod(k.env.Get, accountFolder); found && isFile(pod.token()) {
			return pod.namespace
		}
		return "default"
	}
	return kctx.Namespace
}

// Contexts returns the names of all contexts of the kubeconfig, sorted.
func (k *Kubeconfig) Contexts() []string {
	if k.InPod() {
		return nil
	}
	return slices.Sorted(maps.Keys(k.config.Contexts))
}

// file returns the file that defines the context, empty if there is none.
func (k *Kubeconfig) file() string {
	if kctx := k.config.Contexts[k.Context]; kctx != nil {
		return kctx.LocationOfOrigin
	}
	return ""
}

// Where describes the context for messages.
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
	const mostNames = 10
	if len(names) > mostNames {
		names = append(names[:mostNames], fmt.Sprintf("and %d more", len(names)-mostNames))
	}
	return strings.Join(names, ", ")
}
