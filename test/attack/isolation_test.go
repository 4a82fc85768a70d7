package attack

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"helm-tenant/test/harness"
)

// metadataAddress is where clouds tell a machine its credentials.
const metadataAddress = "169.254.169.254:80"

// TestIsolation reaches for pods of other tenants and for the metadata service,
// from tenants with network: isolated and from one without, which is the control.
func TestIsolation(t *testing.T) {
	p := newProver(t)
	for _, args := range [][]string{
		{"net-a", "--namespaces", "neta1,neta2", "--network", "isolated"},
		{"net-b", "--namespaces", "netb1", "--network", "isolated"},
		{"net-c", "--namespaces", "netc1"},
	} {
		if _, err := p.helmTenant(t.Context(), append([]string{"init", "--engine", "impersonation", "--create-namespaces"}, args...)...); err != nil {
			t.Fatalf("init %v: %v", args, err)
		}
	}
	p.serveMetadata(t)
	a1, a2, b, c := p.pod(t, "neta1"), p.pod(t, "neta2"), p.pod(t, "netb1"), p.pod(t, "netc1")

	a1.reaches(t, true, a2.ip+":8080") // the tenant's own
	a1.reaches(t, true, c.ip+":8080")  // of an open tenant
	a1.reaches(t, false, b.ip+":8080")
	c.reaches(t, false, b.ip+":8080")
	c.reaches(t, true, metadataAddress) // the control
	a1.reaches(t, false, metadataAddress)
	a2.reaches(t, false, metadataAddress)

	// A policy of the tenant can allow more incoming connections, and no connection to the
	// metadata service.
	policies := p.deployer(t, "net-a").NetworkingV1().NetworkPolicies("neta1")
	open := &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Name: "own"}, Spec: networkingv1.NetworkPolicySpec{
		PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeEgress}, Egress: []networkingv1.NetworkPolicyEgressRule{{}},
	}}
	if _, err := policies.Create(t.Context(), open, metav1.CreateOptions{}); err == nil || !strings.Contains(err.Error(), "helm-tenant-guard-networkpolicies") {
		t.Errorf("a policy that lets everything out: %v", err)
	}
	if err := policies.Delete(t.Context(), "helm-tenant", metav1.DeleteOptions{}); err == nil || !strings.Contains(err.Error(), "helm-tenant-guard-protected") {
		t.Errorf("deleting the admin's policy: %v", err)
	}
	a1.reaches(t, false, metadataAddress)

	// Namespaces that an admin labelled as reachable may connect.
	p.patch(t, "/api/v1/namespaces/netc1", `{"metadata":{"labels":{"helm-tenant/reachable":"true"}}}`)
	c.reaches(t, true, b.ip+":8080")
}

// serveMetadata has something listen at the metadata service's address, on the
// node.
func (p *prover) serveMetadata(t *testing.T) {
	t.Helper()
	host, _, _ := strings.Cut(metadataAddress, ":")
	address := exec.CommandContext(t.Context(), "ip", "address", "add", host+"/32", "dev", "lo")
	p.cluster.InNetwork(address)
	if out, err := address.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	serve := exec.CommandContext(t.Context(), p.cluster.Bin("pause"), "serve", metadataAddress)
	p.cluster.InNetwork(serve)
	if err := serve.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { serve.Wait() }) // ended with the test's context
}

// deployer returns a client of a tenant's deployer.
func (p *prover) deployer(t *testing.T, tenant string) *kubernetes.Clientset {
	t.Helper()
	config := p.cluster.RootConfig(t)
	config.Impersonate.UserName = "system:serviceaccount:" + tenant + "-helm:helm"
	return kubernetes.NewForConfigOrDie(config)
}

// reachPod is a pod that listens on port 8080.
type reachPod struct {
	p             *prover
	namespace, ip string
}

func (p *prover) pod(t *testing.T, namespace string) reachPod {
	t.Helper()
	pods := p.root.CoreV1().Pods(namespace)
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "net"}, Spec: corev1.PodSpec{
		Containers: []corev1.Container{{Name: "main", Image: pauseImage, Args: []string{"serve", ":8080"}}}}}
	created := false
	r := reachPod{p: p, namespace: namespace}
	if err := harness.Await(t.Context(), "a pod in "+namespace, func(ctx context.Context) (bool, error) {
		if !created { // the default account comes a moment after its namespace
			if _, err := pods.Create(ctx, pod, metav1.CreateOptions{}); err != nil {
				return false, err
			}
			created = true
		}
		live, err := pods.Get(ctx, "net", metav1.GetOptions{})
		if err != nil {
			return false, err
		}
		r.ip = live.Status.PodIP
		return live.Status.Phase == corev1.PodRunning, nil
	}); err != nil {
		t.Fatal(err)
	}
	return r
}

// reaches waits until a connection is made, or refused: policies come into force a
// moment after they are written.
func (r reachPod) reaches(t *testing.T, wanted bool, address string) {
	t.Helper()
	words, output := "connected", ""
	if !wanted {
		words = "connection refused" // as the network rejects what a policy forbids
	}
	if err := harness.Await(t.Context(), fmt.Sprintf("%s from %s to say %q", address, r.namespace, words), func(ctx context.Context) (bool, error) {
		kubeconfig, err := r.p.cluster.Kubeconfig("root", "system:masters")
		if err != nil {
			return false, err
		}
		out, _ := exec.CommandContext(ctx, r.p.cluster.Bin("kubectl"), "--kubeconfig", kubeconfig, "--namespace", r.namespace,
			"exec", "net", "--", "/pause", "dial", address).CombinedOutput()
		output = string(out)
		return strings.Contains(output, words), nil
	}); err != nil {
		t.Errorf("%v: it says %q", err, output)
	}
}
