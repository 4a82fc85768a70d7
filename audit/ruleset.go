package audit

import (
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
	// Names are alternative objects: a right to any of them is enough, and so is a right to all
	// objects. Without names it must be the right to all.
	Names []string
	// AnyName says that a right to any one object will do, whatever its name is.
	AnyName bool
	// NamePrefix says that a right to any one object will do whose name begins so.
	NamePrefix string
	// AnyAct says that a right will do to any verb that begins with Verb, on whatever.
	AnyAct bool
	// ByAccount says that only a service account can make use of the right.
	ByAccount bool
	// BeNode asks for an identity instead of a right: a node, one of Names if there are any.
	BeNode bool
	// GroupNamed says that a rule counts only if it names the API group, since the API server
	// may not have the group, and a rule for all groups is about the groups that exist.
	GroupNamed bool
	// AnyNamespace says that a right in any one namespace will do.
	AnyNamespace bool
}

func (a Ask) String() string {
	if a.AnyAct {
		return a.Verb + "VERB"
	}
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

// act is an Ask without the object.
type act struct{ verb, group, resource string }

func (a act) rule(names ...string) []rbacv1.PolicyRule {
	return []rbacv1.PolicyRule{{APIGroups: []string{a.group}, Resources: []string{a.resource}, Verbs: []string{a.verb}, ResourceNames: names}}
}

// unnamed reports whether requests of that act can have no object name: a create, and verbs on
// all objects of a kind. A rule with resourceNames: [""] allows these for every object
// (k8s.io/kubernetes/pkg/apis/rbac/v1, ResourceNameMatches).
func (a act) unnamed() bool {
	switch a.verb {
	case "create":
		return !strings.Contains(a.resource, "/")
	case "list", "watch", "deletecollection":
		return true
	}
	return false
}

// ruleSet has the rules of one or more roles, with cached answers. A cluster has many
// roles, and few different ones.
type ruleSet struct {
	rules []rbacv1.PolicyRule
	// named are the names in the rules' resourceNames.
	named []string
	// naming has the rules with each of these names, see rulesNaming.
	naming map[string][]int
	known  map[act]answer
	// leads caches whether the rules have any act that leads to a deployer.
	leads map[leading]bool
}

type answer struct {
	// all is a right to every object, some a right to at least one.
	all, some bool
	// unnamed is a right to requests that name no object.
	unnamed bool
}

// answer returns what the rules allow of an act. validation.Covers with a single rule
// compares as the authorizer does (k8s.io/kubernetes/pkg/apis/rbac/v1, RuleAllows).
func (r *ruleSet) answer(a act) answer {
	if known, found := r.known[a]; found {
		return known
	}
	var found answer
	for _, rule := range r.rules {
		names := rule.ResourceNames
		rule.ResourceNames = nil
		if !covers(rule, a) {
			continue
		}
		found.all = found.all || len(names) == 0
		found.unnamed = found.unnamed || len(names) == 0 || a.unnamed() && slices.Contains(names, "")
		found.some = found.some || len(names) == 0 || slices.ContainsFunc(names, func(name string) bool { return name != "" })
	}
	found.some = found.some || found.unnamed
	r.known[a] = found
	return found
}

// covers reports whether a rule allows an act on the named object, or on every object
// without a name. The verb and API group are compared first, since most rules have
// others: Covers splits every rule and every act before it compares them.
func covers(rule rbacv1.PolicyRule, a act, name ...string) bool {
	if !listed(rule.Verbs, a.verb) || !listed(rule.APIGroups, a.group) {
		return false
	}
	does, _ := validation.Covers([]rbacv1.PolicyRule{rule}, a.rule(name...))
	return does
}

// listed reports whether a rule's list has the word or "*".
func listed(words []string, word string) bool {
	return slices.Contains(words, word) || slices.Contains(words, rbacv1.VerbAll)
}

// acts reports whether the rules allow any verb with that prefix, on anything; with all,
// also by a rule of all verbs.
func (r *ruleSet) acts(prefix string, all bool) bool {
	return slices.ContainsFunc(r.rules, func(rule rbacv1.PolicyRule) bool {
		return len(rule.Resources) > 0 && slices.ContainsFunc(rule.Verbs, func(verb string) bool {
			return all && verb == rbacv1.VerbAll || strings.HasPrefix(verb, prefix)
		})
	})
}

func (r *ruleSet) allows(ask Ask) bool {
	if ask.AnyAct {
		return r.acts(ask.Verb, true)
	}
	if ask.GroupNamed {
		only := &ruleSet{named: r.named, known: map[act]answer{}}
		for _, rule := range r.rules {
			if slices.Contains(rule.APIGroups, ask.Group) {
				only.rules = append(only.rules, rule)
			}
		}
		r, ask.GroupNamed = only, false
	}
	a := act{ask.Verb, ask.Group, ask.Resource}
	can := r.answer(a)
	switch {
	case can.all, can.unnamed && a.unnamed(), can.some && ask.AnyName:
		return true
	case !can.some:
		return false
	}
	for _, name := range r.asked(ask) {
		for _, rule := range r.rulesNaming(name) {
			if covers(rule, a, name) {
				return true
			}
		}
	}
	return false
}

// rulesNaming returns the rules with that name, and of their names only that one: Covers splits a
// rule by its names, and a rule can have a hundred thousand.
func (r *ruleSet) rulesNaming(name string) []rbacv1.PolicyRule {
	if r.naming == nil {
		r.naming = map[string][]int{}
		for i, rule := range r.rules {
			for _, name := range rule.ResourceNames {
				r.naming[name] = append(r.naming[name], i)
			}
		}
	}
	var rules []rbacv1.PolicyRule
	for _, i := range r.naming[name] {
		rule := r.rules[i]
		rule.ResourceNames = []string{name}
		rules = append(rules, rule)
	}
	return rules
}

// asked returns the names that the question is about and that the rules have.
func (r *ruleSet) asked(ask Ask) []string {
	if ask.NamePrefix == "" {
		return ask.Names
	}
	return slices.DeleteFunc(slices.Clone(r.named), func(name string) bool { return !strings.HasPrefix(name, ask.NamePrefix) })
}

// rulesText returns the same text for the same rules.
func rulesText(rules []rbacv1.PolicyRule) string {
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
