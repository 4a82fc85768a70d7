package admin

import (
	"context"
	"crypto/sha256"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"helm-tenant/cluster"
	"helm-tenant/tenant"
)

// Abort undoes a split: it stops the tenants' Tillers, backs up and removes their records
// of the releases, starts the Tiller that was split and the tenants' own, and waits for
// them if that is requested. The tenants stay, with their own releases. In a dry run it
// returns what would be written.
func (s *Split) Abort(ctx context.Context) (*SplitEnd, error) {
	e, err := s.readEnd(ctx)
	if errors.Is(err, ErrNoSplit) {
		return s.abortLost(ctx)
	}
	if err != nil {
		return nil, err
	}
	return s.abort(ctx, e)
}

func (s *Split) abort(ctx context.Context, e *SplitEnd) (*SplitEnd, error) {
	if e.state.Phase == tenant.PhaseFinishing {
		return nil, &SplittingError{s.From, e.state}
	}
	if len(e.finished) > 0 {
		return nil, &MovedOnError{s.From, e.finished}
	}
	for _, name := range e.orphans() {
		s.Event.note("release %s stays with tenant %s: the Tiller in namespace %s has no record of it any more", name, e.state.Releases[name], s.From)
	}
	for _, record := range e.removable() {
		e.Plan.Delete(record.Live(), cluster.PhaseRemoval)
	}
	s.noteWork(e)
	if s.DryRun {
		return e, nil
	}
	if err := CheckAllowed(ctx, s.Client, &Prepared{Plan: e.Plan, live: cluster.NewLive()}); err != nil {
		return nil, err
	}
	files := s.Backups
	files.Part = "-tenants"
	saved, err := files.Save(ctx, s.File, "", e.removable())
	if err != nil {
		return nil, err
	}
	if err := s.step(ctx, &e.state, tenant.PhaseAborting); err != nil {
		return nil, err
	}
	if err := s.abortOnward(ctx, e); err != nil {
		return nil, err
	}
	waiting, cancel := context.WithTimeout(ctx, s.Timeout)
	defer cancel()
	for _, t := range e.Tenants {
		state := receiving(&e.state, s.From, t)
		state.Phase = tenant.PhaseAborting
		if err := s.stopTenant(waiting, t, state); err != nil {
			return nil, err
		}
	}
	stopped, err := s.readEnd(ctx)
	if err != nil {
		return nil, err
	}
	// Only those of which the Tiller that starts again has a record are removed.
	if saved, err = files.SaveAgain(ctx, saved, "-stopped", stopped.removable()); err != nil {
		return nil, err
	}
	if err := s.removeRecords(ctx, saved.Holds, (*SplitEnd).removable); err != nil {
		return nil, err
	}
	if err := s.scale(ctx, e.state.Replicas); err != nil {
		return nil, err
	}
	for _, t := range e.Tenants {
		if err := s.restart(ctx, t); err != nil {
			return nil, err
		}
	}
	if err := setSplit(ctx, s.Client, s.From, &e.state, nil, s.Event.made); err != nil || !s.Wait {
		return e, err
	}
	if err := s.waitUntilStarted(ctx); err != nil {
		return nil, err
	}
	return e, s.waitForTenants(ctx, e.Tenants)
}

// orphans returns the releases of which only their tenant has records, sorted.
func (e *SplitEnd) orphans() []string {
	originals, names := newest(e.moved), map[string]bool{}
	for _, record := range e.copies {
		if _, found := originals[record.Release]; !found {
			names[record.Release] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// removable returns the tenants' records that an abort removes: those of releases of which the
// old Tiller has records as well. The state may name others by mistake, or because it was
// forged.
func (e *SplitEnd) removable() []cluster.Stored {
	orphans := e.orphans()
	return slices.DeleteFunc(slices.Clone(e.copies), func(record cluster.Stored) bool { return slices.Contains(orphans, record.Release) })
}

// restart starts the tenant's own Tiller after an abort, and ends its part in the split.
func (s *Split) restart(ctx context.Context, t tenant.Tenant) error {
	request := Request{Tenant: tenant.Tenant{Name: t.Name}, Migrating: true, StartTiller: true, Share: true, Accepted: Risks}
	_, err := writeRequest(ctx, s.Client, request, s.Event.made)
	if err != nil {
		return err
	}
	return s.setReceiving(ctx, t, nil, nil)
}

// noteWork notes what the tenants did with releases, which the split Tiller will not
// know.
func (s *Split) noteWork(e *SplitEnd) {
	if e.state.Phase != tenant.PhaseConverted && e.state.Phase != tenant.PhaseVerified {
		return
	}
	copies, originals := newest(e.copies), newest(e.moved)
	for _, name := range slices.Sorted(maps.Keys(originals)) {
		was := originals[name]
		copied, found := copies[name]
		switch {
		case !found:
			s.Event.note("the Tiller of tenant %s has no record of release %s any more: it was deleted, or moved to Helm 3; the Tiller in namespace %s lists it as it was", e.state.Releases[name], name, s.From)
		case copied.Revision != was.Revision || !copied.Updated.Equal(was.Updated):
			s.Event.note("release %s: its objects stay as tenant %s left it at revision %d, %s; the Tiller in namespace %s knows it as of revision %d, %s", name, e.state.Releases[name], copied.Version, copied.Status, s.From, was.Version, was.Status)
		}
	}
}

// abortLost aborts a split whose ConfigMap with the state was deleted, from the records
// of the tenants. A release moves back if all records that its tenant has of it are equal
// to those of the Tiller. It returns ErrNoSplit if no tenant is in a split of this
// Tiller.
func (s *Split) abortLost(ctx context.Context) (*SplitEnd, error) {
	tenants, since, err := s.receivers(ctx)
	if err != nil {
		return nil, err
	}
	if len(tenants) == 0 {
		return nil, ErrNoSplit
	}
	live := cluster.NewLive()
	if err := s.Client.Lookup(ctx, live, []cluster.Key{namespaceKey(s.From)}); err != nil {
		return nil, err
	}
	if namespace := live.Get(namespaceKey(s.From)); namespace == nil || namespace.GetDeletionTimestamp() != nil {
		s.Event.note("namespace %s is gone, and with it the Tiller that was split: its releases stay with the tenants that have records of them", s.From)
		e := &SplitEnd{Tenants: tenants}
		for _, t := range tenants {
			if s.DryRun {
				break
			}
			if err := s.restart(ctx, t); err != nil {
				return nil, err
			}
		}
		return e, nil
	}
	state, err := s.restoredState(ctx, tenants, since)
	if err != nil {
		return nil, err
	}
	s.Event.note("the state of the split, ConfigMap %s in namespace %s, is gone, and made again by what the tenants have", tenant.SplitName, s.From)
	if s.DryRun {
		e, err := s.endOf(ctx, *state)
		if err != nil {
			return nil, err
		}
		return s.abort(ctx, e)
	}
	for _, t := range tenants { // the state does not name tenants without copies
		if slices.Contains(state.Tenants(), t.Name) {
			continue
		}
		if err := s.restart(ctx, t); err != nil {
			return nil, err
		}
	}
	if err := setSplit(ctx, s.Client, s.From, nil, state, s.Event.made); err != nil {
		return nil, err
	}
	return s.Abort(ctx)
}

// receivers returns the tenants whose records say that they receive releases of this
// Tiller, and since when.
func (s *Split) receivers(ctx context.Context) ([]tenant.Tenant, time.Time, error) {
	var tenants []tenant.Tenant
	var since time.Time
	records, err := s.Client.List(ctx, "ConfigMap", "", metav1.ListOptions{LabelSelector: tenant.LabelTenant})
	for _, record := range records {
		if record.GetName() != tenant.RecordName || record.GetAnnotations()[tenant.AnnotationMigration] == "" {
			continue
		}
		migration, err := cluster.MigrationOf(record)
		if err != nil || migration.From != s.From {
			continue // of another Tiller
		}
		t, err := cluster.RecordOf(record)
		if err != nil {
			return nil, since, err
		}
		if t = t.WithDefaults(); t.Home() == record.GetNamespace() {
			tenants, since = append(tenants, t), migration.Since
		}
	}
	return tenants, since, err
}

// restoredState returns the state of a split whose ConfigMap was deleted.
func (s *Split) restoredState(ctx context.Context, tenants []tenant.Tenant, since time.Time) (*tenant.Split, error) {
	state := &tenant.Split{Phase: tenant.PhaseFrozen, Since: since, Storage: tenant.StorageConfigMap, Replicas: map[string]int32{}, Releases: map[string]string{}, Copies: map[string]string{}}
	p := &SplitPlan{From: s.From}
	err := p.readTiller(ctx, s.Client)
	if _, none := errors.AsType[*NoTillerError](err); err != nil && !none {
		return nil, err
	}
	if err == nil {
		state.Storage = p.Storage
	}
	for _, t := range p.tillers {
		state.Replicas[t.String()] = 1 // the split stopped it
		if t.spec.Replicas != nil {
			state.Replicas[t.String()] = max(1, *t.spec.Replicas)
		}
	}
	originals, err := s.digests(ctx, s.From)
	if err != nil {
		return nil, err
	}
	for _, t := range tenants {
		copies, err := s.digests(ctx, t.Home())
		if err != nil {
			return nil, err
		}
		changed := map[string]bool{}
		for key, record := range copies {
			state.Releases[record.Release] = t.Name
			original, found := originals[cluster.Key{Kind: strings.ToLower(string(state.Storage)), Name: key.Name}]
			changed[record.Release] = changed[record.Release] || !found || original.packed != record.packed
		}
		for _, record := range copies {
			if changed[record.Release] {
				delete(state.Releases, record.Release)
			} else {
				state.Copies[record.Release] = ""
			}
		}
	}
	return state, nil
}

// digests returns the records of a Tiller with the digests of their content, by kind in
// lower case and name.
func (s *Split) digests(ctx context.Context, namespace string) (map[cluster.Key]tillerRecord, error) {
	stored, err := s.Client.StoredReleases(ctx, tenant.EngineTiller, namespace)
	if err != nil {
		return nil, err
	}
	found := map[cluster.Key]tillerRecord{}
	err = s.Client.EachRecord(ctx, stored, func(record cluster.Record) error {
		key := cluster.Key{Kind: strings.ToLower(record.Key.Kind), Name: record.Key.Name}
		found[key] = tillerRecord{Stored: record.Stored, packed: sha256.Sum256(packedIn(record))}
		return nil
	})
	return found, err
}
