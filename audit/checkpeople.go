package audit

import (
	"maps"
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/component-helpers/auth/rbac/validation"

	"helm-tenant/command"
	"helm-tenant/rbac"
	"helm-tenant/tenant"
)

// isOwnersOwn reports whether a grant is by the binding of the tenant's owners, and its
// Role holds no more than owners are meant to have.
func (a *auditor) isOwnersOwn(d *deployer, g grant) bool {
	b := g.binding
	if b == nil || d.record == nil || b != a.peopleBinding(d.target.Home, rbac.OwnerName) {
		return false
	}
	covered, _ := validation.Covers(rbac.OwnerRules(a.withReaders(d.record)), g.rules.rules)
	return covered
}

// byOwning reports whether a path is open by the rights of owners alone.
func (a *auditor) byOwning(d *deployer, o opened) bool {
	return !slices.ContainsFunc(o.steps, func(s step) bool { return !a.isOwnersOwn(d, s.grant) })
}

// checkOwners reports owners whom no admission policy limits, and owners who are everybody.
func (a *auditor) checkOwners(r *Record) {
	b := a.peopleBinding(r.Namespace, rbac.OwnerName)
	if b == nil || len(b.Subjects) == 0 {
		return
	}
	chain := [][]string{{"every owner", b.String(), "Role " + rbac.OwnerName, objectName("RoleBinding", r.Namespace, rbac.MemberName)}}
	held := a.snapshot.OwnersAdmission
	switch {
	case r.Tenant.AllNamespaces:
		f := r.about("every owner", "whoever they let in is an admin of the cluster, themselves among them")
		f.Chains, f.Fix = chain, command.Advice("take the owners away, or give the tenant namespaces")
		a.add(idUnheldOwners, "", f)
	case held == AdmissionUnserved, held == AdmissionMissing, held == AdmissionChanged:
		f := r.about("every owner", "the admission policy that limits what they write is %s", held)
		f.Chains, f.Fix = chain, r.init()
		if held == AdmissionUnserved {
			f.Fix = command.Advice("upgrade the API server to Kubernetes 1.30, or take the owners away")
		}
		a.add(idUnheldOwners, "", f)
	}
	for _, m := range b.Subjects {
		if m.IsOpen() {
			a.reportOpen(r, m, tenant.RelationOwner)
		}
	}
}

// peopleBinding returns the binding of a tenant's people of that name at home.
func (a *auditor) peopleBinding(home, name string) *Binding {
	for _, b := range a.rights.bindings[home] {
		if b.Name == name && b.RoleKind == "Role" && b.RoleName == name {
			return b
		}
	}
	return nil
}

// withReaders returns the tenant of a record, which says nothing of readers and owners, with
// what its home has for them.
func (a *auditor) withReaders(r *Record) tenant.Tenant {
	t := r.Tenant
	if b := a.peopleBinding(r.Namespace, rbac.OwnerName); b != nil {
		t.Owners, t.OwnersKept = tenant.Members(nil).With(b.Subjects), true
	}
	if b := a.peopleBinding(r.Namespace, rbac.ReaderName); b != nil {
		t.Readers, t.ReadersKept = tenant.Members(nil).With(b.Subjects), true
	}
	return t
}

// isReadersOwn reports whether a binding in a tenant's namespace is what its readers'
// account is to have there.
func (a *auditor) isReadersOwn(b *Binding) bool {
	for _, s := range b.Subjects {
		if s.Kind != rbacv1.ServiceAccountKind || s.Name != tenant.ReaderAccount {
			return false
		}
		d := a.homes[s.Namespace][tenant.HelmAccount]
		if d == nil || d.record == nil || !slices.Contains(d.record.Tenant.Namespaces, b.Namespace) || !slices.ContainsFunc(rbac.ReaderBindings(a.withReaders(d.record), b.Namespace), func(w *rbacv1.RoleBinding) bool {
			return b.Name == w.Name && b.RoleKind == w.RoleRef.Kind && b.RoleName == w.RoleRef.Name
		}) {
			return false
		}
	}
	return len(b.Subjects) > 0
}

// checkReaders looks at who reads the tenant, and at what reading it gives.
func (a *auditor) checkReaders(r *Record) {
	t := a.withReaders(r)
	if !t.HasReaders() {
		return
	}
	reader := Account(r.Namespace, tenant.ReaderAccount)
	a.checkReadersRights(r, reader)
	a.checkReadTokens(r, t)
	a.checkOtherReaders(r, t, reader)
	for _, m := range t.Readers {
		if m.IsOpen() {
			a.reportOpen(r, m, tenant.RelationReader)
		}
	}
}

func (a *auditor) checkReadersRights(r *Record, reader Subject) {
	for _, subject := range []Subject{reader, Group(tenant.GroupAccounts + ":" + r.Namespace)} {
		for _, g := range a.rights.bySubject[subject] {
			own := a.isReadersOwn(g.binding)
			if own && !changesAnything(g.rules.rules) {
				continue
			}
			f := r.about(subject.String(), "the readers' account has %s by %s, which is more than reading the tenant", g.binding.Role(), g.binding)
			f.Chains, f.Fix = [][]string{{"every reader", reader.String(), g.binding.String(), g.binding.Role()}}, a.takeAway(g.binding, subject)
			severity := Severity("")
			switch {
			case own:
				f.Text = "the readers' account can change something by " + g.binding.Role() + ", to which others may have added"
				f.Fix = command.Advice("take out of the ClusterRole, or of those that are aggregated into it, what changes anything")
			case !changesAnything(g.rules.rules):
				severity = Medium
			}
			a.add(idWideReader, severity, f)
			a.markReported(r, g.binding.String(), subject.String())
		}
	}
}

// changesAnything reports whether rules do more than read, Secrets among it.
func changesAnything(rules []rbacv1.PolicyRule) bool {
	var rest []rbacv1.PolicyRule
	for _, rule := range rules {
		rule.Resources = slices.DeleteFunc(slices.Clone(rule.Resources), func(resource string) bool { return resource == "secrets" })
		if len(rule.Resources) < 1 && !slices.ContainsFunc(rule.Verbs, func(verb string) bool { return !slices.Contains([]string{"get", "list", "watch"}, verb) }) {
			continue
		}
		rest = append(rest, rule)
	}
	return !readsOnly(rest)
}

// checkReadTokens finds tokens in Secrets that readers read, of accounts that can do more.
func (a *auditor) checkReadTokens(r *Record, t tenant.Tenant) {
	if len(t.Readers) == 0 {
		return
	}
	for _, ns := range t.Namespaces {
		for _, token := range a.tokens[ns] {
			account := Account(ns, token.Account)
			index := slices.IndexFunc(a.rights.bySubject[account], func(g grant) bool { return changesAnything(g.rules.rules) })
			if index < 0 {
				continue
			}
			g := a.rights.bySubject[account][index]
			secret := objectName("Secret", ns, token.Name)
			f := r.about(secret, "a reader can read the token of %s in it, which can do more than read", account)
			f.Chains = [][]string{{"every reader", secret, account.String(), g.binding.String(), g.binding.Role()}}
			f.Fix = deleteObject(ns, "Secret", token.Name).With("the account's pods get tokens of their own, which are no Secrets")
			a.add(idWideReader, "", f)
		}
	}
}

// checkOtherReaders finds subjects that can act as the readers' account and are no readers.
func (a *auditor) checkOtherReaders(r *Record, t tenant.Tenant, reader Subject) {
	d := a.byRecord[r]
	if d == nil {
		return
	}
	path := a.readPath(reader)
	for _, s := range slices.SortedFunc(maps.Keys(a.rights.inside[r.Namespace]), compareSubjects) {
		if s == (Subject{}) || d.isOwn(s) || slices.Contains(t.Readers, s) || slices.Contains(d.members, s) {
			continue
		}
		steps, open := a.rights.opens(identityOf(s), path, nil, func(g grant) bool {
			return ownGrants(s)(g) && g.binding.Namespace == r.Namespace
		})
		if !open {
			continue
		}
		f := r.about(s.String(), "%s is no reader and can impersonate the readers' account", s)
		f.Chains, f.Fix = chainsOf(s, []opened{{path, steps}}), a.takeAwayAll([]opened{{path, steps}})
		a.add(idOtherReader, "", f)
	}
}

func (a *auditor) readPath(reader Subject) Path {
	p := pather{Target{Server: a.snapshot.Server}, a.rights}
	return Path{ID: "impersonate-reader", Name: "read its releases and Secrets as " + reader.Text(), needs: p.impersonate(reader)}
}

// canRead returns the tenants that somebody can read as a reader, by rights of their own.
func (a *auditor) canRead(s Subject, groups []string) []Reached {
	var found []Reached
	for r := range a.records() {
		t := a.withReaders(r)
		if !t.HasReaders() {
			continue
		}
		path, holder := a.readPath(Account(r.Namespace, tenant.ReaderAccount)), identityOf(s, groups...)
		if steps, open := a.rights.opens(holder, path, nil, nil); open {
			ok := slices.ContainsFunc(holder, func(subject Subject) bool { return slices.Contains(t.Readers, subject) })
			found = append(found, Reached{Tenant: t.Name, Home: r.Namespace, Reader: ok, Paths: newAccess(s, false, []opened{{path, steps}}).Paths})
		}
	}
	return found
}

// checkTerms reports grants for a time that have ended and are still in force, grants whose
// end is not known, and disconnects that were not finished.
func (a *auditor) checkTerms() {
	for r := range a.records() {
		for _, as := range tenant.Relations {
			b := a.peopleBinding(r.Namespace, rbac.BindingName(as))
			if b == nil {
				continue
			}
			a.checkTermsOf(r, b)
			if as == tenant.RelationMember && b.Unended {
				a.reportUnended(r, b)
			}
		}
	}
}

func (a *auditor) checkTermsOf(r *Record, b *Binding) {
	if b.TermsProblem != "" {
		f := r.about(b.String(), "until when its subjects were let in is not known: %s", b.TermsProblem)
		f.Chains = [][]string{{b.String(), "annotation " + tenant.AnnotationTerms}}
		f.Fix = command.Run(command.Kubectl("edit", b.Namespace, "rolebinding", b.Name)).With("correct the annotation, or take it away with the subjects whose time is over")
		a.add(idOver, "", f)
	}
	for _, term := range b.Terms.Over(a.snapshot.Taken) {
		f := r.about(term.Subject.String(), "%s was %s %s: over, and still in force", term.Subject, term.As.Noun(), term)
		f.Chains = [][]string{{term.Subject.String(), b.String(), b.Role()}}
		f.Fix = command.Run(command.Tenant("revoke", r.Tenant.Name, "--expired"))
		a.add(idOver, "", f)
	}
}

// reportUnended reports a disconnect that was asked for and not finished. A tenant without a
// Tiller has no connection to one.
func (a *auditor) reportUnended(r *Record, b *Binding) {
	if r.Problem == "" && !r.Tenant.Engine.Has(tenant.EngineTiller) {
		return
	}
	f := r.about(b.String(), "a revoke or apply with --disconnect was stopped before it ended the open connections to the Tiller of tenant %s", r.Tenant.Name)
	f.Chains, f.Fix = [][]string{{b.String(), "annotation " + tenant.AnnotationDisconnect}}, r.init()
	a.add(idUnended, "", f)
}

func (a *auditor) compareReaders(want tenant.Tenant, r *Record, differs differFunc) {
	live := a.withReaders(r)
	for _, as := range []tenant.Relation{tenant.RelationReader, tenant.RelationOwner} {
		if as != tenant.RelationOwner && want.MembersFrom == tenant.MembersFromOwners {
			continue
		}
		for _, s := range live.People(as).Without(want.People(as)) {
			differs(s.String(), "%s is %s in the cluster, and not in the file", s, as.Noun())
		}
		for _, s := range want.People(as).Without(live.People(as)) {
			differs(s.String(), "%s is %s in the file, and not in the cluster", s, as.Noun())
		}
	}
}

// compareTerms compares the ends of grants in the file and in the cluster.
func (a *auditor) compareTerms(want tenant.Tenant, home string, differs differFunc) {
	until := func(t tenant.Term, limited bool) string {
		if !limited {
			return "for good"
		}
		return t.String()
	}
	for _, as := range tenant.Relations {
		b := a.peopleBinding(home, rbac.BindingName(as))
		if b == nil || b.TermsProblem != "" || as != tenant.RelationOwner && want.MembersFrom == tenant.MembersFromOwners {
			continue
		}
		for _, s := range want.People(as) {
			if !slices.Contains(b.Subjects, s) {
				continue // reported as missing
			}
			inFile := until(want.Temporary.Of(as, s))
			if granted := until(b.Terms.Of(as, s)); granted != inFile {
				differs(s.String(), "%s is %s %s in the file, and %s in the cluster", s, as.Noun(), inFile, granted)
			}
		}
	}
}
