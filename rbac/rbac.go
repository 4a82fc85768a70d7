// Package rbac makes the wanted service accounts, roles and bindings of a tenant. It
// reads and writes no cluster.
package rbac

import (
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"helm-tenant/lists"
	"helm-tenant/tenant"
)

// Names of a tenant's Roles and RoleBindings in its home namespace.
const (
	MemberName  = "helm-tenant-member"
	RecordsName = "helm-tenant-records"
)

// BindingName returns the name of the RoleBinding in the home namespace, and of its Role,
// for a relation.
func BindingName(relation tenant.Relation) string { return "helm-tenant-" + string(relation) }

// Labels returns the labels of every object of the named tenant.
func Labels(name string) map[string]string {
	return map[string]string{tenant.LabelTenant: name, tenant.LabelManagedBy: tenant.ManagedBy}
}

// DeployerBinding returns the name of the binding that grants the tenant's deployer a
// role in a namespace. It contains the role, which a binding can't change, so that the
// binding of another role can exist before the old one is deleted. A tenant's name has no
// dot: no two tenants and roles have the same name.
func DeployerBinding(name, role string) string {
	return "helm-tenant." + name + "." + role
}

// ServiceAccounts returns the tenant's deployers, and the account of its readers. No
// token is mounted by default: the Tiller's Deployment mounts it explicitly, nobody else
// in the home namespace should get it, and an impersonated account needs none.
func ServiceAccounts(t tenant.Tenant) []runtime.Object {
	var accounts []runtime.Object
	names := t.Engine.DeployerAccounts()
	if t.HasReaders() {
		names = append(names, tenant.ReaderAccount)
	}
	for _, name := range names {
		automount := false
		accounts = append(accounts, &corev1.ServiceAccount{
			TypeMeta:                     metav1.TypeMeta{APIVersion: "v1", Kind: "ServiceAccount"},
			ObjectMeta:                   inHome(t, name),
			AutomountServiceAccountToken: &automount,
		})
	}
	return accounts
}

// FluxAccount returns the service account for Flux in one of the tenant's namespaces, nil
// if the tenant has none there. Flux impersonates it, so that it needs no token.
func FluxAccount(t tenant.Tenant, namespace string) *corev1.ServiceAccount {
	name := t.FluxAccountIn(namespace)
	if name == "" {
		return nil
	}
	return &corev1.ServiceAccount{
		TypeMeta:                     metav1.TypeMeta{APIVersion: "v1", Kind: "ServiceAccount"},
		ObjectMeta:                   metav1.ObjectMeta{Name: name, Namespace: namespace, Labels: Labels(t.Name)},
		AutomountServiceAccountToken: new(false),
	}
}

// Home returns the roles and bindings in the home namespace: what the Tiller needs for
// its release records, and what a member needs to reach the deployer. The subjects of the
// member binding are the tenant's members.
func Home(t tenant.Tenant) []runtime.Object {
	var objects []runtime.Object
	if t.Engine.Has(tenant.EngineTiller) {
		// The requests of Helm 2's storage drivers (k8s.io/helm/pkg/storage/driver): no
		// watch, no patch, and nothing but records.
		verbs := []string{"get", "list", "create", "update", "delete"}
		if t.FrozenBy(tenant.FreezeByRole) {
			verbs = []string{"get", "list"}
		}
		objects = append(objects,
			role(t, RecordsName, rbacv1.PolicyRule{
				APIGroups: []string{""},
				Resources: []string{string(t.Tiller.Storage) + "s"},
				Verbs:     verbs,
			}),
			binding(t, RecordsName, deployer(t, tenant.TillerAccount)),
		)
	}
	objects = append(objects, role(t, MemberName, memberRules(t.Engine)...), peopleBinding(t, tenant.RelationMember))
	if t.HasReaders() {
		objects = append(objects, role(t, ReaderName, readerRules()...), peopleBinding(t, tenant.RelationReader))
	}
	if t.HasOwners() {
		objects = append(objects, role(t, OwnerName, OwnerRules(t)...), peopleBinding(t, tenant.RelationOwner))
	}
	return objects
}

// peopleBinding returns the binding for a relation to the tenant, with the annotation of
// grants for a time.
func peopleBinding(t tenant.Tenant, as tenant.Relation) *rbacv1.RoleBinding {
	b := binding(t, BindingName(as), t.People(as).Subjects()...)
	if terms := t.Temporary.Annotation(as); terms != "" {
		b.Annotations = map[string]string{tenant.AnnotationTerms: terms}
	}
	return b
}

// memberRules returns all rights of a member: for a Tiller the requests with which `helm`
// itself reaches one (k8s.io/helm/pkg/helm/portforwarder), otherwise to impersonate the
// deployer's account; and to read the tenant's record.
func memberRules(engine tenant.Engine) []rbacv1.PolicyRule {
	var rules []rbacv1.PolicyRule
	if engine.Has(tenant.EngineTiller) {
		rules = append(rules,
			rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"pods"}, Verbs: []string{"list"}},
			rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"pods/portforward"}, Verbs: []string{"create"}})
	}
	if engine.Has(tenant.EngineImpersonation) {
		rules = append(rules, rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"serviceaccounts"}, ResourceNames: []string{tenant.HelmAccount}, Verbs: []string{"impersonate"}})
	}
	return append(rules, rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"configmaps"}, ResourceNames: []string{tenant.RecordName}, Verbs: []string{"get"}})
}

// BoundRoles returns the ClusterRoles of the tenant's deployers in its namespaces: the
// tenant's role, or roles that only read while it is frozen by role.
func BoundRoles(t tenant.Tenant) []string {
	if t.FrozenBy(tenant.FreezeByRole) {
		return []string{ViewRole, SecretsRole}
	}
	return []string{t.Role}
}

// DeployerBindings returns the bindings of BoundRoles in one of the tenant's namespaces.
func DeployerBindings(t tenant.Tenant, namespace string) []*rbacv1.RoleBinding {
	var bindings []*rbacv1.RoleBinding
	for _, t.Role = range BoundRoles(t) {
		bindings = append(bindings, InNamespace(t, namespace))
	}
	return bindings
}

// ClusterWideBindings returns the bindings of BoundRoles of a tenant of all namespaces.
func ClusterWideBindings(t tenant.Tenant) []*rbacv1.ClusterRoleBinding {
	var bindings []*rbacv1.ClusterRoleBinding
	for _, t.Role = range BoundRoles(t) {
		bindings = append(bindings, clusterWide(t))
	}
	return bindings
}

// InNamespace returns the binding of the tenant's role in one of its namespaces, for the
// tenant's deployers and its account for Flux.
func InNamespace(t tenant.Tenant, namespace string) *rbacv1.RoleBinding {
	subjects := deployers(t)
	if name := t.FluxAccountIn(namespace); name != "" {
		subjects = append(subjects, rbacv1.Subject{Kind: rbacv1.ServiceAccountKind, Namespace: namespace, Name: name})
	}
	return &rbacv1.RoleBinding{
		TypeMeta:   metav1.TypeMeta{APIVersion: rbacv1.SchemeGroupVersion.String(), Kind: "RoleBinding"},
		ObjectMeta: metav1.ObjectMeta{Name: DeployerBinding(t.Name, t.Role), Namespace: namespace, Labels: Labels(t.Name)},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: t.Role},
		Subjects:   subjects,
	}
}

// clusterWide returns the binding that lets the deployer of a tenant of all namespaces
// act everywhere.
func clusterWide(t tenant.Tenant) *rbacv1.ClusterRoleBinding {
	return &rbacv1.ClusterRoleBinding{
		TypeMeta:   metav1.TypeMeta{APIVersion: rbacv1.SchemeGroupVersion.String(), Kind: "ClusterRoleBinding"},
		ObjectMeta: metav1.ObjectMeta{Name: DeployerBinding(t.Name, t.Role), Labels: Labels(t.Name)},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: t.Role},
		Subjects:   deployers(t),
	}
}

func deployers(t tenant.Tenant) []rbacv1.Subject {
	return lists.Map(t.Engine.DeployerAccounts(), func(account string) rbacv1.Subject { return deployer(t, account) })
}

func deployer(t tenant.Tenant, account string) rbacv1.Subject {
	return rbacv1.Subject{Kind: rbacv1.ServiceAccountKind, Namespace: t.Home(), Name: account}
}

func inHome(t tenant.Tenant, name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: name, Namespace: t.Home(), Labels: Labels(t.Name)}
}

func role(t tenant.Tenant, name string, rules ...rbacv1.PolicyRule) *rbacv1.Role {
	return &rbacv1.Role{
		TypeMeta:   metav1.TypeMeta{APIVersion: rbacv1.SchemeGroupVersion.String(), Kind: "Role"},
		ObjectMeta: inHome(t, name),
		Rules:      rules,
	}
}

func binding(t tenant.Tenant, name string, subjects ...rbacv1.Subject) *rbacv1.RoleBinding {
	return &rbacv1.RoleBinding{
		TypeMeta:   metav1.TypeMeta{APIVersion: rbacv1.SchemeGroupVersion.String(), Kind: "RoleBinding"},
		ObjectMeta: inHome(t, name),
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: name},
		Subjects:   subjects,
	}
}

// CommonRole returns the role that is bound to a tenant's deployer everywhere, as its number of
// bindings says; empty if there is none, or more than one.
func CommonRole(bound map[string]int, everywhere func(bindings int) bool) string {
	common := ""
	for role, count := range bound {
		switch {
		case !everywhere(count):
		case common != "":
			return ""
		default:
			common = role
		}
	}
	return common
}
