package admin

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"

	"helm-tenant/failure"
	"helm-tenant/tenant"
)

// ArgoCD describes an Argo CD installation and its name for this cluster.
type ArgoCD struct {
	// Namespace is the namespace of Argo CD.
	Namespace string
	// Server is the address of the cluster in Applications.
	Server string
}

// Check returns an error if Argo CD could not take the settings, or would take the server for a
// pattern of several: it compares destinations with wildcards.
func (a ArgoCD) Check() error {
	server, err := url.Parse(a.Server)
	switch {
	case len(validation.IsDNS1123Label(a.Namespace)) > 0:
		return fmt.Errorf("--argocd-namespace: %q is not a namespace's name", a.Namespace)
	case err != nil || server.Scheme != "https" && server.Scheme != "http" || server.Host == "" || strings.ContainsAny(a.Server, "*?{} "):
		return fmt.Errorf("--argocd-server: %q is not the address of one server, such as https://kubernetes.default.svc", a.Server)
	}
	return nil
}

// AppProject returns the tenant as an Argo CD project (argoproj.io/v1alpha1, AppProject). Its
// Applications may deploy into the tenant's namespaces, can't create cluster-scoped objects,
// and are synchronized as the tenant's deployer if Argo CD impersonates.
//
// Errors: a tenant of all namespaces, which a project would not restrict; a tenant with the
// name of Argo CD's own project.
func (a ArgoCD) AppProject(t tenant.Tenant) (map[string]any, error) {
	switch {
	case t.AllNamespaces:
		return nil, failure.OfTenant(t.Name).Wrap(errors.New("it has all namespaces, and no AppProject could confine it"))
	case t.Name == "default":
		return nil, failure.OfTenant(t.Name).Wrap(errors.New("Argo CD has a project of that name for whoever names none"))
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
