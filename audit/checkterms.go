package audit

import (
	"slices"

	"helm-tenant/command"
	"helm-tenant/rbac"
	"helm-tenant/tenant"
)

// checkTerms reports grants that are over and still in force, and those of which that is
// not known.
func (a *auditor) checkTerms() {
	for i := range a.snapshot.Records {
		r := &a.snapshot.Records[i]
		b := a.membersBinding(r.Namespace)
		if b == nil {
			continue
		}
		if b.TermsProblem != "" {
			f := r.about(b.String(), "until when its members were let in is not known: %s", b.TermsProblem)
			f.Chains = [][]string{{b.String(), "annotation " + tenant.AnnotationTerms}}
			f.Fix = command.Run(command.Kubectl("edit", b.Namespace, "rolebinding", b.Name)).With("correct the annotation, or take it away with the subjects whose time is over")
			a.add(idOver, "", f)
		}
		for _, term := range b.Terms.Over(a.snapshot.Taken) {
			f := r.about(term.Subject.String(), "%s was a %s %s: over, and still in force", term.Subject, term.As, term)
			f.Chains = [][]string{{term.Subject.String(), b.String(), "Role " + rbac.MemberName}}
			f.Fix = command.Run(command.Tenant("revoke", r.Tenant.Name, "--expired"))
			a.add(idOver, "", f)
		}
	}
}

// compareTerms compares until when members are let in by the file and in the cluster.
func (a *auditor) compareTerms(want tenant.Tenant, home string, differs differFunc) {
	b := a.membersBinding(home)
	if b == nil || b.TermsProblem != "" {
		return
	}
	until := func(t tenant.Term, limited bool) string {
		if !limited {
			return "for good"
		}
		return t.String()
	}
	for _, s := range want.Members {
		if !slices.Contains(b.Subjects, s) {
			continue // reported as no member
		}
		inFile := until(want.Temporary.Of(tenant.RelationMember, s))
		if have := until(b.Terms.Of(tenant.RelationMember, s)); have != inFile {
			differs(s.String(), "%s is a member %s in the file, and %s in the cluster", s, inFile, have)
		}
	}
}
