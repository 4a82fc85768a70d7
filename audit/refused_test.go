package audit

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"helm-tenant/rails"
	"helm-tenant/tenant"
)

// TestRefused: findings about objects from before the guard.
func TestRefused(t *testing.T) {
	addresses := &rails.Demand{ExternalIPs: []string{"10.0.0.1"}}
	for _, test := range []struct {
		name  string
		rails tenant.Rails
		asks  *rails.Demand
		where string
		want  string
	}{
		{"nothing", tenant.Rails{Guard: tenant.GuardEnforce}, nil, "a-1", ""},
		{"external IPs", tenant.Rails{Guard: tenant.GuardEnforce}, addresses, "a-1", "the guard refuses to make Service x in namespace a-1 anew: it has the external IPs 10.0.0.1"},
		{"a guard that is off", tenant.Rails{Guard: tenant.GuardOff}, addresses, "a-1", "the guard would refuse, if it enforced, to make"},
		{"nobody's namespace", tenant.Rails{Guard: tenant.GuardEnforce}, addresses, "other", ""},
		{"a host of the tenant", tenant.Rails{Guard: tenant.GuardEnforce, Hosts: []string{"*.a.org"}}, &rails.Demand{Hosts: []string{"x.a.org"}}, "a-1", ""},
		{"another's host", tenant.Rails{Guard: tenant.GuardEnforce, Hosts: []string{"*.a.org"}}, &rails.Demand{Hosts: []string{"x.b.org", ""}}, "a-1", "it serves x.b.org, every host"},
		{"any host", tenant.Rails{Guard: tenant.GuardEnforce}, &rails.Demand{Hosts: []string{"x.b.org"}}, "a-1", ""},
		{"a class that is allowed", tenant.Rails{Guard: tenant.GuardEnforce, PriorityClasses: []string{"batch"}}, &rails.Demand{Class: "batch"}, "a-1", ""},
		{"a class that is not", tenant.Rails{Guard: tenant.GuardEnforce}, &rails.Demand{Class: "batch"}, "a-1", "it has the priority class batch"},
		{"a CSI driver that is not allowed", tenant.Rails{Guard: tenant.GuardEnforce}, &rails.Demand{Drivers: []string{"nfs.csi.k8s.io"}}, "a-1", "it has inline volumes of the CSI driver nfs.csi.k8s.io"},
		{"a class that hurts nobody", tenant.Rails{Guard: tenant.GuardEnforce}, &rails.Demand{Class: "low"}, "a-1", ""},
	} {
		tested := team("a", tenant.EngineImpersonation)
		tested.Rails = test.rails.Or(tenant.NewRails(false))
		s := sceneOf(tested)
		s.Priorities = rails.Priorities{Harmless: []string{"low"}}
		if test.asks != nil {
			s.Demands = []Demand{{ObjectRef{"Service", test.where, "x"}, test.asks}}
		}
		got := found(s, idRefused)
		if test.want == "" && len(got) == 0 {
			continue
		}
		if len(got) != 1 || test.want == "" || !strings.Contains(got[0].Text, test.want) {
			t.Errorf("%s: reported is %+v", test.name, got)
		}
	}
}

// An object in a namespace of two tenants is reported once.
func TestRefusedOnce(t *testing.T) {
	a, b := team("a", tenant.EngineImpersonation), team("b", tenant.EngineImpersonation)
	a.Rails, b.Rails, b.Namespaces = tenant.NewRails(false), tenant.NewRails(false), []string{"b-1", "a-1"}
	s := sceneOf(a, b)
	s.Demands = []Demand{{ObjectRef{"Service", "a-1", "x"}, &rails.Demand{ExternalIPs: []string{"10.0.0.1"}}}}
	if got := found(s, idRefused); len(got) != 1 {
		t.Errorf("reported is %+v", got)
	}
}

// Whoever can scale a ReplicaSet of an earlier revision has pods of it: it is deleted, with the
// command of its Deployment as well. A Job is deleted, since its template can't be changed.
func TestRefusedWorkloads(t *testing.T) {
	tested := team("a", tenant.EngineImpersonation)
	tested.Rails = tenant.NewRails(false)
	s := sceneOf(tested)
	asks := &rails.Demand{Class: "system-cluster-critical"}
	s.Workloads = append(s.Workloads,
		Workload{Kind: "Deployment", Namespace: "a-1", Name: "urgent", Demand: asks, Sets: []string{"urgent-2", "urgent-1"}},
		Workload{Kind: "ReplicaSet", Namespace: "a-1", Name: "alone", Demand: asks},
		Workload{Kind: "Job", Namespace: "a-1", Name: "nightly-1", Demand: asks},
		Workload{Kind: "StatefulSet", Namespace: "a-1", Name: "db", Demand: asks},
		Workload{Kind: "ReplicaSet", Namespace: "a-1", Name: "web-1", Demand: asks, MadeBy: "web"})
	want := map[string][]string{
		"Deployment urgent in namespace a-1": {"kubectl edit --namespace=a-1 deployment -- urgent", "kubectl rollout status --namespace=a-1 --timeout=5m deployment -- urgent",
			"kubectl delete --namespace=a-1 replicaset -- urgent-1", "kubectl delete --namespace=a-1 replicaset -- urgent-2"},
		"ReplicaSet alone in namespace a-1": {"kubectl edit --namespace=a-1 replicaset -- alone"},
		"Job nightly-1 in namespace a-1":    {"kubectl delete --namespace=a-1 job -- nightly-1"}, // the API server refuses another template
		"StatefulSet db in namespace a-1":   {"kubectl edit --namespace=a-1 statefulset -- db"},
		"ReplicaSet web-1 in namespace a-1": {"kubectl delete --namespace=a-1 replicaset -- web-1"},
	}
	got := map[string][]string{}
	for _, f := range found(s, idRefused) {
		for _, c := range f.Fix.Commands {
			got[f.Subject] = append(got[f.Subject], strings.Join(c, " "))
		}
		if partition := strings.Contains(strings.Join(f.Fix.Notes, ""), "partition"); partition != strings.HasPrefix(f.Subject, "StatefulSet") {
			t.Errorf("%s: %q", f.Subject, f.Fix.Notes)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// Demands of a pod beyond its controller's template are reported: its owner reference is its
// author's claim.
func TestDemandsBeyondTemplates(t *testing.T) {
	priority := new(int32(5))
	for _, test := range []struct {
		name                string
		pod, template, want *rails.Demand
	}{
		{"the same", &rails.Demand{Class: "c", Priority: priority, Storage: []string{"v"}}, &rails.Demand{Class: "c", Storage: []string{"v"}}, nil},
		{"a storage server", &rails.Demand{Class: "c", Priority: priority, Storage: []string{"v", "w"}}, &rails.Demand{Class: "c", Storage: []string{"v"}}, &rails.Demand{Storage: []string{"w"}}},
		{"a driver", &rails.Demand{Drivers: []string{"d"}}, &rails.Demand{Class: "c"}, &rails.Demand{Drivers: []string{"d"}}},
		{"a claim", &rails.Demand{Volumes: []string{"v"}}, &rails.Demand{Class: "c"}, &rails.Demand{Volumes: []string{"v"}}},
		{"another class", &rails.Demand{Class: "system-node-critical", Priority: priority}, &rails.Demand{Class: "c"}, &rails.Demand{Class: "system-node-critical", Priority: priority}},
	} {
		s := &Snapshot{
			Workloads: []Workload{{Kind: "Job", Namespace: "a-1", Name: "j", Demand: test.template}},
			Pods:      []Pod{{Namespace: "a-1", Name: "evil", Demand: test.pod, Owner: ObjectRef{"Job", "a-1", "j"}}},
		}
		var got *rails.Demand
		for _, d := range demandsOf(s)["a-1"] {
			if d.Object.Kind == "Pod" {
				got = d.Asks
			}
		}
		if diff := cmp.Diff(test.want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s, -want +got:\n%s", test.name, diff)
		}
	}
}

// A pod is reported in addition to its controller if that asks for nothing itself, or does not
// exist.
func TestDemandsOfPods(t *testing.T) {
	asks := &rails.Demand{Class: "system-node-critical"}
	pod := func(name, kind, owner string) Pod {
		p := Pod{Namespace: "a-1", Name: name, Demand: asks}
		if kind != "" {
			p.Owner = ObjectRef{kind, "a-1", owner}
		}
		return p
	}
	s := &Snapshot{
		Workloads: []Workload{{Kind: "Deployment", Namespace: "a-1", Name: "web", Demand: asks}, {Kind: "Deployment", Namespace: "a-1", Name: "plain"},
			{Kind: "CronJob", Namespace: "a-1", Name: "nightly", Demand: asks}, {Kind: "StatefulSet", Namespace: "a-1", Name: "db", Demand: asks}},
		Pods: []Pod{pod("alone", "", ""), pod("web-1-x", "ReplicaSet", "web-1"), pod("plain-1-x", "ReplicaSet", "plain-1"), pod("nightly-1-x", "Job", "nightly-1"), pod("db-0", "StatefulSet", "db"),
			pod("forged", "ReplicaSet", "gone-1"), pod("forged-job", "Job", "other-1")},
	}
	var got []string
	for _, d := range demandsOf(s)["a-1"] {
		got = append(got, d.Object.Kind+" "+d.Object.Name)
	}
	want := []string{"CronJob nightly", "Deployment web", "Pod alone", "Pod forged", "Pod forged-job", "Pod plain-1-x", "StatefulSet db"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
