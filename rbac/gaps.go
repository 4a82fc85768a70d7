package rbac

import (
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/component-helpers/auth/rbac/validation"

	"helm-tenant/tenant"
)

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
