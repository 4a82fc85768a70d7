package audit

import (
	"fmt"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"

	"helm-tenant/tenant"
	"helm-tenant/visible"
)

// Way is how a subject reaches a deployer: a binding, and the paths that its
// role opens.
type Way struct {
	// Binding is "RoleBinding NAME" or "ClusterRoleBinding NAME", with its namespace if that is
	// not the home; several, if they only open a path together.
	Binding string
	Role    string
	// Through is the subject of the binding: the requested one, or a group of it.
	Through string
	// Paths are the names of the paths that it opens, IDs their IDs.
	Paths, IDs []string
	// Chain is reported instead of the binding if the path leads through another identity.
	Chain []string
}

func (w Way) String() string {
	if len(w.Chain) > 0 {
		return fmt.Sprintf("%s: %s", strings.Join(w.Chain, "; and "), strings.Join(w.Paths, ", "))
	}
	return fmt.Sprintf("%s: %s", visible.Chain([]string{w.Through, w.Binding, w.Role}), strings.Join(w.Paths, ", "))
}

// Reach answers who reaches deployers, and how: with the same list of ways as an audit.
type Reach struct{ auditor *auditor }

// NewReach prepares the answers about a snapshot.
func NewReach(s *Snapshot) *Reach {
	a := newAuditor(s)
	a.findAccess()
	a.addIdentityMap()
	a.general = append(a.general, a.rights.borrowing(Subject{}), a.rights.redefining(Subject{}))
	a.checkApply()
	return &Reach{a}
}

// Ways returns all bindings, or sets of them, through which a subject reaches the deployers
// with that home. If the subject can't act as any of these by them, the paths through other
// identities are added. The groups of a user are only known at login: only those that the API
// server adds itself count.
func (r *Reach) Ways(home string, subject Subject) []Way {
	a := r.auditor
	var ways []Way
	acts := false
	one := &somebody{subject: subject, who: identityOf(subject)}
	for _, d := range a.deployers {
		if d.target.Home != home {
			continue
		}
		paths := slices.Concat(a.paths(d), a.general)
		direct := a.rights.ways(subject, paths, a.snapshot.Bindings, home)
		acts = acts || slices.ContainsFunc(paths, func(path Path) bool {
			return path.acts() && slices.ContainsFunc(direct, func(way Way) bool { return slices.Contains(way.IDs, path.ID) })
		})
		ways = append(ways, direct...)
		if way, ok := a.connects(one, d); ok {
			ways, acts = append(ways, chained(way)), true
		}
		for _, o := range a.nodePathsTo(one, d) {
			ways, acts = append(ways, chained(OpenPath{o.path, o.chains(subject)})), true
		}
		if o, ok := a.kubeletPathTo(one, d); ok {
			ways = append(ways, chained(OpenPath{o.path, o.chains(subject)}))
		}
		if o, ok := a.answerPathTo(one, d); ok {
			ways = append(ways, chained(OpenPath{o.path, o.chains(subject)}))
		}
	}
	if acts {
		return mergeWays(ways)
	}
	for _, reached := range a.canReach(subject, nil) {
		if reached.Home == home && (len(ways) == 0 || len(reached.Through) > 0) {
			for _, path := range reached.Paths {
				ways = append(ways, chained(path.withoutLastAsk(reached.Through)))
			}
		}
	}
	return mergeWays(ways)
}

// Kept returns the bindings in a tenant's namespaces that give a subject rights there and are
// not the tenant's, as chains: no revoke takes them away. Accounts of the tenant's own
// namespaces are what its charts make.
func (r *Reach) Kept(t tenant.Tenant, subject Subject) []string {
	if t.AllNamespaces || subject.Kind == rbacv1.ServiceAccountKind && slices.Contains(t.Namespaces, subject.Namespace) {
		return nil
	}
	var kept []string
	for _, namespace := range t.Namespaces {
		for _, b := range r.auditor.rights.bindings[namespace] {
			if role := r.auditor.rights.roleOf(b); role != nil && len(role.rules) > 0 && slices.Contains(b.Subjects, subject) {
				kept = append(kept, visible.Chain([]string{subject.String(), b.String(), b.Role()}))
			}
		}
	}
	return kept
}

// chained returns a way that is more than one binding.
func chained(path OpenPath) Way {
	way := Way{Paths: []string{path.Name}, IDs: []string{path.ID}}
	for _, chain := range path.Chains {
		way.Chain = append(way.Chain, visible.Chain(chain))
	}
	return way
}

// withoutLastAsk returns the path without the rights that the last identity on it needs, so
// that merge combines everything that the same bindings open.
func (path OpenPath) withoutLastAsk(through []string) OpenPath {
	if len(through) == 0 {
		return path
	}
	last := through[len(through)-1]
	var chains [][]string
	for _, chain := range path.Chains {
		if chain[0] == last {
			chain = chain[:len(chain)-1]
		}
		if !slices.ContainsFunc(chains, func(other []string) bool { return slices.Equal(other, chain) }) {
			chains = append(chains, chain)
		}
	}
	path.Chains = chains
	return path
}

// mergeWays makes one way of those by the same bindings: a tenant of two engines has two
// deployers at home.
func mergeWays(ways []Way) []Way {
	var merged []Way
	for _, way := range ways {
		index := slices.IndexFunc(merged, func(other Way) bool {
			return other.Binding == way.Binding && other.Through == way.Through && slices.Equal(other.Chain, way.Chain)
		})
		if index < 0 {
			merged = append(merged, way)
			continue
		}
		for i, name := range way.Paths {
			if !slices.Contains(merged[index].Paths, name) {
				merged[index].Paths, merged[index].IDs = append(merged[index].Paths, name), append(merged[index].IDs, way.IDs[i])
			}
		}
	}
	return merged
}

// ways returns the bindings by which the paths are open to a subject: each that opens one
// alone, and sets that only do so together. home is the namespace whose name is omitted.
func (x *rights) ways(subject Subject, paths []Path, bindings []Binding, home string) []Way {
	holder := identityOf(subject)
	name := func(b *Binding) string {
		if b.Namespace == home {
			return b.kind() + " " + b.Name
		}
		return b.String()
	}
	var ways []Way
	alone := map[string]bool{}
	for i := range bindings {
		b := &bindings[i]
		if !slices.ContainsFunc(b.Subjects, func(s Subject) bool { return slices.Contains(holder, s) }) {
			continue
		}
		var through Subject
		var names, ids []string
		for _, path := range paths {
			steps, open := x.opens(holder, path, func(g grant) bool { return g.binding == b }, nil)
			if open && !slices.Contains(names, path.Name) {
				through = steps[0].grant.to
				names, ids = append(names, path.Name), append(ids, path.ID)
				alone[path.Name] = true
			}
		}
		if len(names) > 0 {
			ways = append(ways, Way{Binding: name(b), Role: b.Role(), Through: through.String(), Paths: names, IDs: ids})
		}
	}
	for _, path := range paths {
		steps, open := x.opens(holder, path, nil, nil)
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
		ways = append(ways, Way{Binding: both(by), Role: both(role), Through: both(through), Paths: []string{path.Name}, IDs: []string{path.ID}})
	}
	return ways
}
