package audit

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	rbacv1 "k8s.io/api/rbac/v1"

	"helm-tenant/rails"
	"helm-tenant/tenant"
)

// TestAllowedClasses: who can choose the priority of a class that the guard allows a tenant: of
// one that is missing, whoever may create it.
func TestAllowedClasses(t *testing.T) {
	const group = "scheduling.k8s.io"
	classes := func(names []string, verbs ...string) (rules []rbacv1.PolicyRule) {
		for _, verb := range verbs {
			rules = append(rules, rule(group, "priorityclasses", verb, names...))
		}
		return rules
	}
	batch := []string{"batch"}
	for _, test := range []struct {
		name     string
		existing []string
		unknown  bool
		guard    tenant.Guard
		rules    []rbacv1.PolicyRule
		want     bool
	}{
		{"creates a missing one", nil, false, tenant.GuardEnforce, classes(nil, "create"), true},
		{"creates one while only another exists", []string{"other"}, false, tenant.GuardEnforce, classes(nil, "create"), true},
		{"creates one that exists", batch, false, tenant.GuardEnforce, classes(nil, "create"), false},
		{"applies a missing one", nil, false, tenant.GuardEnforce, classes(batch, "create", "patch"), true},
		{"applies another missing one", nil, false, tenant.GuardEnforce, classes([]string{"other"}, "create", "patch"), false},
		{"creates a missing one by its name, which no POST has", nil, false, tenant.GuardEnforce, classes(batch, "create"), false},
		{"updates a missing one", nil, false, tenant.GuardEnforce, classes(nil, "update", "patch"), false},
		{"deletes and creates one that exists", batch, false, tenant.GuardEnforce, classes(nil, "delete", "create"), true},
		{"creates one of classes that nobody listed", nil, true, tenant.GuardEnforce, classes(nil, "create"), true},
		{"creates one without a guard", nil, false, tenant.GuardOff, classes(nil, "create"), false},
	} {
		team := team("a", tenant.EngineImpersonation)
		team.Guard, team.PriorityClasses = test.guard, batch
		s := sceneOf(team)
		s.PriorityClasses, s.Priorities = test.existing, rails.Priorities{Unknown: test.unknown}
		s.give("", "w", User("zoe"), test.rules...)
		var got []string
		for _, reached := range Audit(s, Options{Ask: User("zoe")}).CanReach {
			for _, path := range reached.Paths {
				got = append(got, path.ID)
			}
		}
		var want []string
		if test.want {
			want = []string{"change-class"}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s, -want +got:\n%s", test.name, diff)
		}
	}
}
