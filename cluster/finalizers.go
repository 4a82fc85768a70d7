package cluster

import (
	"context"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Finalizers returns the finalizers with which the API server would keep an object that the change
// deletes, and with it the rights that it gives: whoever writes in its namespace can set some. They
// are removed before it is deleted. Those of a namespace or of a workload are their controllers'.
func (c Change) Finalizers() []string {
	if c.Action != Delete && c.Action != Replace || c.Live == nil || len(kinds[c.Key.Kind].fields) == 0 || kinds[c.Key.Kind].phase == PhaseWorkload {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(c.Live.GetFinalizers()), func(name string) bool {
		return name == metav1.FinalizerDeleteDependents || name == metav1.FinalizerOrphanDependents
	})
}

// removeFinalizers removes the finalizers of an object that is about to be deleted. If it is being
// deleted already, that ends it.
func (c *Client) removeFinalizers(ctx context.Context, change Change) error {
	if len(change.Finalizers()) == 0 {
		return nil
	}
	next := change.Live.DeepCopy()
	next.SetFinalizers(nil)
	_, err := c.resource(kinds[change.Key.Kind], change.Key.Namespace).Update(ctx, next, metav1.UpdateOptions{FieldManager: FieldManager})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}
