package apitest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"helm-tenant/cluster"
	"helm-tenant/rails"
	"helm-tenant/tenant"
)

// warnsOf has the API server warn of every change of a namespace.
func (w *world) warnsOf(t *testing.T, namespace, message string) {
	t.Helper()
	api, name := w.root.AdmissionregistrationV1(), "warns-"+namespace
	_, err := api.ValidatingAdmissionPolicies().Create(t.Context(), &admissionv1.ValidatingAdmissionPolicy{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: admissionv1.ValidatingAdmissionPolicySpec{
		MatchConstraints: &admissionv1.MatchResources{ResourceRules: []admissionv1.NamedRuleWithOperations{{ResourceNames: []string{namespace}, RuleWithOperations: admissionv1.RuleWithOperations{
			Operations: []admissionv1.OperationType{admissionv1.Update}, Rule: admissionv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{"namespaces"}}}}}},
		Validations: []admissionv1.Validation{{Expression: "false", Message: message}}}}, metav1.CreateOptions{})
	must(t, err)
	_, err = api.ValidatingAdmissionPolicyBindings().Create(t.Context(), &admissionv1.ValidatingAdmissionPolicyBinding{ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: admissionv1.ValidatingAdmissionPolicyBindingSpec{PolicyName: name, ValidationActions: []admissionv1.ValidationAction{admissionv1.Warn}}}, metav1.CreateOptions{})
	must(t, err)
	t.Cleanup(func() {
		ctx := context.Background()
		must(t, errors.Join(api.ValidatingAdmissionPolicyBindings().Delete(ctx, name, metav1.DeleteOptions{}), api.ValidatingAdmissionPolicies().Delete(ctx, name, metav1.DeleteOptions{})))
	})
}

// TestWarnings: a warning of an admission policy is no violation of PodSecurity, and is
// distinguished from PodSecurity's own; and a harmless controller hides no object that names it
// as its controller.
func TestWarnings(t *testing.T) {
	t.Parallel()
	w, team := start(t), newTeam()
	ctx, admin := t.Context(), w.admin(t)
	w.namespace(t, team.a)
	const message = "it has no owner"
	w.warnsOf(t, team.a, message)
	k, err := tenant.LoadKubeconfig(nil, admin.kubeconfig, "")
	must(t, err)
	client, err := cluster.Connect(k, "test", 0)
	must(t, err)
	try := func() (answer cluster.LabelAnswer, err error) {
		live, err := w.root.CoreV1().Namespaces().Get(ctx, team.a, metav1.GetOptions{})
		must(t, err)
		fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(live)
		must(t, err)
		object := &unstructured.Unstructured{Object: fields}
		object.SetAPIVersion("v1")
		object.SetKind("Namespace")
		return client.TryLabel(ctx, object, rails.LabelEnforce, "baseline")
	}
	eventually(t, "the policy warns", func() error {
		answer, err := try()
		if err == nil && (len(answer.Violations) > 0 || len(answer.Others) != 1 || !strings.Contains(answer.Others[0], message)) {
			err = fmt.Errorf("the answer is %+v", answer)
		}
		return err
	})
	r := admin.must(t, "init", team.name, "--namespaces", team.a, "--wait=false", "--dry-run")
	if !strings.Contains(r.Stderr, "the API server warned of podSecurity: baseline of namespace") || !strings.Contains(r.Stderr, message) {
		t.Errorf("the warning is not shown: %v", r)
	}

	pod := corev1.PodTemplateSpec{Spec: corev1.PodSpec{RestartPolicy: corev1.RestartPolicyNever, Containers: []corev1.Container{{Name: "x", Image: "x"}}}}
	nightly, err := w.root.BatchV1().CronJobs(team.a).Create(ctx, &batchv1.CronJob{ObjectMeta: metav1.ObjectMeta{Name: "nightly"},
		Spec: batchv1.CronJobSpec{Schedule: "0 0 1 1 *", JobTemplate: batchv1.JobTemplateSpec{Spec: batchv1.JobSpec{Template: pod}}}}, metav1.CreateOptions{})
	must(t, err)
	pod.Spec.HostNetwork = true
	owner := []metav1.OwnerReference{{APIVersion: "batch/v1", Kind: "CronJob", Name: nightly.Name, UID: nightly.UID, Controller: new(true)}}
	_, err = w.root.BatchV1().Jobs(team.a).Create(ctx, &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Name: "named", OwnerReferences: owner}, Spec: batchv1.JobSpec{Suspend: new(true), Template: pod}}, metav1.CreateOptions{})
	must(t, err)
	r = admin.fails(t, 1, []string{"Job named: host namespaces (hostNetwork=true)", "violating-pods"}, "init", team.name, "--namespaces", team.a, "--wait=false")
	if strings.Contains(r.Stderr, "CronJob nightly") {
		t.Errorf("the CronJob violates nothing: %v", r)
	}

	eventually(t, "the namespace has its default account", func() error {
		_, err := w.root.CoreV1().Pods(team.a).Create(ctx, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "web-0"}, Spec: pod.Spec}, metav1.CreateOptions{})
		return err
	})
	answer, err := try()
	if want := []string{"web-0: host namespaces"}; err != nil || !slices.Equal(answer.Violations, want) || len(answer.Others) != 1 {
		t.Errorf("PodSecurity and the policy: %+v, %v", answer, err)
	}
}
