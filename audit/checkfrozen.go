package audit

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

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

// Writer is a subject that may change objects in a tenant's namespaces by a binding.
type Writer struct {
	Subject Subject `json:"-"`
	// Name is the subject as people read it.
	Name    string `json:"subject"`
	Binding string `json:"binding"`
	Role    string `json:"role"`
}

// Writers returns the subjects that may change objects in any of these namespaces, by the
// bindings there and those of the cluster. It leaves out Kubernetes' own components, and
// subjects for whom held reports that their writes are denied. Rights through impersonation or
// another account's token are not considered.
func Writers(namespaces []string, roles []Role, bindings []Binding, held func(Binding, Subject) bool) []Writer {
	rules := map[roleKey][]rbacv1.PolicyRule{}
	for _, role := range roles {
		rules[roleKey{role.Namespace, role.Name}] = role.Rules
	}
	var relevant []*Binding
	for i, b := range bindings {
		if b.Namespace == "" || slices.Contains(namespaces, b.Namespace) {
			relevant = append(relevant, &bindings[i])
		}
	}
	return writersOf(relevant, func(key roleKey) []rbacv1.PolicyRule { return rules[key] }, func(b *Binding, s Subject) bool { return held(*b, s) })
}

// writersOf returns the Writers by these bindings, sorted by subject.
func writersOf(bindings []*Binding, rules func(roleKey) []rbacv1.PolicyRule, held func(*Binding, Subject) bool) []Writer {
	var writers []Writer
	for _, b := range bindings {
		key := roleKey{name: b.RoleName}
		if b.RoleKind == "Role" {
			key.namespace = b.Namespace
		}
		if !slices.ContainsFunc(rules(key), writesInNamespaces) {
			continue
		}
		for _, s := range b.Subjects {
			if !isKubernetes(s) && !held(b, s) {
				writers = append(writers, Writer{s, s.String(), b.String(), b.Role()})
			}
		}
	}
	slices.SortFunc(writers, func(a, b Writer) int {
		return cmp.Or(compareSubjects(a.Subject, b.Subject), strings.Compare(a.Binding, b.Binding))
	})
	return slices.Compact(writers)
}

func isKubernetes(s Subject) bool {
	switch s.Kind {
	case rbacv1.ServiceAccountKind:
		return s.Namespace == "kube-system"
	case rbacv1.UserKind:
		return s.IsComponent()
	}
	return s.Name == tenant.GroupNodes || s.Name == tenant.GroupBootstrappers || strings.HasPrefix(s.Name, tenant.GroupBootstrappers+":") || s.Name == "system:monitoring"
}

var readingVerbs = []string{"get", "list", "watch"}

// outsideNamespaces are resources of the cluster, and those whose objects are questions
// or messages.
var outsideNamespaces = []string{
	"namespaces", "nodes", "persistentvolumes", "componentstatuses", "clusterroles", "clusterrolebindings", "customresourcedefinitions",
	"storageclasses", "csinodes", "csidrivers", "volumeattachments", "priorityclasses", "runtimeclasses", "ingressclasses", "apiservices",
	"mutatingwebhookconfigurations", "validatingwebhookconfigurations", "validatingadmissionpolicies", "validatingadmissionpolicybindings",
	"certificatesigningrequests", "flowschemas", "prioritylevelconfigurations", "users", "groups", "uids",
	"tokenreviews", "subjectaccessreviews", "selfsubjectaccessreviews", "selfsubjectrulesreviews", "selfsubjectreviews", "localsubjectaccessreviews",
	"events", "leases",
}

func writesInNamespaces(rule rbacv1.PolicyRule) bool {
	writes := slices.ContainsFunc(rule.Verbs, func(verb string) bool { return !slices.Contains(readingVerbs, verb) })
	return writes && slices.ContainsFunc(rule.Resources, func(resource string) bool {
		name, _, _ := strings.Cut(resource, "/")
		return !slices.Contains(outsideNamespaces, name)
	})
}
