package audit

import (
	"slices"
)

// checkLenders looks for who can use the rights of a well-known controller, and so reaches
// every deployer. What a tenant's deployer, or anybody in a tenant's namespace, can do is
// reported with the tenant's role or the binding there; the accounts of the controller's
// own namespace write its objects by design.
func (a *auditor) checkLenders() {
	a.general = append(a.general, a.rights.borrowing(Subject{}))
	if len(a.general[len(a.general)-1].needs) == 0 {
		return
	}
	namespaces := a.lendingNamespaces()
	lending := map[string]bool{"": true} // and the whole cluster
	for _, namespace := range namespaces {
		lending[namespace] = true
	}
	a.eachOther(namespaces, func(s Subject, mine func(grant) bool) {
		path := a.rights.borrowing(s)
		steps, open := a.rights.opens(identityOf(s), path, nil, func(g grant) bool {
			return mine(g) && lending[g.binding.Namespace]
		})
		if !open {
			return
		}
		ask := steps[0].ask
		f := a.finding(s, opened{path, steps}, "%s can %s, which %s carries out with its own rights", s, ask, lenderOf(ask))
		severity := everybodyIs(s)
		if s.Namespace == systemNamespace {
			severity = Medium
		}
		a.add(idBorrows, severity, f)
	})
}

// lendingNamespaces returns the namespaces of no tenant in which a binding lets somebody write
// a lender's objects.
func (a *auditor) lendingNamespaces() []string {
	known := map[*ruleSet]bool{} // many bindings have the same role
	lends := func(g grant) bool {
		does, found := known[g.rules]
		if !found {
			does = slices.ContainsFunc(lenders, func(controller lender) bool {
				return (controller.span != revised || a.rights.revised != nil) && slices.ContainsFunc(controller.resources, func(resource string) bool { return a.writes(g.rules.rules, controller.group, resource) != "" })
			})
			known[g.rules] = does
		}
		return does
	}
	// The records say which are tenants': whoever makes a namespace can label it as one.
	tenants := map[string]bool{}
	for r := range a.records() {
		for _, namespace := range r.Tenant.Namespaces {
			tenants[namespace] = true
		}
	}
	var namespaces []string
	for namespace, subjects := range a.rights.inside {
		if tenants[namespace] {
			continue
		}
		for _, grants := range subjects {
			if slices.ContainsFunc(grants, lends) {
				namespaces = append(namespaces, namespace)
				break
			}
		}
	}
	return namespaces
}

// lenderOf returns the name of the controller of the asked object.
func lenderOf(ask Ask) string {
	for _, lender := range lenders {
		if lender.group == ask.Group && slices.Contains(lender.resources, ask.Resource) {
			return lender.name
		}
	}
	return ""
}
