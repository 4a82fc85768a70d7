package audit

import (
	"fmt"
	"slices"

	"helm-tenant/tenant"
)

// grant is the role of a binding as it is granted to one subject.
type grant struct {
	to      Subject
	binding *Binding
	rules   *ruleSet
}

// chain returns the chain of objects from the subject to the right. who is the subject
// that was asked about, which may be in the group that is bound.
func (g grant) chain(subject Subject, ask Ask) []string {
	chain := []string{subject.String()}
	if g.to != subject {
		chain = append(chain, g.to.String())
	}
	if g.binding == nil { // no right, but an identity
		return append(chain, ask.String())
	}
	return append(chain, g.binding.String(), g.binding.Role(), ask.String())
}

// String returns "RoleBinding NAME in namespace NS".
func (b *Binding) String() string { return objectName(b.kind(), b.Namespace, b.Name) }

func (b *Binding) kind() string {
	if b.Namespace == "" {
		return "ClusterRoleBinding"
	}
	return "RoleBinding"
}

// Role returns "ClusterRole NAME", or "Role NAME".
func (b *Binding) Role() string { return b.RoleKind + " " + b.RoleName }

func objectName(kind, namespace, name string) string {
	if namespace == "" {
		return kind + " " + name
	}
	return fmt.Sprintf("%s %s in namespace %s", kind, name, namespace)
}

type rights struct {
	roles map[roleKey]*ruleSet
	// inCluster are the grants of ClusterRoleBindings; those of RoleBindings are by
	// namespace.
	inCluster map[Subject][]grant
	inside    map[string]map[Subject][]grant
	bindings  map[string][]*Binding
	bySubject map[Subject][]grant
	// sets are the different sets of rules with names, of ClusterRoles and by namespace; named
	// caches namesOf.
	sets  map[string][]*ruleSet
	named map[actIn][]string
	// leading are acts that lead to a deployer.
	leading map[leading][]act
	// served are the server's API groups, mentioned those in rules.
	served    []string
	mentioned map[string]bool
	// revised are the namespaces in which a revision has pods created in any namespace; nil if
	// the API server has no such revisions.
	revised map[string]bool
	// bootstrap caches whether bootstrap tokens lead to a node's certificate.
	bootstrap *bool
}

// actIn is an act in a namespace; empty for the whole cluster.
type actIn struct {
	namespace string
	act
}

// roleKey identifies a role: namespace is empty for a ClusterRole.
type roleKey struct{ namespace, name string }

func newRights(roles []Role, bindings []Binding) *rights {
	x := &rights{
		roles: map[roleKey]*ruleSet{}, inCluster: map[Subject][]grant{}, inside: map[string]map[Subject][]grant{},
		bindings: map[string][]*Binding{}, bySubject: map[Subject][]grant{}, named: map[actIn][]string{}, sets: map[string][]*ruleSet{},
		leading: map[leading][]act{}, mentioned: map[string]bool{},
	}
	sets, seen := map[string]*ruleSet{}, map[[2]string]bool{}
	for _, role := range roles {
		text := rulesText(role.Rules)
		set := sets[text]
		if set == nil {
			set = &ruleSet{rules: role.Rules, known: map[act]answer{}, leads: map[leading]bool{}}
			for _, rule := range role.Rules {
				set.named = append(set.named, rule.ResourceNames...)
				for _, group := range rule.APIGroups {
					x.mentioned[group] = true
				}
			}
			sets[text] = set
		}
		if in := [2]string{role.Namespace, text}; len(set.named) > 0 && !seen[in] {
			seen[in] = true
			x.sets[role.Namespace] = append(x.sets[role.Namespace], set)
		}
		x.roles[roleKey{role.Namespace, role.Name}] = set
	}
	for i := range bindings {
		b := &bindings[i]
		x.bindings[b.Namespace] = append(x.bindings[b.Namespace], b)
		set := x.roleOf(b)
		if set == nil {
			continue // the role does not exist
		}
		for _, s := range b.Subjects {
			if s == (Subject{}) {
				continue
			}
			g := grant{s, b, set}
			if b.Namespace == "" {
				x.inCluster[s] = append(x.inCluster[s], g)
				continue
			}
			in := x.inside[b.Namespace]
			if in == nil {
				in = map[Subject][]grant{}
				x.inside[b.Namespace] = in
			}
			in[s] = append(in[s], g)
			x.bySubject[s] = append(x.bySubject[s], g)
		}
	}
	return x
}

// namesOf returns the names to which the rules of a ClusterRole, or of a Role in that namespace,
// restrict that act, sorted. Roles elsewhere give nothing there, and whoever writes Roles in a
// namespace can fill them with any number of names.
func (x *rights) namesOf(namespace string, a act) []string {
	if namespace != "" && !slices.ContainsFunc(x.sets[namespace], func(set *ruleSet) bool { return set.answer(a).some }) {
		namespace = ""
	}
	names, known := x.named[actIn{namespace, a}]
	if known {
		return names
	}
	sets := x.sets[""]
	if namespace != "" {
		sets = slices.Concat(sets, x.sets[namespace])
	}
	for _, set := range sets {
		if !set.answer(a).some {
			continue
		}
		for _, rule := range set.rules {
			bare := rule
			bare.ResourceNames = nil
			if len(rule.ResourceNames) > 0 && covers(bare, a) {
				names = append(names, rule.ResourceNames...)
			}
		}
	}
	slices.Sort(names)
	names = slices.DeleteFunc(slices.Compact(names), func(name string) bool { return name == "" })
	x.named[actIn{namespace, a}] = names
	return names
}

func (x *rights) roleOf(b *Binding) *ruleSet {
	if b.RoleKind == "Role" {
		if b.Namespace == "" {
			return nil
		}
		return x.roles[roleKey{b.Namespace, b.RoleName}]
	}
	if b.RoleKind != "ClusterRole" {
		return nil
	}
	return x.roles[roleKey{"", b.RoleName}]
}

// step is a question and the grant that answers it with yes. A grant without a binding is
// an identity.
type step struct {
	ask   Ask
	grant grant
}

// find returns a grant that allows what is asked. It looks at the subject before its
// groups, and at grants in the namespace before cluster-wide ones.
func (x *rights) find(holder identity, ask Ask, only func(grant) bool) (grant, bool) {
	switch {
	case ask.BeNode:
		return grant{to: Group(tenant.GroupNodes)}, only == nil && holder.isNode(ask.Names)
	case ask.ByAccount && !holder.isAccount():
		return grant{}, false
	}
	for _, s := range holder {
		lists := [][]grant{nil, x.inCluster[s]}
		switch {
		case ask.AnyNamespace:
			lists[0] = x.bySubject[s]
		case ask.Namespace != "":
			lists[0] = x.inside[ask.Namespace][s]
		}
		for _, grants := range lists {
			for _, g := range grants {
				if (only == nil || only(g)) && g.rules.allows(ask) {
					return g, true
				}
			}
		}
	}
	return grant{}, false
}

// opens reports whether the identity can use the path, and returns the grants that
// allow it. If only is set, other grants do not count. If fit is set, at least one of the
// grants must satisfy it, and the path must not be open to one subject of the identity
// without such a grant.
func (x *rights) opens(holder identity, path Path, only, fit func(grant) bool) ([]step, bool) {
	for _, need := range path.needs {
		steps := make([]step, 0, len(need))
		fits := fit == nil
		for _, ask := range need {
			g, found := grant{}, false
			if fit != nil {
				g, found = x.find(holder, ask, func(g grant) bool { return fit(g) && (only == nil || only(g)) })
			}
			if found {
				fits = true
			} else if g, found = x.find(holder, ask, only); !found {
				break
			}
			steps = append(steps, step{ask, g})
		}
		if len(steps) != len(need) || !fits {
			continue
		}
		if fit != nil && slices.ContainsFunc(steps, func(s step) bool { return s.grant.binding == nil || !fit(s.grant) }) && x.holdsWithout(holder, need, only, fit) {
			continue
		}
		return steps, true
	}
	return nil, false
}

// holdsWithout reports whether one subject of the identity has everything that need asks
// for by grants that do not satisfy fit. The path is then reported for that subject.
func (x *rights) holdsWithout(holder identity, need Need, only, fit func(grant) bool) bool {
	return slices.ContainsFunc(holder, func(one Subject) bool {
		return !slices.ContainsFunc(need, func(ask Ask) bool {
			_, found := x.find(holder, ask, func(g grant) bool { return g.to == one && !fit(g) && (only == nil || only(g)) })
			return !found
		})
	})
}
