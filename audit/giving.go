package audit

import (
	"slices"
	"strings"

	"helm-tenant/tenant"
)

// bindRoles returns the ways to get a role through a binding. RBAC refuses to bind rights
// that the caller does not hold, unless the caller may bind that role
// (k8s.io/kubernetes/pkg/registry/rbac); a caller that holds them has a path already.
func (p pather) bindRoles() []Need {
	var needs []Need
	for _, scope := range []struct{ resource, namespace string }{{"rolebindings", p.Home}, {"clusterrolebindings", ""}} {
		for _, resource := range []string{"clusterroles", "roles"} {
			if resource == "roles" && scope.namespace == "" {
				continue
			}
			bind := Ask{Verb: "bind", Group: rbacGroup, Resource: resource, Namespace: scope.namespace, Names: p.useful(resource, scope.namespace)}
			for _, create := range p.createIn(scope.namespace, rbacGroup, scope.resource) {
				needs = append(needs, append(create, bind))
			}
		}
		for _, b := range p.rights.bindings[scope.namespace] {
			if !p.leads(p.rights.roleOf(b), scope.namespace) {
				continue
			}
			resource := "roles"
			if b.RoleKind == "ClusterRole" {
				resource = "clusterroles"
			}
			bind := Ask{Verb: "bind", Group: rbacGroup, Resource: resource, Namespace: scope.namespace, Names: []string{b.RoleName}}
			for _, verb := range change {
				needs = append(needs, Need{{Verb: verb, Group: rbacGroup, Resource: scope.resource, Namespace: scope.namespace, Names: []string{b.Name}}, bind})
			}
		}
	}
	return needs
}

// useful returns the roles that lead to the target, among those that anybody may bind by
// name.
func (p pather) useful(resource, namespace string) []string {
	var names []string
	for _, name := range p.rights.namesOf(namespace, act{"bind", rbacGroup, resource}) {
		key := roleKey{"", name}
		if resource == "roles" {
			key.namespace = namespace
		}
		if p.leads(p.rights.roles[key], namespace) {
			names = append(names, name)
		}
	}
	return names
}

// leads reports whether a role contains any right that some path needs. The role need not
// open a path by itself: its subject may have the other rights. In a namespace, rights to
// cluster-scoped resources do not count.
func (p pather) leads(role *ruleSet, namespace string) bool {
	return p.rights.leads(role, leading{p.Server, namespace == "", p.InConfigMaps, len(p.Closing) > 0, len(p.Classes) > 0})
}

func (x *rights) leads(role *ruleSet, in leading) bool {
	if role == nil {
		return false
	}
	leads, known := role.leads[in]
	if !known {
		leads = slices.ContainsFunc(x.leadingActs(in), func(a act) bool {
			if strings.HasSuffix(a.verb, ":") {
				return role.acts(a.verb, false) // rights to all verbs include this half
			}
			return role.answer(a).some
		})
		role.leads[in] = leads
	}
	return leads
}

// leading are the facts that decide which acts lead to a deployer.
type leading struct {
	server       Server
	cluster      bool
	inConfigMaps bool
	closed       bool // only NetworkPolicies keep others from the Tiller
	classes      bool // the guard allows priority classes
}

// leadingActs returns the acts that any path needs, and the right to bind.
func (x *rights) leadingActs(in leading) []act {
	if acts, known := x.leading[in]; known {
		return acts
	}
	target := sample
	target.Server, target.InConfigMaps = in.server, in.inConfigMaps
	if !in.closed {
		target.Closing = nil
	}
	if !in.classes {
		target.Classes = nil
	}
	// Without bindings, the names of the roles do not matter.
	var acts []act
	bare := newRights(nil, nil)
	bare.served, bare.mentioned = x.served, x.mentioned
	if x.revised != nil {
		bare.revised = map[string]bool{elsewhere: true}
	}
	paths, borrowing := bare.paths(target), bare.borrowing(Subject{})
	for _, path := range append(paths, borrowing, bare.redefining(Subject{})) {
		for _, need := range path.needs {
			for _, ask := range need {
				wanted := act{ask.Verb, ask.Group, ask.Resource}
				if (in.cluster || ask.Namespace != "" || ask.AnyNamespace && path.ID == borrowing.ID) && !slices.Contains(acts, wanted) {
					acts = append(acts, wanted)
				}
			}
		}
	}
	for _, verb := range change {
		acts = append(acts, act{verb, rbacGroup, "rolebindings"})
		if in.cluster {
			acts = append(acts, act{verb, rbacGroup, "clusterrolebindings"})
		}
	}
	x.leading[in] = acts
	return acts
}

// sample is a deployer to which every path exists.
var sample = Target{Home: "x", Account: "x", Engine: tenant.EngineTiller, Open: true, Closing: []string{"x"}, Guarded: true, Classes: []string{"x"}, Members: []Subject{User("x"), Group("x"), Account("y", "x")}}

// writeRoles returns the ways to add rules to a role that its writer does not hold.
func (p pather) writeRoles() []Need {
	var needs []Need
	for _, scope := range []struct{ resource, namespace string }{{"roles", p.Home}, {"clusterroles", ""}} {
		ask := func(verb string, names ...string) Ask {
			return Ask{Verb: verb, Group: rbacGroup, Resource: scope.resource, Namespace: scope.namespace, Names: names}
		}
		// The API server checks the right to escalate for the name in the request's path,
		// which a POST does not have (k8s.io/kubernetes/pkg/registry/rbac,
		// escalation_check.go).
		needs = append(needs, Need{ask("create"), ask("escalate", "")}, Need{ask("update"), ask("escalate")}, Need{ask("patch"), ask("escalate")})
		var names []string
		for _, verb := range []string{"escalate", "update", "patch"} {
			names = append(names, p.rights.namesOf(scope.namespace, act{verb, rbacGroup, scope.resource})...)
		}
		slices.Sort(names)
		for _, named := range named(slices.Compact(names)) {
			for _, verb := range change {
				need := Need{named(ask(verb)), named(ask("escalate"))}
				if first := need[0]; !first.AnyName && p.rights.roles[roleKey{scope.namespace, first.Names[0]}] == nil {
					need = append(need, named(ask("create"))) // see createIn
				}
				needs = append(needs, need)
			}
		}
	}
	return needs
}
