package audit

import (
	"fmt"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/component-helpers/auth/rbac/validation"
)

// Ask is one question to the API server's authorizer, or one for each of several
// names.
type Ask struct {
	Verb, Group, Resource string // the resource with its subresource: pods/exec
	// Namespace is empty for a question about the whole cluster.
	Namespace string
	// Names are the objects of which any one will do. A right to all objects
	// holds for each; where there is no name, it is the right to all.
	Names []string
	// AnyName says that a right to any one object will do, whatever its name is.
	AnyName bool
	// AnyNamespace says that a right in any one namespace will do.
	AnyNamespace bool
}

func (a Ask) String() string {
	resource := a.Resource
	if a.Group != "" {
		// As kubectl writes it: deployments.apps/scale.
		name, sub, _ := strings.Cut(resource, "/")
		resource = name + "." + a.Group
		if sub != "" {
			resource += "/" + sub
		}
	}
	return a.Verb + " " + resource
}

// Need are questions that all must be answered with yes.
type Need []Ask

// act is what an Ask is about, without the object.
type act struct{ verb, group, resource string }

func (a act) rule(names ...string) []rbacv1.PolicyRule {
	return []rbacv1.PolicyRule{{APIGroups: []string{a.group}, Resources: []string{a.resource}, Verbs: []string{a.verb}, ResourceNames: names}}
}

// ruleSet are the rules of one or more roles, and what was found out about them.
// There are many roles in a cluster, and few different ones.
type ruleSet struct {
	rules []rbacv1.PolicyRule
	// named are the names that any rule is held to.
	named []string
	known map[act]answer
	// leads says whether they hold any act that leads to a deployer.
	leads map[leading]bool
}

type answer struct {
	// all is a right to every object, some to at least one.
	all, some bool
}

// answer says what the rules allow of an act. A single rule of validation.Covers
// is what the authorizer compares, too
// (k8s.io/kubernetes/pkg/apis/rbac/v1, RuleAllows).
func (r *ruleSet) answer(a act) answer {
	if known, found := r.known[a]; found {
		return known
	}
	var found answer
	for _, rule := range r.rules {
		found.all = found.all || covers(rule, a.rule())
		rule.ResourceNames = nil
		found.some = found.some || covers(rule, a.rule())
	}
	r.known[a] = found
	return found
}

func covers(rule rbacv1.PolicyRule, needed []rbacv1.PolicyRule) bool {
	does, _ := validation.Covers([]rbacv1.PolicyRule{rule}, needed)
	return does
}

func (r *ruleSet) allows(ask Ask) bool {
	a := act{ask.Verb, ask.Group, ask.Resource}
	can := r.answer(a)
	switch {
	case can.all || can.some && ask.AnyName:
		return true
	case !can.some:
		return false
	}
	for _, name := range ask.Names {
		if slices.Contains(r.named, name) && slices.ContainsFunc(r.rules, func(rule rbacv1.PolicyRule) bool { return covers(rule, a.rule(name)) }) {
			return true
		}
	}
	return false
}

// grant is a binding's role, as it is given to one subject.
type grant struct {
	to      Subject
	binding *Binding
	rules   *ruleSet
}

// chain is the way from the subject to the right, object by object. who is the
// subject that was asked about, which may be in the one that is bound.
func (g grant) chain(who Subject, ask Ask) []string {
	chain := []string{who.String()}
	if g.to != who {
		chain = append(chain, g.to.String())
	}
	return append(chain, g.binding.String(), g.binding.Role(), ask.String())
}

// String is "RoleBinding NAME in namespace NS".
func (b *Binding) String() string { return objectName(b.kind(), b.Namespace, b.Name) }

func (b *Binding) kind() string {
	if b.Namespace == "" {
		return "ClusterRoleBinding"
	}
	return "RoleBinding"
}

// Role is "ClusterRole NAME", or "Role NAME".
func (b *Binding) Role() string { return b.RoleKind + " " + b.RoleName }

func objectName(kind, namespace, name string) string {
	if namespace == "" {
		return kind + " " + name
	}
	return fmt.Sprintf("%s %s in namespace %s", kind, name, namespace)
}

// rights answers what subjects may do.
type rights struct {
	roles map[roleKey]*ruleSet
	// inCluster are the grants by ClusterRoleBindings, in the namespaces those by
	// RoleBindings.
	inCluster map[Subject][]grant
	inside    map[string]map[Subject][]grant
	bindings  map[string][]*Binding
	bySubject map[Subject][]grant
	// named are names that any role's rules hold a verb on a resource to.
	named map[act][]string
	// leading are acts that lead to a deployer.
	leading map[leading][]act
}

// roleKey names a role: Namespace is empty for a ClusterRole.
type roleKey struct{ namespace, name string }

func newRights(roles []Role, bindings []Binding) *rights {
	x := &rights{
		roles: map[roleKey]*ruleSet{}, inCluster: map[Subject][]grant{}, inside: map[string]map[Subject][]grant{},
		bindings: map[string][]*Binding{}, bySubject: map[Subject][]grant{}, named: map[act][]string{},
		leading: map[leading][]act{},
	}
	sets := map[string]*ruleSet{}
	for _, role := range roles {
		text := fingerprint(role.Rules)
		set := sets[text]
		if set == nil {
			set = &ruleSet{rules: role.Rules, known: map[act]answer{}, leads: map[leading]bool{}}
			for _, rule := range role.Rules {
				set.named = append(set.named, rule.ResourceNames...)
				x.addNamed(rule)
			}
			sets[text] = set
		}
		x.roles[roleKey{role.Namespace, role.Name}] = set
	}
	for i := range bindings {
		b := &bindings[i]
		x.bindings[b.Namespace] = append(x.bindings[b.Namespace], b)
		set := x.roleOf(b)
		if set == nil {
			continue // the role is gone, or was never there
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

// fingerprint is the same for the same rules.
func fingerprint(rules []rbacv1.PolicyRule) string {
	var text strings.Builder
	for _, rule := range rules {
		for _, list := range [][]string{rule.Verbs, rule.APIGroups, rule.Resources, rule.ResourceNames, rule.NonResourceURLs} {
			for _, word := range list {
				text.WriteString(word)
				text.WriteByte(1)
			}
			text.WriteByte(2)
		}
		text.WriteByte(3)
	}
	return text.String()
}

func (x *rights) addNamed(rule rbacv1.PolicyRule) {
	if len(rule.ResourceNames) == 0 {
		return
	}
	for _, verb := range []string{"bind", "escalate", "update", "patch"} {
		for _, resource := range []string{"roles", "clusterroles"} {
			a := act{verb, rbacv1.GroupName, resource}
			bare := rule
			bare.ResourceNames = nil
			if covers(bare, a.rule()) {
				for _, name := range rule.ResourceNames {
					if !slices.Contains(x.named[a], name) {
						x.named[a] = append(x.named[a], name)
					}
				}
			}
		}
	}
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

// step is a question and the grant that answers it with yes.
type step struct {
	ask   Ask
	grant grant
}

// find looks for a grant that answers the question, those to the first of who
// before those to the groups, and those in the namespace before the cluster's.
func (x *rights) find(who identity, ask Ask, only func(grant) bool) (grant, bool) {
	for _, s := range who {
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

// opens says whether the path is open to who, and by what. With fit, only a way
// with a grant for which it holds counts, and none that is as open without it.
func (x *rights) opens(who identity, path Path, only, fit func(grant) bool) ([]step, bool) {
	for _, need := range path.Any {
		steps := make([]step, 0, len(need))
		fits := fit == nil
		for _, ask := range need {
			g, found := grant{}, false
			if fit != nil {
				g, found = x.find(who, ask, func(g grant) bool { return fit(g) && (only == nil || only(g)) })
			}
			if found {
				fits = true
			} else if g, found = x.find(who, ask, only); !found {
				break
			}
			steps = append(steps, step{ask, g})
		}
		if len(steps) != len(need) || !fits {
			continue
		}
		if fit != nil && slices.ContainsFunc(steps, func(s step) bool { return !fit(s.grant) }) && x.holdsWithout(who, need, only, fit) {
			continue
		}
		return steps, true
	}
	return nil, false
}

// holdsWithout says whether grants for which fit does not hold, all of them to one
// and the same of who, answer all that is needed: then the way is told of that one.
func (x *rights) holdsWithout(who identity, need Need, only, fit func(grant) bool) bool {
	return slices.ContainsFunc(who, func(one Subject) bool {
		return !slices.ContainsFunc(need, func(ask Ask) bool {
			_, found := x.find(who, ask, func(g grant) bool { return g.to == one && !fit(g) && (only == nil || only(g)) })
			return !found
		})
	})
}
