package everyday

import (
	"context"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"helm-tenant/rails"
	"helm-tenant/tenant"
	"helm-tenant/test/harness"
	"helm-tenant/test/testcluster"
)

// guarded gives a tenant's namespace the default guard rails.
func guarded(t *testing.T, root *kubernetes.Clientset, name, namespace string) {
	t.Helper()
	for _, object := range rails.Policies(rails.Priorities{Harmless: nil}, tenant.GuardEnforce) {
		var err error
		switch o := object.(type) {
		case *admissionv1.ValidatingAdmissionPolicy:
			_, err = root.AdmissionregistrationV1().ValidatingAdmissionPolicies().Create(t.Context(), o, metav1.CreateOptions{})
		case *admissionv1.ValidatingAdmissionPolicyBinding:
			_, err = root.AdmissionregistrationV1().ValidatingAdmissionPolicyBindings().Create(t.Context(), o, metav1.CreateOptions{})
		}
		if err != nil && !apierrors.IsAlreadyExists(err) {
			t.Fatal(err)
		}
	}
	ns, err := root.CoreV1().Namespaces().Get(t.Context(), namespace, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if ns.Labels[rails.LabelGuard] != "" {
		return // init has made them
	}
	wanted := tenant.Tenant{Name: name, Namespaces: []string{namespace}, Rails: tenant.NewRails(false)}
	labels, annotations, err := rails.NamespaceMeta(wanted, namespace, ns)
	if err != nil {
		t.Fatal(err)
	}
	for key, value := range labels {
		if value != rails.Absent {
			metav1.SetMetaDataLabel(&ns.ObjectMeta, key, value)
		}
	}
	for key, value := range annotations {
		if value != rails.Absent {
			metav1.SetMetaDataAnnotation(&ns.ObjectMeta, key, value)
		}
	}
	if _, err := root.CoreV1().Namespaces().Update(t.Context(), ns, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// holds waits until the guard rails refuse what they forbid to the tenant's deployer: the API
// server enforces policies a moment after they are written.
func holds(t *testing.T, c *testcluster.Cluster, deployer, namespace string) {
	t.Helper()
	config := c.RootConfig(t)
	config.Impersonate.UserName = deployer
	as := kubernetes.NewForConfigOrDie(config)
	dry := metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}}
	for what, try := range map[string]func(context.Context) error{
		"helm-tenant-guard-services": func(ctx context.Context) error {
			_, err := as.CoreV1().Services(namespace).Create(ctx, &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "control"},
				Spec: corev1.ServiceSpec{ExternalIPs: []string{"192.0.2.1"}, Ports: []corev1.ServicePort{{Port: 443}}}}, dry)
			return err
		},
		"violates PodSecurity": func(ctx context.Context) error {
			_, err := as.CoreV1().Pods(namespace).Create(ctx, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "control"},
				Spec: corev1.PodSpec{HostPID: true, Containers: []corev1.Container{{Name: "main", Image: "none"}}}}, dry)
			return err
		},
	} {
		if err := harness.Await(t.Context(), what+" to refuse", func(ctx context.Context) (bool, error) {
			err := try(ctx)
			return err != nil && strings.Contains(err.Error(), what), nil
		}); err != nil {
			t.Fatal(err)
		}
	}
}
