package audit

import (
	"fmt"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
)

const (
	definitionsGroup = "apiextensions.k8s.io"
	definitions      = "customresourcedefinitions"
)

// redefine are the ways to change what the objects of lenders say, by the definition of their
// kind: a default in its schema and a conversion webhook of its versions apply to objects that
// are there when they are read (k8s.io/apiextensions-apiserver/pkg/apiserver). A kind that the
// API server does not have has no definition and no objects. Left out are the kinds of a
// controller whose own account somebody is.
func (x *rights) redefine(somebody Subject) []Need {
	var needs []Need
	for _, lender := range lenders {
		own := slices.Contains(lender.homes, somebody.Namespace) || slices.Contains(lender.homes, somebody.AccountsOf())
		if lender.span == aside || own || !slices.Contains(x.served, lender.group) {
			continue
		}
		var names []string
		for _, resource := range lender.resources {
			names = append(names, resource+"."+lender.group)
		}
		needs = append(needs, pather{}.either(change, Ask{Group: definitionsGroup, Resource: definitions, Names: names})...)
	}
	return needs
}

// redefining is the way to every deployer by the definition of a kind that a controller
// carries out.
func (x *rights) redefining(somebody Subject) Path {
	return Path{ID: "change-definition", Name: "change the definition of a controller's objects", finding: idBorrows, Any: x.redefine(somebody)}
}

// checkDefinitions reports who can change what the objects of a lender say by the definition
// of their kind.
func (a *auditor) checkDefinitions() {
	general := a.rights.redefining(Subject{})
	if len(general.Any) == 0 {
		return
	}
	a.general = append(a.general, general)
	a.eachOther(nil, func(s Subject, mine func(grant) bool) {
		path := a.rights.redefining(s)
		steps, open := a.rights.opens(identityOf(s), path, nil, mine)
		if !open {
			return
		}
		f := Finding{Subject: s.String(), Object: definitions, Text: fmt.Sprintf("%s can change the definition of objects that %s carries out with its own rights: a default or a conversion in it changes what those objects say",
			s, definedFor(steps[0].ask))}
		f.Chains = chainsOf(s, []opened{{path, steps}})
		f.Fix = a.takeAwayAll([]opened{{path, steps}}).With("or hold the right by resourceNames to definitions of other kinds")
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
