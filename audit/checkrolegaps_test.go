package audit

import (
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"

	"helm-tenant/tenant"
)

// TestRoleGaps: missing rights are reported once for each role, for the affected tenants, with
// the needs of their own helms.
func TestRoleGaps(t *testing.T) {
	without := func(resource string) []rbacv1.PolicyRule {
		var rules []rbacv1.PolicyRule
		for _, r := range worksRules() {
			if r.Resources[0] != resource {
				rules = append(rules, r)
			}
		}
		return rules
	}
	for _, test := range []struct {
		name, role, tenants, text, fix string
		rules                          []rbacv1.PolicyRule
	}{
		{name: "all that it takes", role: "own", rules: worksRules()},
		{name: "no Secrets, which a Tiller does without", role: "own", rules: without("secrets"), tenants: "b",
			text: "helm can't do all that it does for tenant b with the role own: it may not get, list, create, update, delete secrets", fix: "kubectl edit clusterrole -- own"},
		{name: "no namespaces, which Helm 3 and 4 do without", role: "own", rules: without("namespaces"), tenants: "a", text: "it may not get namespaces", fix: "kubectl edit clusterrole -- own"},
		{name: "no pods", role: "view", rules: without("pods"), text: "for 2 tenants, a, b with the role view: it may not get, list, watch pods", fix: "helm tenant init a --role=helm-tenant-admin; helm tenant init b --role=helm-tenant-admin"},
		{name: "nothing to write", role: "helm-tenant-view", rules: without("deployments"), text: "it may create nothing", fix: "helm tenant init a --role=helm-tenant-admin"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var tenants []tenant.Tenant
			for _, tested := range []tenant.Tenant{team("a", tenant.EngineTiller), team("b", tenant.EngineImpersonation)} {
				tested.Role = test.role
				tenants = append(tenants, tested)
			}
			s := sceneOf(tenants...)
			s.Roles = append(s.Roles, Role{Name: test.role, Rules: test.rules})
			got := found(s, idRoleGaps)
			if test.text == "" {
				if len(got) > 0 {
					t.Errorf("got %+v", got)
				}
				return
			}
			if len(got) != 1 || !strings.Contains(got[0].Text, test.text) || strings.Join(got[0].Tenants, " ") != test.tenants || !strings.Contains(got[0].Fix.String(), test.fix) {
				t.Errorf("got %+v", got)
			}
		})
	}
}
