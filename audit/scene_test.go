package audit

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"helm-tenant/install"
	"helm-tenant/rbac"
	"helm-tenant/tenant"
)

// worksRules returns the rules of a role with which helm can work.
func worksRules() []rbacv1.PolicyRule {
	var rules []rbacv1.PolicyRule
	for resource, verbs := range map[string][]string{"secrets": {"get", "list", "create", "update", "delete"}, "namespaces": {"get"}, "pods": {"get", "list", "watch"}} {
		rules = append(rules, rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{resource}, Verbs: verbs})
	}
	return append(rules, rbacv1.PolicyRule{APIGroups: []string{"apps"}, Resources: []string{"deployments"}, Verbs: []string{"create", "patch"}})
}

// sceneOf returns a cluster as an audit reads it, with these tenants as they are made:
// nothing is wrong in it.
func sceneOf(tenants ...tenant.Tenant) *Snapshot {
	s := &Snapshot{Server: serverOfMinor(37), Admission: AdmissionInForce, OwnersAdmission: AdmissionInForce, Roles: []Role{{Name: "admin", Rules: worksRules()}}}
	for _, t := range tenants {
		t = t.WithDefaults()
		for _, object := range rbac.Home(t) {
			s.addRBAC(object)
		}
		for _, object := range rbac.ServiceAccounts(t) {
			account := object.(*corev1.ServiceAccount)
			s.Accounts = append(s.Accounts, ServiceAccount{Namespace: account.Namespace, Name: account.Name})
		}
		home := install.Home(t, false, true)
		s.Namespaces = append(s.Namespaces, Namespace{Name: home.Name, Labels: home.Labels})
		for _, name := range t.Namespaces {
			ns := install.Namespace(t, name, true)
			s.Namespaces = append(s.Namespaces, Namespace{Name: name, Labels: ns.Labels, Annotations: ns.Annotations})
			for _, b := range rbac.DeployerBindings(t, name) {
				s.addRBAC(b)
			}
			if account := rbac.FluxAccount(t, name); account != nil {
				s.Accounts = append(s.Accounts, ServiceAccount{Namespace: name, Name: account.Name})
			}
		}
		if t.Engine.Has(tenant.EngineTiller) {
			d := install.Deployment(t)
			s.Workloads = append(s.Workloads, Workload{Kind: "Deployment", Namespace: d.Namespace, Name: d.Name, Tenant: t.Name, Template: &d.Spec.Template, Deployment: &d.Spec})
			policy := install.NetworkPolicy(t, false)
			s.Policies = append(s.Policies, NetworkPolicy{Namespace: policy.Namespace, Name: policy.Name, Spec: policy.Spec})
		}
		t.Members = tenant.Members{} // as records are
		s.Records = append(s.Records, Record{Namespace: t.Home(), Tenant: t})
	}
	return s
}

func (s *Snapshot) addRBAC(object runtime.Object) {
	switch o := object.(type) {
	case *rbacv1.Role:
		s.Roles = append(s.Roles, Role{Namespace: o.Namespace, Name: o.Name, Rules: o.Rules})
	case *rbacv1.RoleBinding:
		s.Bindings = append(s.Bindings, Binding{Namespace: o.Namespace, Name: o.Name, RoleKind: o.RoleRef.Kind, RoleName: o.RoleRef.Name, Subjects: tenant.SubjectsOf(o.Subjects, o.Namespace)})
	}
}

// give gives somebody these rights by a role and a binding of that name: in a
// namespace, or over the cluster where it is empty.
func (s *Snapshot) give(namespace, name string, who Subject, rules ...rbacv1.PolicyRule) {
	kind := "Role"
	if namespace == "" {
		kind = "ClusterRole"
	}
	s.Roles = append(s.Roles, Role{Namespace: namespace, Name: name, Rules: rules})
	s.Bindings = append(s.Bindings, Binding{Namespace: namespace, Name: name, RoleKind: kind, RoleName: name, Subjects: []Subject{who}})
}

func team(name string, engine tenant.Engine) tenant.Tenant {
	return tenant.Tenant{Name: name, Namespaces: []string{name + "-1"}, Engine: engine}
}

// found returns the findings of that kind.
func found(s *Snapshot, id string) []Finding {
	return slices.DeleteFunc(Audit(s, Options{}).Findings, func(f Finding) bool { return f.ID != id })
}

func TestSceneHasNoFindings(t *testing.T) {
	s := sceneOf(team("a", tenant.EngineTiller), team("b", tenant.EngineImpersonation), team("c", tenant.EngineBoth))
	for _, f := range Audit(s, Options{}).Findings {
		t.Errorf("%s %s: %s", f.ID, f.Title(), f.Text)
	}
}

// compareFindings holds the findings of an audit, as "ID SEVERITY SUBJECT", to those wanted.
// The scene's namespaces have no guard, which is not reported with unguarded.
func compareFindings(t *testing.T, s *Snapshot, unguarded bool, want []string) {
	t.Helper()
	var got []string
	for _, f := range Audit(s, Options{}).Findings {
		if unguarded && f.ID == idLoosened {
			continue
		}
		got = append(got, f.ID+" "+string(f.Severity)+" "+f.Subject)
		if f.Fix.String() == "" || len(f.Chains) == 0 {
			t.Errorf("%s lacks a chain or a fix", f.ID)
		}
	}
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
