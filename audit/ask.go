package audit

import (
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
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
