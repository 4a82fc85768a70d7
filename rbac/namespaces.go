package rbac

import (
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/component-helpers/auth/rbac/validation"
)

// NamespaceWrite is a request that changes a namespace's labels, or deletes it.
type NamespaceWrite struct{ Verb, Resource string }

func (w NamespaceWrite) String() string { return w.Verb + " " + w.Resource }

// NamespaceWrites returns all requests that change the labels of an existing namespace,
// or delete it. The strategies of the subresources status and finalize keep the metadata
// of the request (k8s.io/kubernetes/pkg/registry/core/namespace, strategy.go), and
// finalize has no patch. The API server authorizes each of them in the namespace itself,
// so that a RoleBinding there is enough.
func NamespaceWrites() []NamespaceWrite {
	return []NamespaceWrite{
		{"update", "namespaces"}, {"patch", "namespaces"}, {"delete", "namespaces"},
		{"update", "namespaces/status"}, {"patch", "namespaces/status"},
		{"update", "namespaces/finalize"},
	}
}

// WritesNamespaces returns the NamespaceWrites that any of the rules allows, for any
// namespace. It is empty for a role that a tenant's deployer may have: the labels of a
// namespace keep PodSecurity and the admission policies in force.
func WritesNamespaces(rules []rbacv1.PolicyRule) []NamespaceWrite {
	var found []NamespaceWrite
	for _, write := range NamespaceWrites() {
		needed := []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{write.Resource}, Verbs: []string{write.Verb}}}
		for _, rule := range rules {
			rule.ResourceNames = nil
			if covered, _ := validation.Covers([]rbacv1.PolicyRule{rule}, needed); covered {
				found = append(found, write)
				break
			}
		}
	}
	return found
}
