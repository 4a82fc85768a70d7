package audit

import (
	"testing"

	"helm-tenant/tenant"
)

// TestImpersonateByTwoGrants: a group is impersonated together with somebody, and the right to
// each may be another grant, one of them in a namespace.
func TestImpersonateByTwoGrants(t *testing.T) {
	for _, test := range []struct {
		cluster, namespaced string // verbs
		want                int
	}{
		{"impersonate", "impersonate", 1}, {"impersonate", "*", 1}, {"*", "impersonate", 1}, {"*", "*", 1},
		{"impersonate", "get", 0}, {"get", "*", 0},
	} {
		s := sceneOf(team("a", tenant.EngineTiller), team("b", tenant.EngineImpersonation))
		eve := User("eve")
		s.give("", "w", eve, rule("", "groups", test.cluster))
		s.give("old", "x", eve, rule("", "serviceaccounts", test.namespaced, "robot"))
		r := Audit(s, Options{Ask: eve})
		if len(r.ClusterWide) != test.want || (len(r.CanReach) > 0) != (test.want > 0) {
			t.Errorf("groups by %s, accounts by %s: reaching every deployer are %v; --can-reach says %v", test.cluster, test.namespaced, r.ClusterWide, r.CanReach)
		}
	}
}
