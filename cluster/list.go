package cluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
)

const (
	// pageSize is the page size of lists of small objects. It is larger than client-go's
	// 500 to save requests.
	pageSize = 2000
	// pageBytes limits the answer to one request. 2,000 Deployments take about 12 MB. Pages of
	// larger objects, which anybody who may write a Secret can create, have fewer items.
	pageBytes = 16 << 20
	// recordPageSize and recordPageBytes are the sizes of pages of release records. The
	// first pages are small: each record may be as large as an object can be.
	recordPageSize, recordPageBytes = 20, 4 << 20
)

// sizes are the sizes of a list's pages: the number of objects in the first page and the
// most in any, and the most bytes of an answer. Zero values mean the defaults.
type sizes struct {
	first, limit int64
	bytes        int64
	// packed reports whether the objects contain compressed data.
	packed bool
}

// recordSizes are the sizes for lists of release records.
var recordSizes = sizes{first: recordPageSize, limit: pageSize, bytes: recordPageBytes, packed: true}

// briefSizes are the sizes for lists of large objects of which little is kept: a
// CustomResourceDefinition contains the schema of its kind.
var briefSizes = sizes{first: 20, limit: pageSize, bytes: 4 << 20}

// notZipped returns the header that keeps the API server from compressing an answer. By
// default it compresses answers of more than 128 KiB. For release records, which are
// compressed already, that takes longer than everything else and hardly saves bytes.
func notZipped() (key, value string) { return "Accept-Encoding", "identity" }

// listPage reads one page of a list, of all namespaces if namespace is empty.
type listPage func(ctx context.Context, namespace string, options metav1.ListOptions) (runtime.Object, error)

// pages calls do for all objects that list returns, page by page, and reads the next page
// while do runs. A limit among the options is the most objects of a page. A page with too
// many bytes is read again with fewer objects, and so is a page that did not arrive
// within the time of a request: one slow page does not end a run. If nothing at all
// arrived in that time, the page is tried only once more.
func (c *Client) pages(ctx context.Context, k kind, namespace string, options metav1.ListOptions, size sizes, list listPage, do func(runtime.Object) error) error {
	if namespace == "" && c.within != nil {
		if !k.namespaced {
			return c.explain(listing(k, ""), beyond(k))
		}
		for _, namespace := range c.within {
			if err := c.pages(ctx, k, namespace, options, size, list, do); err != nil {
				return err
			}
		}
		return nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type page struct {
		list runtime.Object
		err  error
	}
	ready := make(chan page)
	go func() {
		defer close(ready)
		reader := newPageReader(list, namespace, options, size)
		for reader.more {
			list, err := reader.next(ctx)
			select {
			case ready <- page{list, err}:
			case <-ctx.Done():
				return
			}
			if err != nil {
				return
			}
		}
	}()
	for page := range ready {
		err := page.err
		if err == nil {
			err = meta.EachListItem(page.list, do)
		}
		if err != nil {
			return c.explain(listing(k, namespace), err)
		}
	}
	return c.explain(listing(k, namespace), ctx.Err())
}

type pageReader struct {
	list      listPage
	namespace string
	options   metav1.ListOptions
	size      sizes
	more      bool
	silent    bool // a request timed out before any byte of its answer arrived
}

func newPageReader(list listPage, namespace string, options metav1.ListOptions, size sizes) *pageReader {
	size.limit = cmp.Or(options.Limit, size.limit, pageSize)
	size.bytes = cmp.Or(size.bytes, pageBytes)
	options.Limit = cmp.Or(options.Limit, size.first, size.limit)
	return &pageReader{list: list, namespace: namespace, options: options, size: size, more: true}
}

// next reads the next page; more reports whether another one follows.
func (r *pageReader) next(ctx context.Context) (runtime.Object, error) {
	for {
		read := &metered{limit: r.size.bytes}
		list, err := r.list(context.WithValue(ctx, meteredKey{}, read), r.namespace, r.options)
		switch {
		case err == nil:
			return list, r.advance(list, read.count())
		case ctx.Err() != nil:
			return nil, err
		case r.expired(err):
			continue
		case r.options.Limit > 1 && read.exceeded():
			r.options.Limit = max(1, r.options.Limit/8)
			continue
		case r.options.Limit > 1 && isTimeout(err) && (read.count() > 0 || !r.silent):
			// A server that collects a page before it sends anything looks like one that
			// does not answer; after a second try it is reported as unreachable.
			r.silent = r.silent || read.count() == 0
			r.options.Limit = max(1, r.options.Limit/8)
			r.size.limit = r.options.Limit // a larger page would be as slow
			continue
		}
		if read.exceeded() {
			err = fmt.Errorf("%w: an object takes more than %d bytes", errTooLarge, r.size.bytes)
		}
		return nil, err
	}
}

// advance goes on to the page after list. The number of its objects is chosen so that it
// has about half the bytes that a page may have, since objects differ in size.
func (r *pageReader) advance(list runtime.Object, bytes int64) error {
	m, err := meta.ListAccessor(list)
	if err != nil {
		return err
	}
	r.options.Continue, r.more = m.GetContinue(), m.GetContinue() != ""
	r.options.ResourceVersion, r.options.ResourceVersionMatch = "", "" // the continue token contains it
	if items := int64(meta.LenList(list)); items > 0 && bytes > 0 {
		r.options.Limit = min(max(1, r.size.bytes/2*items/bytes), r.size.limit)
	}
	return nil
}

// expired reports whether the list took so long that its continue token expired. It then
// goes on with the page after the last one, in the current state
// (k8s.io/apimachinery/pkg/apis/meta/v1, ListMeta.Continue).
func (r *pageReader) expired(err error) bool {
	status, answered := errors.AsType[statusError](err)
	if !apierrors.IsResourceExpired(err) || r.options.Continue == "" || !answered {
		return false
	}
	next := status.Status().Continue
	if next == "" || next == r.options.Continue {
		return false
	}
	r.options.Continue = next
	return true
}

func isTimeout(err error) bool {
	timeout, ok := errors.AsType[interface {
		error
		Timeout() bool
	}](err)
	return ok && timeout.Timeout()
}

// listing describes a list, for errors.
func listing(k kind, namespace string) string {
	if namespace == "" {
		return "listing " + k.resource.Resource
	}
	return "listing " + k.resource.Resource + " in namespace " + namespace
}

// each calls do for all objects of a kind, of all namespaces if namespace is empty.
func (c *Client) each(ctx context.Context, kindName, namespace string, options metav1.ListOptions, do func(*unstructured.Unstructured)) error {
	k := kinds[kindName]
	if kindName == "Namespace" && c.within != nil {
		return c.namespacesWithin(ctx, options, do)
	}
	err := c.eachOf(ctx, k, kindName, namespace, options, do)
	if older, found := k.older(); found && isUnserved(err) {
		return c.eachOf(ctx, older, kindName, namespace, options, do)
	}
	return err
}

// eachOf returns each without the fallback to an older version.
func (c *Client) eachOf(ctx context.Context, k kind, kindName, namespace string, options metav1.ListOptions, do func(*unstructured.Unstructured)) error {
	return c.pages(ctx, k, namespace, options, sizes{}, func(ctx context.Context, namespace string, options metav1.ListOptions) (runtime.Object, error) {
		return c.resource(k, namespace).List(ctx, options)
	}, func(object runtime.Object) error {
		item := object.(*unstructured.Unstructured)
		item.SetKind(kindName) // items of a list may come without it
		item.SetAPIVersion(k.resource.GroupVersion().String())
		do(item)
		return nil
	})
}

// List returns all objects of a kind, untyped; of all namespaces if namespace is empty.
func (c *Client) List(ctx context.Context, kindName, namespace string, options metav1.ListOptions) ([]*unstructured.Unstructured, error) {
	var objects []*unstructured.Unstructured
	err := c.each(ctx, kindName, namespace, options, func(object *unstructured.Unstructured) { objects = append(objects, object) })
	return objects, err
}

// List returns all objects of a kind, typed; of all namespaces if namespace is empty.
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

// Typed converts an object into a typed one.
func Typed(object *unstructured.Unstructured, into any) error {
	return runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, into)
}

// Within returns a client that lists nothing over the whole cluster, for administrators
// of single namespaces: a list of all namespaces becomes one list for each of these,
// namespaces are read by name, and a list of another cluster-scoped kind fails as
// forbidden. The namespaces need not exist.
func (c *Client) Within(namespaces []string) *Client {
	scoped := *c
	scoped.within = append([]string{}, namespaces...)
	return &scoped
}

// Scoped reports whether the client was made by Within.
func (c *Client) Scoped() bool { return c.within != nil }

// Scope returns the namespaces to which the client is restricted; nil for the whole
// cluster.
func (c *Client) Scope() []string { return c.within }

// beyond returns the error for a list of a cluster-scoped kind, which a scoped client
// does not make.
func beyond(k kind) error {
	return apierrors.NewForbidden(k.resource.GroupResource(), "", errors.New("no list of the cluster was asked for"))
}

// namespacesWithin calls do for those of the client's namespaces that exist and match the
// label selector of the options.
func (c *Client) namespacesWithin(ctx context.Context, options metav1.ListOptions, do func(*unstructured.Unstructured)) error {
	selector, err := labels.Parse(options.LabelSelector)
	if err != nil {
		return fmt.Errorf("label selector %q: %w", options.LabelSelector, err)
	}
	for _, name := range c.within {
		namespace, err := c.resource(kinds["Namespace"], "").Get(ctx, name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			continue
		}
		if err != nil {
			return c.explain("reading namespace "+name, err)
		}
		if selector.Matches(labels.Set(namespace.GetLabels())) {
			do(namespace)
		}
	}
	return nil
}
