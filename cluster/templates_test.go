package cluster_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"helm-tenant/cluster"
	"helm-tenant/cluster/clustertest"
)

// TestEachTemplateIn: of a list of the whole cluster the wanted namespaces count, and what
// made an object there is known.
func TestEachTemplateIn(t *testing.T) {
	server := clustertest.Start(t)
	spec := corev1.PodSpec{Containers: []corev1.Container{{Name: "x", Image: "x"}}}
	for _, namespace := range []string{"a", "b", "c"} {
		server.Put(&corev1.Namespace{TypeMeta: metav1.TypeMeta{Kind: "Namespace", APIVersion: "v1"}, ObjectMeta: metav1.ObjectMeta{Name: namespace}},
			&appsv1.DaemonSet{TypeMeta: metav1.TypeMeta{Kind: "DaemonSet", APIVersion: "apps/v1"}, ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "agent"}, Spec: appsv1.DaemonSetSpec{Template: corev1.PodTemplateSpec{Spec: spec}}})
		owner := metav1.OwnerReference{APIVersion: "apps/v1", Kind: "DaemonSet", Name: "agent", UID: server.Get(cluster.Key{Kind: "DaemonSet", Namespace: namespace, Name: "agent"}).GetUID(), Controller: new(true)}
		server.Put(&corev1.Pod{TypeMeta: metav1.TypeMeta{Kind: "Pod", APIVersion: "v1"}, ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "agent-x", OwnerReferences: []metav1.OwnerReference{owner}}, Spec: spec})
	}
	var read []string
	wanted := func(namespace string) bool { return namespace != "b" }
	if err := server.Connect().EachTemplateIn(t.Context(), wanted, func(t cluster.Template) {
		read = append(read, t.Key.Namespace+" "+t.Key.Name+" of "+t.Maker.Namespace+" "+t.Maker.Name)
	}); err != nil {
		t.Fatal(err)
	}
	slices.Sort(read)
	if diff := cmp.Diff([]string{"a agent of  ", "a agent-x of a agent", "c agent of  ", "c agent-x of c agent"}, read); diff != "" {
		t.Errorf("templates, -want +got:\n%s", diff)
	}
	if lists := server.Count("list", "Pod"); lists != 1 {
		t.Errorf("pods are listed %d times", lists)
	}
}
