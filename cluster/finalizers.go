package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/util/retry"
)

// ends reports whether objects of the kind are deleted in spite of their finalizers, with which the
// API server would keep them, and the rights that they give: whoever writes in their namespace can
// set some. Those of a namespace or of a workload are their controllers'.
func (k kind) ends() bool { return len(k.fields) > 0 && k.phase != PhaseWorkload }

// Finalizers returns the finalizers that the change removes from an object that it deletes.
func (c Change) Finalizers() []string {
	if c.Action != Delete && c.Action != Replace || c.Live == nil || !kinds[c.Key.Kind].ends() {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(c.Live.GetFinalizers()), ofGarbageCollector)
}

// ofGarbageCollector reports whether a finalizer waits for dependent objects. A deletion in the
// background ends these.
func ofGarbageCollector(name string) bool {
	return name == metav1.FinalizerDeleteDependents || name == metav1.FinalizerOrphanDependents
}

func (c *Client) delete(ctx context.Context, change *Change) error {
	k, uid := kinds[change.Key.Kind], change.Live.GetUID()
	options := metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &uid}}
	if !k.ends() {
		return unlessMissing(c.resource(k, change.Key.Namespace).Delete(ctx, change.Key.Name, options))
	}
	// Dependents are whatever names the object: to wait for them is to wait for who made them.
	background := metav1.DeletePropagationBackground
	options.PropagationPolicy = &background
	kept, err := c.deleteKept(ctx, k, change.Key, options)
	if err != nil || kept == nil {
		return unlessMissing(err)
	}
	change.Removed, err = c.removeFinalizers(ctx, k, kept)
	return err
}

func unlessMissing(err error) error {
	if apierrors.IsNotFound(err) {
		return nil // it is deleted already
	}
	return err
}

// deleteKept deletes an object, and returns it if finalizers keep it; nil if none does. client-go's
// dynamic client does not return it.
func (c *Client) deleteKept(ctx context.Context, k kind, key Key, options metav1.DeleteOptions) (*unstructured.Unstructured, error) {
	client, err := c.typed(k.resource.GroupVersion())
	if err != nil {
		return nil, err
	}
	body, err := json.Marshal(&options)
	if err != nil {
		return nil, err
	}
	result := client.Delete().NamespaceIfScoped(key.Namespace, k.namespaced).Resource(k.resource.Resource).Name(key.Name).
		SetHeader("Content-Type", runtime.ContentTypeJSON).SetHeader("Accept", runtime.ContentTypeJSON).Body(body).Do(ctx)
	if err := result.Error(); err != nil {
		return nil, err
	}
	answer, err := result.Raw()
	if err != nil {
		return nil, err
	}
	object := &unstructured.Unstructured{}
	if err := json.Unmarshal(answer, &object.Object); err != nil {
		return nil, fmt.Errorf("the API server's answer to the deletion can't be read: %w", err)
	}
	if object.GetDeletionTimestamp() == nil || len(object.GetFinalizers()) == 0 {
		return nil, nil
	}
	return object, nil
}

// removeFinalizers ends the deletion of an object that its finalizers keep, and returns these. From
// its deletion on nobody can add any, so this comes after it.
func (c *Client) removeFinalizers(ctx context.Context, k kind, kept *unstructured.Unstructured) (removed []string, err error) {
	api, uid := c.resource(k, kept.GetNamespace()), kept.GetUID()
	err = retry.RetryOnConflict(patience(), func() error {
		removed = slices.DeleteFunc(slices.Clone(kept.GetFinalizers()), ofGarbageCollector)
		kept.SetFinalizers(nil)
		_, err := api.Update(ctx, kept, metav1.UpdateOptions{FieldManager: FieldManager})
		if !apierrors.IsConflict(err) {
			return unlessMissing(err)
		}
		now, reading := api.Get(ctx, kept.GetName(), metav1.GetOptions{})
		if reading != nil || now.GetUID() != uid {
			return unlessMissing(reading)
		}
		kept = now
		return err
	})
	return removed, err
}
