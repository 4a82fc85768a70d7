package admin

import (
	"fmt"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/helm/pkg/proto/hapi/release"
)

// TestPodsOfManyNamespaces: a Tiller that is a bare pod is listed whatever the number of
// namespaces is that hold records and no Tiller.
func TestPodsOfManyNamespaces(t *testing.T) {
	for _, count := range []int{3, mostSearched, 3 * mostSearched} {
		server, c := empty().start(t)
		for i := range count {
			name := fmt.Sprintf("team-%02d", i)
			server.Put(namespace(name))
			server.Put(record(t, name, "web", "a", 1, release.Status_DEPLOYED))
		}
		for _, object := range recipe(t, "bare-pod") {
			if pod, ok := object.(*corev1.Pod); ok {
				pod.Namespace = fmt.Sprintf("team-%02d", count-1)
				pod.Labels = nil
				server.Put(pod)
				stranger := pod.DeepCopy() // where no release is stored
				stranger.Namespace = "b"
				server.Put(stranger)
			}
		}
		found, err := TakeInventory(t.Context(), c)
		if err != nil || len(found.Unseen) > 0 {
			t.Fatal(err, found.Unseen)
		}
		var running []string
		for _, u := range found.Unmanaged {
			if u.Image != "" {
				running = append(running, u.Namespace)
			}
		}
		if want := []string{fmt.Sprintf("team-%02d", count-1)}; !slices.Equal(running, want) {
			t.Errorf("%d namespaces: Tillers in %q", count, running)
		}
	}
}
