package audit

import (
	"slices"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"

	"helm-tenant/rbac"
	"helm-tenant/tenant"
)

// readScene returns a tenant with a reader, of which nothing is wrong.
func readScene() *Snapshot {
	tested := team("a", tenant.EngineImpersonation)
	tested.Readers = tenant.Members{User("pam")}
	s := sceneOf(tested, team("b", tenant.EngineImpersonation))
	s.Roles = append(s.Roles, Role{Name: rbac.ViewRole, Rules: []rbacv1.PolicyRule{rule("apps", "deployments", "get", "list")}},
		Role{Name: rbac.SecretsRole, Rules: rbac.SecretsClusterRole().Rules})
	for _, b := range rbac.ReaderBindings(tested, "a-1") {
		s.addRBAC(b)
	}
	s.Records[0].Tenant.Readers = nil
	return s
}

// TestCheckReaders: rights of readers beyond reading, and other subjects that can read.
func TestCheckReaders(t *testing.T) {
	reader := Account("a-helm", tenant.ReaderAccount)
	for _, test := range []struct {
		name  string
		plant func(*Snapshot)
		want  []string
	}{
		{"nothing", func(*Snapshot) {}, nil},
		{"the account can change something", func(s *Snapshot) { s.give("a-1", "more", reader, rule("apps", "deployments", "patch")) },
			[]string{"HT037 high service account a-helm:helm-reader"}},
		{"the account reads elsewhere", func(s *Snapshot) { s.give("other", "more", reader, rule("apps", "deployments", "get")) },
			[]string{"HT037 medium service account a-helm:helm-reader"}},
		{"all accounts of the home can", func(s *Snapshot) {
			s.give("other", "more", Group("system:serviceaccounts:a-helm"), rule("apps", "deployments", "patch"))
		}, []string{"HT037 high group system:serviceaccounts:a-helm"}},
		{"the role view can change something", func(s *Snapshot) {
			i := slices.IndexFunc(s.Roles, func(r Role) bool { return r.Name == rbac.ViewRole })
			s.Roles[i].Rules = append(s.Roles[i].Rules, rule("example.com", "widgets", "create"))
		}, []string{"HT037 high service account a-helm:helm-reader"}},
		{"a token of an account that can change something", func(s *Snapshot) {
			s.Tokens = append(s.Tokens, Token{Namespace: "a-1", Name: "old", Account: "bot"}, Token{Namespace: "a-1", Name: "weak", Account: "idle"})
			s.give("a-1", "bot", Account("a-1", "bot"), rule("apps", "deployments", "patch"))
			s.give("a-1", "idle", Account("a-1", "idle"), rule("apps", "deployments", "get"))
		}, []string{"HT037 high Secret old in namespace a-1"}},
		{"somebody impersonates the account", func(s *Snapshot) {
			s.give("a-helm", "also", User("zoe"), rule("", "serviceaccounts", "impersonate"))
		}, []string{"HT015 high user zoe", "HT038 high user zoe"}},
		{"somebody has a reader's rights by another binding", func(s *Snapshot) {
			s.Bindings = append(s.Bindings, Binding{Namespace: "a-helm", Name: "kept", RoleKind: "Role", RoleName: rbac.ReaderName, Subjects: []Subject{User("zoe")}})
		}, []string{"HT038 high user zoe"}},
		{"everybody reads", func(s *Snapshot) {
			for i := range s.Bindings {
				if s.Bindings[i].Name == rbac.ReaderName {
					s.Bindings[i].Subjects = append(s.Bindings[i].Subjects, Group("system:authenticated"))
				}
			}
		}, []string{"HT031 critical group system:authenticated"}},
		{"a node, and who holds a bootstrap token, read", func(s *Snapshot) {
			for i := range s.Bindings {
				if s.Bindings[i].Name == rbac.ReaderName {
					s.Bindings[i].Subjects = append(s.Bindings[i].Subjects, User("system:node:n1"), User("system:bootstrap:abcdef"))
				}
			}
		}, []string{"HT031 high user system:bootstrap:abcdef", "HT031 high user system:node:n1"}},
		{"a binding is missing", func(s *Snapshot) {
			s.Bindings = slices.DeleteFunc(s.Bindings, func(b Binding) bool { return b.Name == "helm-tenant-reader.a.view" })
		}, []string{"HT042 medium RoleBinding helm-tenant-reader.a.view in namespace a-1"}},
		{"the account is missing", func(s *Snapshot) {
			s.Accounts = slices.DeleteFunc(s.Accounts, func(a ServiceAccount) bool { return a.Name == tenant.ReaderAccount })
		}, []string{"HT042 medium ServiceAccount helm-reader in namespace a-helm"}},
		{"the readers' account in another tenant's namespace", func(s *Snapshot) {
			s.Bindings = append(s.Bindings, Binding{Namespace: "b-1", Name: "helm-tenant-reader.a.view", RoleKind: "ClusterRole", RoleName: rbac.ViewRole, Subjects: []Subject{reader}})
		}, []string{"HT037 medium service account a-helm:helm-reader", "HT040 low service account a-helm:helm-reader"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := readScene()
			test.plant(s)
			compareFindings(t, s, false, test.want)
		})
	}
}

// TestCanRead: a reader reaches no deployer, and reads.
func TestCanRead(t *testing.T) {
	for who, want := range map[Subject]string{User("pam"): "a true", User("zoe"): ""} {
		r := Audit(readScene(), Options{Ask: who})
		var got []string
		for _, read := range r.CanRead {
			got = append(got, read.Tenant+" "+map[bool]string{true: "true", false: "false"}[read.Reader])
		}
		if text := strings.Join(got, ", "); text != want || len(r.CanReach) > 0 {
			t.Errorf("%s reads %s, and reaches %v", who, text, r.CanReach)
		}
	}
}
