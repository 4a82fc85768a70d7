package audit

import (
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"

	"helm-tenant/tenant"
)

const authenticationGroup = "authentication.k8s.io"

// impersonatesBy is the prefix of all verbs of impersonation.
const impersonatesBy = "impersonate"

// isImpersonation reports whether the ask is for a right to impersonate. An impersonated
// identity can't use such a right: the API server removes the headers.
func (a Ask) isImpersonation() bool { return strings.HasPrefix(a.Verb, impersonatesBy) }

func (n Need) isImpersonation() bool { return slices.ContainsFunc(n, Ask.isImpersonation) }

// withoutImpersonation returns the path for an impersonated identity.
func (p Path) withoutImpersonation() Path {
	p.needs = slices.DeleteFunc(slices.Clone(p.needs), Need.isImpersonation)
	return p
}

// constrained reports whether the API server has constrained impersonation
// (ConstrainedImpersonation, on since Kubernetes 1.36): impersonating in a mode then also needs
// a right for the request that is made.
func (p pather) constrained() bool { return !p.Server.NoConstrainedImpersonation }

// acting returns the rights to make one of these requests while impersonating in that mode;
// without acts, any such right.
func acting(mode string, acts []Ask) []Ask {
	if len(acts) == 0 {
		return []Ask{{Verb: impersonatesBy + "-on:" + mode + ":", AnyAct: true, AnyNamespace: true}}
	}
	asks := slices.Clone(acts)
	for i := range asks {
		asks[i].Verb = impersonatesBy + "-on:" + mode + ":" + asks[i].Verb
	}
	return asks
}

// impersonate returns the needs for impersonating that subject, for any of the acts if there
// are some (k8s.io/apiserver/pkg/endpoints/filters/impersonation).
func (p pather) impersonate(s Subject, acts ...Ask) []Need {
	legacy := Ask{Verb: impersonatesBy, Names: []string{s.Name}}
	limited := Ask{Group: authenticationGroup, Names: []string{s.Name}}
	var needs []Need
	limit := func(mode string, asks ...Ask) {
		if !p.constrained() {
			return
		}
		for i := range asks {
			asks[i].Verb = impersonatesBy + ":" + mode
		}
		for _, act := range acting(mode, acts) {
			needs = append(needs, append(slices.Clone(asks), act))
		}
	}
	node, isNode := strings.CutPrefix(s.Name, tenant.NodePrefix)
	switch {
	case s.Kind == rbacv1.ServiceAccountKind:
		legacy.Resource, legacy.Namespace = "serviceaccounts", s.Namespace
		limited.Resource, limited.Namespace = "serviceaccounts", s.Namespace
		needs = append(needs, Need{legacy})
		limit("serviceaccount", limited)
	case s.Kind == rbacv1.UserKind && isNode:
		legacy.Resource = "users"
		needs = append(needs, Need{legacy})
		limit("arbitrary-node", Ask{Group: authenticationGroup, Resource: "nodes", Names: []string{node}})
	case s.Kind == rbacv1.UserKind:
		legacy.Resource, limited.Resource = "users", "users"
		needs = append(needs, Need{legacy})
		limit("user-info", limited)
	default:
		// A group goes with a user, whichever.
		legacy.Resource, limited.Resource = "groups", "groups"
		needs = append(needs,
			Need{legacy, {Verb: impersonatesBy, Resource: "users", AnyName: true}},
			Need{legacy, {Verb: impersonatesBy, Resource: "serviceaccounts", AnyName: true, AnyNamespace: true}})
		if s.Name == tenant.GroupNodes {
			needs = append(needs, p.beNode(acts...)...)
		}
		if s.Name != tenant.GroupMasters { // the API server refuses this mode for the group
			limit("user-info", limited, Ask{Group: authenticationGroup, Resource: "users", AnyName: true})
		}
	}
	return needs
}

// impersonateMembers returns the needs for impersonating a member. For a deployer that members
// reach by impersonation, only members count that reach it in another way.
func (p pather) impersonateMembers() []Need {
	var needs []Need
	for _, member := range p.Members {
		switch {
		case member == Group(tenant.GroupMasters):
			needs = append(needs, p.impersonate(member)...)
		case p.Engine == tenant.EngineTiller:
			var acts []Ask
			for _, verb := range p.stream() {
				forward := p.ask("", "pods/portforward", p.Pods...)
				forward.Verb = verb
				acts = append(acts, forward)
			}
			needs = append(needs, p.impersonate(member, acts...)...)
		}
	}
	return needs
}

// beMembers returns the needs for using a service account that is a member, by its pods or
// tokens.
func (p pather) beMembers() []Need {
	var needs []Need
	for _, s := range p.Members {
		if s.Kind == rbacv1.ServiceAccountKind && s.Namespace != p.Home {
			needs = append(needs, p.rights.beAccount(s, p.MemberAccounts[s], p.Server, p.NamesKnown, false)...)
		}
	}
	return needs
}

// beAccount returns all needs for using a service account: impersonating it, if that is asked
// for; getting a token of it; creating, changing or entering pods that run as it; writing roles
// or bindings that grant one of these; being a node with such a pod. held has the existing
// objects that count; if their names are not known, rights to any name count.
func (x *rights) beAccount(s Subject, held AccountObjects, server Server, known, impersonating bool) []Need {
	t := Target{Home: s.Namespace, Account: s.Name, Server: server, NamesKnown: known, Pods: held.Pods, Nodes: held.Nodes, Workloads: held.Workloads}
	var needs []Need
	for _, way := range x.paths(t) {
		switch way.finding {
		case idImpersonate:
			if impersonating {
				needs = append(needs, way.needs...)
			}
		case idMakePods, idEnterPods, idToken:
			needs = append(needs, way.needs...)
		case idRights: // over the whole cluster they lead to every deployer anyway
			needs = append(needs, slices.DeleteFunc(way.needs, func(need Need) bool { return need[0].Namespace == "" })...)
		case idNode:
			if len(held.Pods) > 0 {
				needs = append(needs, way.needs...)
			}
		}
	}
	p := pather{t, x}
	if len(held.Tokens) > 0 || !known {
		p.Secrets = held.Tokens
		needs = append(needs, p.secrets("get", "list", "watch")...)
	}
	// The controller writes a token into a Secret of the right type, where it can be read.
	for _, create := range p.create("", "secrets") {
		for _, verb := range []string{"get", "list", "watch"} {
			read := p.all(verb, "", "secrets")
			if len(create) > 1 { // with the same name
				read[0].Names = create[0].Names
			}
			needs = append(needs, append(slices.Clone(create), read...))
		}
	}
	return needs
}

// beNode returns the needs for being a node: the node authorizer lets a node create tokens of
// all accounts whose pods run on it (k8s.io/kubernetes/plugin/pkg/auth/authorizer/node). acts
// are the requests to make as the node; without acts, creating such a token.
func (p pather) beNode(acts ...Ask) []Need {
	needs := []Need{{{BeNode: true, Names: p.Nodes, Verb: "be", Resource: "node"}}}
	// As a user with a node's name, in the group of nodes. Any node counts, since pods can move
	// to it.
	needs = append(needs, Need{{Verb: impersonatesBy, Resource: "users", NamePrefix: tenant.NodePrefix}, {Verb: impersonatesBy, Resource: "groups", Names: []string{tenant.GroupNodes}}})
	if p.constrained() {
		if len(acts) == 0 {
			acts = []Ask{{Verb: "create", Resource: "serviceaccounts/token", Namespace: p.Home, Names: []string{p.Account}}}
		}
		for mode, ask := range map[string]Ask{
			"arbitrary-node": {AnyName: true},
			// A service account, for the node that its own pod runs on.
			"associated-node": {Names: []string{"*"}, ByAccount: true},
		} {
			ask.Verb, ask.Group, ask.Resource = impersonatesBy+":"+mode, authenticationGroup, "nodes"
			for _, act := range acting(mode, acts) {
				needs = append(needs, Need{ask, act})
			}
		}
	}
	// A kubelet's certificate is approved automatically if its requester may have any node's
	// (k8s.io/kubernetes/pkg/controller/certificates/approver).
	const requests = "certificatesigningrequests"
	approved := Ask{Verb: "create", Group: certificatesGroup, Resource: requests + "/nodeclient", Names: []string{""}}
	for _, create := range p.createIn("", certificatesGroup, requests) {
		needs = append(needs, append(create, approved))
	}
	if p.rights.bootstraps(p.Server) {
		in := pather{Target{Home: systemNamespace}, p.rights}
		needs = append(needs, in.create("", "secrets")...)
		// Those that are there hold the token as it is sent; an administrator makes one for each
		// node that joins.
		for _, verb := range append([]string{"get", "list", "watch"}, change...) {
			needs = append(needs, Need{{Verb: verb, Resource: "secrets", Namespace: systemNamespace, NamePrefix: "bootstrap-token-"}})
		}
	}
	return needs
}

// bootstraps reports whether bootstrap tokens lead to a node's certificate: the API server
// accepts them, as far as is known, and a group of theirs may have one.
func (x *rights) bootstraps(server Server) bool {
	if server.NoBootstrapTokens {
		return false
	}
	if x.bootstrap == nil {
		found := false
		for s := range x.inCluster {
			if s.Kind != rbacv1.GroupKind || s.Name != tenant.GroupBootstrappers && !strings.HasPrefix(s.Name, tenant.GroupBootstrappers+":") {
				continue
			}
			all := identity{s, Group(tenant.GroupBootstrappers), Group(tenant.GroupAuthenticated)}
			creates := func(resource string, names ...string) bool {
				_, found := x.find(all, Ask{Verb: "create", Group: certificatesGroup, Resource: resource, Names: names}, nil)
				return found
			}
			found = found || creates("certificatesigningrequests") && creates("certificatesigningrequests/nodeclient", "")
		}
		x.bootstrap = &found
	}
	return *x.bootstrap
}
