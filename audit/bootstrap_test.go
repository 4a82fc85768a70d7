package audit

import (
	"slices"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"

	"helm-tenant/tenant"
)

// TestBootstrapTokens: where a bootstrap token leads to a node's certificate, as kubeadm has it,
// who can make, change or read one in kube-system is every node, and so every account with a pod.
func TestBootstrapTokens(t *testing.T) {
	const nodes = "system:bootstrappers:kubeadm:default-node-token"
	zoe := User("zoe")
	secrets := func(verb string, names ...string) []rbacv1.PolicyRule {
		return []rbacv1.PolicyRule{rule("", "secrets", verb, names...)}
	}
	for _, test := range []struct {
		name  string
		rules []rbacv1.PolicyRule
		want  bool
		no    func(*Snapshot)
	}{
		{"to create one", secrets("create"), true, nil},
		{"to change one", secrets("patch", "bootstrap-token-abcdef"), true, nil},
		{"to read all", secrets("list"), true, nil},
		{"to read one", secrets("get", "bootstrap-token-abcdef"), true, nil},
		{"to wait for one", secrets("watch"), true, nil},
		{"to read another Secret", secrets("get", "tls"), false, nil},
		{"to delete one", secrets("delete"), false, nil},
		{"to read all, where none is accepted", secrets("list"), false, func(s *Snapshot) { s.Server.NoBootstrapTokens = true }},
		{"to read all, where none is approved", secrets("list"), false, func(s *Snapshot) {
			for i := range s.Roles {
				if s.Roles[i].Name == "approved" {
					s.Roles[i].Rules = nil
				}
			}
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := sceneOf(team("a", tenant.EngineTiller))
			s.Namespaces = append(s.Namespaces, Namespace{Name: systemNamespace})
			s.Pods = append(s.Pods, Pod{Namespace: systemNamespace, Name: "addon", Account: "addon"})
			s.give("", "addon", Account(systemNamespace, "addon"), rule("*", "*", "*"))
			s.give("", "joins", Group(nodes), rule(certificatesGroup, "certificatesigningrequests", "create"))
			s.give("", "approved", Group(nodes), rule(certificatesGroup, "certificatesigningrequests/nodeclient", "create"))
			s.give(systemNamespace, "x", zoe, test.rules...)
			if test.no != nil {
				test.no(s)
			}
			var got []string
			for _, f := range Audit(s, Options{}).Findings {
				if f.Subject == zoe.String() {
					got = append(got, f.ID)
				}
			}
			if want := []string{idUseAccount}; test.want != slices.Equal(got, want) || !test.want && len(got) > 0 {
				t.Errorf("the findings about zoe are %v", got)
			}
			if reached := Audit(s, Options{Ask: zoe}).CanReach; test.want != (len(reached) > 0) {
				t.Errorf("zoe reaches %+v", reached)
			}
		})
	}
}
