package audit

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	rbacv1 "k8s.io/api/rbac/v1"

	"helm-tenant/tenant"
)

// fluxScene returns a tenant with an account for Flux, and nothing else to find.
func fluxScene() *Snapshot {
	tested := team("a", tenant.EngineImpersonation)
	tested.FluxAccount, tested.Members = "flux", tenant.Members{User("alice")}
	return sceneOf(tested, team("b", tenant.EngineImpersonation))
}

// TestCheckFluxAccount: who can use a tenant's account for Flux.
func TestCheckFluxAccount(t *testing.T) {
	flux := Account("a-1", "flux")
	pods, tokens := rule("", "pods", "create"), rule("", "serviceaccounts/token", "create")
	const low, medium = "HT080 low service account flux", "HT080 medium service account flux"
	for _, test := range []struct {
		name  string
		plant func(*Snapshot)
		want  []string
	}{
		{"nothing", func(*Snapshot) {}, []string{low}},
		{"a member who may run pods there", func(s *Snapshot) { s.give("a-1", "w", User("alice"), pods) }, []string{"HT040 low user alice", low}},
		{"somebody who may run pods there", func(s *Snapshot) { s.give("a-1", "w", User("eve"), pods) }, []string{"HT040 medium user eve", medium}},
		{"somebody who may mint its tokens", func(s *Snapshot) { s.give("a-1", "w", User("eve"), tokens) }, []string{"HT040 medium user eve", medium}},
		{"somebody who may mint another's tokens", func(s *Snapshot) {
			tokens := tokens
			tokens.ResourceNames = []string{"bot"}
			s.give("a-1", "w", User("eve"), tokens)
		}, []string{"HT040 medium user eve", low}},
		{"somebody who reads", func(s *Snapshot) { s.give("a-1", "w", User("eve"), rule("", "pods", "list")) }, []string{"HT040 low user eve", low}},
		{"another tenant's namespace", func(s *Snapshot) { s.give("b-1", "w", User("eve"), pods) }, []string{"HT040 medium user eve", low}},
		{"a token of it that never ends", func(s *Snapshot) {
			s.Tokens = append(s.Tokens, Token{Namespace: "a-1", Name: "forever", Account: "flux"})
		}, []string{medium}},
		{"a token of another account, and of one of that name elsewhere", func(s *Snapshot) {
			s.Tokens = append(s.Tokens, Token{Namespace: "a-1", Name: "forever", Account: "default"}, Token{Namespace: "b-1", Name: "forever", Account: "flux"})
		}, []string{low}},
		{"the account is gone", func(s *Snapshot) {
			s.Accounts = slices.DeleteFunc(s.Accounts, func(a ServiceAccount) bool { return a.Name == "flux" })
		}, []string{"HT042 medium ServiceAccount flux in namespace a-1", low}},
		{"its rights are gone", func(s *Snapshot) {
			for i := range s.Bindings {
				s.Bindings[i].Subjects = slices.DeleteFunc(slices.Clone(s.Bindings[i].Subjects), func(who Subject) bool { return who == flux })
			}
		}, []string{"HT042 medium RoleBinding helm-tenant.a.admin in namespace a-1", low}},
		{"another account has its rights", func(s *Snapshot) {
			for i := range s.Bindings {
				if s.Bindings[i].Namespace == "a-1" {
					s.Bindings[i].Subjects = append(slices.Clone(s.Bindings[i].Subjects), Account("a-1", "other"))
				}
			}
		}, []string{"HT042 medium RoleBinding helm-tenant.a.admin in namespace a-1", low}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := fluxScene()
			test.plant(s)
			compareFindings(t, s, false, test.want)
		})
	}
}

// TestAccountWays: the ways by which a former member still has the tenant's role.
func TestAccountWays(t *testing.T) {
	for _, test := range []struct {
		name  string
		plant func(*Snapshot)
		who   Subject
		want  []string
	}{
		{"nothing", func(*Snapshot) {}, User("eve"), nil},
		{"pods", func(s *Snapshot) { s.give("a-1", "w", User("eve"), rule("", "pods", "create")) }, User("eve"),
			[]string{"user eve -> RoleBinding w in namespace a-1 -> Role w: use service account a-1:flux, which has the tenant's role"}},
		{"pods elsewhere", func(s *Snapshot) { s.give("b-1", "w", User("eve"), rule("", "pods", "create")) }, User("eve"), nil},
		{"the account itself", func(*Snapshot) {}, Account("a-1", "flux"),
			[]string{"service account a-1:flux -> RoleBinding helm-tenant.a.admin in namespace a-1 -> ClusterRole admin: act with the tenant's role"}},
		{"another account of that name", func(*Snapshot) {}, Account("b-1", "flux"), nil},
		{"a group that it is in", func(s *Snapshot) {
			s.Bindings = append(s.Bindings, Binding{Namespace: "a-1", Name: "w", RoleKind: "ClusterRole", RoleName: "runs", Subjects: []Subject{Group("system:authenticated")}})
			s.Roles = append(s.Roles, Role{Name: "runs", Rules: []rbacv1.PolicyRule{rule("", "pods", "create")}})
		}, User("eve"), []string{"group system:authenticated -> RoleBinding w in namespace a-1 -> ClusterRole runs: use service account a-1:flux, which has the tenant's role"}},
	} {
		s := fluxScene()
		test.plant(s)
		var got []string
		for _, way := range NewReach(s).AccountWays(s.Records[0].Tenant, test.who) {
			got = append(got, way.String())
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s, -want +got:\n%s", test.name, diff)
		}
	}
}

// Secrets with tokens of an account are named, and the fix deletes them: for a tenant's account
// for Flux, and in a home that only looks like one.
func TestTokensAreNamed(t *testing.T) {
	flux := fluxScene()
	flux.Tokens = []Token{{Namespace: "a-1", Name: "forever", Account: "flux"}, {Namespace: "a-1", Name: "of-another", Account: "default"}}
	squatted := sceneOf(team("a", tenant.EngineTiller))
	squatted.Namespaces = append(squatted.Namespaces, Namespace{Name: "a-helm", Labels: map[string]string{tenant.LabelTenant: "a", tenant.LabelHome: "true"}})
	squatted.Accounts = append(squatted.Accounts, ServiceAccount{Namespace: "a-helm", Name: "helm"})
	squatted.Tokens = []Token{{Namespace: "a-helm", Name: "prepared", Account: "helm"}}
	for _, test := range []struct {
		s        *Snapshot
		id, text string
		fix      string
	}{
		{flux, "HT080", "; tokens of it that never end are in Secret forever in namespace a-1", "kubectl delete --namespace=a-1 secret -- forever; helm tenant init a --flux-account="},
		{squatted, "HT008", "; tokens of it that never end are there in Secret prepared", "kubectl delete --namespace=a-helm secret -- prepared; kubectl delete --namespace=a-helm serviceaccount -- helm"},
	} {
		found := slices.DeleteFunc(Audit(test.s, Options{}).Findings, func(f Finding) bool { return f.ID != test.id })
		if len(found) != 1 || !strings.HasSuffix(found[0].Text, test.text) || found[0].Fix.String() != test.fix {
			t.Errorf("%s: got %+v", test.id, found)
		}
	}
}
