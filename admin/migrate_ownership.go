package admin

import (
	"context"
	"errors"
	"fmt"

	"helm-tenant/cluster"
	"helm-tenant/command"
	"helm-tenant/tenant"
)

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
