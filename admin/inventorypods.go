package admin

import (
	"context"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"helm-tenant/cluster"
	"helm-tenant/install"
	"helm-tenant/recognise"
	"helm-tenant/release"
	"helm-tenant/tenant"
)

// mostSearched bounds the namespaces whose pods are listed one by one. Beyond it a list of the
// cluster's pods takes fewer requests.
const mostSearched = 20

// tillerPods returns the Tillers among pods that no Deployment, StatefulSet or DaemonSet
// made: bare pods, and those of a ReplicaSet or ReplicationController, one for each maker.
// found are the other Tillers, and revisions the releases of Tillers by namespace. Pods are
// looked at in namespaces that have pods with Tiller's labels, or releases without a Tiller.
func tillerPods(ctx context.Context, c *cluster.Client, found []Tiller, revisions map[string][]release.Revision) ([]Tiller, error) {
	attributed := map[string]bool{} // namespaces with a Tiller whose workload is known
	for _, t := range found {
		attributed[t.Namespace] = true
	}
	searched := map[string]bool{}
	for namespace := range revisions {
		searched[namespace] = !attributed[namespace]
	}
	labelled := metav1.ListOptions{LabelSelector: recognise.Selector()}
	err := c.EachMeta(ctx, "Pod", "", labelled, func(pod *metav1.PartialObjectMetadata) {
		searched[pod.Namespace] = searched[pod.Namespace] || !attributed[pod.Namespace] || metav1.GetControllerOfNoCopy(pod) == nil
	})
	if err != nil {
		return nil, err
	}
	maps.DeleteFunc(searched, func(_ string, search bool) bool { return !search })
	namespaces := slices.Sorted(maps.Keys(searched))
	if len(namespaces) > mostSearched {
		namespaces = []string{metav1.NamespaceAll}
	}
	var tillers []Tiller
	type makerKey struct{ namespace, kind, name, uid string }
	makers := map[makerKey]bool{}
	for _, scope := range namespaces {
		err := cluster.Each(ctx, c, "Pod", scope, metav1.ListOptions{}, func(pod *corev1.Pod) {
			namespace, maker := pod.Namespace, metav1.GetControllerOfNoCopy(pod)
			ended := pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
			if ended || !searched[namespace] || !recognise.IsTiller(pod.Labels, pod.Spec) {
				return
			}
			if maker != nil {
				key := makerKey{namespace, cluster.OwnerKind(*maker), maker.Name, string(maker.UID)}
				if attributed[namespace] || makers[key] {
					return
				}
				makers[key] = true
			}
			ready := int32(0)
			if install.PodReady(*pod) {
				ready = 1
			}
			tillers = append(tillers, tillerOf(metav1.ObjectMeta{Namespace: namespace, Name: pod.Name, Labels: map[string]string{tenant.LabelTenant: pod.Labels[tenant.LabelTenant]}},
				nil, ready, corev1.PodTemplateSpec{ObjectMeta: pod.ObjectMeta, Spec: pod.Spec}))
		})
		if err != nil {
			return tillers, err
		}
	}
	return tillers, nil
}
