package tenant

// Labels, annotations and names by which objects of a tenant are found. What
// helm-tenant owns is found by label only: a name can be anybody's.
const (
	// LabelTenant is on every object of a tenant, and on its namespaces; the
	// value is the tenant's name.
	LabelTenant = "helm-tenant/tenant"
	// LabelHome is on a home namespace; the value is the engine. The admission
	// policy for release records selects namespaces by it.
	LabelHome = "helm-tenant/home"
	// LabelManagedBy is on every object that helm-tenant made, with the value
	// ManagedBy. A namespace without it was there before and is not removed.
	LabelManagedBy = "app.kubernetes.io/managed-by"
	// ManagedBy is the value of LabelManagedBy.
	ManagedBy = "helm-tenant"
	// AnnotationHome is on a tenant's namespaces and says where its home
	// namespace is, so that one read of the namespace is enough to reach it.
	AnnotationHome = "helm-tenant/home-namespace"

	// RecordName and RecordKey are the ConfigMap in the home namespace, and the
	// key in it, that hold the tenant as one item of a tenants file.
	RecordName = "helm-tenant"
	RecordKey  = "tenant.yaml"

	// APIVersion is that of our own files and of machine-readable output.
	APIVersion = "helm-tenant/v1"
	// ExtensionName is the name of the kubeconfig context's extension.
	ExtensionName = "helm-tenant"
)

// maxName leaves room for the longest suffix of a home namespace in a DNS
// label of 63 characters (RFC 1123).
const maxName = 56

// Names of the service accounts that act for tenants.
const (
	TillerAccount = "tiller"
	HelmAccount   = "helm"
	// ReaderAccount sees a tenant's releases and changes nothing.
	ReaderAccount = "helm-reader"
)

// AccountPrefix begins the user name of every service account.
const AccountPrefix = "system:serviceaccount:"

// AccountUser is the user name by which the API server knows a service account
// (as MakeUsername of k8s.io/apiserver/pkg/authentication/serviceaccount, which is
// not worth that module).
func AccountUser(namespace, name string) string { return AccountPrefix + namespace + ":" + name }

// DeployerAccounts are the service accounts in the home namespace that act for
// a tenant: one for each of the engine's parts.
func (e Engine) DeployerAccounts() []string {
	var accounts []string
	for _, part := range e.Parts() {
		if part == EngineImpersonation {
			accounts = append(accounts, HelmAccount)
		} else {
			accounts = append(accounts, TillerAccount)
		}
	}
	return accounts
}

// ConventionalHome is the home namespace of the tenant of that name when
// nobody said otherwise.
func (e Engine) ConventionalHome(name string) string {
	if e == EngineImpersonation {
		return name + "-helm"
	}
	return name + "-tiller"
}

// IsSystemNamespace reports whether a namespace is one that Kubernetes itself makes
// (k8s.io/kubernetes/pkg/controlplane/controller/systemnamespaces).
func IsSystemNamespace(name string) bool {
	return name == "kube-system" || name == "kube-public" || name == "kube-node-lease"
}
