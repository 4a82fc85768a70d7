package audit

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/component-helpers/auth/rbac/validation"

	"helm-tenant/command"
	"helm-tenant/lists"
	"helm-tenant/rbac"
)

// checkRoles checks the ClusterRoles of tenants' deployers in their namespaces, once for
// all tenants with a role.
func (a *auditor) checkRoles() {
	if a.unseen("clusterroles") {
		return
	}
	users := map[string][]*Record{}
	for r := range a.records() {
		if r.Problem == "" && !r.Tenant.AllNamespaces {
			users[r.Tenant.Role] = append(users[r.Tenant.Role], r)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(users)) {
		role := a.clusterRoles[name]
		if role == nil {
			continue // reported as drift
		}
		if sources := rbac.MadeOf(name); sources != nil {
			a.checkMade(role, sources, users[name][0])
		}
		a.checkRoleGaps(role, users[name])
		own, added := a.ownAndAddedRules(role)
		for _, part := range added {
			a.checkAdded(role, part, own, users[name])
		}
		if len(added) > 0 { // additions are reported for the roles that add them
			a.checkTenantRole(role, own, users[name])
		} else {
			a.checkTenantRole(role, role.Rules, users[name])
		}
	}
}

// ownAndAddedRules returns a role's own rules, or Kubernetes' own, and the other ClusterRoles that
// are aggregated into it.
func (a *auditor) ownAndAddedRules(role *Role) (own []rbacv1.PolicyRule, added []*Role) {
	if len(role.Aggregates) == 0 {
		return role.Rules, nil
	}
	seen := map[string]bool{role.Name: true}
	var walk func(role *Role)
	walk = func(role *Role) {
		for _, part := range a.aggregatedInto(role) {
			if seen[part.Name] {
				continue
			}
			seen[part.Name] = true
			switch {
			case slices.Contains(rbac.KubernetesRoles("admin"), part.Name):
				own = append(own, part.Rules...)
			case rbac.KubernetesRoles(part.Name) != nil && len(part.Aggregates) > 0:
				walk(part) // edit is part of admin, and view of edit
			default:
				added = append(added, part)
			}
		}
	}
	walk(role)
	slices.SortFunc(added, func(x, y *Role) int { return cmp.Compare(x.Name, y.Name) })
	return own, added
}

// aggregatedInto returns the ClusterRoles that the selectors of a ClusterRole choose.
func (a *auditor) aggregatedInto(role *Role) []*Role {
	var found []*Role
	for i := range role.Aggregates {
		selector, err := metav1.LabelSelectorAsSelector(&role.Aggregates[i])
		if err != nil {
			continue
		}
		for _, name := range slices.Sorted(maps.Keys(a.clusterRoles)) {
			if other := a.clusterRoles[name]; selector.Matches(labels.Set(other.Labels)) {
				found = append(found, other)
			}
		}
	}
	return found
}

// checkAdded reports a ClusterRole that is aggregated into a role of tenants.
func (a *auditor) checkAdded(role, part *Role, own []rbacv1.PolicyRule, users []*Record) {
	covered, more := validation.Covers(own, part.Rules)
	if covered {
		return
	}
	severity, rights := Medium, rightsOf(more)
	if readsOnly(more) {
		severity = Low
	}
	text := fmt.Sprintf("ClusterRole %s adds to the role %s of %s", part.Name, role.Name, tenantsOf(users))
	if loans := a.loans(more, users...); len(loans) > 0 {
		severity = High
		rights = loans[0].ask.String()
		text += fmt.Sprintf(": their deployers may %s, which %s carries out with its own rights", shortened(loanAsks(loans)), loans[0].lender)
	} else {
		text += ": " + shortened(inWords(more))
	}
	if writes := rbac.WritesNamespaces(more); len(writes) > 0 {
		severity, rights = High, writes[0].String()
		text += fmt.Sprintf("; they may %s, and so take away the labels that hold their namespaces", writes[0])
	}
	f := Finding{Subject: "ClusterRole " + part.Name, Object: "ClusterRole " + role.Name, Text: text, Fix: otherRole(role.Name, users)}
	f.Chains = [][]string{{"tenant " + users[0].Tenant.Name, "ClusterRole " + role.Name, "ClusterRole " + part.Name, rights}}
	setTenant(&f, users)
	a.add(idAddedRole, severity, f)
}

func (a *auditor) checkTenantRole(role *Role, rules []rbacv1.PolicyRule, users []*Record) {
	fix := otherRole(role.Name, users)
	chain := func(text string) [][]string {
		return [][]string{{"tenant " + users[0].Tenant.Name, "ClusterRole " + role.Name, text}}
	}
	if loans := a.loans(rules, users...); len(loans) > 0 {
		f := Finding{Subject: "ClusterRole " + role.Name, Fix: fix, Chains: chain(loans[0].ask.String()),
			Text: fmt.Sprintf("with the role %s the deployers of %s may %s, which %s carries out with its own rights", role.Name, tenantsOf(users), shortened(loanAsks(loans)), loans[0].lender)}
		setTenant(&f, users)
		a.add(idLender, "", f)
	}
	if writes := rbac.WritesNamespaces(rules); len(writes) > 0 {
		f := Finding{Subject: "ClusterRole " + role.Name, Fix: fix, Chains: chain(writes[0].String()),
			Text: fmt.Sprintf("with the role %s the deployers of %s may %s", role.Name, tenantsOf(users), writes[0])}
		setTenant(&f, users)
		a.add(idWritesNamespaces, "", f)
	}
}

// checkMade reports a role that init created and that grants more than init gave it.
func (a *auditor) checkMade(role *Role, tenants []string, user *Record) {
	var rules []rbacv1.PolicyRule
	for _, name := range tenants {
		if part := a.clusterRoles[name]; part != nil {
			rules = append(rules, part.Rules...)
		}
	}
	if covered, more := validation.Covers(rules, role.Rules); !covered {
		f := user.about("ClusterRole "+role.Name, "ClusterRole %s holds more than Kubernetes' own roles of which it was made: %s", role.Name, rightsOf(more))
		f.Chains = [][]string{{"ClusterRole " + role.Name, rightsOf(more)}}
		f.Fix = user.init()
		a.add(idDrift, "", f)
	}
}

// otherRole returns the commands that give tenants another role, without the rights that
// the finding reports.
func otherRole(role string, users []*Record) command.Fix {
	instead := rbac.MadeRole(role)
	if instead == role {
		return users[0].init() // creates the role again
	}
	return giveRole(instead, users)
}

func giveRole(role string, users []*Record) command.Fix {
	const limit = 20
	var fix command.Fix
	for _, r := range users[:min(len(users), limit)] {
		fix = fix.Then(command.Run(command.Tenant("init", r.Tenant.Name, "--role="+role)))
	}
	if len(users) > limit {
		fix = fix.With("the like for the other tenants of the role")
	}
	return fix
}

// setTenant sets the tenant of a finding if it concerns one tenant only.
func setTenant(f *Finding, users []*Record) {
	if len(users) == 1 {
		f.Tenants, f.Home = []string{users[0].Tenant.Name}, users[0].Namespace
	}
}

func tenantsOf(records []*Record) string {
	names := lists.Map(records, func(r *Record) string { return r.Tenant.Name })
	if len(names) == 1 {
		return "tenant " + names[0]
	}
	return fmt.Sprintf("%d tenants, %s", len(names), shortened(names))
}

func loanAsks(loans []loan) []string {
	return lists.Map(loans, func(l loan) string { return l.ask.String() })
}

// inWords describes rights, writing ones first.
func inWords(rules []rbacv1.PolicyRule) []string {
	var writing, reading []string
	for _, rule := range rules {
		if text := describeRule(rule); readsOnly([]rbacv1.PolicyRule{rule}) {
			reading = append(reading, text)
		} else {
			writing = append(writing, text)
		}
	}
	return append(writing, reading...)
}

func rightsOf(rules []rbacv1.PolicyRule) string { return inWords(rules)[0] }

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
