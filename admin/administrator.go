package admin

import (
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"

	"helm-tenant/cluster"
	"helm-tenant/install"
	"helm-tenant/rails"
	"helm-tenant/rbac"
	"helm-tenant/tenant"
)

// AdministratorRole returns the ClusterRole for somebody who is not cluster-admin and
// runs init, apply, grant, revoke and destroy for tenants with that engine whose
// deployers have that role.
func AdministratorRole(engine tenant.Engine, role string) *rbacv1.ClusterRole {
	policies := rails.Policies(rails.Priorities{}, tenant.GuardEnforce, tenant.GuardWarn, tenant.GuardAudit)
	var names []string
	for _, object := range slices.Concat(install.Admission(), install.Owners(), rails.Freezing(), rails.Reserving(), policies) {
		names = append(names, cluster.KeyOf(object).Name)
	}
	slices.Sort(names)
	return rbac.Administrator(engine, role, slices.Compact(names))
}
