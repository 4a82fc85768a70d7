package admin

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/helm/pkg/proto/hapi/release"

	"helm-tenant/recognise"
)

// TestAdoptable: pods with a Tiller's labels that run none are listed, and can't be adopted
// unless there are releases.
func TestAdoptable(t *testing.T) {
	for _, test := range []struct {
		name, image string
		releases    bool
		want        bool
	}{
		{"Tiller's image", "registry.example.com/tiller:v2.17.0", false, true},
		{"another image", "nginx", false, false},
		{"another image, and releases", "helm-server", true, true},
	} {
		server, c := empty().start(t)
		server.Put(namespace("old"), &corev1.Pod{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}, ObjectMeta: metav1.ObjectMeta{Namespace: "old", Name: "x", Labels: recognise.Labels()},
			Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "x", Image: test.image}}}})
		if test.releases {
			server.Put(record(t, "old", "web", "a", 1, release.Status_DEPLOYED))
		}
		found, err := TakeInventory(t.Context(), c)
		if err != nil || len(found.Unmanaged) != 1 || found.Unmanaged[0].Adoptable() != test.want {
			t.Errorf("%s: %v, %+v", test.name, err, found.Unmanaged)
		}
	}
}
