package admin

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"helm-tenant/cluster"
	"helm-tenant/tenant"
)

// ErrNoSplit reports that no split is under way.
var ErrNoSplit = errors.New("no split is under way there")

// SplitEnd is the state of a split that is to be finished or aborted.
type SplitEnd struct {
	state tenant.Split
	// moved has the Tiller's records of the releases that moved. Rest has the newest
	// records of the other releases that have objects.
	moved, Rest []cluster.Stored
	// RestNamespaces has the namespaces of the Rest, as far as they can be read.
	RestNamespaces []string
	// Tenants has the tenants that got releases and exist.
	Tenants []tenant.Tenant
	// copies has the records of these releases in the tenants' homes.
	copies []cluster.Stored
	// helmRecords has Helm 3's records of these releases, for tenants whose migration is
	// finished; finished has those tenants.
	helmRecords []cluster.Stored
	finished    []string
	// Plan is what would be written, in a dry run.
	Plan cluster.Plan
}

// readEnd reads the state of a split. It returns ErrNoSplit if there is none.
func (s *Split) readEnd(ctx context.Context) (*SplitEnd, error) {
	_, state, err := readSplitState(ctx, s.Client, s.From)
	switch {
	case err != nil:
		return nil, err
	case state == nil:
		return nil, ErrNoSplit
	}
	return s.endOf(ctx, *state)
}

// endOf reads the objects of a split with that state. It returns a *LostRecordError if a
// tenant has lost its record and still has its home, with copies in it.
func (s *Split) endOf(ctx context.Context, state tenant.Split) (*SplitEnd, error) {
	e := &SplitEnd{state: state}
	stored, err := s.Client.StoredReleases(ctx, tenant.EngineTiller, s.From)
	if err != nil {
		return nil, err
	}
	stored = ofStorage(stored, state.Storage)
	for _, record := range stored {
		if state.Copied(record.Release) != "" {
			e.moved = append(e.moved, record)
		}
	}
	for _, record := range currentRecords(stored, false) {
		if state.Copied(record.Release) == "" {
			e.Rest = append(e.Rest, record)
		}
	}
	slices.SortFunc(e.Rest, func(a, b cluster.Stored) int { return strings.Compare(a.Release, b.Release) })
	live, err := s.Client.Read(ctx, state.Tenants()...)
	if err != nil {
		return nil, err
	}
	for _, name := range state.Tenants() {
		t, existed, err := recorded(live, name)
		if err != nil {
			return nil, err
		}
		if !existed {
			if err := s.checkLost(ctx, live, name, state); err != nil {
				return nil, err
			}
			continue // its home and the copies were deleted, or it was never made
		}
		migration, err := cluster.MigrationOf(live.Get(recordKey(t.Home())))
		if err != nil {
			return nil, err
		}
		onward := slices.Contains(state.Onward, name)
		if migration != nil && migration.From != s.From && (!onward || migration.From != "") {
			return nil, &MigratingError{name, *migration}
		}
		if st := (recordedTenant{t.WithDefaults(), true, migration}); onward && (st.finished() || st.finishing()) {
			if err := s.readMoved(ctx, e, t); err != nil {
				return nil, err
			}
		}
		e.Tenants = append(e.Tenants, t.WithDefaults())
		copies, err := s.Client.StoredReleases(ctx, tenant.EngineTiller, t.Home())
		if err != nil {
			return nil, err
		}
		for _, record := range copies {
			if state.Copied(record.Release) == name {
				e.copies = append(e.copies, record)
			}
		}
	}
	return e, nil
}

// checkLost returns a *LostRecordError if a tenant has no record, and a home with copies.
func (s *Split) checkLost(ctx context.Context, live *cluster.Live, name string, state tenant.Split) error {
	err := lostOrNone(ctx, s.Client, live, name)
	if _, none := errors.AsType[*NoTenantError](err); none {
		return nil
	}
	lost, ok := errors.AsType[*LostRecordError](err)
	switch {
	case !ok:
		return err
	case lost.Home == "":
		return nil
	}
	copies, reading := s.Client.StoredReleases(ctx, tenant.EngineTiller, lost.Home)
	if reading != nil {
		return reading
	}
	if slices.ContainsFunc(copies, func(record cluster.Stored) bool { return state.Copied(record.Release) == name }) {
		return err
	}
	return nil
}

// newest returns the newest record of each release, by release.
func newest(records []cluster.Stored) map[string]cluster.Stored {
	found := map[string]cluster.Stored{}
	for _, record := range records {
		if other, known := found[record.Release]; !known || record.Version > other.Version {
			found[record.Release] = record
		}
	}
	return found
}

// lost returns the releases that have objects, and of which their tenant's Tiller has no
// record that is as new.
func (e *SplitEnd) lost() []string {
	var lost []string
	copies := newest(slices.Concat(e.copies, e.helmRecords))
	for name, record := range newest(e.moved) {
		copied, found := copies[name]
		if current := currentRecords([]cluster.Stored{record}, false); len(current) > 0 && (!found || copied.Version < record.Version) {
			lost = append(lost, fmt.Sprintf("%s of tenant %s", name, e.state.Releases[name]))
		}
	}
	slices.Sort(lost)
	return lost
}

// changed returns the releases whose records in the split Tiller's namespace differ from
// those that were copied. While the records are being removed that can't be known.
func (e *SplitEnd) changed() []string {
	if e.state.Phase != tenant.PhaseVerified {
		return nil
	}
	current := map[string][]cluster.Stored{}
	for _, record := range e.moved {
		current[record.Release] = append(current[record.Release], record)
	}
	var changed []string
	for _, name := range slices.Sorted(maps.Keys(current)) {
		if digestOf(current[name]) != e.state.Copies[name] {
			changed = append(changed, name)
		}
	}
	return changed
}

// Finish finishes the migrations of the tenants that went on to Helm 3 and 4, backs up
// and removes the Tiller's records of the releases that moved, and, if it has other
// releases, starts the Tiller again and waits for it if that is requested. In a dry run
// it returns what would be written.
func (s *Split) Finish(ctx context.Context) (*SplitEnd, error) {
	e, err := s.readEnd(ctx)
	if err != nil {
		return nil, err
	}
	if e.state.Phase != tenant.PhaseVerified && e.state.Phase != tenant.PhaseFinishing {
		return nil, &SplittingError{s.From, e.state}
	}
	if lost := e.lost(); len(lost) > 0 {
		if err := s.Accepted.unless(RiskMissingReleases, "the tenants' Tillers have no record of %s: either it was deleted since, or no Tiller would manage its objects", briefList(lost)); err != nil {
			return nil, s.canAbort(e, err)
		}
		s.Event.note("only the backup will know of %s", strings.Join(lost, ", "))
	}
	if changed := e.changed(); len(changed) > 0 {
		if err := s.Accepted.unless(RiskMissingReleases, "the records of %s in namespace %q were written after they were copied, and the tenants' Tillers do not have what was written", briefList(changed), s.From); err != nil {
			return nil, s.canAbort(e, err)
		}
		s.Event.note("only the backup will know what was written of %s", strings.Join(changed, ", "))
	}
	for _, record := range e.moved {
		e.Plan.Delete(record.Live(), cluster.PhaseRemoval)
	}
	if err := s.previewNarrow(ctx, e); err != nil {
		return nil, s.canAbort(e, err)
	}
	// Problems of a tenant's migration are found while the split can still be aborted.
	if err := s.previewOnward(ctx, e); err != nil {
		return nil, s.canAbort(e, err)
	}
	if s.DryRun {
		return e, nil
	}
	if err := s.Confirm(ctx); err != nil {
		return nil, err
	}
	if err := CheckAllowed(ctx, s.Client, &Prepared{Plan: e.Plan, live: cluster.NewLive()}); err != nil {
		return nil, err
	}
	saved, err := s.Backups.Save(ctx, s.File, "", e.moved)
	if err != nil {
		return nil, err
	}
	if err := s.step(ctx, &e.state, tenant.PhaseFinishing); err != nil {
		return nil, err
	}
	if err := s.finishOnward(ctx, e); err != nil {
		return nil, err
	}
	if err := s.removeRecords(ctx, saved.Holds, func(e *SplitEnd) []cluster.Stored { return e.moved }); err != nil {
		return nil, err
	}
	if len(e.Rest) > 0 {
		if err := s.scale(ctx, e.state.Replicas); err != nil {
			return nil, err
		}
		if err := s.narrow(ctx, e); err != nil {
			return nil, err
		}
	}
	if err := setSplit(ctx, s.Client, s.From, &e.state, nil, s.Event.made); err != nil {
		return nil, err
	}
	switch {
	case len(e.Rest) == 0 || !s.Wait:
		return e, nil
	case s.Narrow == "":
		return e, s.waitUntilStarted(ctx)
	}
	// The narrowed Tiller restarts, since its pod changes.
	waiting, cancel := context.WithTimeout(ctx, s.Timeout)
	defer cancel()
	return e, s.Client.WaitForTiller(waiting, s.From, s.Event.sayTiller(s.Narrow))
}

// canAbort wraps an error of Finish in a *SplitError if the split can be aborted.
func (s *Split) canAbort(e *SplitEnd, err error) error {
	if e.state.Phase == tenant.PhaseVerified {
		return &SplitError{s.From, err}
	}
	return err
}

// removeRecords removes records that are backed up, as they are read now.
func (s *Split) removeRecords(ctx context.Context, saved func([]cluster.Stored) bool, records func(*SplitEnd) []cluster.Stored) error {
	_, err := Write(ctx, s.Client, func(ctx context.Context) (*Prepared, error) {
		current, err := s.readEnd(ctx)
		if err != nil {
			return nil, err
		}
		if current.state.Phase != tenant.PhaseFinishing && current.state.Phase != tenant.PhaseAborting {
			return nil, &SplittingError{s.From, current.state}
		}
		if !saved(records(current)) {
			return nil, errors.New("records were written after the backup: the same command again backs them up")
		}
		prepared := &Prepared{live: cluster.NewLive()}
		for _, record := range records(current) {
			prepared.Plan.Delete(record.Live(), cluster.PhaseRemoval)
		}
		return prepared, nil
	}, s.Event.made)
	return err
}
