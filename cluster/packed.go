package cluster

import (
	"context"
	"maps"
	"slices"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"helm-tenant/release"
	"helm-tenant/tenant"
)

// unpackWidth is the number of records of a list that are unpacked concurrently.
const unpackWidth = 4

// eachPacked calls do with the packed content of each of the wanted records, by its
// index, possibly concurrently. Records that no longer exist are left out. Where many are
// wanted they are taken from a list of all records that are not superseded, which may
// contain others.
func (c *Client) eachPacked(ctx context.Context, engine tenant.Engine, namespace string, wanted []Stored, others int, do func(i int, packed []byte)) error {
	left := map[Key]int{}
	for i, s := range wanted {
		left[s.Key] = i
	}
	var group errgroup.Group // unpacking takes longer than reading
	group.SetLimit(unpackWidth)
	take := func(key Key, packed []byte) {
		if i, ok := left[key]; ok {
			delete(left, key)
			group.Go(func() error { do(i, packed); return nil })
		}
	}
	if len(wanted) >= manyRecords && others <= 2*len(wanted) {
		selector := release.OfTiller + ",STATUS!=SUPERSEDED"
		if engine == tenant.EngineImpersonation {
			selector = release.OfHelm + ",status!=superseded"
		}
		err := c.eachRecord(ctx, namespace, selector, take)
		_ = group.Wait() // the functions return no error
		if err != nil {
			return err
		}
	}
	single := slices.SortedFunc(maps.Keys(left), compareKeys)
	return concurrently(len(single), Width, func(i int) error {
		packed, err := c.packed(ctx, single[i])
		if apierrors.IsNotFound(err) {
			return nil
		}
		if err != nil {
			return err
		}
		do(left[single[i]], packed)
		return nil
	})
}

// eachRecord calls do with the content of the records that match a selector.
func (c *Client) eachRecord(ctx context.Context, namespace, selector string, do func(key Key, packed []byte)) error {
	options := metav1.ListOptions{LabelSelector: selector}
	err := eachSized(ctx, c, "Secret", namespace, options, recordSizes, func(s *corev1.Secret) {
		do(Key{"Secret", s.Namespace, s.Name}, s.Data[release.DataKey])
	})
	if err != nil {
		return err
	}
	return eachSized(ctx, c, "ConfigMap", namespace, options, recordSizes, func(m *corev1.ConfigMap) {
		do(Key{"ConfigMap", m.Namespace, m.Name}, []byte(m.Data[release.DataKey]))
	})
}

// packed returns the content of one record.
func (c *Client) packed(ctx context.Context, key Key) ([]byte, error) {
	if key.Kind == "ConfigMap" {
		var m corev1.ConfigMap
		err := c.get(ctx, key, &m)
		return []byte(m.Data[release.DataKey]), err
	}
	var s corev1.Secret
	err := c.get(ctx, key, &s)
	return s.Data[release.DataKey], err
}

// get reads one release record as the API server's own type.
func (c *Client) get(ctx context.Context, key Key, into runtime.Object) error {
	client, err := c.typed(kinds[key.Kind].resource.GroupVersion())
	if err != nil {
		return err
	}
	err = client.Get().Resource(kinds[key.Kind].resource.Resource).Namespace(key.Namespace).Name(key.Name).SetHeader(notZipped()).Do(ctx).Into(into)
	return c.explain("reading "+key.String(), err)
}
