package admin

import (
	rbacv1 "k8s.io/api/rbac/v1"

	"helm-tenant/rbac"
	"helm-tenant/tenant"
)

// RevokeRules returns the RBAC rules that `revoke --expired --all` needs. Their holder
// can make anybody a member or reader of any tenant: for a change of a binding's
// subjects, RBAC requires the verb bind, or all rights of the role.
func RevokeRules() []rbacv1.PolicyRule {
	var names []string // of the bindings and of their roles
	for _, as := range tenant.Relations {
		names = append(names, rbac.BindingName(as))
	}
	return []rbacv1.PolicyRule{
		{APIGroups: []string{""}, Resources: []string{"configmaps", "namespaces"}, Verbs: []string{"list"}},
		{APIGroups: []string{""}, Resources: []string{"namespaces"}, Verbs: []string{"get"}},
		{APIGroups: []string{rbacv1.GroupName}, Resources: []string{"clusterrolebindings", "rolebindings"}, Verbs: []string{"list"}},
		{APIGroups: []string{rbacv1.GroupName}, Resources: []string{"rolebindings"}, ResourceNames: names, Verbs: []string{"get", "update"}},
		{APIGroups: []string{rbacv1.GroupName}, Resources: []string{"roles"}, ResourceNames: names, Verbs: []string{"get", "bind"}},
	}
}
