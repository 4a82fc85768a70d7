package audit

import (
	"maps"
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"

	"helm-tenant/lists"
	"helm-tenant/tenant"
)

// Access is what one subject can do to reach a deployer.
type Access struct {
	Subject string `json:"subject"`
	// Member reports whether it is one of the tenant's.
	Member bool `json:"member,omitempty"`
	// Own says that it is one of the tenant's own deployers.
	Own   bool       `json:"own,omitempty"`
	Paths []OpenPath `json:"paths"`

	who   Subject
	paths []opened
}

func newAccess(who Subject, member bool, paths []opened) Access {
	access := Access{Subject: who.String(), Member: member, who: who, paths: paths}
	for _, o := range paths {
		access.Paths = append(access.Paths, OpenPath{o.path, o.chains(who)})
	}
	return access
}

// Administrator is a subject whose rights in the whole cluster are Kubernetes' own design, and
// therefore no finding.
type Administrator struct {
	Subject string `json:"subject"`
	Binding string `json:"binding"`
	Role    string `json:"role"`
	// Paths are the paths that are open to it, to any deployer.
	Paths []string `json:"paths"`

	who Subject
}

// wide is a subject with rights over the whole cluster that reach deployers.
type wide struct {
	who Subject
	// reached are the deployers that the paths reach.
	reached []*deployer
	paths   []opened
}

// addDeployer adds a deployer. For a path that leads to several deployers, the chain to the
// first one is reported.
func (w *wide) addDeployer(d *deployer, open []opened) {
	w.reached = append(w.reached, d)
	for _, o := range open {
		if !slices.ContainsFunc(w.paths, func(other opened) bool { return other.path.ID == o.path.ID }) {
			w.paths = append(w.paths, o)
		}
	}
}

// findAccess finds the subjects that reach each deployer, with their paths.
func (a *auditor) findAccess() {
	if len(a.deployers) == 0 {
		return
	}
	// Administrators: against any one deployer.
	sample := a.deployers[0]
	var widely []Subject
	for _, s := range slices.SortedFunc(maps.Keys(a.rights.inCluster), compareSubjects) {
		var others []grant
		for _, g := range a.rights.inCluster[s] {
			if !isComponent(g.binding, s) {
				others = append(others, g)
				continue
			}
			only := func(other grant) bool { return other.binding == g.binding }
			if open := a.open(identity{s}, sample, only, nil); len(open) > 0 {
				a.administrators = append(a.administrators, Administrator{s.String(), g.binding.Name, g.binding.Role(), pathNames(open), s})
			}
		}
		if a.matters(others) && !isAdministrator(s) {
			widely = append(widely, s)
		}
	}
	reach := map[Subject]*wide{}
	impersonators := a.mixedImpersonators()
	rights := lists.Map(widely, a.wideRights)
	for _, d := range a.deployers {
		for i, s := range widely {
			if d.isOwn(s) {
				continue // rights of a deployer to itself are reported under its power
			}
			open := a.openWidely(rights[i], d)
			if len(open) == 0 {
				continue
			}
			if reach[s] == nil {
				reach[s] = &wide{who: s}
			}
			reach[s].addDeployer(d, open)
		}
		a.findAccessTo(d, impersonators)
		a.findOwnHome(d)
	}
	a.findImpersonators(widely, impersonators, reach)
	for _, s := range slices.SortedFunc(maps.Keys(reach), compareSubjects) {
		a.wide = append(a.wide, *reach[s])
	}
	// Subjects that were found to reach deployers are skipped, and so are deployers,
	// whose rights are reported as their power.
	a.findUseOfAccounts(slices.DeleteFunc(widely, func(s Subject) bool {
		return reach[s] != nil || slices.ContainsFunc(a.deployers, func(d *deployer) bool { return d.account == s })
	}))
}

// mixedImpersonators returns the subjects that can impersonate somebody only by cluster-wide
// rights and rights in a namespace together: impersonating a group also needs a service account
// or user, and constrained impersonation also needs a right for the requests made.
func (a *auditor) mixedImpersonators() []Subject {
	impersonates := func(g grant) bool { return g.rules.acts(impersonatesBy, true) }
	var found []Subject
	for s, grants := range a.rights.bySubject {
		if !slices.ContainsFunc(grants, impersonates) {
			continue
		}
		for _, subject := range identityOf(s) {
			if slices.ContainsFunc(a.rights.inCluster[subject], func(g grant) bool { return g.rules.acts(impersonatesBy, true) && !everything(g.rules) }) {
				found = append(found, s)
				break
			}
		}
	}
	return found
}

// wideGrant reports whether a grant is cluster-wide and not one of Kubernetes' own.
func wideGrant(g grant) bool {
	return g.binding != nil && g.binding.Namespace == "" && !isComponent(g.binding, g.to)
}

func grantedTo(s Subject) func(grant) bool {
	return func(g grant) bool { return g.to == s && wideGrant(g) }
}

// ownGrants returns a filter for the grants to the subject itself, without Kubernetes' own.
func ownGrants(s Subject) func(grant) bool {
	return func(g grant) bool { return g.binding != nil && g.to == s && !isComponent(g.binding, s) }
}

func ownGrantsInside(s Subject) func(grant) bool {
	own := ownGrants(s)
	return func(g grant) bool { return own(g) && g.binding.Namespace != "" }
}

// findImpersonators finds the subjects that can impersonate a user or a group that reaches
// deployers by cluster-wide rights.
func (a *auditor) findImpersonators(widely, mixed []Subject, reach map[Subject]*wide) {
	p := pather{Target{Server: a.snapshot.Server}, a.rights}
	path := Path{ID: "impersonate-administrator", Name: "impersonate an administrator of the cluster", finding: idImpersonateMember}
	add := func(s Subject) {
		if s.Kind != rbacv1.ServiceAccountKind { // see findUseOfAccounts
			path.needs = append(path.needs, p.impersonate(s)...)
		}
	}
	add(Group(tenant.GroupMasters))
	for _, admin := range a.administrators {
		add(admin.who)
	}
	for _, s := range widely {
		// An impersonated identity can't impersonate.
		if reach[s] != nil && slices.ContainsFunc(reach[s].paths, func(o opened) bool { return !o.byImpersonation() }) {
			add(s)
		}
	}
	for _, s := range widely {
		if reach[s] != nil {
			continue
		}
		if steps, open := a.rights.opens(identityOf(s), path, wideGrant, grantedTo(s)); open {
			reach[s] = &wide{who: s, reached: a.deployers, paths: []opened{{path, steps}}}
		}
	}
	for _, s := range mixed {
		if reach[s] != nil {
			continue
		}
		if steps, open := a.rights.opens(identityOf(s), path, nil, ownGrants(s)); open {
			reach[s] = &wide{who: s, reached: a.deployers, paths: []opened{{path, steps}}}
		}
	}
	a.general = append(a.general, path)
}

// findAccessTo finds the subjects that reach the deployer by bindings in its home, or in the
// namespaces of accounts that are members. Paths that are open by cluster-wide rights alone are
// reported once for all deployers.
func (a *auditor) findAccessTo(d *deployer, impersonators []Subject) {
	candidates := map[Subject]bool{}
	for _, s := range impersonators {
		candidates[s] = true
	}
	members, namespaces := map[Subject]bool{}, map[string]bool{d.target.Home: true}
	for _, m := range d.members {
		candidates[m], members[m] = true, true
		if m.Kind == rbacv1.ServiceAccountKind {
			namespaces[m.Namespace] = true
		}
	}
	for ns := range namespaces {
		for s, grants := range a.rights.inside[ns] {
			if a.matters(grants) {
				candidates[s] = true
			}
		}
	}
	for _, s := range slices.SortedFunc(maps.Keys(candidates), compareSubjects) {
		if s == (Subject{}) {
			continue
		}
		if open := a.openInside(s, d); len(open) > 0 {
			access := newAccess(s, members[s], open)
			access.Own = d.isOwn(s)
			d.access = append(d.access, access)
		}
	}
}

// accountUse is a subject that can use a service account that reaches all deployers.
type accountUse struct {
	who, account Subject
	steps        []step
}

// findUseOfAccounts finds the subjects that can use one of the accounts that reach deployers by
// cluster-wide rights, which are mostly Kubernetes' own controllers.
func (a *auditor) findUseOfAccounts(widely []Subject) {
	accounts := lists.Map(a.administrators, func(admin Administrator) Subject { return admin.who })
	for _, w := range a.wide {
		accounts = append(accounts, w.who)
	}
	all := Path{ID: "use-administrator", Name: "use an account that reaches every deployer"}
	reported := map[[2]string]bool{}
	for _, account := range accounts {
		if account.Kind != rbacv1.ServiceAccountKind {
			continue
		}
		path := Path{ID: useAccountPath, Name: "use " + account.String(), needs: a.beAccount(account, true)}
		all.needs = append(all.needs, path.needs...)
		candidates := slices.AppendSeq(slices.Clone(widely), maps.Keys(a.rights.inside[account.Namespace]))
		slices.SortFunc(candidates, compareSubjects)
		for _, s := range slices.Compact(candidates) {
			if s == account || reported[[2]string{s.String(), account.Namespace}] {
				continue
			}
			mine := ownGrantsInside(s)
			if slices.Contains(widely, s) {
				mine = ownGrants(s)
			}
			if steps, open := a.rights.opens(identityOf(s), path, nil, mine); open {
				reported[[2]string{s.String(), account.Namespace}] = true
				a.uses = append(a.uses, accountUse{s, account, steps})
			}
		}
	}
	a.general = append(a.general, all)
}
