package admin

import (
	"fmt"

	"helm-tenant/tenant"
)

// ArgoCD is where an Argo CD is, and which cluster it calls this one.
type ArgoCD struct {
	// Namespace is Argo CD's own.
	Namespace string
	// Server is the cluster's address in its Applications.
	Server string
}

// AppProject returns the tenant as Argo CD's project of Applications
// (argoproj.io/v1alpha1, AppProject): they may deploy into the tenant's namespaces, make
// nothing outside namespaces, and are synchronized as the tenant's deployer where Argo CD
// impersonates.
//
// Errors: a tenant of all namespaces, which a project would not confine; one that is
// called as Argo CD's own project.
func (a ArgoCD) AppProject(t tenant.Tenant) (map[string]any, error) {
	switch {
	case t.AllNamespaces:
		return nil, &TenantError{t.Name, fmt.Errorf("it has all namespaces, to which no AppProject confines anything")}
	case t.Name == "default":
		return nil, &TenantError{t.Name, fmt.Errorf("Argo CD has a project of that name for whoever names none")}
	}
	var destinations, accounts []any
	for _, ns := range t.Namespaces {
		destinations = append(destinations, map[string]any{"server": a.Server, "namespace": ns})
		accounts = append(accounts, map[string]any{"server": a.Server, "namespace": ns, "defaultServiceAccount": t.Home() + ":" + t.Engine.DeployerAccounts()[len(t.Engine.DeployerAccounts())-1]})
	}
	return map[string]any{
		"apiVersion": "argoproj.io/v1alpha1", "kind": "AppProject",
		"metadata": map[string]any{"name": t.Name, "namespace": a.Namespace, "labels": map[string]any{tenant.LabelManagedBy: tenant.ManagedBy}},
		"spec": map[string]any{
			"description":                "tenant " + t.Name + " of helm-tenant",
			"sourceRepos":                []any{"*"},
			"destinations":               destinations,
			"clusterResourceWhitelist":   []any{},
			"destinationServiceAccounts": accounts,
		},
	}, nil
}
