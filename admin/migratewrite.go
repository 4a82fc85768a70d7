package admin

import (
	"context"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"

	"helm-tenant/cluster"
	"helm-tenant/migrate"
	"helm-tenant/release"
	"helm-tenant/tenant"
)

// batchBytes bounds the memory for the records that writeHelmRecords writes at once.
const batchBytes = 8 << 20

// helmRecords writes the missing Helm 3 records batch by batch, since the records of a
// tenant may be larger than the memory.
type helmRecords struct {
	client *cluster.Client
	// migration is the last result of reading.
	migration *Migration
	made      func(cluster.Change)
	// written has the records as they are written.
	written *migrate.Written
	// mutex guards batch, the records to write next, and size, the total of their sizes.
	mutex sync.Mutex
	batch []*corev1.Secret
	size  int
}

// writeHelmRecords writes the records that Helm 3 does not have yet, and leaves those
// that exist. It returns the migration as it was read before the last write.
func writeHelmRecords(ctx context.Context, c *cluster.Client, migration *Migration, made func(cluster.Change)) (*Migration, error) {
	if migration.written == nil {
		migration.written = migrate.NewWritten()
	}
	w := &helmRecords{client: c, migration: migration, made: made, written: migration.written}
	if err := w.readAgain(ctx); err != nil {
		return nil, err
	}
	missing := w.missing()
	wanted := slices.DeleteFunc(slices.Clone(w.migration.records), func(record cluster.Stored) bool {
		_, ok := missing[record.Key.Name]
		return !ok
	})
	var group errgroup.Group // packing takes longer than reading
	group.SetLimit(runtime.GOMAXPROCS(0))
	err := c.EachRecord(ctx, wanted, func(record cluster.Record) error {
		revision := missing[record.Key.Name]
		delete(missing, record.Key.Name)
		group.Go(func() error { return w.add(record, revision) })
		if !w.full() {
			return nil
		}
		if err := group.Wait(); err != nil {
			return err
		}
		return w.flush(ctx)
	})
	if packing := group.Wait(); err == nil {
		err = packing
	}
	if err == nil {
		err = w.flush(ctx)
	}
	if err == nil && len(missing) > 0 {
		err = fmt.Errorf("somebody removed Tiller's record %s", slices.Min(slices.Collect(maps.Keys(missing))))
	}
	return w.migration, err
}

// add converts the content of a record and adds it to the batch.
func (w *helmRecords) add(record cluster.Record, revision migrate.Revision) error {
	old, err := w.client.ReleaseOf(record)
	if err != nil {
		return err
	}
	secret, err := revision.Secret(old)
	if err != nil {
		return fmt.Errorf("release %s, revision %d: %w", old.GetName(), old.GetVersion(), err)
	}
	w.written.Add(secret, revision)
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.batch, w.size = append(w.batch, secret), w.size+len(secret.Data[release.DataKey])
	return nil
}

func (w *helmRecords) full() bool {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	return w.size >= batchBytes
}

// readAgain reads the migration, and fails if its records must not be written any more.
func (w *helmRecords) readAgain(ctx context.Context) error {
	current, err := readMigration(ctx, w.client, w.migration.Tenant.Name, w.migration.keep, w.migration, nil)
	if err != nil {
		return err
	}
	w.migration = current
	if w.done() {
		return nil
	}
	if err := current.in(tenant.PhaseFrozen); err != nil {
		return err
	}
	return current.check()
}

// done reports whether another admin has written all records.
func (w *helmRecords) done() bool {
	return beyond(w.migration.State, &tenant.Migration{Phase: tenant.PhaseFrozen})
}

// missing returns the revisions of which Helm 3 has no record, by the name of Tiller's
// record.
func (w *helmRecords) missing() map[string]migrate.Revision {
	missing := map[string]migrate.Revision{}
	if w.done() {
		return missing
	}
	for _, standing := range w.migration.Standings {
		for _, revision := range standing.Missing {
			missing[revision.Record] = revision
		}
	}
	return missing
}

// flush writes the batch. If another admin wrote one of its records in the meantime, the
// migration is read again, and the existing record is left.
func (w *helmRecords) flush(ctx context.Context) error {
	if len(w.batch) == 0 {
		return nil
	}
	first := true
	_, err := Write(ctx, w.client, func(ctx context.Context) (*Prepared, error) {
		prepared := w.migration.prepared()
		wanted := func(*corev1.Secret) bool { return true }
		if !first {
			if err := w.readAgain(ctx); err != nil {
				return nil, err
			}
			prepared = w.migration.prepared()
			names := map[string]bool{}
			for i, r := range w.migration.Releases {
				for _, revision := range w.migration.Standings[i].Missing {
					secret := r.EmptySecret(revision)
					names[secret.Namespace+"/"+secret.Name] = !w.done()
				}
			}
			wanted = func(secret *corev1.Secret) bool { return names[secret.Namespace+"/"+secret.Name] }
		}
		first = false
		for _, secret := range w.batch {
			if wanted(secret) {
				prepared.Plan.CreateSecret(secret)
			}
		}
		return prepared, nil
	}, w.made)
	w.batch, w.size = nil, 0
	return err
}
