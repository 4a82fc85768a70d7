package audit

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// recreate deletes the tenant's record and creates another: a dry run leaves the first in
// its place, so that the second has another name, for which a POST asks no other right.
func recreate(ctx context.Context, a *actor) error {
	if err := a.CoreV1().ConfigMaps(a.home).Delete(ctx, "helm-tenant", metav1.DeleteOptions{DryRun: dry.DryRun}); err != nil {
		return err
	}
	return create(a.CoreV1().ConfigMaps(a.home).Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "made-by-outsider"}}, dry))
}

// noGuard takes away a policy of the guard, or a binding of one.
func noGuard(resource, name string) try {
	return func(ctx context.Context, a *actor) error {
		return a.AdmissionregistrationV1().RESTClient().Delete().Resource(resource).Name(name).
			Body(&metav1.DeleteOptions{DryRun: []string{metav1.DryRunAll}}).Do(ctx).Error()
	}
}

// applyWebhook makes a webhook's configuration by a server-side apply, which names it.
func applyWebhook(ctx context.Context, a *actor) error {
	body := `{"apiVersion":"admissionregistration.k8s.io/v1","kind":"MutatingWebhookConfiguration","metadata":{"name":"made-by-outsider"},"webhooks":[{"name":"made.by.outsider",
		"admissionReviewVersions":["v1"],"sideEffects":"None","clientConfig":{"url":"https://webhook.example/"},
		"rules":[{"operations":["*"],"apiGroups":[""],"apiVersions":["v1"],"resources":["secrets"]}]}]}`
	return a.AdmissionregistrationV1().RESTClient().Patch(types.ApplyPatchType).Resource("mutatingwebhookconfigurations").Name("made-by-outsider").
		VersionedParams(&metav1.PatchOptions{DryRun: dry.DryRun, FieldManager: "outsider"}, metav1.ParameterCodec).Body([]byte(body)).Do(ctx).Error()
}
