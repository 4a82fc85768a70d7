package audit

import (
	"fmt"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"

	"helm-tenant/rbac"
	"helm-tenant/tenant"
)

// TestManyAccounts: thousands of service accounts as members are no finding each, and who
// can have a token of one of them is found. Where each account's paths are compared for all
// the others, this takes minutes.
func TestManyAccounts(t *testing.T) {
	tested := team("a", tenant.EngineImpersonation)
	scene := func(accounts int) *Snapshot {
		s := sceneOf(tested, team("b", tenant.EngineTiller))
		s.Namespaces = append(s.Namespaces, Namespace{Name: "ci"})
		for i := range s.Bindings {
			if s.Bindings[i].Name == rbac.MemberName && s.Bindings[i].Namespace == tested.Home() {
				for j := range accounts {
					name := fmt.Sprintf("n%d", j)
					s.Bindings[i].Subjects = append(s.Bindings[i].Subjects, Account("ci", name))
					s.Accounts = append(s.Accounts, ServiceAccount{Namespace: "ci", Name: name})
				}
			}
		}
		return s
	}
	small, many := Audit(scene(1), Options{}), Audit(scene(3000), Options{})
	if len(many.Findings) != len(small.Findings) {
		t.Errorf("%d findings with 3000 accounts, %d with one: %v", len(many.Findings), len(small.Findings), small.Findings)
	}
	s := scene(3000)
	s.give("ci", "w", User("eve"), rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"serviceaccounts/token"}, Verbs: []string{"create"}, ResourceNames: []string{"n2999"}})
	got := Audit(s, Options{}).Findings
	if len(got) != len(small.Findings)+1 {
		t.Fatalf("%d findings with somebody who has a member's token, %d without", len(got), len(small.Findings))
	}
	for _, f := range got {
		if f.ID == "HT033" && strings.Contains(f.Text, "ci:n2999 is a member, and can be used by user eve") {
			return
		}
	}
	t.Errorf("nothing is said of user eve: %v", got)
}
