package audit

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	rbacv1 "k8s.io/api/rbac/v1"

	"helm-tenant/rails"
	"helm-tenant/rbac"
	"helm-tenant/tenant"
)

// frozenScene returns a tenant that is frozen by these means, of which nothing is wrong.
func frozenScene(means tenant.FreezeMeans) *Snapshot {
	tested := team("a", tenant.EngineImpersonation)
	tested.Frozen = &tenant.Freeze{Reason: "INC-12", Since: "2026-01-31T12:00:00Z", Means: means}
	s := sceneOf(tested)
	s.Roles = append(s.Roles, Role{Name: "edit", Rules: []rbacv1.PolicyRule{rule("apps", "deployments", "patch")}},
		Role{Name: rbac.ViewRole, Rules: []rbacv1.PolicyRule{rule("apps", "deployments", "get", "list")}},
		Role{Name: rbac.SecretsRole, Rules: rbac.SecretsClusterRole().Rules})
	for i := range s.Namespaces {
		ns := &s.Namespaces[i]
		labels, annotations, err := rails.NamespaceMeta(tested, ns.Name, ns.object())
		if err != nil {
			panic(err)
		}
		ns.Labels, ns.Annotations = rails.Changed(ns.Labels, labels), rails.Changed(ns.Annotations, annotations)
	}
	return s
}

// TestCheckFrozen: freezes that are not in force, and who writes all the same.
func TestCheckFrozen(t *testing.T) {
	const policy, role = tenant.FreezeByPolicy, tenant.FreezeByRole
	zoe := User("zoe")
	bind := func(namespace, role string, who ...Subject) func(*Snapshot) {
		return func(s *Snapshot) {
			s.Bindings = append(s.Bindings, Binding{Namespace: namespace, Name: "more", RoleKind: "ClusterRole", RoleName: role, Subjects: who})
		}
	}
	for _, test := range []struct {
		name  string
		means tenant.FreezeMeans
		plant func(*Snapshot)
		want  []string
	}{
		{"in force by policy", policy, func(*Snapshot) {}, nil},
		{"without the policy", policy, func(s *Snapshot) {
			s.Guard.Freeze = []GuardProblem{{Object: ObjectRef{Kind: "ValidatingAdmissionPolicy", Name: "helm-tenant-guard-frozen"}, Missing: true}}
		}, []string{"HT076 high ValidatingAdmissionPolicy helm-tenant-guard-frozen"}},
		{"a namespace without the label", policy, func(s *Snapshot) { delete(s.namespaceOf("a-1").Labels, rails.LabelFrozen) }, []string{"HT076 high namespace a-1"}},
		{"a home without the accounts", policy, func(s *Snapshot) { delete(s.namespaceOf("a-helm").Annotations, "guard.helm-tenant/frozen-accounts") }, []string{"HT076 high namespace a-helm"}},
		{"a person in a namespace", policy, bind("a-1", "edit", zoe), []string{"HT077 medium user zoe"}},
		{"a person in the cluster", policy, bind("", "edit", zoe), []string{"HT077 medium user zoe"}},
		{"a person elsewhere", policy, bind("other", "edit", zoe), nil},
		{"a person who reads", policy, bind("a-1", rbac.ViewRole, zoe), nil},
		{"whoever could thaw it", policy, bind("", "cluster-admin", zoe), nil},
		{"an account of the tenant's", policy, bind("a-1", "edit", Account("a-1", "operator")), nil},
		{"an account of somebody else's", policy, bind("a-1", "edit", Account("argocd", "controller")), []string{"HT077 medium service account argocd:controller"}},
		{"by role, an account of the tenant's", role, bind("a-1", "edit", Account("a-1", "operator")), []string{"HT077 medium service account a-1:operator"}},
		{"by role, the deployer by another binding", role, bind("a-1", "edit", Account("a-helm", "helm")), []string{"HT077 medium service account a-helm:helm"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := frozenScene(test.means)
			test.plant(s)
			var got []string
			for _, f := range Audit(s, Options{}).Findings {
				if f.ID == idNotFrozen || f.ID == idFrozenWriter {
					got = append(got, f.ID+" "+string(f.Severity)+" "+f.Subject)
				}
			}
			slices.Sort(got)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// namespaceOf returns a namespace of the scene, to be changed.
func (s *Snapshot) namespaceOf(name string) *Namespace {
	i := slices.IndexFunc(s.Namespaces, func(ns Namespace) bool { return ns.Name == name })
	return &s.Namespaces[i]
}
