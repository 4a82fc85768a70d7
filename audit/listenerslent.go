package audit

import (
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/labels"
)

// changesLent describes the objects that a webhook changes and a well-known controller carries out
// with its own rights, which reach every deployer; empty for none. What answers in the
// controller's own namespace is the controller's.
func (a *auditor) changesLent(w Webhook) string {
	if w.isAdmission() && !w.changes() {
		return ""
	}
	for _, lender := range lenders {
		if lender.span == aside || w.isAnsweredBy(lender.homes...) || !slices.Contains(a.snapshot.APIGroups, lender.group) {
			continue
		}
		for _, resource := range lender.resources {
			if a.changesObjects(w, lender, resource) {
				return "the " + resource + "." + lender.group + ", to change them, which " + lender.name + " carries out with its own rights"
			}
		}
	}
	return ""
}

func (a *auditor) changesObjects(w Webhook, lender lender, resource string) bool {
	switch w.Kind {
	case Definition:
		return w.Configuration == resource+"."+lender.group
	case AggregatedAPI: // it is called VERSION.GROUP
		_, group, _ := strings.Cut(w.Configuration, ".")
		return group == lender.group
	}
	inNone := lender.span == unscoped
	if !w.chooses(labels.Set{}) || !w.takesIn("create", lender.group, resource, inNone) && !w.takesIn("update", lender.group, resource, inNone) {
		return false
	}
	switch lender.span {
	case unscoped:
		return true
	case everywhere:
		return slices.ContainsFunc(a.snapshot.Namespaces, func(ns Namespace) bool { return a.choosesNamespace(w, ns.Name) })
	}
	return slices.ContainsFunc(lender.homes, func(home string) bool { return a.choosesNamespace(w, home) })
}
