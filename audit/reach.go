package audit

import (
	"fmt"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
)

// Way is how a subject reaches a deployer: a binding, and the paths that its
// role opens.
type Way struct {
	// Binding is "RoleBinding NAME" or "ClusterRoleBinding NAME", with its namespace where
	// that is not the home; several, where only together they open a path.
	Binding string
	Role    string
	// Through is the subject of the binding: the one that was asked for, or a
	// group that it is in.
	Through string
	Paths   []string
}

func (w Way) String() string {
	return fmt.Sprintf("%s -> %s -> %s: %s", w.Through, w.Binding, w.Role, strings.Join(w.Paths, ", "))
}

// Reaching are those whom the ClusterRoleBindings let reach the target: Kubernetes' own
// administrators, and whoever was made one.
func Reaching(t Target, roles []Role, bindings []Binding) []Subject {
	return newRights(roles, bindings).reaching(t)
}

func (x *rights) reaching(t Target) []Subject {
	var found []Subject
	paths := x.paths(t)
	for s := range x.inCluster {
		if slices.ContainsFunc(paths, func(path Path) bool {
			_, open := x.opens(identity{s}, path.withoutImpersonation(), func(g grant) bool { return g.binding.Namespace == "" }, nil)
			return open
		}) {
			found = append(found, s)
		}
	}
	slices.SortFunc(found, compareSubjects)
	return found
}

// administratorPaths are the ways to be somebody who reaches the target by rights over
// the whole cluster, but for the one who asks.
func (x *rights) administratorPaths(asking Subject, t Target) []Path {
	impersonate := Path{ID: "impersonate-administrator", Name: "impersonate an administrator of the cluster", finding: idImpersonateMember}
	use := Path{ID: "use-administrator", Name: "use an account that reaches every deployer"}
	p := pather{Target{Server: t.Server}, x}
	for _, s := range x.reaching(t) {
		switch {
		case s == asking:
		case s.Kind == rbacv1.ServiceAccountKind:
			use.Any = append(use.Any, x.beAccount(s, Held{}, t.Server, false, true)...)
		default:
			impersonate.Any = append(impersonate.Any, p.impersonate(s)...)
		}
	}
	return []Path{impersonate, use}
}

// Ways finds the bindings through which a subject can reach any of a tenant's
// deployers. roles and bindings are those in its home namespace and in the
// namespaces of accounts that reach it, and the cluster's. Which groups a user is in nobody knows before they log in: only
// those that the API server adds by itself count.
func Ways(subject Subject, targets []Target, roles []Role, bindings []Binding) []Way {
	x := newRights(roles, bindings)
	who := identityOf(subject)
	var paths []Path
	for _, target := range targets {
		paths = append(paths, x.paths(target)...)
	}
	if len(targets) > 0 {
		paths = append(paths, x.administratorPaths(subject, targets[0])...)
	}
	name := func(b *Binding) string {
		if slices.ContainsFunc(targets, func(t Target) bool { return t.Home == b.Namespace }) {
			return b.kind() + " " + b.Name
		}
		return b.String()
	}
	var ways []Way
	alone := map[string]bool{}
	for i := range bindings {
		b := &bindings[i]
		var through Subject
		var names []string
		for _, path := range paths {
			steps, open := x.opens(who, path, func(g grant) bool { return g.binding == b }, nil)
			if open && !slices.Contains(names, path.Name) {
				through = steps[0].grant.to
				names = append(names, path.Name)
				alone[path.Name] = true
			}
		}
		if len(names) > 0 {
			ways = append(ways, Way{name(b), b.Role(), through.String(), names})
		}
	}
	for _, path := range paths {
		steps, open := x.opens(who, path, nil, nil)
		if !open || alone[path.Name] {
			continue
		}
		alone[path.Name] = true
		var through, by, role []string
		for _, s := range steps {
			b := s.grant.binding
			if b == nil {
				through, by, role = append(through, s.grant.to.String()), append(by, "the node authorizer"), append(role, "a node's own rights")
				continue
			}
			through, by, role = append(through, s.grant.to.String()), append(by, name(b)), append(role, b.Role())
		}
		both := func(words []string) string { return strings.Join(slices.Compact(words), " and ") }
		ways = append(ways, Way{both(by), both(role), both(through), []string{path.Name}})
	}
	return ways
}
