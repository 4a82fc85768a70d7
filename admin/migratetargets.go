package admin

import (
	"context"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/component-helpers/auth/rbac/validation"

	"helm-tenant/cluster"
	"helm-tenant/failure"
	"helm-tenant/migrate"
	"helm-tenant/rbac"
	"helm-tenant/release"
	"helm-tenant/tenant"
	"helm-tenant/visible"
)

// LostRecordError reports that objects carry a tenant's label while the tenant's record
// does not exist any more.
type LostRecordError struct {
	Name string
	// Home is empty if no object names it, or if it does not exist any more.
	Home string
	// Namespaces carry the tenant's label; AllNamespaces reports whether a
	// ClusterRoleBinding does.
	Namespaces    []string
	AllNamespaces bool
	// hasHelmAccount reports whether the service account of Helm 3 and 4 exists.
	hasHelmAccount bool
	// Engine is the engine in the label of Home; it is empty if Home has no such label.
	Engine tenant.Engine
	// stopped reports whether the tenant's Tiller is scaled to no replicas, as in a migration.
	stopped bool
	// FormerHome is the namespace that all Namespaces name as the tenant's home, if Home
	// is empty; it is empty if they name none, or several.
	FormerHome string
	// Role is bound to the tenant's deployer in all Namespaces; empty if there is no such
	// role, or more than one.
	Role string
	// Going are the tenant's namespaces, its home among them, that are being deleted. They are not
	// in Home and Namespaces.
	Going []string
}

func (e *LostRecordError) Error() string {
	if len(e.Going) > 0 {
		return fmt.Sprintf("tenant %q has no record any more, and is being deleted: namespaces that go are %s", e.Name, visible.List(e.Going))
	}
	if e.Home == "" {
		return fmt.Sprintf("tenant %q has no home namespace any more, and so no record of what it is", e.Name)
	}
	return fmt.Sprintf("tenant %q has no record any more: ConfigMap %s is gone from namespace %q", e.Name, tenant.RecordName, e.Home)
}

// Names implements failure.Namer.
func (e *LostRecordError) Names() []string { return []string{failure.Tenant(e.Name)} }

// Ways returns the tenants that it may have been, one for each engine, the likelier
// first. Role and HomeNamespace are empty if they have the default.
func (e *LostRecordError) Ways() []tenant.Tenant {
	way := func(engine tenant.Engine) tenant.Tenant {
		t := tenant.Tenant{Name: e.Name, Namespaces: e.Namespaces, AllNamespaces: e.AllNamespaces, Engine: engine, Role: e.Role}
		if t.Role == (tenant.Tenant{AllNamespaces: e.AllNamespaces}).WithDefaults().Role {
			t.Role = ""
		}
		former := tenant.Tenant{Name: e.Name, HomeNamespace: e.FormerHome}
		switch {
		case e.Home != "" && e.Home != engine.ConventionalHome(e.Name):
			t.HomeNamespace = e.Home
		case e.Home == "" && e.FormerHome != "" && !isConventional(former):
			t.HomeNamespace = e.FormerHome
		}
		return t
	}
	// In a migration the label says both, and the tenant is to have one of them in the end. A
	// Tiller's tenant may have been in one.
	if e.Engine == tenant.EngineBoth && !e.stopped || e.Engine == tenant.EngineImpersonation {
		return []tenant.Tenant{way(e.Engine)}
	}
	var ways []tenant.Tenant
	// A home of that name was made for Helm 3.
	if e.Home != "" || e.FormerHome != tenant.EngineImpersonation.ConventionalHome(e.Name) {
		ways = append(ways, way(tenant.EngineTiller))
	}
	if e.Home == "" || e.hasHelmAccount {
		ways = append(ways, way(tenant.EngineImpersonation))
	}
	return ways
}

// lostOrNone returns the error for a tenant without a record: a *LostRecordError if
// objects carry its label, otherwise a *NoTenantError.
func lostOrNone(ctx context.Context, c *cluster.Client, live *cluster.Live, name string) error {
	if lost := lostTenant(live, name); lost != nil {
		return lost
	}
	return noTenantIn(ctx, c, name)
}

// FindLost returns what is known of a tenant whose record was deleted; nil if there is no such
// tenant, or the caller may not read its objects. If there is a record, which the caller did not look
// for there, home is its namespace.
func FindLost(ctx context.Context, c *cluster.Client, name string) (lost *LostRecordError, home string) {
	live, err := c.Read(ctx, name)
	if err != nil {
		return nil, "" // the caller has an error to show already
	}
	lost = lostTenant(live, name)
	if lost != nil && live.Get(recordKey(lost.Home)) != nil {
		return nil, lost.Home
	}
	return lost, ""
}

// lostTenant returns what the live objects of a tenant without a record show; nil if no object
// that only admins write has its label.
func lostTenant(live *cluster.Live, name string) *LostRecordError {
	keys := live.OfTenant(name)
	lost := &LostRecordError{Name: name}
	homes := map[string]bool{}
	onlyHome := true // a home that is being deleted is what a destroy leaves behind
	for _, key := range keys {
		switch {
		case key.Kind == "Namespace" && live.Get(key).GetDeletionTimestamp() != nil:
			lost.Going = append(lost.Going, key.Name)
			onlyHome = onlyHome && live.HomeOf(key.Name) == name
		case key.Kind == "Namespace" && live.HomeOf(key.Name) == name:
			lost.Home = key.Name
			lost.Engine = tenant.Engine(live.Get(key).GetLabels()[tenant.LabelHome])
		case key.Kind == "Namespace":
			lost.Namespaces = append(lost.Namespaces, key.Name)
			homes[live.Get(key).GetAnnotations()[tenant.AnnotationHome]] = true
		case key.Kind == "ClusterRoleBinding":
			lost.AllNamespaces = true
		case key.Kind == "Deployment":
			replicas, given, _ := unstructured.NestedInt64(live.Get(key).Object, "spec", "replicas") // no number is not none
			lost.stopped = lost.stopped || given && replicas == 0
		}
	}
	if len(lost.Namespaces) == 0 && onlyHome && !lost.AllNamespaces { // anybody can label objects of other kinds
		return nil
	}
	if former := slices.Collect(maps.Keys(homes)); lost.Home == "" && len(former) == 1 {
		lost.FormerHome = former[0]
	}
	lost.Role = restoredRole(live, tenant.Tenant{Name: name, Namespaces: lost.Namespaces, AllNamespaces: lost.AllNamespaces})
	lost.hasHelmAccount = live.Get(accountKey(lost.Home, tenant.HelmAccount)) != nil
	return lost
}

// lookAtTargets finds out whether the releases can be kept in their namespaces: whether
// the namespaces exist, whether the role lets Helm 3 write its records, which records
// Helm 3 has there already, and whether quotas leave room for more.
func (m *Migration) lookAtTargets(ctx context.Context, c *cluster.Client, earlier *Migration) error {
	names := map[string]bool{}
	for _, r := range m.Releases {
		names[r.Namespace] = true
	}
	keys := []cluster.Key{clusterRoleKey(m.Tenant.Role)}
	for _, role := range rbac.MadeOf(m.Tenant.Role) {
		keys = append(keys, clusterRoleKey(role))
	}
	for namespace := range names {
		keys = append(keys, namespaceKey(namespace))
	}
	if err := c.Lookup(ctx, m.live, keys); err != nil {
		return err
	}
	// After all records were written, missing namespaces block nothing: the releases in
	// them are deleted as well.
	if !m.converted() {
		if err := m.checkRole(); err != nil {
			return err
		}
	}
	for _, namespace := range slices.Sorted(maps.Keys(names)) {
		if m.LostNamespace(namespace) {
			problem := fmt.Errorf("namespace %q does not exist, and releases are recorded there: create it, or delete them under Helm 2", namespace)
			if object := m.live.Get(namespaceKey(namespace)); object != nil {
				problem = checkNotTerminating(object)
			}
			if !m.converted() {
				m.Problems = append(m.Problems, problem)
			}
			continue
		}
		moving := map[string]bool{}
		for _, r := range m.Releases {
			moving[r.Name] = moving[r.Name] || r.Namespace == namespace
		}
		secrets, err := c.StoredNames(ctx, namespace, func(secret metav1.Object) bool { return moving[release.NameOf(secret)] })
		if err != nil {
			return err
		}
		for _, secret := range secrets {
			name := release.NameOf(secret.Live())
			if name == "" {
				name = secret.Release
			}
			m.helm[namespace+"/"+name] = append(m.helm[namespace+"/"+name], secret)
		}
	}
	if err := m.compare(ctx, c, earlier); err != nil {
		return err
	}
	return m.checkQuotas(ctx, c)
}

// LostNamespace reports whether a namespace of the releases does not exist, or is being deleted.
func (m *Migration) LostNamespace(name string) bool {
	object := m.live.Get(namespaceKey(name))
	return object == nil || object.GetDeletionTimestamp() != nil
}

// checkRole notes as a problem that the tenant's role does not exist, or does not let
// Helm 3 keep its records.
func (m *Migration) checkRole() error {
	var rules []rbacv1.PolicyRule
	found := false
	for _, name := range append([]string{m.Tenant.Role}, rbac.MadeOf(m.Tenant.Role)...) {
		var role rbacv1.ClusterRole
		exists, err := m.live.Into(clusterRoleKey(name), &role)
		if err != nil {
			return err
		}
		found = found || exists
		rules = append(rules, role.Rules...)
	}
	if !found {
		m.Problems = append(m.Problems, fmt.Errorf("the tenant's role, ClusterRole %s, does not exist: create it", m.Tenant.Role))
		return nil
	}
	// The requests of Helm 3's driver (helm.sh/helm/v3/pkg/storage/driver, secrets.go).
	if enough, _ := validation.Covers(rules, []rbacv1.PolicyRule{{
		APIGroups: []string{""}, Resources: []string{"secrets"}, Verbs: []string{"get", "list", "create", "update", "delete"}}}); !enough {
		m.Problems = append(m.Problems, fmt.Errorf("the tenant's role, ClusterRole %s, does not let Helm 3 keep its records: it needs get, list, create, update and delete of secrets", m.Tenant.Role))
	}
	return nil
}

// checkQuotas notes as a problem that a ResourceQuota leaves no room for the Secrets to
// be written. Quotas that the caller may not read are skipped: the API server checks each
// Secret in any case.
func (m *Migration) checkQuotas(ctx context.Context, c *cluster.Client) error {
	if m.converted() {
		return nil
	}
	missing := map[string]int{}
	for i, standing := range m.Standings {
		missing[m.Releases[i].Namespace] += len(standing.Missing)
	}
	for _, namespace := range slices.Sorted(maps.Keys(missing)) {
		if missing[namespace] == 0 || m.live.Get(namespaceKey(namespace)) == nil {
			continue
		}
		quotas, err := cluster.List[corev1.ResourceQuota](ctx, c, "ResourceQuota", namespace, metav1.ListOptions{})
		if apierrors.IsForbidden(err) {
			continue
		}
		if err != nil {
			return err
		}
		for _, quota := range quotas {
			if problem := migrate.CheckQuota(quota, missing[namespace]); problem != nil {
				m.Problems = append(m.Problems, problem)
			}
		}
	}
	return nil
}
