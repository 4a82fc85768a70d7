package cluster

import (
	"context"
	"encoding/json"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
)

// helmManager is the field manager under which helm writes (helm.sh/helm/v3/cmd/helm).
const helmManager = "helm"

// Answer is the API server's answer to a dry run.
type Answer struct {
	// Object is the object that the API server would have stored; nil if Err says why not.
	Object   *unstructured.Unstructured
	Warnings []string
	Err      error
}

// api returns the API client of a kind. The names in the object are untrusted: the
// dynamic client refuses names that can't be part of a path.
func (c *Client) api(kind ServedKind, namespace string) dynamic.ResourceInterface {
	return c.resource(kind.kind, namespace)
}

// ReadObject returns an object of any kind.
func (c *Client) ReadObject(ctx context.Context, kind ServedKind, namespace, name string) (*unstructured.Unstructured, error) {
	object, err := c.api(kind, namespace).Get(ctx, name, metav1.GetOptions{})
	return object, c.explain("reading "+name, err)
}

// TryCreate returns the API server's answer to a dry run of the creation of an object.
func (c *Client) TryCreate(ctx context.Context, kind ServedKind, object *unstructured.Unstructured) Answer {
	return c.tryCreate(ctx, kind, object, "")
}

// TryCreateStrictly is TryCreate, and the API server also refuses fields that the kind has not,
// or that are there twice. It does so from Kubernetes 1.25 on.
func (c *Client) TryCreateStrictly(ctx context.Context, kind ServedKind, object *unstructured.Unstructured) Answer {
	return c.tryCreate(ctx, kind, object, metav1.FieldValidationStrict)
}

func (c *Client) tryCreate(ctx context.Context, kind ServedKind, object *unstructured.Unstructured, validation string) Answer {
	var w warnings
	created, err := c.api(kind, object.GetNamespace()).Create(context.WithValue(ctx, warningsKey{}, &w), object,
		metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}, FieldManager: helmManager, FieldValidation: validation})
	return Answer{created, w.texts, c.explain("trying to create "+object.GetName(), err)}
}

// TryApply returns the API server's answer to a dry run of the server-side apply of an
// object. force takes over fields that another manager owns.
func (c *Client) TryApply(ctx context.Context, kind ServedKind, object *unstructured.Unstructured, force bool) Answer {
	var w warnings
	applied, err := c.api(kind, object.GetNamespace()).Apply(context.WithValue(ctx, warningsKey{}, &w), object.GetName(), object,
		metav1.ApplyOptions{DryRun: []string{metav1.DryRunAll}, FieldManager: helmManager, Force: force})
	return Answer{applied, w.texts, c.explain("trying to apply "+object.GetName(), err)}
}

// TryMerge asks the API server, without storing it, for its answer to a patch that merges an
// object into the live one: a strategic merge patch, or, for a custom resource, which has
// none, a JSON merge patch.
func (c *Client) TryMerge(ctx context.Context, kind ServedKind, object *unstructured.Unstructured) Answer {
	patch, err := json.Marshal(object.Object)
	if err != nil {
		return Answer{Err: err}
	}
	answer := c.tryPatch(ctx, kind, object, types.StrategicMergePatchType, patch)
	if apierrors.IsUnsupportedMediaType(answer.Err) {
		return c.tryPatch(ctx, kind, object, types.MergePatchType, patch)
	}
	return answer
}

func (c *Client) tryPatch(ctx context.Context, kind ServedKind, object *unstructured.Unstructured, form types.PatchType, patch []byte) Answer {
	var w warnings
	patched, err := c.api(kind, object.GetNamespace()).Patch(context.WithValue(ctx, warningsKey{}, &w), object.GetName(), form, patch,
		metav1.PatchOptions{DryRun: []string{metav1.DryRunAll}, FieldManager: helmManager})
	return Answer{patched, w.texts, c.explain("trying to patch "+object.GetName(), err)}
}

// Plural returns the name of the kind's resource, as paths have it.
func (k ServedKind) Plural() string { return k.resource.Resource }
