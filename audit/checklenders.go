package audit

import (
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"

	"helm-tenant/lists"
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

const (
	definitionsGroup = "apiextensions.k8s.io"
	definitions      = "customresourcedefinitions"
	otherDefinitions = "or hold the right by resourceNames to definitions of other kinds"
)

// redefine returns the needs for changing the content of lenders' objects through the
// definition of their kind: defaults in its schema and a conversion webhook of its versions
// apply to existing objects when they are read (k8s.io/apiextensions-apiserver/pkg/apiserver).
// A kind that the API server does not have has no definition and no objects. The kinds of a
// controller as whose account somebody acts are left out.
func (x *rights) redefine(somebody Subject) []Need {
	var needs []Need
	for _, lender := range lenders {
		controllers := slices.Contains(lender.homes, somebody.Namespace) || slices.Contains(lender.homes, somebody.AccountsOf())
		if lender.span == aside || lender.span == revised || controllers || !slices.Contains(x.served, lender.group) {
			continue
		}
		needs = append(needs, changeDefinitions(lender.group, lender.resources)...)
	}
	return needs
}

// redefining returns the path to every deployer through the definition of a lender's kind.
func (x *rights) redefining(somebody Subject) Path {
	return Path{ID: "change-definition", Name: "change the definition of a controller's objects", finding: idBorrows, needs: x.redefine(somebody)}
}

// remake returns the needs for changing the content of podMakers' objects through the
// definition of their kind: a default changes the pods' containers and their account.
func (x *rights) remake() []Need {
	var needs []Need
	for _, maker := range podMakers {
		if slices.Contains(x.served, maker.group) {
			needs = append(needs, changeDefinitions(maker.group, maker.resources)...)
		}
	}
	return needs
}

func changeDefinitions(group string, resources []string) []Need {
	names := lists.Map(resources, func(resource string) string { return resource + "." + group })
	return pather{}.either(change, Ask{Group: definitionsGroup, Resource: definitions, Names: names})
}

// checkDefinitions reports subjects that can change the content of the objects of a lender, or
// of a controller that creates pods, through the definition of their kind.
func (a *auditor) checkDefinitions() {
	general := a.rights.redefining(Subject{})
	if len(general.needs) > 0 {
		a.general = append(a.general, general)
		a.checkLentDefinitions()
	}
	makers := Path{ID: "change-maker", Name: "change the definition of objects that make pods", finding: idBorrows, needs: a.rights.remake()}
	if len(makers.needs) == 0 {
		return
	}
	a.eachOther(nil, func(s Subject, mine func(grant) bool) {
		if _, open := a.rights.opens(identityOf(s), a.rights.redefining(s), nil, mine); open {
			return // reported already
		}
		steps, open := a.rights.opens(identityOf(s), makers, nil, mine)
		if !open {
			return
		}
		f := a.finding(s, opened{makers, steps}, "%s can change the definition of objects (%s) of which a controller makes pods: a default in it changes what these run, as any account of their namespaces",
			s, shortened(steps[0].ask.Names))
		f.Object, f.Fix = definitions, f.Fix.With(otherDefinitions)
		// It takes objects of the kind in a namespace whose accounts reach a deployer. The
		// operators of these kinds are accounts.
		severity := Medium
		switch {
		case s.IsEverybody():
			severity = High
		case s.Kind == rbacv1.ServiceAccountKind:
			severity = Low
		}
		a.add(idBorrows, severity, f)
	})
}

func (a *auditor) checkLentDefinitions() {
	a.eachOther(nil, func(s Subject, mine func(grant) bool) {
		path := a.rights.redefining(s)
		steps, open := a.rights.opens(identityOf(s), path, nil, mine)
		if !open {
			return
		}
		f := a.finding(s, opened{path, steps}, "%s can change the definition of objects that %s carries out with its own rights: a default or a conversion in it changes what those objects say",
			s, definedFor(steps[0].ask))
		f.Object, f.Fix = definitions, f.Fix.With(otherDefinitions)
		severity := everybodyIs(s)
		if s.Kind == rbacv1.ServiceAccountKind && s.Namespace == systemNamespace {
			severity = Medium
		}
		a.add(idBorrows, severity, f)
	})
}

// definedFor names the controller of the kinds whose definitions are asked for.
func definedFor(ask Ask) string {
	resource, group, _ := strings.Cut(ask.Names[0], ".")
	return lenderOf(Ask{Group: group, Resource: resource})
}
