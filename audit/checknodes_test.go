package audit

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"helm-tenant/install"
	"helm-tenant/tenant"
)

// TestNodes: a namespace is reported if its label does not refuse privileged pods and somebody
// can create pods, who then reaches the tenants with a Tiller.
func TestNodes(t *testing.T) {
	eve := User("eve")
	pods, deployments := rule("", "pods", "create"), rule("apps", "deployments", "patch")
	node, lines := []string{"a-tiller take-node", "c-tiller take-node", "c-tiller read-secrets,write-secrets through service account c-tiller:tiller"}, []string{"HT082 medium namespace tools"}
	for _, test := range []struct {
		name  string
		level string
		plant func(*Snapshot)
		reach []string
		want  []string
	}{
		{"pods", "", func(s *Snapshot) { s.give("tools", "x", eve, pods) }, node, lines},
		{"workloads that are there", "", func(s *Snapshot) { s.give("tools", "x", eve, deployments) }, node, lines},
		{"a named Job", "", func(s *Snapshot) { s.give("tools", "x", eve, rule("batch", "jobs", "*", "nightly")) }, node, lines},
		{"objects that a controller makes pods of", "", func(s *Snapshot) { s.give("tools", "x", eve, rule("tekton.dev", "taskruns", "create")) }, node, lines},
		{"a level that allows them", "privileged", func(s *Snapshot) { s.give("tools", "x", eve, pods) }, node, lines},
		{"a word that is no level", "Baseline", func(s *Snapshot) { s.give("tools", "x", eve, pods) }, node, lines},
		{"a level that refuses them", "baseline", func(s *Snapshot) { s.give("tools", "x", eve, pods) }, nil, nil},
		{"a stricter level", "restricted", func(s *Snapshot) { s.give("tools", "x", eve, pods) }, nil, nil},
		{"reading", "", func(s *Snapshot) { s.give("tools", "x", eve, rule("", "pods", "get")) }, nil, nil},
		{"a namespace that is not there", "", func(s *Snapshot) { s.give("gone", "x", eve, pods) }, nil, nil},
		{"a namespace that is being deleted", "", func(s *Snapshot) {
			s.give("tools", "x", eve, pods)
			s.Namespaces[len(s.Namespaces)-1].Terminating = true
		}, nil, nil},
		{"namespaces that can't be read", "", func(s *Snapshot) {
			s.give("tools", "x", eve, pods)
			s.Unseen = append(s.Unseen, Unseen{Resource: "namespaces"})
		}, nil, nil},
		{"two namespaces", "", func(s *Snapshot) {
			s.Namespaces = append(s.Namespaces, Namespace{Name: "more"})
			s.give("tools", "x", eve, pods)
			s.give("more", "x", eve, deployments)
		}, node, []string{"HT082 medium namespace more", "HT082 medium namespace tools"}},
		{"two people", "", func(s *Snapshot) {
			s.give("tools", "x", eve, pods)
			s.give("tools", "y", User("zoe"), pods)
		}, node, lines},
		{"the namespace's own account", "", func(s *Snapshot) { s.give("tools", "x", Account("tools", "operator"), pods) }, nil, nil},
		{"the account of another namespace", "", func(s *Snapshot) { s.give("tools", "x", Account("ci", "robot"), pods) }, nil, []string{"HT082 medium namespace tools"}},
		{"everybody", "", func(s *Snapshot) { s.give("tools", "x", Group("system:authenticated"), pods) }, node, []string{"HT082 critical namespace tools"}},
		{"a namespace of Kubernetes' that holds nothing", "baseline", func(s *Snapshot) {
			s.Namespaces = append(s.Namespaces, Namespace{Name: "kube-public"})
			s.give("kube-public", "x", eve, pods)
		}, node, []string{"HT082 medium namespace kube-public"}},
		{"a namespace with a Tiller that somebody made", "", func(s *Snapshot) {
			s.give("tools", "x", eve, rule("", "pods", "create"), rule("apps", "deployments", "create"))
			d := install.Deployment(team("x", tenant.EngineTiller).WithDefaults())
			s.Workloads = append(s.Workloads, Workload{Kind: "Deployment", Namespace: "tools", Name: "tiller-deploy", Template: &d.Spec.Template, Deployment: &d.Spec})
		}, append([]string{"tools create-pods,make-deployments,take-node"}, node...), lines},
		{"a tenant's namespace, of which another finding tells", "", func(s *Snapshot) {
			index := slices.IndexFunc(s.Namespaces, func(ns Namespace) bool { return ns.Name == "b-1" })
			s.Namespaces[index].Labels = nil
			s.give("b-1", "x", eve, pods)
		}, node, nil},
		{"a label that they can change", "baseline", func(s *Snapshot) {
			s.give("tools", "x", eve, pods)
			s.give("", "y", eve, rule("", "namespaces", "patch", "tools"))
		}, node, lines},
		{"the label of another namespace", "baseline", func(s *Snapshot) {
			s.give("tools", "x", eve, pods)
			s.give("", "y", eve, rule("", "namespaces", "patch", "others"))
		}, nil, nil},
		{"a container beside others", "", func(s *Snapshot) { s.give("tools", "x", eve, rule("", "pods/ephemeralcontainers", "patch")) }, node, lines},
		{"a role that makes pods", "", func(s *Snapshot) {
			s.give("tools", "x", eve, rule(rbacGroup, "rolebindings", "create"), rule(rbacGroup, "clusterroles", "bind"))
		}, node, lines},
		{"a role of their own", "", func(s *Snapshot) {
			s.give("tools", "x", eve, rule(rbacGroup, "roles", "update"), rule(rbacGroup, "roles", "escalate"))
		}, node, lines},
		{"the token of the namespace's own account", "", func(s *Snapshot) {
			s.give("tools", "x", Account("tools", "operator"), pods)
			s.give("tools", "y", eve, rule("", "serviceaccounts/token", "create"))
		}, []string{"a-tiller take-node through service account tools:operator", "c-tiller take-node through service account tools:operator",
			"c-tiller read-secrets,write-secrets through service account tools:operator, service account c-tiller:tiller"}, lines},
		{"an administrator", "", func(s *Snapshot) {
			s.give("", "x", eve, rule("*", "*", "*"))
			s.give("tools", "x", eve, pods)
		}, nil, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := sceneOf(team("a", tenant.EngineTiller), team("b", tenant.EngineImpersonation), team("c", tenant.EngineBoth))
			tools := Namespace{Name: "tools"}
			if test.level != "" {
				tools.Labels = map[string]string{"pod-security.kubernetes.io/enforce": test.level}
			}
			s.Namespaces = append(s.Namespaces, tools)
			test.plant(s)
			var got []string
			for _, f := range found(s, idTakesNode) {
				got = append(got, f.ID+" "+string(f.Severity)+" "+f.Subject)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
			if test.name == "an administrator" {
				return
			}
			if diff := cmp.Diff(test.reach, reachedBy(s, eve)); diff != "" {
				t.Errorf("eve reaches (-want +got):\n%s", diff)
			}
			if test.name == "pods" {
				f := found(s, idTakesNode)[0]
				if want := "kubectl label --overwrite namespace -- tools pod-security.kubernetes.io/enforce=baseline"; f.Fix.String() != want {
					t.Errorf("the fix is %q, not %q", f.Fix.String(), want)
				}
				if ways := NewReach(s).Ways("a-tiller", eve); len(ways) != 1 || ways[0].IDs[0] != "take-node" {
					t.Errorf("the ways that are left are %v", ways)
				}
			}
		})
	}
}

// The namespaces that take privileged pods are named one by one for the whole cluster, as one
// finding where tenants are asked for, and not at all for tenants without a Tiller.
func TestNodesOfAskedTenants(t *testing.T) {
	s := sceneOf(team("a", tenant.EngineTiller), team("b", tenant.EngineImpersonation))
	for _, name := range []string{"x", "y", "z"} {
		s.Namespaces = append(s.Namespaces, Namespace{Name: name})
		s.give(name, "pods", User("eve"), rule("", "pods", "create"))
	}
	s.give("", "kubelets", User("eve"), rule("", "nodes/status", "patch"))
	subjects := func(r *Report) []string {
		var found []string
		for _, f := range r.Findings {
			found = append(found, f.ID+" "+f.Subject)
		}
		return found
	}
	for _, test := range []struct {
		options Options
		want    []string
	}{
		{Options{}, []string{"HT082 namespace x", "HT082 namespace y", "HT082 namespace z", "HT083 user eve"}},
		{Options{Tenants: []string{"a"}}, []string{"HT082 namespaces beside the tenants", "HT083 user eve"}},
		{Options{Tenants: []string{"a", "b"}}, []string{"HT082 namespaces beside the tenants", "HT083 user eve"}},
		{Options{Tenants: []string{"b"}}, nil},
		{Options{Tenants: []string{"a"}, Ignore: []Ignore{{ID: "HT082", Subject: "namespace x", Reason: "r"}, {ID: "HT082", Subject: "namespace y", Reason: "r"}}}, []string{"HT082 namespace z", "HT083 user eve"}},
	} {
		if diff := cmp.Diff(test.want, subjects(Audit(s, test.options))); diff != "" {
			t.Errorf("%v, -want +got:\n%s", test.options, diff)
		}
	}
	baselineOf := func(r *Report) *Baseline {
		b := &Baseline{}
		for _, f := range r.Findings {
			b.findings = append(b.findings, formerFinding{ID: f.ID, Severity: f.Severity, Fingerprint: f.Print, Subject: f.Subject})
		}
		return b
	}
	isNew := func(r *Report) bool {
		return slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.New })
	}
	whole, one := baselineOf(Audit(s, Options{})), baselineOf(Audit(s, Options{Tenants: []string{"a"}}))
	for name, b := range map[string]*Baseline{"of the whole cluster": whole, "of the tenant": one} {
		if r := Audit(s, Options{Tenants: []string{"a"}, Baseline: b}); isNew(r) || len(r.Gone) > 0 {
			t.Errorf("with a baseline %s: %v is new or gone: %v", name, subjects(r), r.Gone)
		}
	}
	s.Namespaces = append(s.Namespaces, Namespace{Name: "w"})
	s.give("w", "pods", User("eve"), rule("", "pods", "create"))
	for name, b := range map[string]*Baseline{"of the whole cluster": whole, "of the tenant": one} {
		if r := Audit(s, Options{Tenants: []string{"a"}, Baseline: b}); !isNew(r) {
			t.Errorf("with a baseline %s a further namespace is not new", name)
		}
	}
}
