package audit

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"helm-tenant/recognise"
	"helm-tenant/tenant"
)

// A Tiller on a port of its node can be reached from outside the cluster, unless a
// NetworkPolicy allows no connection; in its node's network no NetworkPolicy applies.
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
		{"another port, and the node's to it", func(s *Snapshot, pod *corev1.PodSpec) {
			someConnect(s)
			listenOn(pod, ":9000")
			pod.Containers[0].Ports = []corev1.ContainerPort{{ContainerPort: 9000, HostPort: 30000}}
		}, "HT003 critical", true},
		{"another port, and the node's to the usual one", func(s *Snapshot, pod *corev1.PodSpec) {
			someConnect(s)
			listenOn(pod, ":9000")
			pod.Containers[0].Ports = []corev1.ContainerPort{{ContainerPort: 44134, HostPort: 30000}}
		}, "HT003 high", true},
		{"a port that is not known, and one of the node's", func(s *Snapshot, pod *corev1.PodSpec) {
			someConnect(s)
			listenOn(pod, ":$(PORT)")
			pod.Containers[0].Ports = []corev1.ContainerPort{{ContainerPort: 9000, HostPort: 30000}}
		}, "HT003 critical", true},
		{"another port, which a policy opens", func(s *Snapshot, pod *corev1.PodSpec) {
			someConnect(s, networkingv1.NetworkPolicyPort{Port: new(intstr.FromInt32(9000))})
			listenOn(pod, "0.0.0.0:9000")
		}, "HT003 high", true},
		{"another port, and a policy that opens the usual one", func(s *Snapshot, pod *corev1.PodSpec) {
			someConnect(s, networkingv1.NetworkPolicyPort{Port: new(intstr.FromInt32(44134))})
			listenOn(pod, "0.0.0.0:9000")
		}, "HT003 medium", false},
		{"another port in a range that a policy opens", func(s *Snapshot, pod *corev1.PodSpec) {
			someConnect(s, networkingv1.NetworkPolicyPort{Port: new(intstr.FromInt32(8000)), EndPort: new(int32(9000))})
			listenOn(pod, ":9000")
		}, "HT003 high", true},
		{"a port that a policy opens by its name", func(s *Snapshot, pod *corev1.PodSpec) {
			someConnect(s, networkingv1.NetworkPolicyPort{Port: new(intstr.FromString("api"))})
			pod.Containers = append(pod.Containers, corev1.Container{Name: "beside", Ports: []corev1.ContainerPort{{Name: "api", ContainerPort: 44134}}})
		}, "HT003 high", true},
		{"a policy that opens another port by its name", func(s *Snapshot, pod *corev1.PodSpec) {
			someConnect(s, networkingv1.NetworkPolicyPort{Port: new(intstr.FromString("tiller"))})
			pod.Containers[0].Ports = []corev1.ContainerPort{{Name: "tiller", ContainerPort: 44135}}
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

// someConnect has the NetworkPolicies let some connect, to these ports or to all.
func someConnect(s *Snapshot, ports ...networkingv1.NetworkPolicyPort) {
	for i := range s.Policies {
		s.Policies[i].Spec.Ingress = []networkingv1.NetworkPolicyIngressRule{{Ports: ports}}
	}
}

// listenOn has Tiller listen on an address.
func listenOn(pod *corev1.PodSpec, address string) {
	pod.Containers[0].Command = []string{"/tiller", "--listen=" + address}
}

// TestHostOfOtherContainers: what another container of Tiller's pod has of the node is found
// as what Tiller's own has, and once.
func TestHostOfOtherContainers(t *testing.T) {
	port := []corev1.ContainerPort{{ContainerPort: 80, HostPort: 30080}}
	privileged := &corev1.SecurityContext{Privileged: new(true)}
	for _, test := range []struct {
		name  string
		plant func(*corev1.PodSpec)
		want  []string
	}{
		{"Tiller's own", func(pod *corev1.PodSpec) { pod.Containers[0].Ports = port }, []string{"Tiller's pod has the node's port 30080"}},
		{"beside it", func(pod *corev1.PodSpec) {
			pod.Containers = append(pod.Containers, corev1.Container{Name: "x", Ports: port})
		}, []string{"Tiller's pod has the node's port 30080"}},
		{"an init container that keeps running", func(pod *corev1.PodSpec) {
			pod.InitContainers = []corev1.Container{{Name: "x", Ports: port, RestartPolicy: new(corev1.ContainerRestartPolicyAlways)}}
		}, []string{"Tiller's pod has the node's port 30080"}},
		{"an init container that ends", func(pod *corev1.PodSpec) { pod.InitContainers = []corev1.Container{{Name: "x", Ports: port}} }, nil},
		{"privileged beside it", func(pod *corev1.PodSpec) {
			pod.Containers = append(pod.Containers, corev1.Container{Name: "x", SecurityContext: privileged})
		}, []string{"container x of Tiller's pod is privileged"}},
		{"privileged before it", func(pod *corev1.PodSpec) {
			pod.InitContainers = []corev1.Container{{Name: "x", SecurityContext: privileged}}
		}, []string{"container x of Tiller's pod is privileged"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := sceneOf(team("a", tenant.EngineTiller))
			test.plant(&s.Workloads[0].Template.Spec)
			var got []string
			for _, f := range Audit(s, Options{}).Findings {
				if f.ID == idHost {
					got = append(got, f.Text)
				}
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
