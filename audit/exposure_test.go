package audit

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"helm-tenant/recognise"
	"helm-tenant/tenant"
)

// A Tiller on a port of its node is reached from outside the cluster, and in its node's network
// no NetworkPolicy holds anybody off.
func TestExposure(t *testing.T) {
	for _, test := range []struct {
		name  string
		plant func(*Snapshot, *corev1.PodSpec)
		want  string
		open  bool
	}{
		{"the policy holds", func(*Snapshot, *corev1.PodSpec) {}, "HT003 medium", false},
		{"no policy", func(s *Snapshot, _ *corev1.PodSpec) { s.Policies = nil }, "HT003 critical", true},
		{"a Service from outside", func(s *Snapshot, _ *corev1.PodSpec) {
			s.Services = []Service{{"a-tiller", "tiller", recognise.Labels()}}
		}, "HT003 critical", false},
		{"the node's network", func(_ *Snapshot, pod *corev1.PodSpec) { pod.HostNetwork = true }, "HT003 critical", true},
		{"a port of the node", func(_ *Snapshot, pod *corev1.PodSpec) {
			pod.Containers[0].Ports = []corev1.ContainerPort{{ContainerPort: 44134, HostPort: 30000}}
		}, "HT003 critical", false},
		{"another port of the node", func(_ *Snapshot, pod *corev1.PodSpec) {
			pod.Containers[0].Ports = []corev1.ContainerPort{{ContainerPort: 44135, HostPort: 44134}}
		}, "HT003 medium", false},
		{"the node's network, on its loopback", func(_ *Snapshot, pod *corev1.PodSpec) {
			pod.HostNetwork, pod.Containers[0].Command = true, []string{"/tiller", "--listen=localhost:44134"}
		}, "", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := sceneOf(team("a", tenant.EngineTiller))
			policies := s.Policies
			s.open()
			s.Policies = policies
			test.plant(s, &s.Workloads[0].Template.Spec)
			got := ""
			for _, f := range Audit(s, Options{}).Findings {
				if f.ID == idOpen {
					got = f.ID + " " + string(f.Severity)
				}
			}
			s.give("outside", "y", User("zoe"), rule("", "pods", "create"))
			open := slices.Contains(reachedBy(s, User("zoe")), "a-tiller connect")
			if got != test.want || open != test.open {
				t.Errorf("it is %q, and to whoever runs pods open %t, not %q and %t", got, open, test.want, test.open)
			}
		})
	}
}
