package audit

import (
	"slices"

	"helm-tenant/command"
	"helm-tenant/rbac"
	"helm-tenant/tenant"
)

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
