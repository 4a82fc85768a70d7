package audit

import (
	"fmt"
	"slices"
	"strings"
)

// Way is how a subject reaches a deployer: a binding, and the paths that its
// role opens.
type Way struct {
	// Binding is "RoleBinding NAME" or "ClusterRoleBinding NAME"; several, where
	// only together they open a path.
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

// Ways finds the bindings through which a subject can reach any of a tenant's
// deployers. roles and bindings are those in its home namespace, and the
// cluster's. Which groups a user is in nobody knows before they log in: only
// those that the API server adds by itself count.
func Ways(subject Subject, targets []Target, roles []Role, bindings []Binding) []Way {
	x := newRights(roles, bindings)
	who := identityOf(subject)
	var paths []Path
	for _, target := range targets {
		paths = append(paths, x.paths(target)...)
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
			ways = append(ways, Way{b.kind() + " " + b.Name, b.Role(), through.String(), names})
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
			through, by, role = append(through, s.grant.to.String()), append(by, b.kind()+" "+b.Name), append(role, b.Role())
		}
		both := func(words []string) string { return strings.Join(slices.Compact(words), " and ") }
		ways = append(ways, Way{both(by), both(role), both(through), []string{path.Name}})
	}
	return ways
}
