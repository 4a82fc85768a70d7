package rbac

import (
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"

	"helm-tenant/tenant"
)

func TestRoleGaps(t *testing.T) {
	rule := func(group, resource string, verbs ...string) rbacv1.PolicyRule {
		return rbacv1.PolicyRule{APIGroups: []string{group}, Resources: []string{resource}, Verbs: verbs}
	}
	all := rule("*", "*", "*")
	full := []rbacv1.PolicyRule{rule("", "secrets", "*"), rule("", "namespaces", "get"), rule("", "pods", "get", "list", "watch"), rule("apps", "deployments", "create", "patch")}
	without := func(index int) []rbacv1.PolicyRule {
		return append(append([]rbacv1.PolicyRule{}, full[:index]...), full[index+1:]...)
	}
	const two, three = tenant.EngineTiller, tenant.EngineImpersonation
	for _, test := range []struct {
		name   string
		rules  []rbacv1.PolicyRule
		engine tenant.Engine
		want   string
	}{
		{"everything", []rbacv1.PolicyRule{all}, tenant.EngineBoth, ""},
		{"enough", full, tenant.EngineBoth, ""},
		{"no Secrets", without(0), three, "get, list, create, update, delete secrets"},
		{"no Secrets, for a Tiller", without(0), two, ""},
		{"no namespaces", without(1), two, "get namespaces"},
		{"no namespaces, without a Tiller", without(1), three, ""},
		{"no pods", without(2), three, "get, list, watch pods"},
		{"no watch", append(without(2), rule("", "pods", "get", "list")), two, "not watch pods"},
		{"nothing is written", without(3), three, "create nothing"},
		{"no patch", append(without(3), rule("apps", "deployments", "create")), three, "Helm 4"},
		{"no patch, for a Tiller", append(without(3), rule("apps", "deployments", "create")), two, "upgrades fail"},
		{"Secrets are patched alone", append(without(3), rule("", "secrets", "patch"), rule("", "configmaps", "create")), three, "patch nothing"},
	} {
		got := strings.Join(RoleGaps(test.rules, test.engine), "; ")
		if (got == "") != (test.want == "") || !strings.Contains(got, test.want) {
			t.Errorf("%s: got %q, want %q", test.name, got, test.want)
		}
	}
}
