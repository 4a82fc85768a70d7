package audit

import (
	"fmt"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"

	"helm-tenant/rbac"
	"helm-tenant/tenant"
)

// TestManyAccounts: thousands of service accounts as members do not become one finding each,
// and subjects that can get a token of one of them are found. If each account's paths are
// compared for all the others, this takes minutes.
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

// TestManyWideAccounts: hundreds of controllers' service accounts, each with a cluster-wide
// right, and hundreds of tenants: one finding each. If every path of every tenant is compared
// for every account, this takes minutes.
func TestManyWideAccounts(t *testing.T) {
	var teams []tenant.Tenant
	for i := range 600 {
		teams = append(teams, team(fmt.Sprintf("t%d", i), []tenant.Engine{tenant.EngineTiller, tenant.EngineImpersonation}[i%2]))
	}
	s := sceneOf(teams...)
	s.Namespaces = append(s.Namespaces, Namespace{Name: "ops"})
	kinds := []struct {
		way  string
		rule rbacv1.PolicyRule
	}{
		{"read Secrets", rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"secrets"}, Verbs: []string{"get", "list", "watch"}}},
		{"change the Tiller", rbacv1.PolicyRule{APIGroups: []string{"apps"}, Resources: []string{"deployments"}, Verbs: []string{"*"}}},
		{"mint the deployer's token", rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"serviceaccounts/token"}, Verbs: []string{"create"}}},
		{"", rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"configmaps"}, Verbs: []string{"update"}, ResourceNames: []string{"settings"}}},
	}
	ways := map[string]string{}
	for i := range 200 {
		account := Account("ops", fmt.Sprintf("n%d", i))
		s.Accounts = append(s.Accounts, ServiceAccount{Namespace: account.Namespace, Name: account.Name})
		kind := kinds[i%len(kinds)]
		s.give("", "w"+account.Name, account, kind.rule)
		if kind.way != "" {
			ways[account.String()] = kind.way
		}
	}
	findings := Audit(s, Options{}).Findings
	if len(findings) != len(ways) {
		t.Errorf("%d findings, want %d", len(findings), len(ways))
	}
	for _, f := range findings {
		if way := ways[f.Subject]; f.ID != "HT022" || way == "" || !strings.Contains(f.Text, way) {
			t.Errorf("%s about %s should be HT022 that says %q: %s", f.ID, f.Subject, way, f.Text)
		}
	}
}
