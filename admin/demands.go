package admin

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"helm-tenant/audit"
	"helm-tenant/cluster"
	"helm-tenant/rails"
)

// addFunc is told what an object of that kind asks for that the guard judges; nil for nothing.
type addFunc func(kind string, object metav1.Object, asks *rails.Demand)

// addDemand keeps what an object asks for.
func (t *taking) addDemand(kind string, object metav1.Object, asks *rails.Demand) {
	if asks == nil {
		return
	}
	t.locked(func() {
		t.snapshot.Demands = append(t.snapshot.Demands, audit.Demand{Object: audit.ObjectRef{Kind: kind, Namespace: object.GetNamespace(), Name: object.GetName()}, Asks: asks})
	})
}

// readClaims reads the claims of a namespace, of all where it is empty.
func readClaims(ctx context.Context, c *cluster.Client, namespace string, add addFunc) error {
	return cluster.Each(ctx, c, "PersistentVolumeClaim", namespace, metav1.ListOptions{}, func(claim *corev1.PersistentVolumeClaim) {
		add("PersistentVolumeClaim", claim, rails.OfClaim(claim))
	})
}

// readIngresses reads the Ingresses of a namespace, of all where it is empty.
func readIngresses(ctx context.Context, c *cluster.Client, namespace string, add addFunc) error {
	return cluster.Each(ctx, c, "Ingress", namespace, metav1.ListOptions{}, func(ingress *networkingv1.Ingress) {
		add("Ingress", ingress, rails.OfIngress(ingress))
	})
}
