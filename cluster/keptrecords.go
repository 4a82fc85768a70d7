package cluster

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	release2 "k8s.io/helm/pkg/proto/hapi/release"

	"helm-tenant/release"
)

// Live returns the record as a live object, for a plan that removes it.
func (s Stored) Live() *unstructured.Unstructured {
	live := &unstructured.Unstructured{}
	live.SetAPIVersion("v1")
	live.SetKind(s.Kind)
	live.SetNamespace(s.Namespace)
	live.SetName(s.Name)
	live.SetUID(s.UID)
	live.SetResourceVersion(s.ResourceVersion)
	return live
}

// ReleaseOf returns the release in a record of Tiller.
func (c *Client) ReleaseOf(record Record) (*release2.Release, error) {
	packed := []byte(nil)
	switch object := record.Object.(type) {
	case *corev1.Secret:
		packed = object.Data[release.DataKey]
	case *corev1.ConfigMap:
		packed = []byte(object.Data[release.DataKey])
	}
	r, err := release.Helm2(packed, c.unpacked)
	if err != nil {
		return nil, noRecord(record.Key, "2", err)
	}
	return r, nil
}

func noRecord(key Key, release string, err error) error {
	return fmt.Errorf("%s is no release record of Helm %s: %w", key, release, err)
}

// Record is a release record with its content.
type Record struct {
	Stored
	// Object is the Secret or ConfigMap in a form that can be created again.
	Object runtime.Object
}

// EachRecord calls do for each of the records that still exists, in no order. Only a few
// are in memory at once, however many there are. The first error of do ends it.
func (c *Client) EachRecord(ctx context.Context, stored []Stored, do func(Record) error) error {
	type place struct{ kind, namespace string }
	left := map[Key]Stored{}
	places := map[place]int{}
	for _, s := range stored {
		left[s.Key] = s
		places[place{s.Kind, s.Namespace}]++
	}
	var failed error
	take := func(key Key, meta *metav1.ObjectMeta, object runtime.Object) {
		s, wanted := left[key]
		if !wanted || failed != nil {
			return
		}
		delete(left, key)
		s.UID, s.ResourceVersion = meta.UID, meta.ResourceVersion
		meta.ManagedFields, meta.ResourceVersion, meta.UID, meta.CreationTimestamp, meta.Generation = nil, "", "", metav1.Time{}, 0
		failed = do(Record{s, object})
	}
	secret := func(s *corev1.Secret) {
		s.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"}
		take(Key{"Secret", s.Namespace, s.Name}, &s.ObjectMeta, s)
	}
	configMap := func(m *corev1.ConfigMap) {
		m.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"}
		take(Key{"ConfigMap", m.Namespace, m.Name}, &m.ObjectMeta, m)
	}
	for place, count := range places {
		if count < manyRecords {
			continue
		}
		err := error(nil)
		for _, selector := range []string{release.OfTiller, release.OfHelm} {
			options := metav1.ListOptions{LabelSelector: selector}
			if place.kind == "Secret" {
				err = eachSized(ctx, c, place.kind, place.namespace, options, recordSizes, secret)
			} else {
				err = eachSized(ctx, c, place.kind, place.namespace, options, recordSizes, configMap)
			}
			if err = cmp.Or(failed, err); err != nil {
				return err
			}
		}
	}
	single := slices.SortedFunc(maps.Keys(left), compareKeys)
	var mutex sync.Mutex // one call of do at a time
	err := concurrently(len(single), Width, func(i int) error {
		return c.eachSingle(ctx, single[i], &mutex, secret, configMap, &failed)
	})
	return cmp.Or(failed, err)
}

// eachSingle reads one record and passes it to the function of its kind, while it holds
// the mutex. A record that does not exist is left out. It returns failed if that is set.
func (c *Client) eachSingle(ctx context.Context, key Key, mutex *sync.Mutex, secret func(*corev1.Secret), configMap func(*corev1.ConfigMap), failed *error) error {
	var s corev1.Secret
	var m corev1.ConfigMap
	into, pass := runtime.Object(&s), func() { secret(&s) }
	if key.Kind == "ConfigMap" {
		into, pass = &m, func() { configMap(&m) }
	}
	if err := c.get(ctx, key, into); err != nil {
		if apierrors.IsNotFound(err) {
			return nil
		}
		return err
	}
	mutex.Lock()
	defer mutex.Unlock()
	pass()
	return *failed
}

// Stripped returns a live object in a form that can be created again.
func Stripped(object *unstructured.Unstructured) *unstructured.Unstructured {
	plain := object.DeepCopy()
	for _, field := range serverFields {
		unstructured.RemoveNestedField(plain.Object, "metadata", field)
	}
	unstructured.RemoveNestedField(plain.Object, "status")
	return plain
}

// serverFields are the metadata fields that the API server sets.
var serverFields = []string{"managedFields", "resourceVersion", "uid", "creationTimestamp", "generation", "selfLink"}
