package cluster

import (
	"context"
	"maps"
	"slices"

	"helm-tenant/release"
	"helm-tenant/tenant"
)

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
