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

// ErrNoSplit says that no split is under way.
var ErrNoSplit = errors.New("no split is under way there")

// SplitEnd is what there is at the end of a split.
type SplitEnd struct {
	State tenant.Split
	// Moved are the Tiller's records of the releases that moved; Rest are the newest records
	// of the others that hold something.
	Moved, Rest []cluster.Stored
	// RestNamespaces are the namespaces of the Rest, as far as they can be read.
	RestNamespaces []string
	// Tenants are those that got releases, and exist.
	Tenants []tenant.Tenant
	// Copies are the records that the tenants' Tillers have of these releases.
	Copies []cluster.Stored
	// Plan is what would be written, in a dry run.
	Plan cluster.Plan
}

// readEnd reads what a split has come to.
func (s *Split) readEnd(ctx context.Context) (*SplitEnd, error) {
	_, state, err := readSplitState(ctx, s.Client, s.From)
	switch {
	case err != nil:
		return nil, err
	case state == nil:
		return nil, ErrNoSplit
	}
	e := &SplitEnd{State: *state}
	stored, err := s.Client.StoredReleases(ctx, tenant.EngineTiller, s.From)
	if err != nil {
		return nil, err
	}
	stored = slices.DeleteFunc(stored, func(record cluster.Stored) bool { return !strings.EqualFold(record.Kind, string(state.Storage)) })
	for _, record := range stored {
		if state.Copied(record.Release) != "" {
			e.Moved = append(e.Moved, record)
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
			continue
		}
		migration, err := cluster.MigrationOf(live.Get(recordKey(t.Home())))
		if err != nil {
			return nil, err
		}
		if migration != nil && migration.From != s.From {
			return nil, &MigratingError{name, *migration}
		}
		e.Tenants = append(e.Tenants, t.WithDefaults())
		copies, err := s.Client.StoredReleases(ctx, tenant.EngineTiller, t.Home())
		if err != nil {
			return nil, err
		}
		for _, record := range copies {
			if state.Copied(record.Release) == name {
				e.Copies = append(e.Copies, record)
			}
		}
	}
	return e, nil
}

// newest are the newest of the records, by release.
func newest(records []cluster.Stored) map[string]cluster.Stored {
	found := map[string]cluster.Stored{}
	for _, record := range records {
		if have, known := found[record.Release]; !known || record.Version > have.Version {
			found[record.Release] = record
		}
	}
	return found
}

// lost are the releases that hold something, and of which their tenant's Tiller has no
// record that is as new.
func (e *SplitEnd) lost() []string {
	var lost []string
	copies := newest(e.Copies)
	for name, record := range newest(e.Moved) {
		have, found := copies[name]
		if current := currentRecords([]cluster.Stored{record}, false); len(current) > 0 && (!found || have.Version < record.Version) {
			lost = append(lost, fmt.Sprintf("%s of tenant %s", name, e.State.Releases[name]))
		}
	}
	slices.Sort(lost)
	return lost
}

// changed are the releases whose records in the namespace of the Tiller that is split are not
// those that were copied. While the records are removed nobody can know.
func (e *SplitEnd) changed() []string {
	if e.State.Phase != tenant.PhaseVerified {
		return nil
	}
	now := map[string][]cluster.Stored{}
	for _, record := range e.Moved {
		now[record.Release] = append(now[record.Release], record)
	}
	var changed []string
	for _, name := range slices.Sorted(maps.Keys(now)) {
		if digestOf(now[name]) != e.State.Copies[name] {
			changed = append(changed, name)
		}
	}
	return changed
}

// Finish removes the Tiller's records of the releases that moved, when they are backed up,
// and starts the Tiller again where it has others. In a dry run it says what would be
// written.
func (s *Split) Finish(ctx context.Context) (*SplitEnd, error) {
	e, err := s.readEnd(ctx)
	if err != nil {
		return nil, err
	}
	if e.State.Phase != tenant.PhaseVerified && e.State.Phase != tenant.PhaseFinishing {
		return nil, &SplittingError{s.From, e.State}
	}
	if lost := e.lost(); len(lost) > 0 {
		if err := s.Accepted.unless(RiskMissingReleases, "the tenants' Tillers have no record of %s: either it was deleted since, or what it made would be managed by no Tiller", brief(lost)); err != nil {
			return nil, err
		}
		s.say("Note: only the backup will know of %s", strings.Join(lost, ", "))
	}
	if changed := e.changed(); len(changed) > 0 {
		if err := s.Accepted.unless(RiskMissingReleases, "the records of %s in namespace %q were written after they were copied, and the tenants' Tillers do not have what was written", brief(changed), s.From); err != nil {
			return nil, err
		}
		s.say("Note: only the backup will know what was written of %s", strings.Join(changed, ", "))
	}
	for _, record := range e.Moved {
		e.Plan.Delete(record.Live(), cluster.PhaseRemoval)
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
	saved, err := s.Backups.Save(ctx, s.File, "", e.Moved)
	if err != nil {
		return nil, err
	}
	if err := s.step(ctx, &e.State, tenant.PhaseFinishing); err != nil {
		return nil, err
	}
	if err := s.removeRecords(ctx, saved.Holds, func(e *SplitEnd) []cluster.Stored { return e.Moved }); err != nil {
		return nil, err
	}
	if len(e.Rest) > 0 {
		if err := s.scale(ctx, e.State.Replicas); err != nil {
			return nil, err
		}
		releases, err := readReleasesIn(ctx, s.Client, tenant.EngineTiller, s.From)
		if err != nil {
			return nil, err
		}
		for _, r := range releases {
			if !r.Gone() && r.Problem == "" && !slices.Contains(e.RestNamespaces, r.Namespace) {
				e.RestNamespaces = append(e.RestNamespaces, r.Namespace)
			}
		}
	}
	return e, setSplit(ctx, s.Client, s.From, &e.State, nil, s.Event.made)
}

// removeRecords removes records that are backed up, as they are read now.
func (s *Split) removeRecords(ctx context.Context, saved func([]cluster.Stored) bool, records func(*SplitEnd) []cluster.Stored) error {
	_, err := Write(ctx, s.Client, func(ctx context.Context) (*Prepared, error) {
		now, err := s.readEnd(ctx)
		if err != nil {
			return nil, err
		}
		if now.State.Phase != tenant.PhaseFinishing && now.State.Phase != tenant.PhaseAborting {
			return nil, &SplittingError{s.From, now.State}
		}
		if !saved(records(now)) {
			return nil, errors.New("records were written after the backup: the same command again backs them up")
		}
		prepared := &Prepared{live: cluster.NewLive()}
		for _, record := range records(now) {
			prepared.Plan.Delete(record.Live(), cluster.PhaseRemoval)
		}
		return prepared, nil
	}, s.Event.made)
	return err
}

// Abort goes back: it stops the tenants' Tillers, removes what they have of the releases when
// that is backed up, and starts the Tiller that was split. The tenants stay, with their own
// releases. In a dry run it says what would be written.
func (s *Split) Abort(ctx context.Context) (*SplitEnd, error) {
	e, err := s.readEnd(ctx)
	if err != nil {
		return nil, err
	}
	if e.State.Phase == tenant.PhaseFinishing {
		return nil, &SplittingError{s.From, e.State}
	}
	for _, record := range e.Copies {
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
	saved, err := files.Save(ctx, s.File, "", e.Copies)
	if err != nil {
		return nil, err
	}
	if err := s.step(ctx, &e.State, tenant.PhaseAborting); err != nil {
		return nil, err
	}
	waiting, cancel := context.WithTimeout(ctx, s.Timeout)
	defer cancel()
	for _, t := range e.Tenants {
		state := receiving(&e.State, s.From, t)
		state.Phase = tenant.PhaseAborting
		if err := s.stopTenant(waiting, t, state); err != nil {
			return nil, err
		}
	}
	stopped, err := s.readEnd(ctx)
	if err != nil {
		return nil, err
	}
	if saved, err = files.SaveAgain(ctx, saved, "-stopped", stopped.Copies); err != nil {
		return nil, err
	}
	if err := s.removeRecords(ctx, saved.Holds, func(e *SplitEnd) []cluster.Stored { return e.Copies }); err != nil {
		return nil, err
	}
	if err := s.scale(ctx, e.State.Replicas); err != nil {
		return nil, err
	}
	for _, t := range e.Tenants {
		if err := s.restart(ctx, t); err != nil {
			return nil, err
		}
	}
	return e, setSplit(ctx, s.Client, s.From, &e.State, nil, s.Event.made)
}

// restart starts the tenant's own Tiller after an abort, and ends its part in the split.
func (s *Split) restart(ctx context.Context, t tenant.Tenant) error {
	request := Request{Tenant: tenant.Tenant{Name: t.Name}, Migrating: true, StartTiller: true, Share: true, Accepted: Risks}
	_, err := Write(ctx, s.Client, func(ctx context.Context) (*Prepared, error) { return Prepare(ctx, s.Client, request) }, s.Event.made)
	if err != nil {
		return err
	}
	return s.mark(ctx, t, nil, nil)
}

// noteWork says what the tenants did with releases, which the split Tiller will not know.
func (s *Split) noteWork(e *SplitEnd) {
	if e.State.Phase != tenant.PhaseConverted && e.State.Phase != tenant.PhaseVerified {
		return
	}
	copies, originals := newest(e.Copies), newest(e.Moved)
	for _, name := range slices.Sorted(maps.Keys(originals)) {
		was := originals[name]
		have, found := copies[name]
		switch {
		case !found:
			s.say("Note: the Tiller of tenant %s has no record of release %s any more: it was deleted, or moved to Helm 3; the Tiller in namespace %s lists it as it was", e.State.Releases[name], name, s.From)
		case have.Revision != was.Revision || !have.Updated.Equal(was.Updated):
			s.say("Note: release %s: what it made stays as tenant %s left it at revision %d, %s; the Tiller in namespace %s knows it as of revision %d, %s", name, e.State.Releases[name], have.Version, have.Status, s.From, was.Version, was.Status)
		}
	}
}
