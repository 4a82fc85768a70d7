package admin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	release3 "helm.sh/helm/v3/pkg/release"

	"helm-tenant/cluster"
	"helm-tenant/lists"
	"helm-tenant/release"
	"helm-tenant/tenant"
)

// Finish makes Helm the owner of the releases' objects, backs up Tiller's records, and
// removes these and the Tiller. In a dry run it returns what would be written.
func (m *Migrate) Finish(ctx context.Context) (*Prepared, error) {
	migration, err := readMigration(ctx, m.Client, m.Name, m.Keep, nil, nil)
	switch {
	case err != nil:
		return nil, err
	case migration.State == nil && migration.Tenant.Engine == tenant.EngineImpersonation:
		m.Event.note("there is nothing left to finish")
		return migration.prepared(), nil
	case migration.State == nil:
		return nil, &StepError{m.Name, StepNothingToFinish, errors.New("it is not being migrated: there is nothing to finish")}
	case migration.State.Phase == tenant.PhaseAborting:
		return nil, &MigratingError{m.Name, *migration.State}
	case migration.State.Phase != tenant.PhaseVerified && migration.State.Phase != tenant.PhaseFinishing:
		return nil, &StepError{m.Name, StepUnverified, errors.New("its releases are not all moved and verified yet")}
	}
	if missing := migration.unmoved(); len(missing) > 0 {
		names := strings.Join(missing, ", ")
		if err := m.Accepted.unless(RiskMissingReleases, "Helm 3 has no record of %s: either it was uninstalled since, or no helm would manage its objects", names); err != nil {
			return nil, err
		}
		m.Event.note("only the backup will know of %s", names)
	}
	prepared, err := Prepare(ctx, m.Client, migration.engineRequest(tenant.EngineImpersonation))
	if err != nil {
		return nil, err
	}
	for _, record := range migration.records {
		prepared.Plan.Delete(record.Live(), cluster.PhaseRemoval)
	}
	if m.DryRun {
		return prepared, m.setMovedOwnership(ctx, migration)
	}
	if err := m.Confirm(ctx); err != nil {
		return nil, err
	}
	if err := checkEndAllowed(ctx, m.Client, migration, prepared); err != nil {
		return nil, err
	}
	if _, err := m.Backups.Save(ctx, m.File, "", migration.records); err != nil {
		return nil, err
	}
	// While Tiller's records exist and the migration can be aborted.
	if err := m.setMovedOwnership(ctx, migration); err != nil {
		return nil, err
	}
	if err := m.step(ctx, migration, tenant.PhaseFinishing, nil, nil); err != nil {
		return nil, err
	}
	if err := setEngine(ctx, m.Client, migration, tenant.PhaseFinishing, tenant.EngineImpersonation, m.Event.made); err != nil {
		return nil, err
	}
	if err := removeAll(ctx, m.Client, migration, tenant.PhaseFinishing, func(m *Migration) []cluster.Stored { return m.records }, m.Event.made); err != nil {
		return nil, err
	}
	return prepared, setState(ctx, m.Client, migration.Tenant, migration.State, nil, nil, m.Event.made)
}

// unmoved returns the releases, or their newest revisions, of which Helm 3 has no record,
// those among them that can't move: another Tiller may have written them after the others
// moved. Releases that were deleted under Tiller have no objects, and do not count.
func (m *Migration) unmoved() []string {
	var missing []string
	moves := map[string]bool{}
	for i, r := range m.Releases {
		moves[r.Name] = true
		standing, where := m.Standings[i], r.Name+" in namespace "+r.Namespace
		switch {
		case standing.None() && r.Newest().Status == release3.StatusUninstalled:
		case standing.None():
			missing = append(missing, where)
		case standing.Lost(r):
			missing = append(missing, fmt.Sprintf("revision %d of %s", r.Newest().Version, where))
		}
	}
	all := lists.Map(m.records, func(record cluster.Stored) release.Revision { return record.Revision })
	for _, r := range release.Latest(all) {
		if !moves[r.Release] && !release.Gone(r.Status) {
			missing = append(missing, cmp.Or(r.Release, "a record without a release's name"))
		}
	}
	return missing
}

// Abort goes back to Tiller: it removes the rights to use Helm 3, backs up and removes
// Helm 3's records, and starts Tiller, in that order. In a dry run it returns what would
// be written.
func (m *Migrate) Abort(ctx context.Context) (*Prepared, error) {
	migration, err := readMigration(ctx, m.Client, m.Name, m.Keep, nil, nil)
	switch {
	case err != nil:
		return nil, err
	case migration.State == nil:
		return nil, &StepError{m.Name, StepNothingToAbort, errors.New("it is not being migrated: there is nothing to go back from")}
	case migration.State.Phase == tenant.PhaseFinishing:
		return nil, &MigratingError{m.Name, *migration.State}
	}
	prepared, err := Prepare(ctx, m.Client, migration.backRequest())
	if err != nil {
		return nil, err
	}
	for _, record := range migration.helmRecords {
		prepared.Plan.Delete(record.Live(), cluster.PhaseRemoval)
	}
	m.NoteWork(migration)
	if m.DryRun {
		return prepared, nil
	}
	if err := checkEndAllowed(ctx, m.Client, migration, prepared); err != nil {
		return nil, err
	}
	files := m.Backups
	files.Part = "-helm3"
	saved, err := files.Save(ctx, m.File, "", migration.helmRecords)
	if err != nil {
		return nil, err
	}
	if err := m.step(ctx, migration, tenant.PhaseAborting, nil, nil); err != nil {
		return nil, err
	}
	// Rights first, so that nobody changes with Helm 3 what is being removed.
	if err := setEngine(ctx, m.Client, migration, tenant.PhaseAborting, migration.State.Engine, m.Event.made); err != nil {
		return nil, err
	}
	if !migration.State.Engine.Has(tenant.EngineImpersonation) {
		if err := awaitPowerless(ctx, m.Client, tenant.EngineImpersonation, migration.Tenant.Home(), migration.Tenant.Namespaces); err != nil {
			m.Event.warn(err, "whether Helm 3 can still write releases of tenant %s is not known", m.Name)
		}
	}
	if migration, err = m.readAgain(ctx, migration); err != nil {
		return nil, err
	}
	if _, err := files.SaveAgain(ctx, saved, "-stopped", migration.helmRecords); err != nil {
		return nil, err
	}
	if err := removeAll(ctx, m.Client, migration, tenant.PhaseAborting, func(m *Migration) []cluster.Stored { return m.helmRecords }, m.Event.made); err != nil {
		return nil, err
	}
	return prepared, m.restart(ctx, migration)
}

// restart starts Tiller again and ends the migration.
func (m *Migrate) restart(ctx context.Context, migration *Migration) error {
	if request := migration.backRequest(); request.StartTiller {
		_, err := writeRequest(ctx, m.Client, request, m.Event.made)
		if err != nil {
			return err
		}
	}
	if err := m.step(ctx, migration, tenant.PhaseAborting, nil, &migration.State.Replicas); err != nil {
		return err
	}
	if m.Wait {
		waiting, cancel := context.WithTimeout(ctx, m.Timeout)
		defer cancel()
		if err := m.Client.WaitForTiller(waiting, migration.Tenant.Home(), m.sayTiller); err != nil {
			return &StepError{m.Name, StepStart, err}
		}
	}
	return setState(ctx, m.Client, migration.Tenant, migration.State, nil, nil, m.Event.made)
}
