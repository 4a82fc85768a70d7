package admin

import (
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/helm/pkg/proto/hapi/release"

	"helm-tenant/cluster"
	"helm-tenant/tenant"
)

// TestAuditRules: an audit asks for what its rules allow, and for nothing else.
func TestAuditRules(t *testing.T) {
	server, c := empty().with(tillerByHand("old", func(*appsv1.Deployment) {})...).start(t)
	write(t, c, asked())
	write(t, c, Request{Tenant: tenant.Tenant{Name: "three", Namespaces: []string{"b"}, Engine: tenant.EngineImpersonation,
		Rails: tenant.Rails{Quota: map[string]string{"pods": "9"}, Limits: &tenant.Limits{Max: map[string]string{"memory": "1Gi"}}}}, Share: true})
	stored := record(t, "old", "db", "z", 1, release.Status_DEPLOYED)
	server.Put(record(t, "t-tiller", "web", "a", 1, release.Status_DEPLOYED), &corev1.ConfigMap{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"}, ObjectMeta: stored.ObjectMeta, Data: map[string]string{"release": string(stored.Data["release"])}})
	// A webhook whose Service has no selector: where that leads is looked for.
	server.Put(&corev1.Service{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Service"}, ObjectMeta: metav1.ObjectMeta{Namespace: "z", Name: "hook"}},
		&admissionv1.ValidatingWebhookConfiguration{TypeMeta: metav1.TypeMeta{APIVersion: "admissionregistration.k8s.io/v1", Kind: "ValidatingWebhookConfiguration"}, ObjectMeta: metav1.ObjectMeta{Name: "hook"},
			Webhooks: []admissionv1.ValidatingWebhook{{ClientConfig: admissionv1.WebhookClientConfig{Service: &admissionv1.ServiceReference{Namespace: "z", Name: "hook"}}}}})
	server.Writes()
	snapshot, err := TakeSnapshot(t.Context(), c)
	if err != nil || len(snapshot.Unseen) > 0 {
		t.Fatal(snapshot, err)
	}
	asked, allowed := map[string]bool{}, map[string]bool{}
	for resource, r := range cluster.Resources() {
		for _, verb := range []string{"get", "list", "watch", "create", "update", "delete"} {
			if server.Count(verb, r.Kind) > 0 {
				asked[verb+" "+resource.Group+"/"+resource.Resource] = true
			}
		}
	}
	for _, rule := range AuditRules() {
		for _, resource := range rule.Resources {
			allowed[rule.Verbs[0]+" "+rule.APIGroups[0]+"/"+resource] = true
		}
	}
	if diff := cmp.Diff(slices.Sorted(maps.Keys(asked)), slices.Sorted(maps.Keys(allowed))); diff != "" {
		t.Errorf("-asked for +allowed:\n%s", diff)
	}
}
