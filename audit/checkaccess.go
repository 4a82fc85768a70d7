package audit

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/component-helpers/auth/rbac/validation"

	"helm-tenant/command"
	"helm-tenant/lists"
	"helm-tenant/rbac"
	"helm-tenant/tenant"
)

// checkAccess looks at who reaches a tenant's deployer.
func (a *auditor) checkAccess(d *deployer) {
	t := d.record.Tenant
	for _, access := range d.access {
		switch {
		case d.isOwn(access.who):
			a.checkOwnHome(d, access)
			continue
		case access.Member:
			a.checkMember(d, access)
			continue
		}
		byFinding := map[string][]opened{}
		for _, o := range access.paths {
			id := o.path.finding
			if a.byOwning(d, o) {
				continue // the purpose of owners
			}
			if a.byMemberAccount(d, o) {
				continue // reported with the account
			}
			if b := o.steps[0].grant.binding; b.Namespace == d.target.Home && b.RoleKind == "Role" && b.RoleName == rbac.MemberName {
				if o.path.ID != memberPath(d.target.Engine) {
					continue // a finding about the member role itself
				}
				id = idStillIn
			}
			byFinding[id] = append(byFinding[id], o)
		}
		for _, id := range slices.Sorted(maps.Keys(byFinding)) {
			paths := byFinding[id]
			f := d.about(access.Subject, "%s is no member and can %s", access.Subject, strings.Join(pathNames(paths), ", "))
			if id == idStillIn {
				f.Text = fmt.Sprintf("%s is no member and has a member's rights by another binding", access.Subject)
			}
			f.Chains = chainsOf(access.who, paths)
			f.Fix = a.takeAwayAll(paths)
			severity := Severity("")
			if access.who.IsEverybody() {
				severity = Critical
			}
			if d.power.Admin && ruleOf(id).Severity == High {
				severity, f.Text = Critical, f.Text+"; the deployer is cluster-admin"
			}
			a.add(id, severity, f)
			for _, o := range paths {
				for _, s := range o.steps {
					a.markGrantReported(d.record, s.grant)
				}
			}
		}
	}
	// The member role grants these to every member.
	wanted := wantedRules(t)[rbac.MemberName]
	live := a.rights.roles[roleKey{d.target.Home, rbac.MemberName}]
	if live == nil || d != a.byRecord[d.record] {
		return
	}
	if covered, more := validation.Covers(wanted, live.rules); !covered {
		object := objectName("Role", d.target.Home, rbac.MemberName)
		rights := lists.Map(more, describeRule)
		f := d.about("every member", "the member role gives more than a member needs: %s", shortened(rights))
		f.Chains = [][]string{{"every member", objectName("RoleBinding", d.target.Home, rbac.MemberName), "Role " + rbac.MemberName, rights[0]}}
		f.Fix = d.record.init()
		a.add(idWideMember, "", f)
		a.markReported(d.record, object, moreRules)
	}
}

func describeRule(rule rbacv1.PolicyRule) string {
	if len(rule.NonResourceURLs) > 0 {
		return rule.Verbs[0] + " " + rule.NonResourceURLs[0]
	}
	text := Ask{Verb: rule.Verbs[0], Group: rule.APIGroups[0], Resource: rule.Resources[0]}.String()
	if len(rule.ResourceNames) > 0 {
		text += " " + rule.ResourceNames[0]
	}
	return text
}

// wantedRules returns the rules of a tenant's roles at home, by the role's name.
func wantedRules(t tenant.Tenant) map[string][]rbacv1.PolicyRule {
	wanted := map[string][]rbacv1.PolicyRule{}
	for _, object := range rbac.Home(t) {
		if role, isRole := object.(*rbacv1.Role); isRole {
			wanted[role.Name] = role.Rules
		}
	}
	return wanted
}

// byMemberAccount reports whether a path goes by using a service account that is a
// member, in the account's own namespace.
func (a *auditor) byMemberAccount(d *deployer, o opened) bool {
	if o.path.ID != useAccountPath && o.path.ID != "impersonate-member" {
		return false
	}
	return slices.ContainsFunc(o.steps, func(s step) bool {
		return s.ask.Namespace != "" && slices.ContainsFunc(d.members, func(m Subject) bool { return m.Kind == rbacv1.ServiceAccountKind && m.Namespace == s.ask.Namespace })
	})
}

// checkMember looks for paths of a member beside the intended one.
func (a *auditor) checkMember(d *deployer, access Access) {
	var paths []opened
	for _, o := range access.paths {
		ours := !slices.ContainsFunc(o.steps, func(s step) bool { return !isMemberBinding(s.grant.binding) })
		meant := slices.ContainsFunc(actorsOf(d.record.Tenant.Engine), func(account actor) bool { return o.path.ID == memberPath(account.engine) })
		// A member who can act as another member, or its account, gains nothing.
		if ours || meant || a.byOwning(d, o) || a.byMemberAccount(d, o) || o.path.ID == "impersonate-member" {
			continue
		}
		paths = append(paths, o)
	}
	if len(paths) == 0 {
		return
	}
	f := d.about(access.Subject, "%s is a member and can also %s", access.Subject, strings.Join(pathNames(paths), ", "))
	f.Chains = chainsOf(access.who, paths)
	f.Fix = a.takeAwayAll(paths)
	a.add(idWideMember, "", f)
	for _, o := range paths {
		for _, s := range o.steps {
			a.markGrantReported(d.record, s.grant)
		}
	}
}

// checkOwnHome looks for rights of a deployer in its own home, beyond writing its release
// records.
func (a *auditor) checkOwnHome(d *deployer, access Access) {
	t := d.record.Tenant
	wanted := wantedRules(t)[rbac.RecordsName]
	live := a.rights.roles[roleKey{d.target.Home, rbac.RecordsName}]
	var wider bool
	if live != nil {
		covered, _ := validation.Covers(wanted, live.rules)
		wider = !covered
	}
	var paths []opened
	for _, o := range access.paths {
		records := !slices.ContainsFunc(o.steps, func(s step) bool {
			return s.grant.binding.Name != rbac.RecordsName || s.grant.binding.RoleName != rbac.RecordsName || s.grant.binding.Namespace != d.target.Home
		})
		byDesign := slices.Contains([]string{"read-secrets", "write-secrets"}, o.path.ID) ||
			slices.Contains([]string{"read-configmaps", "write-configmaps", "write-record"}, o.path.ID) && t.Tiller.Storage == tenant.StorageConfigMap
		if records && (byDesign && !wider || o.path.ID == "read-secrets" && t.Tiller.Storage == tenant.StorageSecret) {
			continue
		}
		if records && wider && byDesign && t.Tiller.Storage == tenant.StorageSecret && !writesMore(live.rules) {
			continue
		}
		if a.byMemberAccount(d, o) {
			continue // not its home: checkMemberAccount reports the account
		}
		paths = append(paths, o)
	}
	if len(paths) == 0 {
		return
	}
	f := d.about(access.Subject, "its deployer %s can %s in its own home", access.who.Name, strings.Join(pathNames(paths), ", "))
	f.Chains = chainsOf(access.who, paths)
	f.Fix = a.takeAwayAll(paths)
	if slices.ContainsFunc(paths, func(o opened) bool { return o.steps[0].grant.binding.Name == rbac.RecordsName }) {
		f.Fix = d.record.init()
	}
	a.add(idOwnHome, "", f)
	for _, o := range paths {
		for _, s := range o.steps {
			a.markGrantReported(d.record, s.grant)
			a.markReported(d.record, objectName(s.grant.binding.RoleKind, d.target.Home, s.grant.binding.RoleName), moreRules)
		}
	}
}

// writesMore reports whether rules write Secrets by more verbs than Tiller needs.
func writesMore(rules []rbacv1.PolicyRule) bool {
	set := ruleSet{rules: rules, known: map[act]answer{}}
	return set.answer(act{"patch", "", "secrets"}).some
}

func (a *auditor) checkMembers(r *Record) {
	d := a.byRecord[r]
	if d == nil {
		return
	}
	for _, m := range d.members {
		switch {
		case m.IsOpen():
			a.reportOpen(r, m, tenant.RelationMember)
		case m.Kind == rbacv1.ServiceAccountKind:
			a.checkMemberAccount(r, d, m, [][]string{relationChain(r, m, tenant.RelationMember)}, revoke(r.Tenant.Name, m, tenant.RelationMember))
		}
	}
}

// reportOpen reports a subject with a relation to a tenant that stands for everybody, every pod
// or every node.
func (a *auditor) reportOpen(r *Record, s Subject, as tenant.Relation) {
	f := r.about(s.String(), "%s is %s", s, as.Noun())
	f.Chains, f.Fix = [][]string{relationChain(r, s, as)}, revoke(r.Tenant.Name, s, as)
	severity := High
	if s.IsEverybody() {
		severity = Critical
	}
	a.add(idOpenGroup, severity, f)
}

func relationChain(r *Record, s Subject, as tenant.Relation) []string {
	name := rbac.BindingName(as)
	return []string{s.String(), objectName("RoleBinding", r.Namespace, name), "Role " + name}
}

func (a *auditor) checkMemberAccount(r *Record, d *deployer, m Subject, chain [][]string, revoke command.Fix) {
	if a.accounts[m] == nil && !a.unseen("serviceaccounts") {
		f := r.about(m.String(), "%s is a member and does not exist", m)
		f.Chains, f.Fix = chain, revoke
		a.add(idNoAccount, "", f)
	}
	// Somebody who impersonates the account can use a Tiller as it, but can't impersonate a
	// deployer as it.
	path := Path{Name: "use " + m.String(), needs: a.beAccount(m, r.Tenant.Engine.Has(tenant.EngineTiller))}
	var subjects []string
	var first []opened
	for _, s := range slices.SortedFunc(maps.Keys(a.rights.inside[m.Namespace]), compareSubjects) {
		// A chart can use an account of the tenant's namespaces, and so can pods that outlive
		// the rights of those who installed it.
		if s == m || d.isOwn(s) && m.Namespace == d.target.Home || slices.Contains(d.members, s) {
			continue
		}
		steps, open := a.rights.opens(identityOf(s), path, nil, ownGrantsInside(s))
		if !open {
			continue
		}
		subjects = append(subjects, s.String())
		if first == nil {
			first = []opened{{path, steps}}
			chain = chainsOf(s, first)
		}
	}
	if len(subjects) > 0 {
		f := r.about(m.String(), "%s is a member, and can be used by %s", m, shortened(subjects))
		f.Chains, f.Fix = append(chain, []string{m.String(), objectName("RoleBinding", r.Namespace, rbac.MemberName), "Role " + rbac.MemberName}), revoke
		a.add(idMountable, "", f)
	}
}

// checkWide tells who reaches deployers by rights over the whole cluster, once
// for all tenants.
func (a *auditor) checkWide() {
	for _, w := range a.wide {
		if a.powerful[w.who] {
			continue // reported under the power of that deployer
		}
		f := Finding{Subject: w.who.String(), Chains: chainsOf(w.who, w.paths[:1]), Fix: a.takeAwayAll(w.paths)}
		if len(w.reached) < len(a.deployers) && len(w.reached) == 1 {
			f.Home = w.reached[0].target.Home
			if w.reached[0].tenant() != "" {
				f.Tenants = []string{w.reached[0].tenant()}
			}
		}
		f.Text = fmt.Sprintf("%s reaches %s: can %s", w.who, a.countReached(w), shortened(pathNames(w.paths)))
		id, severity := idClusterWide, High
		// Some paths only exist by cluster-wide rights, and loosening the homes is no worse in
		// all of them than in one.
		for _, only := range []string{idNode, idImpersonateMember, idHome} {
			if !slices.ContainsFunc(w.paths, func(o opened) bool { return o.path.finding != only }) {
				id, severity = only, ruleOf(only).Severity
			}
		}
		if w.who.IsEverybody() {
			severity = Critical
		} else if w.who.Namespace == systemNamespace {
			severity, f.Why = Medium, "Rights over the whole cluster open every home namespace; who can use this account of kube-system has them."
		}
		a.add(id, severity, f)
	}
	for _, u := range a.uses {
		f := a.finding(u.who, opened{steps: u.steps}, "%s can use %s, which reaches deployers", u.who, u.account)
		f.Object = "namespace " + u.account.Namespace
		a.add(idUseAccount, "", f)
	}
}

// countReached returns how many deployers a subject reaches, as text.
func (a *auditor) countReached(w wide) string {
	switch {
	case len(a.deployers) == 1:
		return "the one deployer that there is"
	case len(w.reached) < len(a.deployers):
		return fmt.Sprintf("%d of %d deployers", len(w.reached), len(a.deployers))
	}
	return fmt.Sprintf("all %d deployers", len(a.deployers))
}

func (a *auditor) checkTwoTenants() {
	tenants := map[Subject][]string{}
	for r := range a.records() {
		if d := a.byRecord[r]; d != nil {
			for _, m := range d.members {
				if !slices.Contains(tenants[m], r.Tenant.Name) {
					tenants[m] = append(tenants[m], r.Tenant.Name)
				}
			}
		}
	}
	for _, m := range slices.SortedFunc(maps.Keys(tenants), compareSubjects) {
		in := tenants[m]
		if len(in) < 2 {
			continue
		}
		slices.Sort(in)
		f := Finding{Tenants: in, Subject: m.String(), Text: fmt.Sprintf("%s is a member of the tenants %s", m, shortened(in)),
			Fix: command.Run(command.Tenant("revoke", in[len(in)-1], memberFlag(m)))}
		for _, name := range in {
			f.Chains = append(f.Chains, []string{m.String(), "tenant " + name})
		}
		a.add(idTwoTenants, "", f)
	}
}
