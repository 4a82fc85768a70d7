package audit

import (
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"

	"helm-tenant/tenant"
)

// TestCreatingByName: who may create only one name of a role or a binding can do so by an update
// or an apply, which have the name, but not by a POST.
func TestCreatingByName(t *testing.T) {
	allowed := func(resource string, verbs ...string) rbacv1.PolicyRule {
		return rbacv1.PolicyRule{APIGroups: []string{rbacGroup}, Resources: []string{resource}, Verbs: verbs, ResourceNames: []string{"mine"}}
	}
	bind := rule(rbacGroup, "clusterroles", "bind", "edit")
	for _, test := range []struct {
		name      string
		namespace string
		rules     []rbacv1.PolicyRule
		want      bool
	}{
		{"a binding by a POST", "a-tiller", []rbacv1.PolicyRule{allowed("rolebindings", "create"), bind}, false},
		{"a binding by an apply", "a-tiller", []rbacv1.PolicyRule{allowed("rolebindings", "create", "patch"), bind}, true},
		{"a binding by an update", "a-tiller", []rbacv1.PolicyRule{allowed("rolebindings", "create", "update"), bind}, true},
		{"a binding by an update, of no role", "a-tiller", []rbacv1.PolicyRule{allowed("rolebindings", "create", "update")}, false},
		{"an update of a binding that is not there", "a-tiller", []rbacv1.PolicyRule{allowed("rolebindings", "update", "patch"), bind}, false},
		{"a binding of the cluster by an update", "", []rbacv1.PolicyRule{allowed("clusterrolebindings", "create", "update"), bind}, true},
		{"a role by an update", "a-tiller", []rbacv1.PolicyRule{allowed("roles", "create", "update", "escalate")}, true},
		{"a role by a POST", "a-tiller", []rbacv1.PolicyRule{allowed("roles", "create", "escalate")}, false},
		{"a change of a role that is not there", "a-tiller", []rbacv1.PolicyRule{allowed("roles", "update", "patch", "escalate")}, false},
		{"a pod by an update", "a-tiller", []rbacv1.PolicyRule{rule("", "pods", "create", "mine"), {APIGroups: []string{""}, Resources: []string{"pods"}, Verbs: []string{"update"}, ResourceNames: []string{"mine"}}}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := sceneOf(team("a", tenant.EngineTiller))
			s.Roles = append(s.Roles, Role{Name: "edit", Rules: []rbacv1.PolicyRule{rule("", "pods", "create")}})
			s.give(test.namespace, "w", User("zoe"), test.rules...)
			got := Audit(s, Options{}).Findings
			if test.want != (len(got) == 1) || !test.want && len(got) > 0 {
				t.Errorf("found is %+v", got)
			}
			if reached := Audit(s, Options{Ask: User("zoe")}).CanReach; test.want != (len(reached) == 1) {
				t.Errorf("--can-reach says %+v", reached)
			}
		})
	}
}

// TestOpenNetwork: who can take away the NetworkPolicy that alone keeps others from a Tiller. One
// that listens on its loopback needs none.
func TestOpenNetwork(t *testing.T) {
	const group = "networking.k8s.io"
	policy := func(verbs []string, names ...string) rbacv1.PolicyRule {
		return rbacv1.PolicyRule{APIGroups: []string{group}, Resources: []string{"networkpolicies"}, Verbs: verbs, ResourceNames: names}
	}
	second := func(s *Snapshot) {
		more := s.Policies[0]
		more.Name = "second"
		s.Policies = append(s.Policies, more)
	}
	for _, test := range []struct {
		name  string
		plant func(*Snapshot)
		rule  rbacv1.PolicyRule
		open  bool // what listens
		want  bool
	}{
		{"a policy more", nil, policy([]string{"create"}), true, true},
		{"a policy changed", nil, policy([]string{"patch"}, "helm-tenant"), true, true},
		{"another policy", nil, policy([]string{"patch", "delete"}, "other"), true, false},
		{"the policy deleted", nil, policy([]string{"delete"}, "helm-tenant"), true, true},
		{"all deleted", nil, policy([]string{"deletecollection"}), true, true},
		{"one of two deleted", second, policy([]string{"delete"}, "helm-tenant"), true, false},
		{"both deleted", second, policy([]string{"delete"}, "helm-tenant", "second"), true, true},
		{"all of two deleted", second, policy([]string{"delete"}), true, true},
		{"policies read", nil, policy([]string{"get", "list", "watch"}), true, false},
		{"a Tiller on its loopback", nil, policy([]string{"create", "update", "patch", "delete", "deletecollection"}), false, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := sceneOf(team("a", tenant.EngineTiller))
			if test.open {
				listenOn(&s.Workloads[0].Template.Spec, ":44134")
			}
			if test.plant != nil {
				test.plant(s)
			}
			s.give("a-tiller", "w", User("zoe"), test.rule)
			if got := found(s, idHome); test.want != (len(got) == 1) {
				t.Errorf("found is %+v", got)
			}
		})
	}
}
