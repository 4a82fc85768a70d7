package admin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation"

	"helm-tenant/audit"
	"helm-tenant/cluster"
	"helm-tenant/failure"
	"helm-tenant/rbac"
	"helm-tenant/tenant"
)

// noteFlux notes which rights the tenant's account for Flux gives to whom.
func (d *decision) noteFlux() error {
	if account := d.tenant.FluxAccount; account != "" && account != d.was.FluxAccount {
		d.warn("service account %s in each namespace of the tenant has the role %s: whoever may run pods or mint tokens there can act as it, and no revoke takes that away", account, d.tenant.Role)
	}
	return nil
}

func (d *decision) droppedAccounts() []cluster.Key {
	var keys []cluster.Key
	for _, ns := range d.was.Namespaces {
		if name := d.was.FluxAccountIn(ns); name != "" && d.tenant.FluxAccountIn(ns) != name {
			keys = append(keys, accountKey(ns, name))
		}
	}
	return keys
}

// dropFluxAccounts plans the removal of the tenant's accounts for Flux. The record names
// them, since anybody can label an account in a tenant's namespace.
func (r *Removal) dropFluxAccounts(ctx context.Context, c *cluster.Client, live *cluster.Live, t tenant.Tenant) error {
	var keys []cluster.Key
	for _, ns := range t.Namespaces {
		if name := t.FluxAccountIn(ns); name != "" {
			keys = append(keys, accountKey(ns, name))
		}
	}
	if err := c.Lookup(ctx, live, keys); err != nil {
		return err
	}
	for _, key := range keys {
		if account := live.Get(key); account != nil && account.GetLabels()[tenant.LabelTenant] == r.Name {
			r.Prepared.Plan.Delete(account, cluster.PhaseEarlyRemoval) // before the namespace that it would be deleted with
		}
	}
	return nil
}

// Flux has the settings of an export for Flux.
type Flux struct {
	// Account is the service account for tenants that record none.
	Account string
	// SourceKind and SourceName are the source of the Kustomizations. Without a name the
	// source has the tenant's name.
	SourceKind, SourceName string
}

// FluxSourceKinds are the kinds of sources that a Kustomization may name
// (https://fluxcd.io/flux/components/kustomize/kustomizations/#source-reference).
var FluxSourceKinds = []string{"GitRepository", "OCIRepository", "Bucket", "ExternalArtifact"}

// ParseFluxSource parses a source: KIND/NAME, KIND or NAME.
func ParseFluxSource(text string) (kind, name string, err error) {
	kind, name, both := strings.Cut(text, "/")
	switch {
	case both:
	case slices.Contains(FluxSourceKinds, text):
		name = ""
	default:
		kind, name = FluxSourceKinds[0], text
	}
	switch {
	case !slices.Contains(FluxSourceKinds, kind):
		return "", "", fmt.Errorf("%q is not a kind of sources: give one of %s, as KIND/NAME", kind, strings.Join(FluxSourceKinds, ", "))
	case (both || !slices.Contains(FluxSourceKinds, text)) && len(validation.IsDNS1123Subdomain(name)) > 0:
		return "", "", fmt.Errorf("%q is not a source's name: use lower case letters, digits, '-' and '.', starting and ending with a letter or digit", name)
	}
	return kind, name, nil
}

// Objects returns the objects with which Flux can deploy into the tenant's namespaces and
// nowhere else: for each namespace a service account, the binding of the tenant's role,
// and a Kustomization (kustomize.toolkit.fluxcd.io/v1) that applies the folder with the
// namespace's name as that account. The account and the binding are the ones that init
// makes for a tenant which records the account.
//
// Errors: a tenant of all namespaces, and one that has only namespaces of Kubernetes.
func (f Flux) Objects(t tenant.Tenant) ([]*unstructured.Unstructured, error) {
	if t.AllNamespaces {
		return nil, failure.OfTenant(t.Name).Wrap(errors.New("it has all namespaces, and an account of one namespace can't act for it"))
	}
	t.FluxAccount = cmp.Or(t.FluxAccount, f.Account)
	var objects []*unstructured.Unstructured
	for _, ns := range t.Namespaces {
		account := rbac.FluxAccount(t, ns)
		if account == nil {
			continue
		}
		typed := []runtime.Object{account}
		for _, binding := range rbac.DeployerBindings(t, ns) {
			typed = append(typed, binding)
		}
		for _, object := range typed {
			content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
			if err != nil {
				return nil, err
			}
			objects = append(objects, cluster.Stripped(&unstructured.Unstructured{Object: content}))
		}
		objects = append(objects, f.kustomization(t, ns))
	}
	if len(objects) == 0 {
		return nil, failure.OfTenant(t.Name).Wrap(errors.New("it has no namespace but Kubernetes' own, where it gets no account for Flux"))
	}
	return objects, nil
}

func (f Flux) kustomization(t tenant.Tenant, ns string) *unstructured.Unstructured {
	object := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "kustomize.toolkit.fluxcd.io/v1", "kind": "Kustomization",
		"spec": map[string]any{
			"interval":           "10m",
			"path":               "./" + ns,
			"prune":              true,
			"serviceAccountName": t.FluxAccount,
			"sourceRef":          map[string]any{"kind": cmp.Or(f.SourceKind, FluxSourceKinds[0]), "name": cmp.Or(f.SourceName, t.Name)},
			"targetNamespace":    ns,
		},
	}}
	object.SetName(t.Name)
	object.SetNamespace(ns)
	object.SetLabels(map[string]string{tenant.LabelManagedBy: tenant.ManagedBy})
	return object
}

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

// appliesFrom returns the ConfigMaps and Secrets mounted into pods that run helm-tenant
// apply, recognised by image, name or script; nil for other pods.
func appliesFrom(namespace string, spec *corev1.PodSpec) []audit.ObjectRef {
	applies := func(c corev1.Container) bool {
		line := strings.Join(slices.Concat(c.Command, c.Args), " ")
		image := c.Image[strings.LastIndex(c.Image, "/")+1:]
		return strings.Contains(line, "apply") && (strings.Contains(image, "helm-tenant") || strings.Contains(line, "helm-tenant") || strings.Contains(line, "helm tenant"))
	}
	if !slices.ContainsFunc(spec.Containers, applies) && !slices.ContainsFunc(spec.InitContainers, applies) {
		return nil
	}
	var refs []audit.ObjectRef
	add := func(kind, name string) {
		refs = append(refs, audit.ObjectRef{Kind: kind, Namespace: namespace, Name: strings.Clone(name)})
	}
	for _, volume := range spec.Volumes {
		switch {
		case volume.ConfigMap != nil:
			add("ConfigMap", volume.ConfigMap.Name)
		case volume.Secret != nil:
			add("Secret", volume.Secret.SecretName)
		case volume.Projected != nil:
			for _, source := range volume.Projected.Sources {
				switch {
				case source.ConfigMap != nil:
					add("ConfigMap", source.ConfigMap.Name)
				case source.Secret != nil:
					add("Secret", source.Secret.Name)
				}
			}
		}
	}
	return refs
}
