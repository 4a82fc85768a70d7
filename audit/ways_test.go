package audit

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"helm-tenant/tenant"
)

// TestWaysAreThoseOfAudit: the ways of a former member are the same list as an audit's
// --can-reach.
func TestWaysAreThoseOfAudit(t *testing.T) {
	for _, test := range []struct {
		name  string
		plant func(s *Snapshot)
		want  []string
	}{
		{"nothing", func(*Snapshot) {}, nil},
		{"exec at home", func(s *Snapshot) { s.give("a-tiller", "w", User("eve"), rule("", "pods/exec", "create")) }, []string{"exec"}},
		{"the home of another", func(s *Snapshot) { s.give("b-helm", "w", User("eve"), rule("", "secrets", "get")) }, nil},
		{"a Secret that is not there", func(s *Snapshot) { s.give("a-tiller", "w", User("eve"), rule("", "secrets", "get", "x")) }, nil},
		{"a member's account", func(s *Snapshot) { s.give("ci", "w", User("eve"), rule("", "pods", "create")) }, []string{"use-account"}},
		{"a member by impersonation", func(s *Snapshot) { s.give("", "w", User("eve"), rule("", "users", "impersonate", "alice")) }, []string{"impersonate-member"}},
		{"an administrator's account", func(s *Snapshot) {
			s.give("", "ops", Account("ops", "robot"), rule("*", "*", "*"))
			s.give("ops", "w", User("eve"), rule("", "pods", "create"))
		}, []string{"use-administrator"}},
		{"the cloud's map of identities", func(s *Snapshot) {
			s.Identities = IdentityMap{Used: true, Exists: true}
			s.give("kube-system", "w", User("eve"), rule("", "configmaps", "update", "aws-auth"))
		}, []string{"map-identity"}},
		{"another ConfigMap beside it", func(s *Snapshot) {
			s.Identities = IdentityMap{Used: true, Exists: true}
			s.give("kube-system", "w", User("eve"), rule("", "configmaps", "update", "coredns"))
		}, nil},
		{"where no cloud maps identities", func(s *Snapshot) {
			s.give("kube-system", "w", User("eve"), rule("", "configmaps", "update", "aws-auth"))
		}, nil},
		{"an account that reaches it", func(s *Snapshot) {
			s.give("x", "w", User("eve"), rule("", "serviceaccounts/token", "create", "bot"))
			s.give("a-tiller", "bot", Account("x", "bot"), rule("", "pods/portforward", "create"))
		}, []string{"port-forward"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			a := team("a", tenant.EngineTiller)
			a.Members = tenant.Members{tenant.User("alice"), tenant.Account("ci", "robot")}
			s := sceneOf(a, team("b", tenant.EngineImpersonation))
			test.plant(s)
			var got, asked []string
			for _, way := range NewReach(s).Ways("a-tiller", User("eve")) {
				got = append(got, way.IDs...)
			}
			for _, reached := range Audit(s, Options{Ask: User("eve"), Tenants: []string{"a"}}).CanReach {
				for _, path := range reached.Paths {
					asked = append(asked, path.ID)
				}
			}
			slices.Sort(got)
			if diff := cmp.Diff(test.want, slices.Compact(got)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if diff := cmp.Diff(asked, got); diff != "" {
				t.Errorf("-can-reach +revoke:\n%s", diff)
			}
		})
	}
}
