package cluster

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

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

// eachStored calls do for the release records of an engine, as Secrets or ConfigMaps, in a
// namespace, or in all namespaces if it is empty. Only metadata is read.
func (c *Client) eachStored(ctx context.Context, engine tenant.Engine, kindName, namespace string, do func(Stored)) error {
	options, read := metav1.ListOptions{LabelSelector: release.OfTiller}, tillerRecord
	if engine == tenant.EngineImpersonation {
		options, read = metav1.ListOptions{LabelSelector: release.OfHelm}, release.HelmRecord
		if kindName == "Secret" {
			options.FieldSelector = "type=" + release.HelmSecretType
		}
	}
	known := map[string]string{} // release names and statuses occur in many records
	intern := func(s string) string {
		if cached, found := known[s]; found {
			return cached
		}
		known[s] = s
		return s
	}
	return c.EachMeta(ctx, kindName, namespace, options, func(m *metav1.PartialObjectMetadata) {
		r, isRecord := read(m)
		if !isRecord {
			return
		}
		r.Release, r.Status = intern(r.Release), intern(r.Status)
		do(Stored{Key{kindName, intern(m.Namespace), m.Name}, r, release.Updated(m), m.UID, m.ResourceVersion})
	})
}

func tillerRecord(object metav1.Object) (release.Revision, bool) {
	return release.TillerRevision(object.GetLabels()), true
}

// StoredReleases returns the release records of an engine with all revisions, in a namespace,
// or in all namespaces if it is empty. Only metadata is read.
func (c *Client) StoredReleases(ctx context.Context, engine tenant.Engine, namespace string) ([]Stored, error) {
	var all []Stored
	for _, kindName := range storages {
		if err := c.eachStored(ctx, engine, kindName, namespace, func(s Stored) { all = append(all, s) }); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// NewestStored returns the newest record of each release of an engine in a namespace, or in all
// namespaces if it is empty, sorted by release and namespace. Only metadata is read, and only
// the returned records are kept in memory.
func (c *Client) NewestStored(ctx context.Context, engine tenant.Engine, namespace string) ([]Stored, error) {
	type name struct{ namespace, release string }
	newest := map[name]Stored{}
	for _, kindName := range storages {
		err := c.eachStored(ctx, engine, kindName, namespace, func(s Stored) {
			release := name{s.Namespace, s.Release}
			if other, known := newest[release]; !known || s.Version > other.Version {
				newest[release] = s
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

// Revisions returns the newest revisions of all releases in the cluster, by the namespace in
// which they are stored: those of Tillers in tiller, those of Helm 3 and 4 in helm. Only
// metadata is read. It returns the error of a storage that the caller may not list.
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

// StoredNames returns the Secrets in a namespace whose metadata match wanted: records of Helm
// 3, or Secrets with the name of one. Only metadata is read.
func (c *Client) StoredNames(ctx context.Context, namespace string, wanted func(metav1.Object) bool) ([]Stored, error) {
	var found []Stored
	err := c.EachMeta(ctx, "Secret", namespace, metav1.ListOptions{}, func(m *metav1.PartialObjectMetadata) {
		if wanted(m) {
			found = append(found, Stored{Key{"Secret", m.Namespace, m.Name}, release.HelmRevision(m.Labels), release.Updated(m), m.UID, m.ResourceVersion})
		}
	})
	return found, err
}

// Placed is a Helm 2 release that is not deleted.
type Placed struct {
	// Home is the namespace of the record, Namespace the namespace of the release.
	Home, Name, Namespace string
	// Record is the Secret or ConfigMap of the newest revision that is not superseded.
	Record Key
	// Tried reports whether the first install failed and no other revision followed.
	Tried bool
	// ClusterObjects are the first cluster-scoped objects in its manifest.
	ClusterObjects []string
}

// EachPlaced calls do for every release of that storage whose newest revision is not deleted.
// Failed and pending ones count: the release keeps its namespace. problem is called for the
// records that can't be read, name for the names of all records. Only namespaces with release
// records are read, and of each release only the newest revision that is not superseded:
// reading a record costs more than creating one, and whoever may write ConfigMaps can create
// many.
func (c *Client) EachPlaced(ctx context.Context, storage tenant.Storage, stores func(namespace string) bool, name func(Key), do func(Placed), problem func(Key, error)) error {
	kindName := "Secret"
	if storage == tenant.StorageConfigMap {
		kindName = "ConfigMap"
	}
	type placedRelease struct{ home, release string }
	deleted, newest, others := map[placedRelease]int{}, map[placedRelease]Stored{}, 0
	err := c.eachStored(ctx, tenant.EngineTiller, kindName, "", func(s Stored) {
		name(s.Key)
		key := placedRelease{s.Namespace, s.Release}
		switch {
		case s.Status == superseded:
			return
		case release.Gone(s.Status):
			deleted[key] = max(deleted[key], s.Version)
		default:
			if other, found := newest[key]; stores(s.Namespace) && (!found || s.Version >= other.Version) {
				newest[key] = s
			}
		}
		others++
	})
	if err != nil {
		return err
	}
	maps.DeleteFunc(newest, func(release placedRelease, s Stored) bool {
		return deleted[release] > 0 && s.Version <= deleted[release]
	})
	wanted := slices.SortedFunc(maps.Values(newest), func(a, b Stored) int { return compareKeys(a.Key, b.Key) })
	placed, problems := make([]Placed, len(wanted)), make([]error, len(wanted))
	err = c.eachPacked(ctx, tenant.EngineTiller, "", wanted, others, func(i int, packed []byte) {
		s := wanted[i]
		r, err := release.Helm2Summary(packed, c.unpacked)
		if err != nil {
			problems[i] = noRecord(s.Key, "2", err)
			return
		}
		placed[i] = Placed{s.Namespace, r.Name, r.Namespace, s.Key, s.Version == 1 && s.Status == "FAILED", r.ClusterObjects}
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
