package testcluster

import (
	"context"
	"os/exec"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// A pod of the network's tests: it serves one port, and tries things by
// `kubectl exec`.
type netPod struct {
	cluster         *Cluster
	namespace, name string
	ip              string
}

const servedPort = "8080"

// A connection between two pods of one node works until a policy forbids it, for the pod and
// direction that the policy names; and pods resolve names of Services.
func TestNetwork(t *testing.T) {
	Require(t, Full)
	c, err := Start(t.Context(), Options{Size: Full})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Stop()
	admin := client(t, c, "root", "system:masters")
	server, stranger := newNetPod(t, c, admin, "server"), newNetPod(t, c, admin, "stranger")

	t.Run("names", func(t *testing.T) {
		service := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "web"}, Spec: corev1.ServiceSpec{
			Selector: map[string]string{"app": "server"}, Ports: []corev1.ServicePort{{Port: 8080}}}}
		if service, err = admin.CoreV1().Services("server").Create(t.Context(), service, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		stranger.becomes(t, service.Spec.ClusterIP, "resolve", "web.server.svc.cluster.local")
		server.becomes(t, service.Spec.ClusterIP, "resolve", "web") // by the pod's search path
		stranger.becomes(t, "no such host", "resolve", "none.server.svc.cluster.local")
		stranger.becomes(t, "connected", "dial", "web.server.svc.cluster.local:"+servedPort)
	})

	t.Run("policies", func(t *testing.T) {
		to := server.ip + ":" + servedPort
		stranger.becomes(t, "connected", "dial", to) // the control
		server.becomes(t, "connected", "dial", to)

		policies := admin.NetworkingV1().NetworkPolicies("server")
		ingress := &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Name: "own"}, Spec: networkingv1.NetworkPolicySpec{
			PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress},
			Ingress:     []networkingv1.NetworkPolicyIngressRule{{From: []networkingv1.NetworkPolicyPeer{{PodSelector: &metav1.LabelSelector{}}}}},
		}}
		if _, err := policies.Create(t.Context(), ingress, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		stranger.becomes(t, "refused", "dial", to)
		stranger.becomes(t, "refused", "dial", "web.server.svc.cluster.local:"+servedPort)
		second := newNetPod(t, c, admin, "server-2", "server")
		second.becomes(t, "connected", "dial", to) // of the same namespace
		if err := policies.Delete(t.Context(), "own", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		stranger.becomes(t, "connected", "dial", to)

		// Out goes everything but one block, as with a cloud's metadata service.
		out := &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Name: "out"}, Spec: networkingv1.NetworkPolicySpec{
			PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeEgress},
			Egress: []networkingv1.NetworkPolicyEgressRule{{To: []networkingv1.NetworkPolicyPeer{{
				IPBlock: &networkingv1.IPBlock{CIDR: "0.0.0.0/0", Except: []string{server.ip + "/32"}}}}}},
		}}
		if _, err := admin.NetworkingV1().NetworkPolicies("stranger").Create(t.Context(), out, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		stranger.becomes(t, "refused", "dial", to)
		stranger.becomes(t, "connected", "dial", second.ip+":"+servedPort)
		stranger.becomes(t, "10.96.0.1", "resolve", "kubernetes.default.svc.cluster.local")
	})
}

// newNetPod runs a pod in a namespace of its own name, or in another's.
func newNetPod(t *testing.T, c *Cluster, admin *kubernetes.Clientset, name string, in ...string) *netPod {
	t.Helper()
	p := &netPod{cluster: c, namespace: name, name: name}
	if len(in) > 0 {
		p.namespace = in[0]
	} else if _, err := admin.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"app": name}},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{
			Name: "main", Image: "registry.k8s.io/pause:3.10", Args: []string{"serve", ":" + servedPort},
		}}},
	}
	p.ip = startPod(t, admin, p.namespace, pod).Status.PodIP
	return p
}

// becomes waits until the output of a command in the pod contains the words: policies and
// endpoints take effect a moment after they are written.
func (p *netPod) becomes(t *testing.T, words string, args ...string) {
	t.Helper()
	output := ""
	const patience = 5 * time.Minute // only says that something hangs
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		cmd := exec.CommandContext(ctx, p.cluster.Bin("kubectl"), append([]string{"--kubeconfig", p.cluster.Admin(),
			"--namespace", p.namespace, "exec", p.name, "--", "/pause"}, args...)...)
		out, _ := cmd.CombinedOutput()
		cancel()
		if output = string(out); strings.Contains(output, words) {
			return
		}
	}
	t.Errorf("in pod %s, %v never says %q, but %q", p.name, args, words, output)
}
