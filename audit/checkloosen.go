package audit

import (
	"fmt"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"

	"helm-tenant/rbac"
)

// checkNamespaceWriters finds subjects that can change the labels of a tenant's
// namespaces by cluster-wide rights that name the namespaces. Rights to all namespaces
// open the homes as well, and are reported as that; those of a RoleBinding in the
// namespace are reported as a foreign binding.
func (a *auditor) checkNamespaceWriters() {
	owners := map[string][]*Record{}
	for r := range a.records() {
		if r.Problem != "" || r.Tenant.AllNamespaces {
			continue
		}
		for _, ns := range r.Tenant.Namespaces {
			owners[ns] = append(owners[ns], r)
		}
	}
	a.eachOther(nil, func(s Subject, mine func(grant) bool) {
		loosened := map[*Record]*Finding{}
		var order []*Record
		for _, ns := range a.namedNamespaces(s) {
			path := Path{ID: "change-namespace", Name: "change the labels of namespace " + ns, needs: pather{Target{Home: ns}, a.rights}.changeHome()}
			steps, open := a.rights.opens(identityOf(s), path, nil, func(g grant) bool { return mine(g) && g.binding.Namespace == "" })
			if !open {
				continue
			}
			for _, r := range owners[ns] {
				f := loosened[r]
				if f == nil {
					one := r.about(s.String(), "%s can change the labels of namespace %s, and so take away what holds its pods", s, ns)
					f, loosened[r] = &one, &one
					order = append(order, r)
				} else {
					f.Text = fmt.Sprintf("%s can change the labels of several namespaces, and so take away what holds their pods", s)
				}
				f.Chains = append(f.Chains, chainsOf(s, []opened{{path, steps}})...)
				f.Fix = f.Fix.Then(a.takeAwayAll([]opened{{path, steps}}))
			}
		}
		for _, r := range order {
			severity := Severity("")
			if d := a.byRecord[r]; s.IsEverybody() || d != nil && slices.Contains(d.members, s) {
				severity = High // whoever creates pods there loosens what restricts them
			}
			a.add(idLoosensNamespace, severity, *loosened[r])
		}
	})
}

// namedNamespaces returns the names in a subject's cluster-wide rights, if any of these
// rights changes a namespace's labels.
func (a *auditor) namedNamespaces(s Subject) []string {
	var names []string
	for _, g := range a.rights.inCluster[s] {
		if len(g.rules.named) > 0 && len(rbac.WritesNamespaces(g.rules.rules)) > 0 {
			names = append(names, g.rules.named...)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// outgrows describes what the rules of a binding in a tenant's namespace allow beyond any
// role that a tenant may have: to remove the namespace's labels, or to use the rights of
// a controller. It is empty if they allow neither, and if the tenant's own role allows
// the same, for which the role is reported.
func (a *auditor) outgrows(r *Record, rules []rbacv1.PolicyRule) string {
	var role []rbacv1.PolicyRule
	if live := a.clusterRoles[r.Tenant.Role]; live != nil {
		role = live.Rules
	}
	var allowed []string
	if writes := rbac.WritesNamespaces(rules); len(writes) > 0 && len(rbac.WritesNamespaces(role)) == 0 {
		allowed = append(allowed, fmt.Sprintf("%s, and so take away the labels that hold the namespace", writes[0]))
	}
	if loans := a.loans(rules, r); len(loans) > 0 && len(a.loans(role, r)) == 0 {
		allowed = append(allowed, fmt.Sprintf("%s, which %s carries out with its own rights", shortened(loanAsks(loans)), loans[0].lender))
	}
	return strings.Join(allowed, "; and ")
}

// checkOwnGrants checks the rights of a deployer in its namespaces by other bindings than that
// of its role.
func (a *auditor) checkOwnGrants(d *deployer, grants []grant) {
	t := d.record.Tenant
	for _, g := range grants {
		if slices.Contains(rbac.BoundRoles(t), g.binding.RoleName) && g.binding.Name == rbac.DeployerBinding(t.Name, g.binding.RoleName) {
			continue // reported once for all tenants with the role
		}
		tell := func(id, right, text string, arguments ...any) {
			f := d.about(d.account.String(), text, arguments...)
			f.Chains = [][]string{{d.account.String(), g.binding.String(), g.binding.Role(), right}}
			f.Fix, f.Object = a.takeAway(g.binding, g.to), g.binding.String()
			a.add(id, "", f)
			a.markGrantReported(d.record, g)
		}
		if loans := a.loans(g.rules.rules, d.record); len(loans) > 0 {
			tell(idLender, loans[0].ask.String(), "by %s its deployer may %s, which %s carries out with its own rights", g.binding, shortened(loanAsks(loans)), loans[0].lender)
		}
		if writes := rbac.WritesNamespaces(g.rules.rules); len(writes) > 0 {
			tell(idWritesNamespaces, writes[0].String(), "by %s its deployer may %s", g.binding, writes[0])
		}
	}
}
