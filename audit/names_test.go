package audit

import (
	"fmt"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"

	"helm-tenant/tenant"
)

// TestManyNames: a tenant's member fills a Role with a hundred thousand names. If each of them is a
// way to each deployer, an audit takes hours and all memory.
func TestManyNames(t *testing.T) {
	var names []string
	for i := range 100_000 {
		names = append(names, fmt.Sprintf("n%d", i))
	}
	many := rbacv1.PolicyRule{APIGroups: []string{"", "apps", "batch", rbacGroup}, Resources: []string{"pods", "secrets", "deployments", "jobs", "roles", "rolebindings"},
		Verbs: []string{"create", "update", "patch", "escalate"}, ResourceNames: names}
	scene := func(names int) *Snapshot {
		few := many
		few.ResourceNames = many.ResourceNames[:names]
		s := sceneOf(team("a", tenant.EngineTiller), team("b", tenant.EngineImpersonation))
		s.Roles = append(s.Roles, Role{Namespace: "a-1", Name: "many", Rules: []rbacv1.PolicyRule{few}})
		s.Bindings = append(s.Bindings, Binding{Namespace: "a-1", Name: "many", RoleKind: "Role", RoleName: "many", Subjects: []Subject{Account("a-1", "default")}})
		return s
	}
	waysIn := func(s *Snapshot, namespace string) int {
		count := 0
		for _, path := range newAuditor(s).rights.paths(Target{Home: namespace, Account: "x", Engine: tenant.EngineTiller, NamesKnown: true}) {
			count += len(path.needs)
		}
		return count
	}
	none := waysIn(sceneOf(team("a", tenant.EngineTiller), team("b", tenant.EngineImpersonation)), "b-helm")
	if got := waysIn(scene(500), "b-helm"); got != none {
		t.Errorf("%d ways into another namespace, %d without the names", got, none)
	}
	if got := waysIn(scene(10), "a-1"); got < none+100 {
		t.Errorf("%d ways with ten names, %d without", got, none)
	}
	if got := waysIn(scene(100_000), "a-1"); got > none+100 {
		t.Errorf("%d ways with too many names, %d without", got, none)
	}
	// With the member's own account among those that can be used.
	s := scene(100_000)
	s.give("a-tiller", "robot", Account("a-1", "robot"), rule("", "pods/portforward", "create"))
	s.Accounts = append(s.Accounts, ServiceAccount{Namespace: "a-1", Name: "robot"})
	Audit(s, Options{})
}

// TestTooManyNames: with too many names the rights to one are found nevertheless.
func TestTooManyNames(t *testing.T) {
	var names []string
	for i := range mostNames + 1 {
		names = append(names, fmt.Sprintf("n%d", i))
	}
	for _, test := range []struct {
		verbs []string
		want  int
	}{{[]string{"create", "patch"}, 1}, {[]string{"create"}, 0}, {[]string{"patch"}, 0}} {
		s := sceneOf(team("a", tenant.EngineTiller))
		var rules []rbacv1.PolicyRule
		for _, verb := range test.verbs {
			rules = append(rules, rule("batch", "jobs", verb, names...))
		}
		s.give("a-tiller", "x", User("eve"), rules...)
		if got := found(s, idMakePods); len(got) != test.want {
			t.Errorf("%v: found is %+v", test.verbs, got)
		}
	}
}
