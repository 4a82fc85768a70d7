package audit

import (
	"fmt"
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"

	"helm-tenant/command"
	"helm-tenant/rails"
	"helm-tenant/tenant"
)

// checkFrozen reports a frozen tenant whose freeze is not in force, and those who can
// still write in its namespaces.
func (a *auditor) checkFrozen(r *Record) {
	t := r.Tenant
	if r.Problem != "" || t.Frozen == nil {
		return
	}
	if t.FrozenBy(tenant.FreezeByPolicy) {
		a.checkFreezePolicy(r)
	}
	a.checkWriters(r)
}

// checkFreezePolicy checks the admission policy of freezes, and what each of the tenant's
// namespaces needs for it.
func (a *auditor) checkFreezePolicy(r *Record) {
	t := r.Tenant
	fix := command.Run(command.Tenant("freeze", t.Name, "--reason", t.Frozen.Reason))
	report := func(subject, why string) {
		f := r.about(subject, "tenant %s is %s, and that is not in force: %s", t.Name, *t.Frozen, why)
		f.Chains, f.Fix = [][]string{{"the record of tenant " + t.Name, subject}}, fix
		a.add(idNotFrozen, "", f)
	}
	for _, p := range a.snapshot.Guard.Freeze {
		report(p.Object.String(), fmt.Sprintf("of %s, %s", p.Object, p))
	}
	if a.unseen("namespaces") {
		return
	}
	for _, name := range append(slices.Clone(t.Namespaces), r.Namespace) {
		live := a.namespaces[name]
		if live != nil && !rails.FreezeIn(t, live.Labels, live.Annotations) {
			report("namespace "+name, "namespace "+name+" does not have the label and the annotations by which the admission policy knows it")
		}
	}
}

// checkWriters finds subjects that can write in a frozen tenant's namespaces by a right
// of their own. Subjects with all rights in the cluster are left out, since they could
// thaw it.
func (a *auditor) checkWriters(r *Record) {
	t := r.Tenant
	if a.unseen("rolebindings", "clusterrolebindings", "roles", "clusterroles") {
		return
	}
	var bindings []*Binding
	for _, ns := range append([]string{""}, t.Namespaces...) {
		bindings = append(bindings, a.rights.bindings[ns]...)
	}
	rulesOf := func(key roleKey) []rbacv1.PolicyRule {
		if set := a.rights.roles[key]; set != nil {
			return set.rules
		}
		return nil
	}
	writers := writersOf(bindings, rulesOf, func(b *Binding, s Subject) bool {
		return HeldByFreeze(t, s) || b.Namespace == "" && slices.ContainsFunc(rulesOf(roleKey{name: b.RoleName}), isEverything)
	})
	for len(writers) > 0 {
		writer := writers[0].Subject
		f := r.about(writer.String(), "tenant %s is frozen, and %s can change what is in its namespaces", t.Name, writer)
		other := slices.IndexFunc(writers, func(w Writer) bool { return w.Subject != writer })
		if other < 0 {
			other = len(writers)
		}
		for _, w := range writers[:other] {
			f.Chains = append(f.Chains, []string{writer.String(), w.Binding, w.Role})
		}
		writers = writers[other:]
		f.Fix = command.Advice("take these rights away until the tenant is thawed, or ignore it where they are meant: those of who restores it, say")
		a.add(idFrozenWriter, "", f)
	}
}

// isEverything reports whether a rule gives every right on every object.
func isEverything(rule rbacv1.PolicyRule) bool {
	return slices.Contains(rule.Verbs, "*") && slices.Contains(rule.APIGroups, "*") && slices.Contains(rule.Resources, "*")
}

// HeldByFreeze reports whether the freeze of a tenant denies a subject's writes, whatever
// binding grants them. A freeze by role denies nobody's writes: it removes the rights.
func HeldByFreeze(t tenant.Tenant, s Subject) bool {
	if s.Kind != rbacv1.ServiceAccountKind || !t.FrozenBy(tenant.FreezeByPolicy) {
		return false
	}
	return s.Namespace == t.Home() && slices.Contains(t.Engine.DeployerAccounts(), s.Name) || slices.Contains(t.Namespaces, s.Namespace)
}
