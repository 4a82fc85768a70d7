package testcluster

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"helm-tenant/test/harness"
)

func TestFull(t *testing.T) {
	Require(t, Full)
	mounts := hostMounts(t)
	c, err := Start(t.Context(), Options{Size: Full})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Stop()
	admin := client(t, c, "root", "system:masters")

	// As PodSecurity's restricted level wants it: that needs seccomp from runc.
	if _, err := admin.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		Name: "strict", Labels: map[string]string{"pod-security.kubernetes.io/enforce": "restricted"},
	}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	// An image that the node has not had from the start.
	const image = "example.com/pause:v2"
	if err := c.LoadImage(t.Context(), image, c.Bin("pause"), "/wait", "1000"); err != nil {
		t.Fatal(err)
	}
	pod := runPod(t, admin, "strict", image)

	// The pod's address is reached from the cluster's network, and only there.
	target := pod.Status.PodIP + ":1" // nothing listens: the pod itself refuses
	cmd := exec.Command(c.Bin("pause"), "dial", target)
	c.InNetwork(cmd)
	if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), "refused") {
		t.Errorf("from the cluster's network, %s: %v\n%s", target, err, out)
	}

	// The API server reaches the kubelet, and the kubelet the pod.
	// kube-proxy may still be writing the service's rules.
	for deadline := time.Now().Add(harness.Patience); ; time.Sleep(500 * time.Millisecond) {
		kubectl := exec.Command(c.Bin("kubectl"), "--kubeconfig", c.Admin(), "--namespace", "strict",
			"exec", pod.Name, "--", "/wait", "dial", "10.96.0.1:443")
		out, err := kubectl.CombinedOutput()
		if err == nil && strings.TrimSpace(string(out)) == "connected" {
			break
		}
		if time.Now().After(deadline) {
			t.Errorf("a pod's connection to the API server's service address: %v\n%s", err, out)
			break
		}
	}

	left := watch(t, c.Info)
	if err := c.Stop(); err != nil {
		t.Fatal(err)
	}
	left.none(t)
	if now := hostMounts(t); now != mounts {
		t.Errorf("mounts of the host before:\n%s\nafter:\n%s", mounts, now)
	}
}

func runPod(t *testing.T, admin *kubernetes.Clientset, namespace, image string) *corev1.Pod {
	t.Helper()
	yes, no := true, false
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "waits"},
		Spec: corev1.PodSpec{
			SecurityContext: &corev1.PodSecurityContext{
				RunAsNonRoot:   &yes,
				SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
			},
			Containers: []corev1.Container{{
				Name:  "waits",
				Image: image,
				SecurityContext: &corev1.SecurityContext{
					AllowPrivilegeEscalation: &no,
					ReadOnlyRootFilesystem:   &yes,
					Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
				},
			}},
		},
	}
	return startPod(t, admin, namespace, pod)
}

// startPod makes a pod and returns it when it runs.
func startPod(t *testing.T, admin *kubernetes.Clientset, namespace string, pod *corev1.Pod) *corev1.Pod {
	t.Helper()
	pods := admin.CoreV1().Pods(namespace)
	// The default service account comes a moment after its namespace.
	why := ""
	for deadline := time.Now().Add(harness.Patience); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		if _, err := pods.Create(t.Context(), pod, metav1.CreateOptions{}); err != nil && why == "" {
			why = err.Error()
			continue
		}
		live, err := pods.Get(t.Context(), pod.Name, metav1.GetOptions{})
		if err != nil {
			why = err.Error()
			continue
		}
		if live.Status.Phase == corev1.PodRunning {
			return live
		}
		why = fmt.Sprintf("%s: %+v", live.Status.Phase, live.Status.ContainerStatuses)
	}
	t.Fatalf("the pod does not run: %s", why)
	return nil
}

func hostMounts(t *testing.T) string {
	t.Helper()
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	return string(mounts)
}
