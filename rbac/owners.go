package rbac

import (
	rbacv1 "k8s.io/api/rbac/v1"

	"helm-tenant/tenant"
)

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
