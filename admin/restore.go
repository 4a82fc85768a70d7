package admin

import (
	"fmt"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"

	"helm-tenant/cluster"
	"helm-tenant/install"
	"helm-tenant/rails"
	"helm-tenant/rbac"
	"helm-tenant/tenant"
	"helm-tenant/visible"
)

// restored returns a tenant from its live objects, if its record is missing or can't be
// read. found is false if there is no object that is written after a record: such a
// tenant was never complete. From objects in namespaces that others may write, only what
// all of them have in common is believed.
func restored(live *cluster.Live, name string) (t tenant.Tenant, found bool, err error) {
	keys := live.OfTenant(name)
	home := ""
	for _, key := range keys {
		if slices.Contains([]string{"Deployment", "RoleBinding"}, key.Kind) && live.Leads(name, key.Namespace) && slices.Contains([]string{install.DeploymentName, rbac.MemberName}, key.Name) {
			home = key.Namespace
		}
	}
	if home == "" {
		return t, false, nil
	}
	t = tenant.Tenant{Name: name, HomeNamespace: home}
	for _, key := range keys {
		switch {
		case key.Kind == "Namespace" && key.Name != home && live.Get(key).GetAnnotations()[tenant.AnnotationHome] == home:
			t.Namespaces = append(t.Namespaces, key.Name)
		case key.Kind == "ClusterRoleBinding":
			t.AllNamespaces = true
		}
	}
	account := func(name string) bool { return slices.Contains(keys, accountKey(home, name)) }
	hasTiller := slices.Contains(keys, tillerKey(home)) || account(tenant.TillerAccount)
	switch {
	case hasTiller && account(tenant.HelmAccount):
		t.Engine = tenant.EngineBoth
	case hasTiller:
		t.Engine = tenant.EngineTiller
	default:
		t.Engine = tenant.EngineImpersonation
	}
	if t.HomeNamespace == t.Engine.ConventionalHome(name) {
		t.HomeNamespace = ""
	}
	t.Role = restoredRole(live, t)
	if t.FluxAccount, err = restoredFluxAccount(live, t); err != nil {
		return t, false, err
	}
	if hasTiller {
		if t.Tiller, err = restoredTiller(live, home); err != nil {
			return t, false, err
		}
	}
	t.Rails, err = restoredRails(live, t)
	return t, true, err
}

// restoredRole returns the role that is bound to the tenant's deployer in all of its
// namespaces; empty if there is none, or more than one.
func restoredRole(live *cluster.Live, t tenant.Tenant) string {
	bound := map[string]int{}
	for _, key := range live.OfTenant(t.Name) {
		if key.Kind != "RoleBinding" && key.Kind != "ClusterRoleBinding" {
			continue
		}
		if kind, role := roleRefOf(live.Get(key)); kind == "ClusterRole" && key.Name == rbac.DeployerBinding(t.Name, role) {
			bound[role]++
		}
	}
	return rbac.CommonRole(bound, func(bindings int) bool { return t.AllNamespaces || bindings == len(t.Namespaces) })
}

// restoredFluxAccount returns the service account that each of the tenant's namespaces has and
// binds to the tenant's role in addition to the deployer; empty if there is none, or not the
// same one everywhere.
func restoredFluxAccount(live *cluster.Live, t tenant.Tenant) (string, error) {
	var account string
	for _, ns := range t.Namespaces {
		if tenant.IsSystemNamespace(ns) {
			continue // it has none
		}
		var binding rbacv1.RoleBinding
		if _, err := live.Into(cluster.Key{Kind: "RoleBinding", Namespace: ns, Name: rbac.DeployerBinding(t.Name, t.Role)}, &binding); err != nil {
			return "", err
		}
		var accounts []string
		for _, s := range binding.Subjects {
			if s.Kind == rbacv1.ServiceAccountKind && s.Namespace == ns {
				accounts = append(accounts, s.Name)
			}
		}
		if len(accounts) != 1 || account != "" && accounts[0] != account || tenant.CheckFluxAccount(accounts[0]) != nil {
			return "", nil
		}
		account = accounts[0]
	}
	return account, nil
}

// restoredTiller returns the settings of the Tiller in a home. Without a Deployment, its
// Role says where the records are.
func restoredTiller(live *cluster.Live, home string) (tenant.Tiller, error) {
	var deployment appsv1.Deployment
	found, err := live.Into(tillerKey(home), &deployment)
	if err != nil || found {
		return install.LiveSettings(deployment.Spec), err
	}
	var role rbacv1.Role
	if _, err := live.Into(cluster.Key{Kind: "Role", Namespace: home, Name: rbac.RecordsName}, &role); err != nil {
		return tenant.Tiller{}, err
	}
	for _, rule := range role.Rules {
		if slices.Contains(rule.Resources, string(tenant.StorageConfigMap)+"s") {
			return tenant.Tiller{Storage: tenant.StorageConfigMap}, nil
		}
	}
	return tenant.Tiller{}, nil
}

// restoredRails returns the guard rails from one of the tenant's namespaces, since all
// have the same.
func restoredRails(live *cluster.Live, t tenant.Tenant) (tenant.Rails, error) {
	if len(t.Namespaces) == 0 {
		return tenant.NewRails(t.AllNamespaces), nil
	}
	name := t.Namespaces[0]
	r, err := rails.Claim(t.Name, live.Get(namespaceKey(name)))
	if err != nil {
		return r, err
	}
	object := func(kind string) cluster.Key {
		return cluster.Key{Kind: kind, Namespace: name, Name: rails.ObjectName}
	}
	var quota corev1.ResourceQuota
	var limits corev1.LimitRange
	var policy networkingv1.NetworkPolicy
	for kind, into := range map[string]any{"ResourceQuota": &quota, "LimitRange": &limits, "NetworkPolicy": &policy} {
		if _, err := live.Into(object(kind), into); err != nil {
			return r, err
		}
	}
	return rails.WithObjects(r, quota, limits, policy), nil
}

// restore returns the tenant from its live objects if it has no readable record;
// unreadable is the error of reading it, nil if there is none. An unreadable record may
// be one of a newer helm-tenant: it is written again only if the request names the
// namespaces.
func restore(f *facts, r Request, unreadable error) (was tenant.Tenant, existed bool, err error) {
	named := r.Exact || len(r.Tenant.Namespaces) > 0 || r.Tenant.AllNamespaces
	was, existed, err = restored(f.live, r.Tenant.Name)
	switch {
	case err != nil:
		return was, false, err
	case unreadable != nil && (!named || !existed):
		if existed {
			return was, false, &UnreadableRecordError{was, unreadable}
		}
		return was, false, unreadable
	case !existed:
		return tenant.Tenant{}, false, nil
	}
	if unreadable == nil && !r.Exact && r.Tenant.Engine != "" {
		// A migration may have been under way, which only the admin knows.
		home := was.Home()
		if was.Engine, was.HomeNamespace = r.Tenant.Engine, home; !was.Engine.Has(tenant.EngineTiller) {
			was.Tiller = tenant.Tiller{}
		}
	}
	if was.Tiller.Image == "" && was.Tiller.Version == r.ClientVersion {
		was.Tiller.Version = ""
	}
	if was.Tiller.Storage == "" {
		was.Tiller.Storage = r.Tenant.Tiller.Storage // nothing contradicts it
	}
	if !r.Exact && !r.Prune {
		// Requested namespaces come first, in their order: the first is the default
		// namespace.
		was.Namespaces = slices.Concat(r.Tenant.Namespaces, slices.DeleteFunc(slices.Clone(was.Namespaces), func(ns string) bool { return slices.Contains(r.Tenant.Namespaces, ns) }))
	}
	return was, true, nil
}

func (d *decision) noteRestored() error {
	if !d.restored {
		return nil
	}
	text := fmt.Sprintf("engine %s, role %s", d.was.Engine, d.was.Role)
	if len(d.was.Namespaces) > 0 {
		text += ", " + visible.Named("namespace", d.was.Namespaces)
	}
	if d.was.Engine.Has(tenant.EngineTiller) {
		text += fmt.Sprintf("; its Tiller stores %ss and keeps %s", d.was.Tiller.Storage, visible.Counted(*d.was.Tiller.HistoryMax, "revision"))
	}
	if d.was.FluxAccount != "" {
		text += "; Flux applies as service account " + d.was.FluxAccount
	}
	d.warn("the tenant has no record that can be read; it is written again from the live objects: %s", text)
	return nil
}

// UnreadableRecordError reports that a tenant's record can't be read, with what its live
// objects say of the tenant.
type UnreadableRecordError struct {
	Tenant tenant.Tenant
	Err    error
}

func (e *UnreadableRecordError) Error() string { return e.Err.Error() }
func (e *UnreadableRecordError) Unwrap() error { return e.Err }
