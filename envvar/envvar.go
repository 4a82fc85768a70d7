// Package envvar names every environment variable that helm-tenant reads, sets or
// removes. docs/environment.md lists them with their meaning; a test compares both.
package envvar

// Variables of helm-tenant.
const (
	// Tenant names the tenant, as --tenant does. The wrapped helm gets it too.
	Tenant = "HELM_TENANT"
	// Wrapper is set for helm-tenant-full: the version of the helm-tenant that started it.
	Wrapper = "HELM_TENANT_WRAPPER"
	// Starter is set for the wrapped helm: the process id of the helm-tenant that
	// started it, or StarterAsks. It ends endless recursion.
	Starter = "HELM_TENANT_STARTER"
	// StarterAsks is the value of Starter while a helm is asked for its version.
	StarterAsks = "version"
)

// Variables of Helm 2.
const (
	TillerNamespace = "TILLER_NAMESPACE"
	TillerHost      = "TILLER_HOST"
	Host            = "HELM_HOST"
	Home            = "HELM_HOME"
	Plugin          = "HELM_PLUGIN"
	PathCache       = "HELM_PATH_CACHE"
)

// Variables of Helm 3 and 4 (helm.sh/helm, pkg/cli, EnvVars).
const (
	Namespace    = "HELM_NAMESPACE"
	Driver       = "HELM_DRIVER"
	DataHome     = "HELM_DATA_HOME"
	ContentCache = "HELM_CONTENT_CACHE" // Helm 4
	NoPlugins    = "HELM_NO_PLUGINS"

	// KubePrefix starts the names of the variables that say how helm reaches the
	// API server, and as whom.
	KubePrefix = "HELM_KUBE"
	// KubeContext is also set for Helm 2, which ignores it: helm-tenant reads it
	// when a plugin of helm's calls it.
	KubeContext    = "HELM_KUBECONTEXT"
	KubeAsUser     = "HELM_KUBEASUSER"
	KubeAsGroups   = "HELM_KUBEASGROUPS"
	KubeToken      = "HELM_KUBETOKEN"
	KubeAPIServer  = "HELM_KUBEAPISERVER"
	KubeCAFile     = "HELM_KUBECAFILE"
	KubeServerName = "HELM_KUBETLS_SERVER_NAME"
	KubeInsecure   = "HELM_KUBEINSECURE_SKIP_TLS_VERIFY"
)

// Variables that every major version of helm sets for its plugins, or reads.
const (
	Bin        = "HELM_BIN"
	PluginName = "HELM_PLUGIN_NAME"
	PluginDir  = "HELM_PLUGIN_DIR"
	Plugins    = "HELM_PLUGINS"
	Debug      = "HELM_DEBUG"
)

// Variables of Kubernetes and of the system.
const (
	Kubeconfig = "KUBECONFIG"
	// ServiceHost and ServicePort are set in every pod; PodNamespace is read by
	// client-go, too.
	ServicePrefix = "KUBERNETES_"
	ServiceHost   = "KUBERNETES_SERVICE_HOST"
	ServicePort   = "KUBERNETES_SERVICE_PORT"
	PodNamespace  = "POD_NAMESPACE"
	Path          = "PATH"
	UserHome      = "HOME"
	XDGDataHome   = "XDG_DATA_HOME"
	AppData       = "APPDATA"        // Windows
	CacheHome     = "XDG_CACHE_HOME" // by os.UserCacheDir
	TempDir       = "TMPDIR"         // by os.TempDir
	Shell         = "SHELL"
	HTTPSProxy    = "HTTPS_PROXY"
	HTTPSProxyLow = "https_proxy" // what Go reads in the second place
	NoColor       = "NO_COLOR"
	Term          = "TERM"
)
