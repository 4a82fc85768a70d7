package tenant

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/util/validation"
)

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
