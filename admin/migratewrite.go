package admin

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"

	"helm-tenant/cluster"
	"helm-tenant/command"
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

// Stamp sets the ownership of all objects of the tenant's Helm 3 and 4 releases, for a
// tenant whose migration did not do so at its end. It returns the number of releases, and
// the number of objects that helm uninstall would leave. See setOwnershipOf.
func (m *Migrate) Stamp(ctx context.Context) (releases, left int, err error) {
	live, err := m.Client.Read(ctx, m.Name)
	if err != nil {
		return 0, 0, err
	}
	t, existed, err := recorded(live, m.Name)
	switch {
	case err != nil:
		return 0, 0, err
	case !existed:
		return 0, 0, lostOrNone(ctx, m.Client, live, m.Name)
	}
	t = t.WithDefaults()
	state, err := cluster.MigrationOf(live.Get(recordKey(t.Home())))
	switch {
	case err != nil:
		return 0, 0, err
	case state != nil:
		return 0, 0, &StepError{m.Name, StepNotFinished, &MigratingError{m.Name, *state}}
	case !t.Engine.Has(tenant.EngineImpersonation):
		return 0, 0, &StepError{m.Name, StepNoHelmReleases, fmt.Errorf("it has the engine %s, and so no releases of Helm 3 or 4", t.Engine)}
	}
	held, err := helmReleaseObjects(ctx, m.Client, t, nil)
	if err != nil {
		return 0, 0, err
	}
	if left, err = m.setOwnership(ctx, t, held); err != nil {
		return len(held), left, err
	}
	return len(held), left, m.noteOwnership(ctx, t, left == 0)
}

// noteOwnership records whether every object names its release, for the audit, which does
// not read the objects.
func (m *Migrate) noteOwnership(ctx context.Context, t tenant.Tenant, set bool) error {
	if m.DryRun {
		return nil
	}
	value := ""
	if set {
		value = tenant.OwnershipSet
	}
	_, err := Write(ctx, m.Client, func(ctx context.Context) (*Prepared, error) {
		live := cluster.NewLive()
		if err := m.Client.Lookup(ctx, live, []cluster.Key{recordKey(t.Home())}); err != nil {
			return nil, err
		}
		prepared := &Prepared{Tenant: t, Existed: true, live: live}
		if record := live.Get(recordKey(t.Home())); record != nil {
			prepared.Plan.Edit(record, cluster.PhaseNamespaces, withAnnotation(tenant.AnnotationOwnership, value))
		}
		return prepared, nil
	}, m.Event.made)
	return err
}

// setMovedOwnership sets the ownership of the objects of the releases that moved. Objects
// that can't be changed are reported, and do not keep the migration from ending.
func (m *Migrate) setMovedOwnership(ctx context.Context, migration *Migration) error {
	held, err := movedReleaseObjects(ctx, m.Client, migration)
	if err != nil {
		return err
	}
	left, err := m.setOwnership(ctx, migration.Tenant, held)
	if left > 0 && err == nil {
		repair := command.Tenant("migrate", m.Name, "--stamp")
		m.Event(Event{Text: fmt.Sprintf("helm uninstall leaves objects named above (%d). Once the reasons are gone, repair them with", left), Command: &repair})
	}
	if err != nil {
		return err
	}
	return m.noteOwnership(ctx, migration.Tenant, left == 0)
}

// setOwnership returns the number of existing objects that still do not name their
// release.
func (m *Migrate) setOwnership(ctx context.Context, t tenant.Tenant, held []ReleaseObjects) (left int, err error) {
	err = setOwnershipOf(ctx, m.Client, t, held, m.DryRun, func(change OwnershipChange) {
		if change.Problem != nil && !change.Gone {
			left++
		}
		m.Ownership(change)
	})
	if _, denied := errors.AsType[*DeniedError](err); err != nil && !denied {
		err = &StepError{m.Name, StepOwnership, err}
	}
	return left, err
}
