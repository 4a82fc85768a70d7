package audit

import (
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"

	"helm-tenant/tenant"
)

// TestRevisions: who can have the controller of StatefulSets act on a revision of their own is
// reported, where that creates pods in any namespace and the guard does not refuse it. Where it
// creates them in the set's own namespace, only those beside an account that reaches a deployer
// matter.
func TestRevisions(t *testing.T) {
	eve, alice, all := User("eve"), User("alice"), []rbacv1.PolicyRule{rule(appsGroup, "*", "*")}
	revises := []rbacv1.PolicyRule{rule(appsGroup, "controllerrevisions", "create"), rule(appsGroup, "statefulsets/status", "patch")}
	set := func(namespace string) func(*Snapshot) {
		return func(s *Snapshot) {
			s.Workloads = append(s.Workloads, Workload{Kind: "StatefulSet", Namespace: namespace, Name: "set"})
		}
	}
	give := func(namespace string, who Subject, rules ...rbacv1.PolicyRule) func(*Snapshot) {
		return func(s *Snapshot) { s.give(namespace, "x", who, rules...) }
	}
	guarded := func(s *Snapshot) { s.Records[0].Tenant.Guard = tenant.GuardEnforce }
	for _, test := range []struct {
		name  string
		minor int
		plant []func(*Snapshot)
		want  []string
	}{
		{"all of apps, in a namespace of no tenant", 36, []func(*Snapshot){give("c", eve, all...)}, []string{"HT079 high user eve"}},
		{"the same where revisions stay", 37, []func(*Snapshot){give("c", eve, all...)}, nil},
		{"a revision, and a set's status", 36, []func(*Snapshot){give("c", eve, revises...)}, []string{"HT079 high user eve"}},
		{"a revision in the place of another", 36, []func(*Snapshot){give("c", eve, rule(appsGroup, "controllerrevisions", "create"), rule(appsGroup, "controllerrevisions", "delete"))}, []string{"HT079 high user eve"}},
		{"a revision, everywhere", 36, []func(*Snapshot){give("", eve, revises...)}, []string{"HT079 high user eve"}},
		{"a revision for everybody", 36, []func(*Snapshot){give("c", Group("system:authenticated"), revises...)}, []string{"HT079 critical group system:authenticated"}},
		{"a revision here, and the status there", 36, []func(*Snapshot){
			give("c", eve, revises[0]), func(s *Snapshot) { s.give("d", "y", eve, revises[1]) }}, nil},
		{"a revision that no set takes", 36, []func(*Snapshot){give("c", eve, rule(appsGroup, "controllerrevisions", "create"))}, nil},
		{"a set's status only", 36, []func(*Snapshot){give("c", eve, revises[1])}, nil},
		{"in a tenant's namespace without the guard", 36, []func(*Snapshot){give("a-1", alice, revises...)}, []string{"HT040 high user alice"}},
		{"in a tenant's namespace with the guard", 36, []func(*Snapshot){give("a-1", alice, revises...), guarded}, []string{"HT040 low user alice"}},
		{"in a tenant's namespace, and the guard's policies differ", 36, []func(*Snapshot){give("a-1", alice, revises...), guarded, func(s *Snapshot) {
			s.Guard.Problems = []GuardProblem{{Object: ObjectRef{Kind: "ValidatingAdmissionPolicy", Name: "helm-tenant-guard-controllerrevisions"}}}
		}}, []string{"HT040 high user alice", "HT073 high admission policies helm-tenant-guard-*"}},
		{"the tenant's own account, without the guard", 36, []func(*Snapshot){give("a-1", Account("a-1", "operator"), revises...)}, []string{"HT040 high service account a-1:operator"}},
		{"the tenant's own account, with the guard", 36, []func(*Snapshot){give("a-1", Account("a-1", "operator"), revises...), guarded}, nil},
		{"the deployer, by another binding", 36, []func(*Snapshot){give("a-1", Account("a-tiller", "tiller"), revises...)}, []string{"HT025 high service account a-tiller:tiller"}},
		{"the deployer, with the guard", 36, []func(*Snapshot){give("a-1", Account("a-tiller", "tiller"), revises...), guarded}, []string{"HT042 medium RoleBinding x in namespace a-1"}},
		{"in a home with a set", 37, []func(*Snapshot){give("a-tiller", eve, revises...), set("a-tiller")}, []string{"HT011 high user eve", "HT058 medium namespace a-tiller"}},
		{"in a home without one", 37, []func(*Snapshot){give("a-tiller", eve, revises...)}, nil},
		{"beside an account that reaches all", 37, []func(*Snapshot){give("ops", eve, revises...), set("ops"), func(s *Snapshot) {
			s.give("", "all", Account("ops", "robot"), rule("*", "*", "*"))
		}}, []string{"HT021 high user eve", "HT022 high service account ops:robot"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := sceneOf(tenant.Tenant{Name: "a", Namespaces: []string{"a-1"}, Engine: tenant.EngineTiller, Members: tenant.Members{tenant.User("alice")}})
			s.Server = serverOfMinor(test.minor)
			for _, plant := range test.plant {
				plant(s)
			}
			compareFindings(t, s, true, test.want)
		})
	}
}
