package audit

import (
	"cmp"
	"slices"
	"strings"

	"helm-tenant/tenant"

	rbacv1 "k8s.io/api/rbac/v1"
)

// Writer is a subject that may change objects in a tenant's namespaces by a binding.
type Writer struct {
	Subject Subject `json:"-"`
	// Name is the subject as people read it.
	Name    string `json:"subject"`
	Binding string `json:"binding"`
	Role    string `json:"role"`
}

// Writers returns the subjects that may change objects in any of these namespaces, by the
// bindings there and those of the cluster. It leaves out Kubernetes' own components, and
// subjects for whom held reports that their writes are denied. Rights through impersonation or
// another account's token are not considered.
func Writers(namespaces []string, roles []Role, bindings []Binding, held func(Binding, Subject) bool) []Writer {
	rules := map[roleKey][]rbacv1.PolicyRule{}
	for _, role := range roles {
		rules[roleKey{role.Namespace, role.Name}] = role.Rules
	}
	var relevant []*Binding
	for i, b := range bindings {
		if b.Namespace == "" || slices.Contains(namespaces, b.Namespace) {
			relevant = append(relevant, &bindings[i])
		}
	}
	return writersOf(relevant, func(key roleKey) []rbacv1.PolicyRule { return rules[key] }, func(b *Binding, s Subject) bool { return held(*b, s) })
}

// writersOf returns the Writers by these bindings, sorted by subject.
func writersOf(bindings []*Binding, rules func(roleKey) []rbacv1.PolicyRule, held func(*Binding, Subject) bool) []Writer {
	var writers []Writer
	for _, b := range bindings {
		key := roleKey{name: b.RoleName}
		if b.RoleKind == "Role" {
			key.namespace = b.Namespace
		}
		if !slices.ContainsFunc(rules(key), writesInNamespaces) {
			continue
		}
		for _, s := range b.Subjects {
			if !isKubernetes(s) && !held(b, s) {
				writers = append(writers, Writer{s, s.String(), b.String(), b.Role()})
			}
		}
	}
	slices.SortFunc(writers, func(a, b Writer) int {
		return cmp.Or(compareSubjects(a.Subject, b.Subject), strings.Compare(a.Binding, b.Binding))
	})
	return slices.Compact(writers)
}

func isKubernetes(s Subject) bool {
	switch s.Kind {
	case rbacv1.ServiceAccountKind:
		return s.Namespace == "kube-system"
	case rbacv1.UserKind:
		return s.IsComponent()
	}
	return s.Name == tenant.GroupNodes || s.Name == tenant.GroupBootstrappers || strings.HasPrefix(s.Name, tenant.GroupBootstrappers+":") || s.Name == "system:monitoring"
}

var readingVerbs = []string{"get", "list", "watch"}

// outsideNamespaces are resources of the cluster, and those whose objects are questions
// or messages.
var outsideNamespaces = []string{
	"namespaces", "nodes", "persistentvolumes", "componentstatuses", "clusterroles", "clusterrolebindings", "customresourcedefinitions",
	"storageclasses", "csinodes", "csidrivers", "volumeattachments", "priorityclasses", "runtimeclasses", "ingressclasses", "apiservices",
	"mutatingwebhookconfigurations", "validatingwebhookconfigurations", "validatingadmissionpolicies", "validatingadmissionpolicybindings",
	"certificatesigningrequests", "flowschemas", "prioritylevelconfigurations", "users", "groups", "uids",
	"tokenreviews", "subjectaccessreviews", "selfsubjectaccessreviews", "selfsubjectrulesreviews", "selfsubjectreviews", "localsubjectaccessreviews",
	"events", "leases",
}

// writesInNamespaces reports whether a rule allows to change objects in namespaces.
func writesInNamespaces(rule rbacv1.PolicyRule) bool {
	writes := slices.ContainsFunc(rule.Verbs, func(verb string) bool { return !slices.Contains(readingVerbs, verb) })
	return writes && slices.ContainsFunc(rule.Resources, func(resource string) bool {
		name, _, _ := strings.Cut(resource, "/")
		return !slices.Contains(outsideNamespaces, name)
	})
}
