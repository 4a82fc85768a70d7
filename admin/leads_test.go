package admin

import (
	"slices"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"helm-tenant/audit"
	"helm-tenant/cluster"
)

// TestLeads: what answers for a webhook beside the Service that it names, by the objects of a
// cluster.
func TestLeads(t *testing.T) {
	service := func(namespace, name string, spec corev1.ServiceSpec) *corev1.Service {
		return &corev1.Service{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Service"}, ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Spec: spec}
	}
	pod := func(namespace, name, address string, hostNetwork bool) *corev1.Pod {
		return &corev1.Pod{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}, ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
			Spec: corev1.PodSpec{HostNetwork: hostNetwork}, Status: corev1.PodStatus{PodIPs: []corev1.PodIP{{IP: address}}}}
	}
	slice := func(name, labels, addresses string) *unstructured.Unstructured {
		s := &unstructured.Unstructured{}
		text := "{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {namespace: ops, name: " + name + ", labels: {" + labels + "}}, endpoints: [" + addresses + "]}"
		if err := yaml.Unmarshal([]byte(text), &s.Object); err != nil {
			t.Fatal(err)
		}
		return s
	}
	ingress := func(namespace, host string, paths ...string) *networkingv1.Ingress {
		rule := networkingv1.IngressRule{Host: host, IngressRuleValue: networkingv1.IngressRuleValue{HTTP: &networkingv1.HTTPIngressRuleValue{}}}
		for i := 0; i < len(paths); i += 2 {
			rule.HTTP.Paths = append(rule.HTTP.Paths, networkingv1.HTTPIngressPath{Path: paths[i], Backend: networkingv1.IngressBackend{Service: &networkingv1.IngressServiceBackend{Name: paths[i+1]}}})
		}
		return &networkingv1.Ingress{TypeMeta: metav1.TypeMeta{APIVersion: "networking.k8s.io/v1", Kind: "Ingress"}, ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: host},
			Spec: networkingv1.IngressSpec{Rules: []networkingv1.IngressRule{rule}}}
	}
	balanced := service("b", "balanced", corev1.ServiceSpec{ClusterIP: "10.0.0.3", Selector: map[string]string{"app": "x"}})
	balanced.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: "192.0.2.9"}, {Hostname: "lb.example.net"}}
	server, c := empty().start(t)
	server.Put(balanced,
		service("ops", "plain", corev1.ServiceSpec{ClusterIP: "10.0.0.1", Selector: map[string]string{"app": "hook"}}),
		service("ops", "named", corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: "hook.A.svc.cluster.local."}),
		service("ops", "twice", corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: "named.ops.svc"}),
		service("ops", "round", corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: "round.ops.svc"}),
		service("ops", "outside", corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: "hook.example.com"}),
		service("ops", "bare", corev1.ServiceSpec{ClusterIP: "None"}),
		service("a", "hook", corev1.ServiceSpec{ClusterIPs: []string{"10.0.0.2", "fd00::2"}, Selector: map[string]string{"app": "hook"}}),
		pod("a", "hook-1", "10.1.0.1", false), pod("a", "agent-1", "10.2.0.1", true),
		ingress("a", "hook.example.com", "/", "site", "/admit", "hook"), ingress("b", "*.apps.example.com", "", "web"),
	)
	byDefault, typed := ingress("b", "default.example.com", "/admit", "web"), ingress("b", "typed.example.com", "/", "rest", "/exact", "exact", "/prefix/", "prefix")
	byDefault.Spec.DefaultBackend = &networkingv1.IngressBackend{Service: &networkingv1.IngressServiceBackend{Name: "rest"}}
	for i, kind := range []networkingv1.PathType{networkingv1.PathTypePrefix, networkingv1.PathTypeExact, networkingv1.PathTypePrefix} {
		typed.Spec.Rules[0].HTTP.Paths[i].PathType = &kind
	}
	node := pod("a", "agent-2", "10.2.0.2", true)
	node.Spec.NodeName, node.Status.HostIP, node.Status.HostIPs = "node-2", "10.2.0.2", []corev1.HostIP{{IP: "10.2.0.2"}, {IP: "fd00:2::2"}}
	server.Put(byDefault, typed, node,
		service("ops", "address", corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: "10.0.0.2"}),
		service("ops", "balanced", corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: "lb.example.net"}),
		service("ops", "chain", corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: "outside.ops.svc"}),
		service("ops", "added", corev1.ServiceSpec{ClusterIP: "10.0.0.5", Selector: map[string]string{"app": "hook"}}),
		service("a", "node", corev1.ServiceSpec{ClusterIP: "10.0.0.4", Ports: []corev1.ServicePort{{Port: 443, NodePort: 31443}}, Selector: map[string]string{"app": "hook"}}),
		ingress("ops", "bare.example.com", "/", "bare"),
		slice("bare-1", "kubernetes.io/service-name: bare", "{addresses: [10.1.0.1]}, {addresses: [198.51.100.1]}"),
		slice("bare-2", "kubernetes.io/service-name: bare, endpointslice.kubernetes.io/managed-by: endpointslice-controller.k8s.io", "{addresses: [10.1.0.2]}"),
		pod("a", "hook-2", "10.1.0.2", false),
		slice("other", "kubernetes.io/service-name: other", "{addresses: [10.1.0.1]}"),
		slice("added-1", "kubernetes.io/service-name: added", "{addresses: [10.1.0.1]}"),
		// What the controller made.
		slice("added-2", "kubernetes.io/service-name: added, endpointslice.kubernetes.io/managed-by: endpointslice-controller.k8s.io", "{addresses: [10.1.0.2]}"),
	)
	for called, want := range map[string][]string{
		"ops/plain":                          nil,
		"ops/missing":                        nil,
		"ops/named":                          {"Service hook in namespace a"},
		"ops/twice":                          {"Service named in namespace ops", "Service hook in namespace a"},
		"ops/round":                          nil,
		"ops/outside":                        {"Service site in namespace a", "Service hook in namespace a"},
		"ops/bare":                           {"Pod hook-1 in namespace a", "Pod hook-2 in namespace a"},
		"ops/added":                          {"Pod hook-1 in namespace a"},
		"ops/address":                        {"Service hook in namespace a"},
		"ops/balanced":                       {"Service balanced in namespace b"},
		"ops/chain":                          {"Service outside in namespace ops", "Service site in namespace a", "Service hook in namespace a"},
		"https://bare.ops.svc/":              {"Pod hook-1 in namespace a", "Pod hook-2 in namespace a"},
		"https://bare.example.com/":          {"Service bare in namespace ops", "Pod hook-1 in namespace a", "Pod hook-2 in namespace a"},
		"https://[::ffff:10.0.0.2]/":         {"Service hook in namespace a"},
		"https://[FD00:0:0::2]/":             {"Service hook in namespace a"},
		"https://10.2.0.2:31443/":            {"Service node in namespace a"},
		"https://[fd00:2::2]:31443/":         {"Service node in namespace a"},
		"https://Node-2:31443/":              {"Service node in namespace a"},
		"https://10.2.0.2:31444/":            nil,
		"https://10.2.0.9:31443/":            nil,
		"https://hook.example.com":           {"Service site in namespace a"},
		"https://default.example.com/x":      {"Service rest in namespace b"},
		"https://default.example.com/admit":  {"Service web in namespace b"},
		"https://typed.example.com/exact":    {"Service exact in namespace b"},
		"https://typed.example.com/exact/x":  {"Service rest in namespace b"},
		"https://typed.example.com/prefix":   {"Service prefix in namespace b"},
		"https://typed.example.com/prefix/x": {"Service prefix in namespace b"},
		"https://typed.example.com/prefixed": {"Service rest in namespace b"},
		"https://10.0.0.1:443/x":             {"Service plain in namespace ops"},
		"https://[fd00::2]/":                 {"Service hook in namespace a"},
		"https://10.1.0.1:8443":              {"Pod hook-1 in namespace a"},
		"https://10.2.0.1:8443":              nil, // the node's own
		"https://192.0.2.9/":                 {"Service balanced in namespace b"},
		"https://LB.example.net":             {"Service balanced in namespace b"},
		"https://hook.example.com/admit/x":   {"Service hook in namespace a"},
		"https://hook.example.com/other":     {"Service site in namespace a"},
		"https://one.apps.example.com/x":     {"Service web in namespace b"},
		"https://one.two.apps.example.com/x": nil,
		"https://example.org/":               nil,
	} {
		w := audit.Webhook{Kind: "ValidatingWebhookConfiguration"}
		config := admissionv1.WebhookClientConfig{URL: &called}
		if namespace, name, ok := strings.Cut(called, "/"); ok && !strings.HasSuffix(namespace, ":") {
			config = admissionv1.WebhookClientConfig{Service: &admissionv1.ServiceReference{Namespace: namespace, Name: name}}
		}
		setServer(&w, config)
		reader := &snapshotReader{client: c, homes: cluster.NewHomes(), guard: cluster.NewLive(), snapshot: audit.Snapshot{Webhooks: []audit.Webhook{w}}}
		if err := reader.take(t.Context(), []reading{{"pods", "", reader.readPods}}, nil); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, place := range reader.snapshot.Webhooks[0].Leads {
			got = append(got, place.String())
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s leads to %q, not %q", called, got, want)
		}
		for place := range reader.snapshot.Webhooks[0].Selectors {
			if place.Kind != "Service" || !strings.Contains("plain hook added node balanced", place.Name) {
				t.Errorf("%s: %s has no selector", called, place)
			}
		}
		selected := slices.ContainsFunc(append([]audit.ObjectRef{w.Service}, reader.snapshot.Webhooks[0].Leads...), func(place audit.ObjectRef) bool {
			return place.Kind == "Service" && slices.Contains([]string{"plain", "hook", "added", "node", "balanced"}, place.Name) && place != (audit.ObjectRef{Kind: "Service", Namespace: "ops", Name: "balanced"})
		})
		if selected != (len(reader.snapshot.Webhooks[0].Selectors) > 0) {
			t.Errorf("%s: the selectors are %v", called, reader.snapshot.Webhooks[0].Selectors)
		}
	}
}
