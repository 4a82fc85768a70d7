package cluster

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	release2 "k8s.io/helm/pkg/proto/hapi/release"

	"helm-tenant/release"
	"helm-tenant/tenant"
)

// storages are where records are kept.
var storages = []string{"Secret", "ConfigMap"}

// Stored is a release record as its metadata tell it.
type Stored struct {
	Key
	release.Revision
	// Updated is when helm last wrote the record, in whole seconds.
	Updated         time.Time
	UID             types.UID
	ResourceVersion string
}

// eachStored calls do for the records of an engine's helm in a namespace, or in all of
// them where it is empty, in Secrets or ConfigMaps. Only metadata is read.
func (c *Client) eachStored(ctx context.Context, engine tenant.Engine, kindName, namespace string, do func(Stored)) error {
	options, read := metav1.ListOptions{LabelSelector: release.OfTiller}, release.TillerRevision
	if engine == tenant.EngineImpersonation {
		options, read = metav1.ListOptions{LabelSelector: release.OfHelm}, release.HelmRevision
		if kindName == "Secret" {
			options.FieldSelector = "type=" + release.HelmSecretType
		}
	}
	known := map[string]string{} // names of releases and statuses stand in many records
	intern := func(s string) string {
		if have, found := known[s]; found {
			return have
		}
		known[s] = s
		return s
	}
	return c.EachMeta(ctx, kindName, namespace, options, func(m *metav1.PartialObjectMetadata) {
		if engine == tenant.EngineImpersonation && !release.IsHelms(m, "") {
			return
		}
		r := read(m.Labels)
		r.Release, r.Status = intern(r.Release), intern(r.Status)
		do(Stored{Key{kindName, intern(m.Namespace), m.Name}, r, release.Updated(m), m.UID, m.ResourceVersion})
	})
}

// StoredReleases are the records of an engine's helm in a namespace, or in all of them
// where it is empty, of all revisions. Only metadata is read.
func (c *Client) StoredReleases(ctx context.Context, engine tenant.Engine, namespace string) ([]Stored, error) {
	var all []Stored
	for _, kindName := range storages {
		if err := c.eachStored(ctx, engine, kindName, namespace, func(s Stored) { all = append(all, s) }); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// NewestStored are the newest records of the releases that an engine's helm keeps in a
// namespace, or in all of them where it is empty, sorted by release and namespace. Only
// metadata is read, and no more is kept in memory than is returned.
func (c *Client) NewestStored(ctx context.Context, engine tenant.Engine, namespace string) ([]Stored, error) {
	type name struct{ namespace, release string }
	newest := map[name]Stored{}
	for _, kindName := range storages {
		err := c.eachStored(ctx, engine, kindName, namespace, func(s Stored) {
			at := name{s.Namespace, s.Release}
			if have, known := newest[at]; !known || s.Version > have.Version {
				newest[at] = s
			}
		})
		if err != nil {
			return nil, err
		}
	}
	return slices.SortedFunc(maps.Values(newest), compareStored), nil
}

func compareStored(a, b Stored) int {
	return cmp.Or(strings.Compare(a.Release, b.Release), strings.Compare(a.Namespace, b.Namespace))
}

// Revisions are the newest revisions of all releases in the cluster, by the namespace
// that they are stored in: those of Tillers in tiller, those of Helm 3 and 4 in helm.
// Only metadata is read. Of a storage that the caller may not list, the error is
// returned.
func (c *Client) Revisions(ctx context.Context) (tiller, helm map[string][]release.Revision, err error) {
	newest := func(engine tenant.Engine) (map[string][]release.Revision, error) {
		stored, err := c.NewestStored(ctx, engine, "")
		if err != nil {
			return nil, err
		}
		byNamespace := map[string][]release.Revision{}
		for _, s := range stored {
			byNamespace[s.Namespace] = append(byNamespace[s.Namespace], s.Revision)
		}
		return byNamespace, nil
	}
	if tiller, err = newest(tenant.EngineTiller); err != nil {
		return nil, nil, err
	}
	helm, err = newest(tenant.EngineImpersonation)
	return tiller, helm, err
}

// LatestRelease is the newest revision of a release.
type LatestRelease struct {
	Stored
	// Summary is what the record holds. Helm 3 and 4 keep it where the release is, and
	// only the chart is read.
	release.Summary
	// Problem is why the record can't be read.
	Problem error
}

// LatestReleases are the newest revisions of the releases that an engine's helm keeps in
// a namespace, or in all of them where it is empty, sorted by name. Older records are not
// read.
func (c *Client) LatestReleases(ctx context.Context, engine tenant.Engine, namespace string) ([]LatestRelease, error) {
	all, err := c.StoredReleases(ctx, engine, namespace)
	if err != nil {
		return nil, err
	}
	latest := latestOf(all)
	found := make([]bool, len(latest))
	wanted := make([]Stored, len(latest))
	for i := range latest {
		wanted[i] = latest[i].Stored
	}
	err = c.eachPacked(ctx, engine, namespace, wanted, len(slices.DeleteFunc(all, func(s Stored) bool { return s.Status == superseded })), func(i int, packed []byte) {
		found[i] = true
		l := &latest[i]
		var err error
		if engine == tenant.EngineImpersonation {
			l.Summary = release.Summary{Name: l.Release, Namespace: l.Key.Namespace, Version: l.Revision.Version}
			l.Chart, l.AppVersion, err = release.HelmChart(packed, c.unpacked)
		} else {
			l.Summary, err = release.Helm2Summary(packed, c.unpacked)
		}
		if err != nil {
			l.Problem = noRecord(l.Key, helmOf(engine), err)
		}
	})
	// What is not found any more was removed meanwhile.
	kept := latest[:0]
	for i, l := range latest {
		if found[i] {
			kept = append(kept, l)
		}
	}
	return kept, err
}

// superseded is the status of most records, as Helm 2 spells it.
const superseded = "SUPERSEDED"

// latestOf are the newest of each release, sorted.
func latestOf(all []Stored) []LatestRelease {
	type name struct{ namespace, release string }
	newest := map[name]Stored{}
	for _, s := range all {
		at := name{s.Namespace, s.Release}
		if have, found := newest[at]; !found || s.Version > have.Version {
			newest[at] = s
		}
	}
	var latest []LatestRelease
	for _, s := range newest {
		latest = append(latest, LatestRelease{Stored: s})
	}
	slices.SortFunc(latest, func(a, b LatestRelease) int {
		return cmp.Or(strings.Compare(a.Release, b.Release), strings.Compare(a.Key.Namespace, b.Key.Namespace))
	})
	return latest
}

// unpackWidth is how many records of a list are unpacked at once.
const unpackWidth = 4

// eachPacked calls do with what each of the wanted records holds, by its index, maybe for
// several at once. Those that are not there any more are left out. In a list of all that
// are not superseded, which many of them may bring, there are others beside.
func (c *Client) eachPacked(ctx context.Context, engine tenant.Engine, namespace string, wanted []Stored, others int, do func(i int, packed []byte)) error {
	left := map[Key]int{}
	for i, s := range wanted {
		left[s.Key] = i
	}
	var group errgroup.Group // unpacking takes longer than reading
	group.SetLimit(unpackWidth)
	take := func(key Key, packed []byte) {
		if i, is := left[key]; is {
			delete(left, key)
			group.Go(func() error { do(i, packed); return nil })
		}
	}
	if len(wanted) >= manyNames && others <= 2*len(wanted) {
		selector := release.OfTiller + ",STATUS!=SUPERSEDED"
		if engine == tenant.EngineImpersonation {
			selector = release.OfHelm + ",status!=superseded"
		}
		err := c.eachRecord(ctx, namespace, selector, take)
		_ = group.Wait() // what it runs returns no error
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

// eachRecord calls do with the content of the records that a selector finds.
func (c *Client) eachRecord(ctx context.Context, namespace, selector string, do func(key Key, packed []byte)) error {
	options, size := metav1.ListOptions{LabelSelector: selector}, sizes{first: recordPageSize, most: pageSize, bytes: recordPageBytes}
	err := eachSized(ctx, c, "Secret", namespace, options, size, func(s *corev1.Secret) {
		do(Key{"Secret", s.Namespace, s.Name}, s.Data[release.DataKey])
	})
	if err != nil {
		return err
	}
	return eachSized(ctx, c, "ConfigMap", namespace, options, size, func(m *corev1.ConfigMap) {
		do(Key{"ConfigMap", m.Namespace, m.Name}, []byte(m.Data[release.DataKey]))
	})
}

// packed reads what one record holds.
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

// get reads one object as the API server's own type.
func (c *Client) get(ctx context.Context, key Key, into runtime.Object) error {
	client, err := c.typed(kinds[key.Kind].resource.GroupVersion())
	if err != nil {
		return err
	}
	err = client.Get().Resource(kinds[key.Kind].resource.Resource).Namespace(key.Namespace).Name(key.Name).Do(ctx).Into(into)
	return c.explain("reading "+key.String(), err)
}

func helmOf(engine tenant.Engine) string {
	if engine == tenant.EngineImpersonation {
		return "3 or 4"
	}
	return "2"
}

// Placed is a release of Helm 2's that is not deleted.
type Placed struct {
	// Home is the namespace of the record, Namespace that of the release.
	Home, Name, Namespace string
	// Record is the Secret or ConfigMap of its newest revision, but for superseded ones.
	Record Key
	// Tried says that its first install failed, and nothing came after.
	Tried bool
}

// EachPlaced calls do for every release of that storage whose newest revision is not
// deleted, failed and pending ones among them: a release keeps its namespace. problem
// gets the records that can't be read, name all records by their names. Only those in
// namespaces in which helm stores any are read, and of these only the newest revision that
// is not superseded: a record costs more to read than to make, and anybody who may write
// ConfigMaps can make some.
func (c *Client) EachPlaced(ctx context.Context, storage tenant.Storage, stores func(namespace string) bool, name func(Key), do func(Placed), problem func(Key, error)) error {
	kindName := "Secret"
	if storage == tenant.StorageConfigMap {
		kindName = "ConfigMap"
	}
	type at struct{ home, release string }
	deleted, newest, others := map[at]int{}, map[at]Stored{}, 0
	err := c.eachStored(ctx, tenant.EngineTiller, kindName, "", func(s Stored) {
		name(s.Key)
		of := at{s.Namespace, s.Release}
		switch {
		case s.Status == superseded:
			return
		case release.Gone(s.Status):
			deleted[of] = max(deleted[of], s.Version)
		default:
			if have, found := newest[of]; stores(s.Namespace) && (!found || s.Version >= have.Version) {
				newest[of] = s
			}
		}
		others++
	})
	if err != nil {
		return err
	}
	maps.DeleteFunc(newest, func(of at, s Stored) bool { return deleted[of] > 0 && s.Version <= deleted[of] })
	wanted := slices.SortedFunc(maps.Values(newest), func(a, b Stored) int { return compareKeys(a.Key, b.Key) })
	placed, problems := make([]Placed, len(wanted)), make([]error, len(wanted))
	err = c.eachPacked(ctx, tenant.EngineTiller, "", wanted, others, func(i int, packed []byte) {
		s := wanted[i]
		r, err := release.Helm2Summary(packed, c.unpacked)
		if err != nil {
			problems[i] = noRecord(s.Key, "2", err)
			return
		}
		placed[i] = Placed{s.Namespace, r.Name, r.Namespace, s.Key, s.Version == 1 && s.Status == "FAILED"}
	})
	for i, s := range wanted {
		switch {
		case problems[i] != nil:
			problem(s.Key, problems[i])
		case placed[i].Record != (Key{}):
			do(placed[i])
		}
	}
	return err
}

// StoredNames are the Secrets in a namespace whose metadata say that they are wanted, as
// records of Helm 3's or what stands in the place of one. Only metadata is read.
func (c *Client) StoredNames(ctx context.Context, namespace string, wanted func(metav1.Object) bool) ([]Stored, error) {
	var found []Stored
	err := c.EachMeta(ctx, "Secret", namespace, metav1.ListOptions{}, func(m *metav1.PartialObjectMetadata) {
		if wanted(m) {
			found = append(found, Stored{Key{"Secret", m.Namespace, m.Name}, release.HelmRevision(m.Labels), release.Updated(m), m.UID, m.ResourceVersion})
		}
	})
	return found, err
}

// Live is the record as a plan that removes it needs it.
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

// ReleaseOf reads the release in a record of Tiller's.
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

func noRecord(key Key, of string, err error) error {
	return fmt.Errorf("%s is no release record of Helm %s: %w", key, of, err)
}

// Record is a release record with what it holds.
type Record struct {
	Stored
	// Object is a Secret or ConfigMap as it can be created again.
	Object runtime.Object
}

// EachRecord calls do for each of the records that is still there, in no order. However
// many there are, few are in memory at once. The first error of do ends it.
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
	size := sizes{first: recordPageSize, most: pageSize, bytes: recordPageBytes}
	for at, count := range places {
		if count < manyNames {
			continue
		}
		err := error(nil)
		for _, selector := range []string{release.OfTiller, release.OfHelm} {
			options := metav1.ListOptions{LabelSelector: selector}
			if at.kind == "Secret" {
				err = eachSized(ctx, c, at.kind, at.namespace, options, size, secret)
			} else {
				err = eachSized(ctx, c, at.kind, at.namespace, options, size, configMap)
			}
			if err = cmp.Or(failed, err); err != nil {
				return err
			}
		}
	}
	for _, key := range slices.SortedFunc(maps.Keys(left), compareKeys) {
		var err error
		if key.Kind == "Secret" {
			var s corev1.Secret
			if err = c.get(ctx, key, &s); err == nil {
				secret(&s)
			}
		} else {
			var m corev1.ConfigMap
			if err = c.get(ctx, key, &m); err == nil {
				configMap(&m)
			}
		}
		if err = cmp.Or(failed, err); err != nil && !apierrors.IsNotFound(err) {
			return err
		}
	}
	return failed
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
