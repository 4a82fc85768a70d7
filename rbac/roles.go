package rbac

import (
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/component-helpers/auth/rbac/validation"

	"helm-tenant/tenant"
)

// AdminRoleName is the ClusterRole that init makes on demand with the rules that
// Kubernetes itself gives its role admin, without those that other ClusterRoles aggregate
// into it.
const AdminRoleName = madePrefix + "admin"

const madePrefix = "helm-tenant-"

// aggregated are the ClusterRoles that the API server aggregates into its roles admin,
// edit and view. Each is part of the role before it
// (k8s.io/kubernetes/plugin/pkg/auth/authorizer/rbac/bootstrappolicy).
var aggregated = []string{"system:aggregate-to-admin", "system:aggregate-to-edit", "system:aggregate-to-view"}

// KubernetesRoles returns the ClusterRoles that Kubernetes aggregates into admin, edit or
// view; none for a role with another name.
func KubernetesRoles(role string) []string {
	for i, source := range aggregated {
		if strings.TrimPrefix(source, "system:aggregate-to-") == role {
			return aggregated[i:]
		}
	}
	return nil
}

// MadeRole returns the name of the ClusterRole that init makes for admin, edit or view.
// For a role with another name it is AdminRoleName.
func MadeRole(role string) string {
	if KubernetesRoles(role) == nil {
		return AdminRoleName
	}
	return madePrefix + role
}

// MadeOf returns the ClusterRoles from whose rules init makes the named one; none for a
// role that it does not make.
func MadeOf(name string) []string {
	role, isMade := strings.CutPrefix(name, madePrefix)
	if !isMade {
		return nil
	}
	return KubernetesRoles(role)
}

// ClusterRole returns the ClusterRole for a name with a MadeOf, with those rules. It
// belongs to no tenant: all tenants with that role share it.
func ClusterRole(name string, rules []rbacv1.PolicyRule) *rbacv1.ClusterRole {
	return &rbacv1.ClusterRole{
		TypeMeta:   metav1.TypeMeta{APIVersion: rbacv1.SchemeGroupVersion.String(), Kind: "ClusterRole"},
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{tenant.LabelManagedBy: tenant.ManagedBy}},
		Rules:      rules,
	}
}

// reviews are resources that are not stored: creating one asks the API server a question,
// and every account may ask about itself.
var reviews = []string{"localsubjectaccessreviews", "subjectaccessreviews", "selfsubjectaccessreviews", "selfsubjectrulesreviews", "selfsubjectreviews"}

// RoleGaps returns the rights that a deployer's role lacks and helm needs with these
// engines, and what fails without them, a line each. What a chart's own objects need is
// not known: for create and patch, it is enough that the role allows them on some
// resource.
func RoleGaps(rules []rbacv1.PolicyRule, engine tenant.Engine) []string {
	lacking := func(group, resource string, verbs ...string) string {
		var missing []string
		for _, verb := range verbs {
			needed := rbacv1.PolicyRule{APIGroups: []string{group}, Resources: []string{resource}, Verbs: []string{verb}}
			if covered, _ := validation.Covers(rules, []rbacv1.PolicyRule{needed}); !covered {
				missing = append(missing, verb)
			}
		}
		return strings.Join(missing, ", ")
	}
	allows := func(verb string) bool {
		return slices.ContainsFunc(rules, func(r rbacv1.PolicyRule) bool {
			return (slices.Contains(r.Verbs, verb) || slices.Contains(r.Verbs, rbacv1.VerbAll)) && slices.ContainsFunc(r.Resources, func(resource string) bool {
				return !strings.Contains(resource, "/") && resource != "secrets" && !slices.Contains(reviews, resource)
			})
		})
	}
	var gaps []string
	if engine.Has(tenant.EngineImpersonation) {
		if verbs := lacking("", "secrets", "get", "list", "create", "update", "delete"); verbs != "" {
			gaps = append(gaps, "it may not "+verbs+" secrets: Helm 3 and 4 keep their releases in them, and installs, upgrades or uninstalls fail")
		}
	}
	if engine.Has(tenant.EngineTiller) && lacking("", "namespaces", "get") != "" {
		gaps = append(gaps, "it may not get namespaces: Tiller looks for the release's namespace, and no install works")
	}
	if !allows("create") {
		gaps = append(gaps, "it may create nothing: no install works")
	}
	if !allows("patch") {
		consequence := "it may patch nothing: upgrades fail"
		if engine.Has(tenant.EngineImpersonation) {
			consequence = "it may patch nothing: installs fail under Helm 4, whose server-side apply patches, and upgrades under Helm 2 and 3"
		}
		gaps = append(gaps, consequence)
	}
	if verbs := lacking("", "pods", "get", "list", "watch"); verbs != "" {
		gaps = append(gaps, "it may not "+verbs+" pods: --wait, --atomic and hooks fail")
	}
	return gaps
}

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
