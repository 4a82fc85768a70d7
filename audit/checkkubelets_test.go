package audit

import (
	"slices"
	"strings"
	"testing"

	"helm-tenant/tenant"
)

// TestKubelets: whoever sets a node's address gets members' traffic to a Tiller if the API
// server does not verify kubelets; rights to the node's labels and taints lead nowhere.
func TestKubelets(t *testing.T) {
	eve := User("eve")
	status := func(verb string, names ...string) func(*Snapshot) {
		return func(s *Snapshot) { s.give("", "x", eve, rule("", "nodes/status", verb, names...)) }
	}
	found := []string{"HT083 medium user eve"}
	for _, test := range []struct {
		name   string
		engine tenant.Engine
		plant  func(*Snapshot)
		want   []string
	}{
		{"to patch", tenant.EngineTiller, status("patch"), found},
		{"to update", tenant.EngineTiller, status("update"), found},
		{"of one node", tenant.EngineTiller, status("patch", "n1"), found},
		{"by a wildcard", tenant.EngineTiller, func(s *Snapshot) { s.give("", "x", eve, rule("", "*/status", "patch")) }, []string{"HT020 medium user eve", "HT083 medium user eve"}},
		{"to read", tenant.EngineTiller, status("get"), nil},
		{"in a namespace, where no node is", tenant.EngineTiller, func(s *Snapshot) { s.give("c", "x", eve, rule("", "nodes/status", "patch")) }, nil},
		{"labels and taints", tenant.EngineTiller, func(s *Snapshot) { s.give("", "x", eve, rule("", "nodes", "patch"), rule("", "nodes", "update")) }, nil},
		{"a node made anew", tenant.EngineTiller, func(s *Snapshot) {
			s.give("", "x", eve, rule("", "nodes", "delete", "n1"), rule("", "nodes", "create"))
		}, found},
		{"a node made", tenant.EngineTiller, func(s *Snapshot) { s.give("", "x", eve, rule("", "nodes", "create")) }, nil},
		{"a node deleted", tenant.EngineTiller, func(s *Snapshot) { s.give("", "x", eve, rule("", "nodes", "delete")) }, nil},
		{"where kubelets are verified", tenant.EngineTiller, func(s *Snapshot) {
			s.Server = s.Server.WithFlags(map[string]string{"kubelet-certificate-authority": "/etc/kubernetes/pki/ca.crt"})
			status("patch")(s)
		}, nil},
		{"where flags are known, and kubelets are not verified", tenant.EngineTiller, func(s *Snapshot) {
			s.Server = s.Server.WithFlags(map[string]string{"kubelet-certificate-authority": ""})
			status("patch")(s)
		}, found},
		{"where there is no Tiller", tenant.EngineImpersonation, status("patch"), nil},
		{"for everybody", tenant.EngineTiller, func(s *Snapshot) {
			s.give("", "x", Group("system:authenticated"), rule("", "nodes/status", "patch"))
		}, []string{"HT083 critical group system:authenticated"}},
		{"an add-on of kube-system", tenant.EngineTiller, func(s *Snapshot) {
			s.give("", "x", Account("kube-system", "node-problem-detector"), rule("", "nodes/status", "patch"))
		}, []string{"HT083 low service account kube-system:node-problem-detector"}},
		{"a component by a name that Kubernetes reserves", tenant.EngineTiller, func(s *Snapshot) {
			s.give("", "x", User("system:node-problem-detector"), rule("", "nodes/status", "patch"))
		}, []string{"HT083 low user system:node-problem-detector"}},
		{"whoever is not authenticated", tenant.EngineTiller, func(s *Snapshot) {
			s.give("", "x", User("system:anonymous"), rule("", "nodes/status", "patch"))
		}, []string{"HT083 critical user system:anonymous"}},
		{"nodes themselves", tenant.EngineTiller, func(s *Snapshot) { s.give("", "x", Group(tenant.GroupNodes), rule("", "nodes/status", "patch")) }, nil},
		{"who can do everything", tenant.EngineTiller, func(s *Snapshot) { s.give("", "x", eve, rule("*", "*", "*")) }, []string{"HT022 high user eve"}},
		// The account itself does not reach deployers: whoever can use it needs somebody's
		// help.
		{"who can use such an account", tenant.EngineTiller, func(s *Snapshot) {
			s.give("", "x", Account("net", "agent"), rule("", "nodes/status", "patch"))
			s.give("net", "y", eve, rule("", "serviceaccounts/token", "create", "agent"))
		}, []string{"HT083 medium service account net:agent"}},
		{"another finding about the same account", tenant.EngineTiller, func(s *Snapshot) {
			s.give("", "x", eve, rule("", "nodes/status", "patch"), rule("", "namespaces", "create"))
		}, []string{"HT027 low user eve", "HT083 medium user eve"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := sceneOf(tenant.Tenant{Name: "a", Namespaces: []string{"a-1"}, Engine: test.engine, Members: tenant.Members{tenant.User("alice")}})
			test.plant(s)
			compareFindings(t, s, true, test.want)
			ways := NewReach(s).Ways(s.Records[0].Namespace, eve)
			reaches := slices.ContainsFunc(ways, func(w Way) bool { return slices.Contains(w.IDs, kubeletPath) })
			if want := len(test.want) > 0 && !strings.Contains(test.want[0], "kube-system") && !strings.Contains(test.want[0], "user system:"); reaches != want {
				t.Errorf("eve has the ways %v", ways)
			}
		})
	}
}

// The path gives no deployer's rights: --can-reach does not continue from it.
func TestKubeletIsNoDeployer(t *testing.T) {
	other := tenant.Tenant{Name: "b", Namespaces: []string{"b-1"}, Engine: tenant.EngineImpersonation}
	both := sceneOf(team("a", tenant.EngineTiller), other)
	both.give("", "too-much", Account("a-tiller", "tiller"), rule("*", "*", "*"))
	both.give("", "x", User("eve"), rule("", "nodes/status", "patch"))
	r := Audit(both, Options{Ask: User("eve")})
	if len(r.CanReach) != 1 || r.CanReach[0].Tenant != "a" || len(r.CanReach[0].Paths) != 1 || r.CanReach[0].Paths[0].ID != kubeletPath {
		t.Errorf("eve reaches %+v", r.CanReach)
	}
}
