package audit

import (
	"slices"

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
