package cluster

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// TestOlderVersions: if an API server lacks the version of a kind, the objects are read in the
// older version.
func TestOlderVersions(t *testing.T) {
	all := metav1.ListOptions{}
	jobs := map[string]any{"apiVersion": "batch/v1beta1", "kind": "CronJobList", "metadata": map[string]any{}, "items": []any{map[string]any{
		"metadata": map[string]any{"name": "nightly", "namespace": "a"},
		"spec": map[string]any{"schedule": "@daily", "jobTemplate": map[string]any{"spec": map[string]any{"template": map[string]any{
			"spec": map[string]any{"serviceAccountName": "robot", "containers": []any{}}}}}},
	}}}
	ingresses := map[string]any{"apiVersion": "networking.k8s.io/v1beta1", "kind": "IngressList", "metadata": map[string]any{}, "items": []any{map[string]any{
		"metadata": map[string]any{"name": "shop", "namespace": "a"},
		"spec": map[string]any{"backend": map[string]any{"serviceName": "s", "servicePort": 80}, "rules": []any{map[string]any{"host": "shop.example.com",
			"http": map[string]any{"paths": []any{map[string]any{"path": "/", "backend": map[string]any{"serviceName": "s", "servicePort": 80}}}}}}},
	}}}
	c := clientOf(t, func(w http.ResponseWriter, r *http.Request) {
		list, served := map[string]map[string]any{
			"/apis/batch/v1beta1/cronjobs":              jobs,
			"/apis/batch/v1beta1/namespaces/a/cronjobs": jobs,
			"/apis/networking.k8s.io/v1beta1/ingresses": ingresses,
		}[r.URL.Path]
		if !served {
			http.NotFound(w, r)
			return
		}
		if strings.Contains(r.Header.Get("Accept"), "PartialObjectMetadataList") {
			item := list["items"].([]any)[0].(map[string]any)
			list = map[string]any{"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadataList", "metadata": map[string]any{},
				"items": []any{map[string]any{"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata", "metadata": item["metadata"]}}}
		}
		answer(t, w, http.StatusOK, list)
	})
	for _, test := range []struct {
		name, want string
		read       func(add func(...string)) error
	}{
		{"as they are", "CronJob batch/v1beta1 nightly", func(add func(...string)) error {
			return c.each(t.Context(), "CronJob", "a", all, func(o *unstructured.Unstructured) { add(o.GetKind(), o.GetAPIVersion(), o.GetName()) })
		}},
		{"typed", "nightly robot", func(add func(...string)) error {
			return Each(t.Context(), c, "CronJob", "", all, func(j *batchv1.CronJob) { add(j.Name, j.Spec.JobTemplate.Spec.Template.Spec.ServiceAccountName) })
		}},
		{"of other fields than are read", "shop shop.example.com", func(add func(...string)) error {
			return Each(t.Context(), c, "Ingress", "", all, func(i *networkingv1.Ingress) { add(i.Name, i.Spec.Rules[0].Host) })
		}},
		{"their metadata", "a nightly", func(add func(...string)) error {
			return c.EachMeta(t.Context(), "CronJob", "", all, func(m *metav1.PartialObjectMetadata) { add(m.Namespace, m.Name) })
		}},
	} {
		var got []string
		if err := test.read(func(words ...string) { got = append(got, words...) }); err != nil {
			t.Errorf("%s: %v", test.name, err)
		}
		if !slices.Equal(got, strings.Fields(test.want)) {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
	}
	if err := Each(t.Context(), c, "Job", "", all, func(*batchv1.Job) {}); !isUnserved(err) {
		t.Errorf("a kind without an older version: %v", err)
	}
}
