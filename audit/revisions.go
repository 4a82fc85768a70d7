package audit

import (
	"maps"
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"

	"helm-tenant/tenant"
)

// A StatefulSet's controller creates pods from the ControllerRevision that the set's status
// names as the current one, until an update has replaced all pods. Nobody judges what somebody
// else wrote there, and up to Kubernetes 1.36 it names the pods' namespace as well
// (k8s.io/kubernetes/pkg/controller/statefulset, ApplyRevision).
const (
	appsGroup = "apps"
	revisions = "controllerrevisions"
)

// elsewhere stands for a namespace without bindings, in which only rights over the whole cluster
// count. No namespace can have the name.
const elsewhere = "*"

// revisionChoices are the alternative acts that have the controller take another revision as the
// current one: naming it in a set's status, or removing the current one, or having it collected as
// garbage, and creating another of its name.
var revisionChoices = []act{
	{"update", appsGroup, "statefulsets/status"}, {"patch", appsGroup, "statefulsets/status"},
	{"delete", appsGroup, revisions}, {"deletecollection", appsGroup, revisions},
	{"update", appsGroup, revisions}, {"patch", appsGroup, revisions},
}

// revise returns the needs for having the controller act on a forged revision of a StatefulSet in
// the namespace.
func (p pather) revise() []Need {
	var needs []Need
	for _, create := range p.create(appsGroup, revisions) {
		for _, choice := range revisionChoices {
			ask := Ask{Verb: choice.verb, Group: choice.group, Resource: choice.resource, Namespace: p.Home, AnyName: choice.verb != "deletecollection"}
			needs = append(needs, append(slices.Clone(create), ask))
		}
	}
	return needs
}

// reviseOwn returns the needs for having pods created by a forged revision of a StatefulSet that is
// there; none for other resources. Whoever may create a StatefulSet needs no revision.
func (p pather) reviseOwn(resource string) []Need {
	if resource != "statefulsets" || len(p.Workloads[resource]) == 0 && p.NamesKnown {
		return nil
	}
	return p.revise()
}

// reviseElsewhere returns the needs for having pods created in any namespace by a forged
// revision. For the zero Subject all namespaces count in which somebody may write one, for others
// those with bindings of theirs.
func (x *rights) reviseElsewhere(somebody Subject) []Need {
	if x.revised == nil {
		return nil
	}
	namespaces := map[string]bool{elsewhere: true}
	if somebody == (Subject{}) {
		namespaces = x.revised
	}
	for _, s := range identityOf(somebody) {
		for _, g := range x.bySubject[s] {
			if x.revised[g.binding.Namespace] {
				namespaces[g.binding.Namespace] = true
			}
		}
	}
	var needs []Need
	for _, namespace := range slices.Sorted(maps.Keys(namespaces)) {
		needs = append(needs, pather{Target{Home: namespace}, x}.revise()...)
	}
	return needs
}

// findRevised finds the namespaces in which somebody may write a revision by a binding there, if
// such a revision has pods created in any namespace. The guard refuses it in those of a tenant.
func (a *auditor) findRevised() {
	if a.snapshot.Server.RevisionsStay {
		return
	}
	held := map[string]bool{}
	for r := range a.records() {
		for _, namespace := range r.Tenant.Namespaces {
			held[namespace] = a.guardHolds(r) && !tenant.IsSystemNamespace(namespace)
		}
	}
	a.rights.revised = map[string]bool{elsewhere: true}
	for namespace, subjects := range a.rights.inside {
		for _, grants := range subjects {
			if !held[namespace] && slices.ContainsFunc(grants, func(g grant) bool { return g.rules.answer(act{"create", appsGroup, revisions}).some }) {
				a.rights.revised[namespace] = true
				break
			}
		}
	}
}

// guardHolds reports whether the guard refuses what a tenant's subjects may not write.
func (a *auditor) guardHolds(r *Record) bool {
	return r.guardMode() == tenant.GuardEnforce && !a.snapshot.Guard.Unserved &&
		!slices.ContainsFunc(a.snapshot.Guard.Problems, func(p GuardProblem) bool { return p.Mode == "" || p.Mode == tenant.GuardEnforce })
}

// revises reports whether rules allow one of these tenants to have pods created in any namespace
// by a forged revision.
func (a *auditor) revises(rules []rbacv1.PolicyRule, users []*Record) bool {
	if a.snapshot.Server.RevisionsStay || len(users) > 0 && !slices.ContainsFunc(users, func(r *Record) bool { return !a.guardHolds(r) }) {
		return false
	}
	set := &ruleSet{rules: rules, known: map[act]answer{}}
	return set.answer(act{"create", appsGroup, revisions}).unnamed && slices.ContainsFunc(revisionChoices, func(choice act) bool { return set.answer(choice).some })
}
