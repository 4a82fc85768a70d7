package cluster

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	release2 "k8s.io/helm/pkg/proto/hapi/release"

	"helm-tenant/release"
	"helm-tenant/tenant"
)

// Revisions are the release records of every helm in the cluster, by the namespace
// that they are stored in: those of Tillers in tiller, those of Helm 3 and 4 in
// helm. Only metadata is read. Of a storage that the caller may not list, the
// error is returned.
func (c *Client) Revisions(ctx context.Context) (tiller, helm map[string][]release.Revision, err error) {
	tiller, helm = map[string][]release.Revision{}, map[string][]release.Revision{}
	for _, records := range []struct {
		selector string
		into     map[string][]release.Revision
		read     func(map[string]string) release.Revision
	}{{release.OfTiller, tiller, release.TillerRevision}, {release.OfHelm, helm, release.HelmRevision}} {
		for _, storage := range []tenant.Storage{tenant.StorageSecret, tenant.StorageConfigMap} {
			err := c.EachMeta(ctx, storageKind(storage), "", metav1.ListOptions{LabelSelector: records.selector}, func(meta *metav1.PartialObjectMetadata) {
				if records.selector == release.OfHelm && !release.IsHelms(meta, "") {
					return
				}
				records.into[meta.Namespace] = append(records.into[meta.Namespace], records.read(meta.Labels))
			})
			if err != nil {
				return nil, nil, err
			}
		}
	}
	return tiller, helm, nil
}

func storageKind(s tenant.Storage) string {
	if s == tenant.StorageConfigMap {
		return "ConfigMap"
	}
	return "Secret"
}

// Records are the objects that hold a Tiller's releases, whichever of the two
// kinds they are.
func (c *Client) Records(ctx context.Context, home string) ([]*unstructured.Unstructured, error) {
	return c.records(ctx, home, release.OfTiller)
}

// HelmRecords are the objects in which Helm 3 and 4 keep the releases of a
// namespace, whichever of the two kinds they are; of all namespaces where the
// name is empty.
func (c *Client) HelmRecords(ctx context.Context, namespace string) ([]*unstructured.Unstructured, error) {
	records, err := c.records(ctx, namespace, release.OfHelm)
	return slices.DeleteFunc(records, func(record *unstructured.Unstructured) bool {
		kind, _, _ := unstructured.NestedString(record.Object, "type") // a ConfigMap has none
		return !release.IsHelms(record, kind)
	}), err
}

func (c *Client) records(ctx context.Context, namespace, selector string) ([]*unstructured.Unstructured, error) {
	var records []*unstructured.Unstructured
	for _, kindName := range []string{"Secret", "ConfigMap"} {
		objects, err := c.List(ctx, kindName, namespace, metav1.ListOptions{LabelSelector: selector})
		if err != nil {
			return nil, err
		}
		records = append(records, objects...)
	}
	return records, nil
}

// Secrets are those in a namespace whose metadata say that they are wanted. Only they
// are read: a namespace may hold many large ones that do not matter.
func (c *Client) Secrets(ctx context.Context, namespace string, wanted func(metav1.Object) bool) ([]*unstructured.Unstructured, error) {
	var names []string
	err := c.EachMeta(ctx, "Secret", namespace, metav1.ListOptions{}, func(secret *metav1.PartialObjectMetadata) {
		if wanted(secret) {
			names = append(names, secret.Name)
		}
	})
	if err != nil {
		return nil, err
	}
	var records []*unstructured.Unstructured
	if len(names) >= manyNames {
		// Nearly all of them are release records.
		if records, err = c.List(ctx, "Secret", namespace, metav1.ListOptions{LabelSelector: release.OfHelm}); err != nil {
			return nil, err
		}
		records = slices.DeleteFunc(records, func(secret *unstructured.Unstructured) bool {
			at := slices.Index(names, secret.GetName())
			if at >= 0 {
				names = slices.Delete(names, at, at+1)
			}
			return at < 0
		})
	}
	found := make([]*unstructured.Unstructured, len(names))
	err = concurrently(len(names), Width, func(i int) error {
		secret, err := c.resource(kinds["Secret"], namespace).Get(ctx, names[i], metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return nil // removed meanwhile
		}
		found[i] = secret
		return c.explain("reading secret "+names[i]+" in namespace "+namespace, err)
	})
	return append(records, slices.DeleteFunc(found, func(secret *unstructured.Unstructured) bool { return secret == nil })...), err
}

// ReleaseOf reads the release in a record of Tiller's.
func ReleaseOf(record *unstructured.Unstructured) (*release2.Release, error) {
	packed, err := release.Packed(record)
	var r *release2.Release
	if err == nil {
		r, err = release.Helm2(packed)
	}
	if err != nil {
		return nil, noRecord(keyOf(record), "2", err)
	}
	return r, nil
}

// HelmChartOf reads the name and version of the chart, as NAME-VERSION, in a record
// of Helm 3 or 4.
func HelmChartOf(record *unstructured.Unstructured) (string, error) {
	packed, err := release.Packed(record)
	chart := ""
	if err == nil {
		chart, err = release.HelmChart(packed)
	}
	if err != nil {
		return "", noRecord(keyOf(record), "3 or 4", err)
	}
	return chart, nil
}

func noRecord(key Key, of string, err error) error {
	return fmt.Errorf("%s is no release record of Helm %s: %w", key, of, err)
}

// Placed is a release of Helm 2's that is not deleted.
type Placed struct {
	// Home is the namespace of the record, Namespace that of the release.
	Home, Name, Namespace string
	// Record is "Secret NAME", or "ConfigMap NAME": that of its newest revision, but
	// for superseded ones.
	Record string
	// Tried says that its first install failed, and nothing came after.
	Tried bool
}

// EachPlaced calls do for every release of that storage whose newest revision is not
// deleted, failed and pending ones among them: a release keeps its namespace. problem
// gets the records that can't be read. They are large and come in small pages; of
// superseded revisions, which are the most, none is read.
func (c *Client) EachPlaced(ctx context.Context, storage tenant.Storage, do func(Placed), problem func(Key, error)) error {
	kind := "Secret"
	if storage == tenant.StorageConfigMap {
		kind = "ConfigMap"
	}
	type name struct{ home, release string }
	version := func(meta metav1.Object) int {
		number, _ := strconv.Atoi(meta.GetLabels()["VERSION"]) // 0 where it is none
		return number
	}
	deleted := map[name]int{}
	err := c.EachMeta(ctx, kind, "", metav1.ListOptions{LabelSelector: release.OfTiller + ",STATUS=DELETED"}, func(m *metav1.PartialObjectMetadata) {
		of := name{m.Namespace, m.Labels["NAME"]}
		deleted[of] = max(deleted[of], version(m))
	})
	if err != nil {
		return err
	}
	newest, versions := map[name]Placed{}, map[name]int{}
	take := func(meta metav1.ObjectMeta, packed []byte) {
		r, err := release.Helm2(packed)
		if err != nil {
			key := Key{kind, meta.Namespace, meta.Name}
			problem(key, noRecord(key, "2", err))
			return
		}
		of := name{meta.Namespace, r.Name}
		if v := version(&meta); v > deleted[of] && v >= versions[of] {
			tried := v == 1 && meta.Labels["STATUS"] == "FAILED"
			newest[of], versions[of] = Placed{meta.Namespace, r.Name, r.Namespace, kind + " " + meta.Name, tried}, v
		}
	}
	options := metav1.ListOptions{LabelSelector: release.OfTiller + ",STATUS notin (DELETED,SUPERSEDED)", Limit: 100}
	if storage == tenant.StorageConfigMap {
		err = Each(ctx, c, kind, "", options, func(m *corev1.ConfigMap) { take(m.ObjectMeta, []byte(m.Data["release"])) })
	} else {
		err = Each(ctx, c, kind, "", options, func(s *corev1.Secret) { take(s.ObjectMeta, s.Data["release"]) })
	}
	for _, of := range slices.SortedFunc(maps.Keys(newest), func(a, b name) int { return cmp.Or(cmp.Compare(a.home, b.home), cmp.Compare(a.release, b.release)) }) {
		do(newest[of])
	}
	return err
}

// Stripped is a live object as it can be created again.
func Stripped(object *unstructured.Unstructured) *unstructured.Unstructured {
	plain := object.DeepCopy()
	for _, field := range serverFields {
		unstructured.RemoveNestedField(plain.Object, "metadata", field)
	}
	unstructured.RemoveNestedField(plain.Object, "status")
	return plain
}

// serverFields are the metadata that the API server gives.
var serverFields = []string{"managedFields", "resourceVersion", "uid", "creationTimestamp", "generation", "selfLink"}
