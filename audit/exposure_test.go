package audit

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"

	"helm-tenant/recognise"
	"helm-tenant/tenant"
)

// A Tiller on a port of its node is reached from outside the cluster, unless a NetworkPolicy
// lets nobody connect; in its node's network no NetworkPolicy holds anybody off.
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
		{"a port of the node that the policy closes", func(_ *Snapshot, pod *corev1.PodSpec) {
			pod.Containers[0].Ports = []corev1.ContainerPort{{ContainerPort: 44134, HostPort: 30000}}
		}, "HT003 medium", false},
		{"a port of the node and a Service from outside", func(s *Snapshot, pod *corev1.PodSpec) {
			s.Services = []Service{{"a-tiller", "tiller", recognise.Labels()}}
			pod.Containers[0].Ports = []corev1.ContainerPort{{ContainerPort: 44134, HostPort: 30000}}
		}, "HT003 critical", false},
		{"a port of the node", func(s *Snapshot, pod *corev1.PodSpec) {
			someConnect(s)
			pod.Containers[0].Ports = []corev1.ContainerPort{{ContainerPort: 44134, HostPort: 30000}}
		}, "HT003 critical", true},
		{"a port of the node, of another container", func(s *Snapshot, pod *corev1.PodSpec) {
			someConnect(s)
			pod.Containers = append(pod.Containers, corev1.Container{Name: "beside", Ports: []corev1.ContainerPort{{ContainerPort: 44134, HostPort: 30000, Protocol: corev1.ProtocolTCP}}})
		}, "HT003 critical", true},
		{"a port of the node, of an init container that keeps running", func(s *Snapshot, pod *corev1.PodSpec) {
			someConnect(s)
			pod.InitContainers = []corev1.Container{{Name: "beside", RestartPolicy: new(corev1.ContainerRestartPolicyAlways), Ports: []corev1.ContainerPort{{ContainerPort: 44134, HostPort: 30000}}}}
		}, "HT003 critical", true},
		{"a port of the node, of an init container that ends", func(s *Snapshot, pod *corev1.PodSpec) {
			someConnect(s)
			pod.InitContainers = []corev1.Container{{Name: "before", Ports: []corev1.ContainerPort{{ContainerPort: 44134, HostPort: 30000}}}}
		}, "HT003 high", true},
		{"another port of the node", func(s *Snapshot, pod *corev1.PodSpec) {
			someConnect(s)
			pod.Containers[0].Ports = []corev1.ContainerPort{{ContainerPort: 44135, HostPort: 44134}, {ContainerPort: 44134, HostPort: 44134, Protocol: corev1.ProtocolUDP}}
		}, "HT003 high", true},
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

// someConnect has the NetworkPolicies let some connect.
func someConnect(s *Snapshot) {
	for i := range s.Policies {
		s.Policies[i].Spec.Ingress = []networkingv1.NetworkPolicyIngressRule{{}}
	}
}
