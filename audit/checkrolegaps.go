package audit

import (
	"fmt"
	"slices"
	"strings"

	"helm-tenant/command"
	"helm-tenant/rbac"
)

// checkRoleGaps reports a role with which helm can't do everything for its tenants: an
// install stops half-way, or the release can't be removed.
func (a *auditor) checkRoleGaps(role *Role, users []*Record) {
	var gaps []string
	var concerned []*Record
	for _, r := range users {
		lacks := rbac.RoleGaps(role.Rules, r.Tenant.WithDefaults().Engine)
		if len(lacks) > 0 {
			concerned = append(concerned, r)
		}
		for _, gap := range lacks {
			if !slices.Contains(gaps, gap) {
				gaps = append(gaps, gap)
			}
		}
	}
	if len(concerned) == 0 {
		return
	}
	f := Finding{Subject: "ClusterRole " + role.Name, Fix: widerRole(role.Name, concerned),
		Text:   fmt.Sprintf("helm can't do all that it does for %s with the role %s: %s", tenantsOf(concerned), role.Name, strings.Join(gaps, "; ")),
		Chains: [][]string{{"tenant " + concerned[0].Tenant.Name, "ClusterRole " + role.Name}}}
	setTenant(&f, concerned)
	a.add(idRoleGaps, "", f)
}

// widerRole returns the commands that give tenants the rights that helm needs: they add the
// rights to an admin's own role, and replace one of Kubernetes' or ours by another.
func widerRole(role string, users []*Record) command.Fix {
	if rbac.KubernetesRoles(role) == nil && rbac.MadeOf(role) == nil {
		return command.Run(command.Kubectl("edit", "", "clusterrole", role)).With("add what is missing")
	}
	return giveRole(rbac.AdminRoleName, users)
}
