package rbac

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"helm-tenant/tenant"
)

func teamA(engine tenant.Engine) tenant.Tenant {
	return tenant.Tenant{
		Name: "team-a", Namespaces: []string{"a", "b"}, Engine: engine,
		Members: tenant.Members{tenant.User("alice"), tenant.Group("devs"), tenant.Account("ci", "deployer")},
	}.WithDefaults()
}

// rulesOf finds the rules of a role among objects.
func rulesOf(t *testing.T, objects []runtime.Object, name string) []rbacv1.PolicyRule {
	t.Helper()
	for _, object := range objects {
		if role, isRole := object.(*rbacv1.Role); isRole && role.Name == name {
			return role.Rules
		}
	}
	t.Fatalf("there is no Role %s", name)
	return nil
}

// A member's rules are what isolation rests on: a rule more is a hole.
func TestMemberRules(t *testing.T) {
	record := rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"configmaps"}, ResourceNames: []string{"helm-tenant"}, Verbs: []string{"get"}}
	for engine, want := range map[tenant.Engine][]rbacv1.PolicyRule{
		tenant.EngineTiller: {
			{APIGroups: []string{""}, Resources: []string{"pods"}, Verbs: []string{"list"}},
			{APIGroups: []string{""}, Resources: []string{"pods/portforward"}, Verbs: []string{"create"}},
			record,
		},
		tenant.EngineImpersonation: {
			{APIGroups: []string{""}, Resources: []string{"serviceaccounts"}, ResourceNames: []string{"helm"}, Verbs: []string{"impersonate"}},
			record,
		},
		tenant.EngineBoth: {
			{APIGroups: []string{""}, Resources: []string{"pods"}, Verbs: []string{"list"}},
			{APIGroups: []string{""}, Resources: []string{"pods/portforward"}, Verbs: []string{"create"}},
			{APIGroups: []string{""}, Resources: []string{"serviceaccounts"}, ResourceNames: []string{"helm"}, Verbs: []string{"impersonate"}},
			record,
		},
	} {
		if diff := cmp.Diff(want, rulesOf(t, Home(teamA(engine)), MemberName)); diff != "" {
			t.Errorf("%s, -want +got:\n%s", engine, diff)
		}
	}
}

func TestRecordRules(t *testing.T) {
	for storage, resource := range map[tenant.Storage]string{tenant.StorageSecret: "secrets", tenant.StorageConfigMap: "configmaps"} {
		team := teamA(tenant.EngineTiller)
		team.Tiller.Storage = storage
		want := []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{resource}, Verbs: []string{"get", "list", "create", "update", "delete"}}}
		if diff := cmp.Diff(want, rulesOf(t, Home(team), RecordsName)); diff != "" {
			t.Errorf("%s, -want +got:\n%s", storage, diff)
		}
	}
}

func TestHome(t *testing.T) {
	type binding struct {
		Role     string
		Subjects []rbacv1.Subject
	}
	members := []rbacv1.Subject{
		{Kind: "User", APIGroup: "rbac.authorization.k8s.io", Name: "alice"},
		{Kind: "Group", APIGroup: "rbac.authorization.k8s.io", Name: "devs"},
		{Kind: "ServiceAccount", Namespace: "ci", Name: "deployer"},
	}
	for engine, want := range map[tenant.Engine]map[string]binding{
		tenant.EngineTiller: {
			MemberName:  {MemberName, members},
			RecordsName: {RecordsName, []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: "team-a-tiller", Name: "tiller"}}},
		},
		tenant.EngineImpersonation: {MemberName: {MemberName, members}},
		tenant.EngineBoth: {
			MemberName:  {MemberName, members},
			RecordsName: {RecordsName, []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: "team-a-tiller", Name: "tiller"}}},
		},
	} {
		got, roles := map[string]binding{}, 0
		for _, object := range Home(teamA(engine)) {
			checkMeta(t, object, teamA(engine).Home())
			switch object := object.(type) {
			case *rbacv1.RoleBinding:
				if object.RoleRef.Kind != "Role" || object.RoleRef.APIGroup != rbacv1.GroupName {
					t.Errorf("%s: %s refers to %+v", engine, object.Name, object.RoleRef)
				}
				got[object.Name] = binding{object.RoleRef.Name, object.Subjects}
			case *rbacv1.Role:
				roles++
			default:
				t.Errorf("%s: a %T", engine, object)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s, -want +got:\n%s", engine, diff)
		}
		if roles != len(want) {
			t.Errorf("%s: %d roles for %d bindings", engine, roles, len(want))
		}
	}
}

// checkMeta holds an object to what every object of a tenant has.
func checkMeta(t *testing.T, object runtime.Object, namespace string) {
	t.Helper()
	meta := object.(metav1.Object)
	if meta.GetNamespace() != namespace {
		t.Errorf("%s is in namespace %q, not %q", meta.GetName(), meta.GetNamespace(), namespace)
	}
	want := map[string]string{"helm-tenant/tenant": "team-a", "app.kubernetes.io/managed-by": "helm-tenant"}
	if diff := cmp.Diff(want, meta.GetLabels()); diff != "" {
		t.Errorf("labels of %s, -want +got:\n%s", meta.GetName(), diff)
	}
	if kind := object.GetObjectKind().GroupVersionKind(); kind.Kind == "" || kind.Version == "" {
		t.Errorf("%s does not say its kind: %v", meta.GetName(), kind)
	}
}

func TestServiceAccounts(t *testing.T) {
	for engine, want := range map[tenant.Engine][]string{tenant.EngineTiller: {"tiller"}, tenant.EngineImpersonation: {"helm"}, tenant.EngineBoth: {"tiller", "helm"}} {
		var names []string
		for _, object := range ServiceAccounts(teamA(engine)) {
			checkMeta(t, object, teamA(engine).Home())
			account := object.(*corev1.ServiceAccount)
			names = append(names, account.Name)
			if account.AutomountServiceAccountToken == nil || *account.AutomountServiceAccountToken {
				t.Errorf("%s: every pod of the home namespace would get its token", engine)
			}
		}
		if diff := cmp.Diff(want, names); diff != "" {
			t.Errorf("%s, -want +got:\n%s", engine, diff)
		}
	}
}

func TestDeployerBindings(t *testing.T) {
	team := teamA(tenant.EngineTiller)
	team.Role = "edit"
	ref := rbacv1.RoleRef{APIGroup: "rbac.authorization.k8s.io", Kind: "ClusterRole", Name: "edit"}
	subjects := []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: "team-a-tiller", Name: "tiller"}}

	in := InNamespace(team, "b")
	checkMeta(t, in, "b")
	if diff := cmp.Diff(ref, in.RoleRef); diff != "" {
		t.Errorf("in a namespace, -want +got:\n%s", diff)
	}
	if diff := cmp.Diff(subjects, in.Subjects); diff != "" {
		t.Errorf("in a namespace, -want +got:\n%s", diff)
	}
	wide := clusterWide(team)
	checkMeta(t, wide, "")
	if diff := cmp.Diff(ref, wide.RoleRef); diff != "" {
		t.Errorf("in the cluster, -want +got:\n%s", diff)
	}
	if diff := cmp.Diff(subjects, wide.Subjects); diff != "" {
		t.Errorf("in the cluster, -want +got:\n%s", diff)
	}
	if in.Name != "helm-tenant.team-a.edit" || wide.Name != in.Name {
		t.Errorf("they are called %s and %s", in.Name, wide.Name)
	}
}

// No two tenants and roles may make the same name: one's binding would be
// written over the other's.
func TestDeployerBindingNamesAreUnique(t *testing.T) {
	seen := map[string]string{}
	for _, name := range []string{"a", "a-b", "b"} {
		for _, role := range []string{"admin", "b", "b.admin", "a-b.admin", "-b.admin"} {
			binding := DeployerBinding(name, role)
			if other := seen[binding]; other != "" {
				t.Errorf("%s is made by %s and by %s %s", binding, other, name, role)
			}
			seen[binding] = name + " " + role
		}
	}
}
