package cluster

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/pager"
)

// pageSize is that of lists. Larger pages than client-go's 500 mean fewer
// requests; the largest objects, Deployments, make about 12 MB a page.
const pageSize = 2000

// pages calls do for all objects of a kind that list brings, page by page. A limit
// among the options is another size of a page.
func (c *Client) pages(ctx context.Context, k kind, namespace string, options metav1.ListOptions, list pager.ListPageFunc, do func(runtime.Object) error) error {
	pages := pager.New(list)
	pages.PageSize = pageSize
	if options.Limit > 0 {
		pages.PageSize, options.Limit = options.Limit, 0
	}
	pages.PageBufferSize = 1
	return c.explain(listing(k, namespace), pages.EachListItem(ctx, options, do))
}

// listing says what is tried, for errors.
func listing(k kind, namespace string) string {
	if namespace == "" {
		return "listing " + k.resource.Resource
	}
	return "listing " + k.resource.Resource + " in namespace " + namespace
}

// each calls do for all objects of a kind, of all namespaces where namespace is
// empty.
func (c *Client) each(ctx context.Context, kindName, namespace string, options metav1.ListOptions, do func(*unstructured.Unstructured)) error {
	k := kinds[kindName]
	return c.pages(ctx, k, namespace, options, func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
		return c.resource(k, namespace).List(ctx, options)
	}, func(object runtime.Object) error {
		item := object.(*unstructured.Unstructured)
		item.SetKind(kindName) // items of a list may come without it
		item.SetAPIVersion(k.resource.GroupVersion().String())
		do(item)
		return nil
	})
}

// List reads all objects of a kind, as they are; of all namespaces where namespace
// is empty.
func (c *Client) List(ctx context.Context, kindName, namespace string, options metav1.ListOptions) ([]*unstructured.Unstructured, error) {
	var objects []*unstructured.Unstructured
	err := c.each(ctx, kindName, namespace, options, func(object *unstructured.Unstructured) { objects = append(objects, object) })
	return objects, err
}

// List reads all objects of a kind, typed; of all namespaces where namespace is
// empty.
func List[T any](ctx context.Context, c *Client, kindName, namespace string, options metav1.ListOptions) ([]T, error) {
	objects, err := c.List(ctx, kindName, namespace, options)
	if err != nil {
		return nil, err
	}
	typed := make([]T, len(objects))
	for i, object := range objects {
		if err := Typed(object, &typed[i]); err != nil {
			return nil, err
		}
	}
	return typed, nil
}

// Typed reads an object into a typed one.
func Typed(object *unstructured.Unstructured, into any) error {
	return runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, into)
}
