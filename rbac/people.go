package rbac

import (
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"helm-tenant/tenant"
)

const (
	// ReaderName is the name of the readers' Role and RoleBinding in a home namespace.
	ReaderName = "helm-tenant-reader"
	// SecretsRole is the ClusterRole with which the readers' account reads release
	// records; all tenants with readers share it.
	SecretsRole = "helm-tenant-reads-secrets"
	// ViewRole is Kubernetes' ClusterRole that reads workloads, but not Secrets.
	ViewRole = "view"
)

// readerRules returns all rights of a reader in a home namespace: to impersonate the
// readers' account, and to read the tenant's record.
func readerRules() []rbacv1.PolicyRule {
	return []rbacv1.PolicyRule{
		{APIGroups: []string{""}, Resources: []string{"serviceaccounts"}, ResourceNames: []string{tenant.ReaderAccount}, Verbs: []string{"impersonate"}},
		{APIGroups: []string{""}, Resources: []string{"configmaps"}, ResourceNames: []string{tenant.RecordName}, Verbs: []string{"get"}},
	}
}

// SecretsClusterRole returns a role that reads Secrets. RBAC can't distinguish a release
// record, which is a Secret, from other Secrets.
func SecretsClusterRole() *rbacv1.ClusterRole {
	return ClusterRole(SecretsRole, []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"secrets"}, Verbs: []string{"get", "list"}}})
}

// ReaderBindings returns the bindings of the readers' account in one of the tenant's
// namespaces; none for a tenant without readers.
func ReaderBindings(t tenant.Tenant, namespace string) []*rbacv1.RoleBinding {
	if !t.HasReaders() {
		return nil
	}
	var bindings []*rbacv1.RoleBinding
	for _, name := range []string{ViewRole, SecretsRole} {
		bindings = append(bindings, &rbacv1.RoleBinding{
			TypeMeta:   metav1.TypeMeta{APIVersion: rbacv1.SchemeGroupVersion.String(), Kind: "RoleBinding"},
			ObjectMeta: metav1.ObjectMeta{Name: ReaderName + "." + t.Name + "." + name, Namespace: namespace, Labels: Labels(t.Name)},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: name},
			Subjects:   []rbacv1.Subject{deployer(t, tenant.ReaderAccount)},
		})
	}
	return bindings
}

// OwnerName is the name of the owners' Role and RoleBinding in a home namespace.
const OwnerName = "helm-tenant-owner"

// OwnerRules returns all rights of an owner: get and update of the bindings of members
// and readers by name; bind of their Roles, since RBAC otherwise refuses a new subject to
// a caller that lacks rights of the Role
// (k8s.io/kubernetes/pkg/registry/rbac/rolebinding/policybased); get of the home
// namespace and of the tenant's record. RBAC can't restrict the contents of the bindings:
// an admission policy does (install.Owners). A binding for readers is named only if the
// tenant has one, since an update of an object that does not exist could create a binding
// of another role.
func OwnerRules(t tenant.Tenant) []rbacv1.PolicyRule {
	names := []string{MemberName}
	if t.HasReaders() {
		names = append(names, ReaderName)
	}
	return []rbacv1.PolicyRule{
		{APIGroups: []string{rbacv1.GroupName}, Resources: []string{"rolebindings"}, ResourceNames: names, Verbs: []string{"get", "update"}},
		{APIGroups: []string{rbacv1.GroupName}, Resources: []string{"roles"}, ResourceNames: names, Verbs: []string{"bind"}},
		{APIGroups: []string{""}, Resources: []string{"configmaps"}, ResourceNames: []string{tenant.RecordName}, Verbs: []string{"get"}},
		{APIGroups: []string{""}, Resources: []string{"namespaces"}, ResourceNames: []string{t.Home()}, Verbs: []string{"get"}},
	}
}
