package cluster

import (
	"context"
	"maps"
	"slices"

	"helm-tenant/release"
	"helm-tenant/tenant"
)

// Placed is a release of Helm 2 that is not deleted.
type Placed struct {
	// Home is the namespace of the record, Namespace that of the release.
	Home, Name, Namespace string
	// Record is the Secret or ConfigMap of its newest revision, but for superseded ones.
	Record Key
	// Tried says that its first install failed, and nothing came after.
	Tried bool
	// ClusterObjects are the first of the objects outside namespaces in its manifest.
	ClusterObjects []string
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
			if have, found := newest[key]; stores(s.Namespace) && (!found || s.Version >= have.Version) {
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
