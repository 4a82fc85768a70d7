package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/validate/content"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/util/retry"
)

// ServedKind is a kind that the API server serves.
type ServedKind struct{ kind }

// Namespaced reports whether objects of the kind are in namespaces.
func (k ServedKind) Namespaced() bool { return k.namespaced }

// Metadata reads the metadata of an object of any kind. The namespace is ignored for
// cluster-scoped kinds. The names are untrusted: the error says so if no object can have
// them. apierrors.IsNotFound and the like hold for the API server's own answers.
func (c *Client) Metadata(ctx context.Context, kind ServedKind, namespace, name string) (*metav1.PartialObjectMetadata, error) {
	api, err := c.metadataOf(kind, namespace, name)
	if err != nil {
		return nil, err
	}
	object, err := api.Get(ctx, name, metav1.GetOptions{})
	return object, c.explain("reading "+name, err)
}

// Place is the namespace and name of an object of a known kind.
type Place struct{ Namespace, Name string }

// Objects reads the objects of one kind at these places, and leaves out those that do not
// exist. It reads many objects of one namespace with a list. The names are untrusted: names
// that no object can have are left out as well.
func (c *Client) Objects(ctx context.Context, kind ServedKind, places []Place) (map[Place]map[string]any, error) {
	byNamespace := map[string][]Place{}
	for _, place := range places {
		if _, err := c.metadataOf(kind, place.Namespace, place.Name); err == nil {
			byNamespace[place.Namespace] = append(byNamespace[place.Namespace], place)
		}
	}
	found := map[Place]map[string]any{}
	var mutex sync.Mutex
	var single []Place
	for namespace, wanted := range byNamespace {
		if len(wanted) < manyNames {
			single = append(single, wanted...)
			continue
		}
		err := c.pages(ctx, kind.kind, namespace, metav1.ListOptions{}, sizes{}, func(ctx context.Context, namespace string, options metav1.ListOptions) (runtime.Object, error) {
			return c.resource(kind.kind, namespace).List(ctx, options)
		}, func(object runtime.Object) error {
			item := object.(*unstructured.Unstructured)
			if place := (Place{item.GetNamespace(), item.GetName()}); slices.Contains(wanted, place) {
				found[place] = item.Object
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	err := concurrently(len(single), Width, func(i int) error {
		object, err := c.resource(kind.kind, single[i].Namespace).Get(ctx, single[i].Name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		if err != nil {
			return c.explain("reading "+single[i].Name, err)
		}
		mutex.Lock()
		defer mutex.Unlock()
		found[single[i]] = object.Object
		return nil
	})
	return found, err
}

// PatchMetadata sets labels and annotations of an object and nothing else. live is the
// result of Metadata: the API server refuses the patch with a conflict if the object has
// changed since, or was replaced by another one of the same name. Transient failures are
// tried again, as by Write.
func (c *Client) PatchMetadata(ctx context.Context, kind ServedKind, live *metav1.PartialObjectMetadata, labels, annotations map[string]string) error {
	api, err := c.metadataOf(kind, live.Namespace, live.Name)
	if err != nil {
		return err
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{
		"uid": live.UID, "resourceVersion": live.ResourceVersion, "labels": labels, "annotations": annotations}})
	if err != nil {
		return err
	}
	err = retry.OnError(patience(), func(err error) bool { return ctx.Err() == nil && passing(err) }, func() error {
		_, err := api.Patch(ctx, live.Name, types.MergePatchType, patch, metav1.PatchOptions{FieldManager: FieldManager})
		return err
	})
	return c.explain("patching "+live.Name, err)
}

func (c *Client) metadataOf(kind ServedKind, namespace, name string) (metadata.ResourceInterface, error) {
	names := []string{name}
	if kind.namespaced {
		names = append(names, namespace)
	}
	// The metadata client puts names into the URL's path without escaping them.
	for _, segment := range names {
		if segment == "" || len(content.IsPathSegmentName(segment)) > 0 {
			return nil, fmt.Errorf("%q is no name of an object", segment)
		}
	}
	if !kind.namespaced {
		return c.metadata.Resource(kind.resource), nil
	}
	return c.metadata.Resource(kind.resource).Namespace(namespace), nil
}
