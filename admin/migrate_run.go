package admin

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"helm-tenant/backup"
	"helm-tenant/cluster"
	"helm-tenant/command"
	"helm-tenant/tenant"
)

// Migrate is one run of migrate: Begin, Finish or Abort.
type Migrate struct {
	Client *cluster.Client
	Name   string
	// Backups writes the backups; File is the requested file, empty for a new one.
	Backups backup.Backups
	File    string
	// Keep bounds the revisions of each release that move, the newest ones; 0 is no
	// bound.
	Keep int
	// DryRun ends the run before the first write.
	DryRun   bool
	Accepted Accepted
	// Wait has Abort wait until Tiller is ready again. Timeout bounds this wait, and the
	// wait for Tiller to stop.
	Wait    bool
	Timeout time.Duration
	Event   Sink
	// Verifier finds a helm that can verify the releases, before anything is written, and
	// returns a function that verifies them.
	Verifier func(context.Context) (func(context.Context, *Migration) error, error)
	// Confirm asks the admin before the Tiller is removed.
	Confirm func(context.Context) error
	// Ownership is called for each object that did not name its release.
	Ownership func(OwnershipChange)
}

// Begin moves the releases: it backs up Tiller's records, stops Tiller, writes Helm 3's
// records, lets the members use Helm 3, and verifies the releases, in that order. A run
// that was interrupted is continued. It returns the migration as it was read, also with
// the error of a dry run.
func (m *Migrate) Begin(ctx context.Context) (*Migration, error) {
	draft := m.Backups.Draft(m.File)
	defer draft.Discard()
	save := draft.Add
	if m.DryRun {
		save = nil
	}
	migration, err := readMigration(ctx, m.Client, m.Name, m.Keep, nil, save)
	if err != nil {
		return nil, err
	}
	if err := checkThawed(migration.Tenant); err != nil {
		return nil, err
	}
	switch {
	case migration.State == nil && !migration.Tenant.Engine.Has(tenant.EngineTiller):
		return nil, fmt.Errorf("it has the engine %s, and so no Tiller to move away from", migration.Tenant.Engine)
	case migration.State != nil && (migration.State.Phase == tenant.PhaseFinishing || migration.State.Phase == tenant.PhaseAborting):
		return nil, &MigratingError{m.Name, *migration.State}
	case migration.State != nil && m.Keep != 0 && m.Keep != migration.State.Keep:
		return nil, &StepError{m.Name, StepStopped, fmt.Errorf("its migration began with %s, which can't be changed before it ends", keepText(migration.State.Keep))}
	case m.DryRun:
		return migration, migration.check()
	}
	if err := migration.check(); err != nil {
		if migration.State != nil {
			err = &StepError{m.Name, StepStopped, err}
		}
		return nil, err
	}
	verify, err := m.Verifier(ctx)
	if err != nil {
		return nil, err
	}
	if err := checkMigrationAllowed(ctx, m.Client, migration); err != nil {
		return nil, err
	}
	for _, r := range migration.Releases {
		for _, note := range r.Notes {
			m.Event.note("release %s: %s", r.Name, note)
		}
	}
	if migration.State == nil || migration.State.Phase == tenant.PhaseFrozen {
		if migration, err = m.convert(ctx, migration, draft); err != nil {
			return nil, err
		}
	}
	if err := setEngine(ctx, m.Client, migration, tenant.PhaseConverted, tenant.EngineBoth, m.Event.made); err != nil {
		return nil, err
	}
	if migration, err = m.readAgain(ctx, migration); err != nil {
		return nil, err
	}
	if err := verify(ctx, migration); err != nil {
		return nil, &StepError{m.Name, StepVerify, err}
	}
	return migration, m.step(ctx, migration, tenant.PhaseVerified, nil, nil)
}

func keepText(keep int) string {
	if keep == 0 {
		return "all revisions"
	}
	return fmt.Sprintf("--keep %d", keep)
}

// readAgain reads what has changed, and fails if the migration has ended in the meantime.
func (m *Migrate) readAgain(ctx context.Context, earlier *Migration) (*Migration, error) {
	migration, err := readMigration(ctx, m.Client, m.Name, m.Keep, earlier, nil)
	if err == nil && migration.State == nil {
		err = ErrEnded
	}
	return migration, err
}

// step moves the migration to its next phase; see Step.
func (m *Migrate) step(ctx context.Context, migration *Migration, phase tenant.Phase, change func(*tenant.Migration), replicas *int32) error {
	next := *migration.State
	next.Phase = phase
	if change != nil {
		change(&next)
	}
	err := setState(ctx, m.Client, migration.Tenant, migration.State, &next, replicas, m.Event.made)
	if err == nil {
		migration.State = &next
	}
	return err
}

// convert stops Tiller and writes Helm 3's records.
func (m *Migrate) convert(ctx context.Context, migration *Migration, draft *backup.Draft) (*Migration, error) {
	migration, err := m.freeze(ctx, migration, draft)
	if err != nil {
		return nil, err
	}
	if migration, err = writeHelmRecords(ctx, m.Client, migration, m.Event.made); err != nil {
		return nil, err
	}
	if migration, err = checkHelmRecords(ctx, m.Client, migration); err != nil {
		return nil, &StepError{m.Name, StepConvert, err}
	}
	return migration, m.step(ctx, migration, tenant.PhaseConverted, func(next *tenant.Migration) { next.Converted = true }, nil)
}

// freeze saves the draft, which has Tiller's records, as the backup, stops Tiller, and
// reads again what Tiller wrote until then.
func (m *Migrate) freeze(ctx context.Context, migration *Migration, draft *backup.Draft) (*Migration, error) {
	was, earlier := migration.State, ""
	if was != nil {
		earlier = was.Backup // of an interrupted run
	}
	saved, err := draft.Save(earlier)
	if err != nil {
		return nil, err
	}
	t := migration.Tenant
	next := tenant.Migration{Phase: tenant.PhaseFrozen, Since: m.Backups.Now().UTC().Truncate(time.Second), Engine: t.Engine, Storage: t.Tiller.Storage, Replicas: migration.replicas, Keep: migration.keep}
	if was != nil {
		next = *was
	}
	next.Backup = saved.File
	if err := setState(ctx, m.Client, t, was, &next, new(int32(0)), m.Event.made); err != nil {
		return nil, err
	}
	waiting, cancel := context.WithTimeout(ctx, m.Timeout)
	defer cancel()
	if err := m.Client.WaitUntilStopped(waiting, t.Home(), m.sayTiller); err != nil {
		return nil, &StepError{m.Name, StepStop, err}
	}
	frozen, err := m.readAgain(ctx, migration)
	if err == nil {
		err = frozen.check()
	}
	if err != nil {
		return nil, &StepError{m.Name, StepStopped, err}
	}
	_, err = m.Backups.SaveAgain(ctx, saved, "-stopped", frozen.records)
	return frozen, err
}

func (m *Migrate) sayTiller(sentence string) { m.Event.say("Tiller: %s", sentence) }

// NoteWork reports for each release what Helm 3 did with it, which Tiller will not know.
func (m *Migrate) NoteWork(migration *Migration) {
	for i, r := range migration.Releases {
		standing := migration.Standings[i]
		switch {
		case len(standing.Foreign) > 0:
			m.Event.note("release %s was installed again by Helm 3 in namespace %s: that one stays, and Tiller lists its own, too", r.Name, r.Namespace)
		case standing.None() && migration.State.Converted && migration.State.Phase != tenant.PhaseAborting:
			m.Event.note("release %s was uninstalled by Helm 3; Tiller lists it as it was", r.Name)
			reinstall := command.Release(m.Name, r.Name, []string{"rollback"}, strconv.Itoa(r.Newest().Version))
			m.Event(Event{Text: "  install it again with", Command: &reinstall})
		case len(standing.Later) > 0:
			m.Event.note("release %s: its objects stay as Helm 3 left them at revision %d; Tiller knows it as of revision %d", r.Name, slices.Max(standing.Later), r.Newest().Version)
		case len(standing.Changed) > 0:
			m.Event.note("release %s: Helm 3 changed its records; its objects stay as they are", r.Name)
		}
	}
}
