package admin

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	rbacv1 "k8s.io/api/rbac/v1"

	"helm-tenant/cluster"
	"helm-tenant/tenant"
)

// requestedRules returns the verbs and resources of rules, bind and escalate apart, which are
// no requests.
func requestedRules(rules []rbacv1.PolicyRule) map[string]bool {
	allowed := map[string]bool{}
	for _, rule := range rules {
		for _, verb := range rule.Verbs {
			for _, resource := range rule.Resources {
				if verb != "bind" && verb != "escalate" {
					allowed[verb+" "+rule.APIGroups[0]+"/"+resource] = true
				}
			}
		}
	}
	return allowed
}

// TestRevokeRules: revoke --expired --all asks for what its rules allow, and for nothing
// else.
func TestRevokeRules(t *testing.T) {
	over := tenant.Terms{{Subject: tenant.User("bob"), Until: time.Now().Add(-time.Minute)}}.Annotation("")
	server, c := withTerms(t, over, "bob", "carol").start(t)
	server.Writes()
	expired, err := Expired(t.Context(), c)
	if err != nil || len(expired) != 1 {
		t.Fatal(expired, err)
	}
	if got, err := Revoke(t.Context(), c, expired[0], RevokeRequest{Expired: true}, false); err != nil || len(got.Changed[tenant.RelationMember]) != 1 {
		t.Fatal(got, err)
	}
	asked := map[string]bool{}
	for resource, r := range cluster.Resources() {
		for _, verb := range []string{"get", "list", "watch", "create", "update", "delete"} {
			if server.Count(verb, r.Kind) > 0 {
				asked[verb+" "+resource.Group+"/"+resource.Resource] = true
			}
		}
	}
	if diff := cmp.Diff(slices.Sorted(maps.Keys(asked)), slices.Sorted(maps.Keys(requestedRules(RevokeRules())))); diff != "" {
		t.Errorf("-asked for +allowed:\n%s", diff)
	}
}
