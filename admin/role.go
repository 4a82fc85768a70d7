package admin

import (
	"fmt"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"

	"helm-tenant/cluster"
	"helm-tenant/rbac"
	"helm-tenant/tenant"
)

// RiskNamespaceWriter gives a tenant's deployer a role that can write namespaces.
const RiskNamespaceWriter Risk = "namespace-writer"

func clusterRoleKey(name string) cluster.Key { return cluster.Key{Kind: "ClusterRole", Name: name} }

// roleKeys returns the ClusterRoles whose rules the tenant's role has.
func (d *decision) roleKeys() []cluster.Key {
	keys := []cluster.Key{clusterRoleKey(d.tenant.Role)}
	for _, name := range rbac.MadeOf(d.tenant.Role) {
		keys = append(keys, clusterRoleKey(name))
	}
	if d.tenant.Frozen != nil {
		for _, name := range rbac.BoundRoles(tenant.Tenant{Frozen: &tenant.Freeze{Means: tenant.FreezeByRole}}) {
			keys = append(keys, clusterRoleKey(name))
		}
	}
	return keys
}

// roleRules returns the rules that a ClusterRole has, or will have when it is written.
// found is false if it does not exist.
func (d *decision) roleRules(name string) (rules []rbacv1.PolicyRule, found bool, err error) {
	names := []string{name}
	if sources := rbac.MadeOf(name); sources != nil && d.tenant.Role == name {
		names = sources
	}
	for _, name := range names {
		var role rbacv1.ClusterRole
		found, err := d.facts.live.Into(clusterRoleKey(name), &role)
		if err != nil || !found {
			return nil, false, err
		}
		rules = append(rules, role.Rules...)
	}
	return rules, true, nil
}

// checkRole refuses a role that does not exist, and, unless the risk is accepted, one
// that can write namespaces, whose labels hold a tenant's pods. For a tenant of all
// namespaces, a greater risk is accepted already.
func (d *decision) checkRole() error {
	t := d.tenant
	rules, found, err := d.roleRules(t.Role)
	if err != nil {
		return err
	}
	if !found && (d.request.Migrating && !d.request.CreateNamespaces || !d.facts.live.Sees("ClusterRole")) {
		return nil // noteScope reports a role that was not read
	}
	if sources := rbac.MadeOf(t.Role); !found && sources != nil {
		return &RefusedError{fmt.Sprintf("ClusterRole %q is made of %s, and not all of them exist", t.Role, strings.Join(sources, ", ")), SettingRole, ""}
	}
	if !found {
		return &RefusedError{fmt.Sprintf("ClusterRole %q does not exist", t.Role), SettingRole, ""}
	}
	if !d.request.offline || t.Role == tenant.DefaultClusterRole { // the rules of no other role are known
		d.roleGaps = rbac.RoleGaps(rules, t.Engine)
	}
	for _, gap := range d.roleGaps {
		d.note("with ClusterRole %q the deployer can't do all that helm needs: %s", t.Role, gap)
	}
	writes := rbac.WritesNamespaces(rules)
	if len(writes) == 0 || t.AllNamespaces {
		return nil
	}
	return d.request.Accepted.unless(RiskNamespaceWriter, "with ClusterRole %q, which may %s, a chart of tenant %q could remove the labels that PodSecurity and admission policies of its namespaces depend on; the role %s may not",
		t.Role, writes[0], t.Name, rbac.AdminRoleName)
}

// nested reports whether one of two ClusterRoles grants everything that the other does;
// see cluster.Nested.
func (d *decision) nested(was, next string) (bool, error) {
	first, found, err := d.roleRules(was)
	if err != nil || !found {
		return false, err
	}
	second, found, err := d.roleRules(next)
	if err != nil || !found {
		return false, err
	}
	return cluster.Nested(first, second), nil
}
