package tenant

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/util/validation"
)

// These are the labels, annotations and names by which a tenant's objects are found.
// Ownership is decided by label only, since anybody can choose a name.
const (
	// LabelTenant is on every object of a tenant, and on its namespaces; the
	// value is the tenant's name.
	LabelTenant = "helm-tenant/tenant"
	// LabelHome is on a home namespace; the value is the engine. The admission
	// policy for release records selects namespaces by it.
	LabelHome = "helm-tenant/home"
	// LabelManagedBy is on every object that helm-tenant made, with the value ManagedBy.
	// A namespace without it existed before and is not removed.
	LabelManagedBy = "app.kubernetes.io/managed-by"
	// ManagedBy is the value of LabelManagedBy.
	ManagedBy = "helm-tenant"
	// AnnotationHome is on a tenant's namespaces and has the name of its home namespace,
	// so that one read of the namespace is enough to find it.
	AnnotationHome = "helm-tenant/home-namespace"
	// AnnotationDisconnect is on the RoleBinding of a tenant's members while open
	// connections to its Tiller must still be ended; the value is the time of the
	// request. It is written together with the removal of the members, and deleted when
	// Tiller's pods have ended.
	AnnotationDisconnect = "helm-tenant/disconnect"

	// RecordName and RecordKey are the ConfigMap in the home namespace, and its key, that
	// contain the tenant as one item of a tenants file.
	RecordName = "helm-tenant"
	RecordKey  = "tenant.yaml"

	// APIVersion is the version of helm-tenant's files and machine-readable output.
	APIVersion = "helm-tenant/v1"
	// extensionName is the name of the kubeconfig context's extension.
	extensionName = "helm-tenant"
)

// maxName leaves room for the longest suffix of a home namespace in a DNS
// label of 63 characters (RFC 1123).
const maxName = 56

// These are the service accounts that act for tenants.
const (
	TillerAccount = "tiller"
	HelmAccount   = "helm"
	// ReaderAccount can read a tenant's releases and change nothing.
	ReaderAccount = "helm-reader"
)

// AccountPrefix begins the user name of every service account.
const AccountPrefix = "system:serviceaccount:"

// AccountUser returns the user name of a service account (as MakeUsername of
// k8s.io/apiserver/pkg/authentication/serviceaccount, which is not worth that
// dependency).
func AccountUser(namespace, name string) string { return AccountPrefix + namespace + ":" + name }

// DeployerAccounts returns the service accounts in the home namespace that act for a
// tenant: one for each of the engine's parts.
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

// ConventionalHome returns the default home namespace of the tenant with that name.
func (e Engine) ConventionalHome(name string) string {
	if e == EngineImpersonation {
		return name + "-helm"
	}
	return name + "-tiller"
}

// IsSystemNamespace reports whether Kubernetes itself creates a namespace
// (k8s.io/kubernetes/pkg/controlplane/controller/systemnamespaces).
func IsSystemNamespace(name string) bool {
	return name == "kube-system" || name == "kube-public" || name == "kube-node-lease"
}

// FluxAccountIn returns the name of the service account in one of the tenant's namespaces
// that has the tenant's role for Flux, which impersonates only accounts in a
// Kustomization's own namespace
// (https://fluxcd.io/flux/components/kustomize/kustomizations/#service-account-reference).
// It is empty if there is none. A namespace of Kubernetes gets none, since the
// controllers there could use it.
func (t Tenant) FluxAccountIn(namespace string) string {
	if t.AllNamespaces || IsSystemNamespace(namespace) || !slices.Contains(t.Namespaces, namespace) {
		return ""
	}
	return t.FluxAccount
}

// CheckFluxAccount returns an error if a name can't be that of the service account for
// Flux.
func CheckFluxAccount(name string) error {
	switch {
	case slices.Contains([]string{TillerAccount, HelmAccount, ReaderAccount}, name):
		return fmt.Errorf("%q is the name of an account in home namespaces; give another, such as flux", name)
	case name == "default":
		return fmt.Errorf("the account %q is that of every pod which names none; give another, such as flux", name)
	case len(validation.IsDNS1123Subdomain(name)) > 0:
		return fmt.Errorf("%q is not a service account's name: use lower case letters, digits, '-' and '.', starting and ending with a letter or digit", name)
	}
	return nil
}

func (t Tenant) checkFluxAccount() error {
	switch {
	case t.FluxAccount == "":
		return nil
	case t.AllNamespaces:
		return fmt.Errorf("fluxAccount: a tenant of all namespaces has no accounts in its namespaces")
	}
	if err := CheckFluxAccount(t.FluxAccount); err != nil {
		return fmt.Errorf("fluxAccount: %w", err)
	}
	return nil
}
