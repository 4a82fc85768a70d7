package admin

import (
	"context"
	"fmt"
	"slices"

	"helm-tenant/cluster"
	"helm-tenant/tenant"
)

// checkMigrationAllowed returns a *DeniedError unless the admin may make every write of
// the migration, and of an abort. It also returns what prevents the new deployer, as
// Prepare does.
func checkMigrationAllowed(ctx context.Context, c *cluster.Client, m *Migration) error {
	prepared, err := Prepare(ctx, c, m.engineRequest(tenant.EngineBoth))
	if err != nil {
		return err
	}
	plan := prepared.Plan
	m.planSteps(&plan)
	for i, r := range m.Releases {
		for _, revision := range r.Revisions {
			key := cluster.KeyOf(r.EmptySecret(revision))
			plan.Changes = append(plan.Changes, cluster.Change{Action: cluster.Delete, Key: key})
		}
		for _, revision := range m.Standings[i].Missing {
			if err := plan.Create(r.EmptySecret(revision)); err != nil {
				return err
			}
		}
	}
	missing, err := c.NewPreflight(prepared.live).Missing(ctx, &plan)
	if err != nil {
		return err
	}
	// The releases are verified as the deployer.
	unverifiable, err := lacking(ctx, c, []cluster.Permission{cluster.Impersonation(m.Tenant.Home(), tenant.HelmAccount)})
	return orDenied(append(missing, unverifiable...), err)
}

// checkEndAllowed returns a *DeniedError unless the admin may make every write of a
// finish or an abort: what was prepared for it, and its steps.
func checkEndAllowed(ctx context.Context, c *cluster.Client, m *Migration, prepared *Prepared) error {
	all := *prepared
	all.Plan.Changes = slices.Clone(prepared.Plan.Changes)
	m.planSteps(&all.Plan)
	return CheckAllowed(ctx, c, &all)
}

// planSteps adds the writes of setState, so that their permissions are checked.
func (m *Migration) planSteps(plan *cluster.Plan) {
	if record := m.live.Get(recordKey(m.Tenant.Home())); record != nil {
		plan.Edit(record, cluster.PhaseNamespaces, withAnnotation(tenant.AnnotationMigration, "asked for"))
	}
	if deployment := m.live.Get(tillerKey(m.Tenant.Home())); deployment != nil {
		plan.Edit(deployment, cluster.PhaseWorkload, withReplicas(-1))
	}
}

// setState moves the tenant's migration from one state to the next, and scales Tiller if
// replicas is not nil. from is nil before the migration, to is nil after it. The state is
// written first. It does nothing if another admin already made this step or a later one,
// and returns a *MigratingError or ErrEnded if they went the other way.
func setState(ctx context.Context, c *cluster.Client, t tenant.Tenant, from, to *tenant.Migration, replicas *int32, onChange func(cluster.Change)) error {
	_, err := Write(ctx, c, func(ctx context.Context) (*Prepared, error) {
		live := cluster.NewLive()
		if err := c.Lookup(ctx, live, []cluster.Key{recordKey(t.Home()), tillerKey(t.Home())}); err != nil {
			return nil, err
		}
		record := live.Get(recordKey(t.Home()))
		if record == nil {
			return nil, &NoTenantError{Name: t.Name, Where: c.Where()}
		}
		current, err := cluster.MigrationOf(record)
		if err != nil {
			return nil, err
		}
		if !isState(current, from) && !isState(current, to) && !beyond(current, to) {
			if current == nil {
				return nil, ErrEnded
			}
			return nil, &MigratingError{t.Name, *current}
		}
		prepared := &Prepared{Tenant: t, Existed: true, live: live}
		if isState(current, from) { // otherwise another admin made the step
			if err := prepared.planState(to); err != nil {
				return nil, err
			}
		}
		prepared.planReplicas(replicas)
		return prepared, nil
	}, onChange)
	return err
}

// planState plans the write of a migration's state into the tenant's record, or its removal if
// the state is nil.
func (p *Prepared) planState(state *tenant.Migration) error {
	text := ""
	if state != nil {
		var err error
		if text, err = state.Annotation(); err != nil {
			return err
		}
	}
	p.Plan.Edit(p.live.Get(recordKey(p.Tenant.Home())), cluster.PhaseNamespaces, withAnnotation(tenant.AnnotationMigration, text))
	return nil
}

// planReplicas plans to scale the tenant's Tiller, if it has one and replicas is not nil.
func (p *Prepared) planReplicas(replicas *int32) {
	if deployment := p.live.Get(tillerKey(p.Tenant.Home())); deployment != nil && replicas != nil {
		p.Plan.Edit(deployment, cluster.PhaseWorkload, withReplicas(*replicas))
	}
}

func isState(a, b *tenant.Migration) bool {
	return a == b || a != nil && b != nil && a.Phase == b.Phase
}

// beyond reports whether the migration is in a later phase than to, in the same
// direction.
func beyond(now, to *tenant.Migration) bool {
	way := []tenant.Phase{tenant.PhaseFrozen, tenant.PhaseConverted, tenant.PhaseVerified}
	return now != nil && to != nil && slices.Contains(way, to.Phase) && slices.Index(way, now.Phase) > slices.Index(way, to.Phase)
}

// checkHelmRecords fails unless Helm 3 has every revision that writeHelmRecords should
// have written. Until now only members of a tenant with both engines could use Helm 3 on
// them: if they made a later revision, Helm 3 may have removed older ones. It returns the
// migration as it was read.
func checkHelmRecords(ctx context.Context, c *cluster.Client, migration *Migration) (*Migration, error) {
	migration, err := readMigration(ctx, c, migration.Tenant.Name, migration.keep, migration, nil)
	if err != nil {
		return nil, err
	}
	if beyond(migration.State, &tenant.Migration{Phase: tenant.PhaseFrozen}) {
		return migration, nil // another admin has checked them
	}
	if err := migration.in(tenant.PhaseFrozen); err != nil {
		return nil, err
	}
	for i, r := range migration.Releases {
		if standing := migration.Standings[i]; len(standing.Missing) > 0 && len(standing.Later) == 0 {
			return nil, fmt.Errorf("release %s: somebody removed %s", r.Name, cluster.KeyOf(r.EmptySecret(standing.Missing[0])))
		}
	}
	return migration, nil
}

// in fails unless the migration is in that phase.
func (m *Migration) in(phase tenant.Phase) error {
	switch {
	case m.State == nil:
		return ErrEnded
	case m.State.Phase != phase:
		return &MigratingError{m.Tenant.Name, *m.State}
	}
	return nil
}

func (m *Migration) prepared() *Prepared {
	return &Prepared{Tenant: m.Tenant, Existed: true, live: m.live}
}

// engineRequest asks for the tenant as it is, with another engine.
func (m *Migration) engineRequest(engine tenant.Engine) Request {
	return Request{Tenant: tenant.Tenant{Name: m.Tenant.Name, Engine: engine}, Migrating: true, LeaveReleases: true, Share: true, Accepted: Risks}
}

// setEngine gives a tenant that is being migrated the deployers of that engine, and its
// members the rights that go with them. Tiller's Deployment is left alone, unless the
// engine has none. It fails if the migration has left that phase.
func setEngine(ctx context.Context, c *cluster.Client, m *Migration, phase tenant.Phase, engine tenant.Engine, onChange func(cluster.Change)) error {
	_, err := Write(ctx, c, func(ctx context.Context) (*Prepared, error) {
		prepared, err := Prepare(ctx, c, m.engineRequest(engine))
		if err != nil {
			return nil, err
		}
		record := prepared.live.Get(recordKey(m.Tenant.Home()))
		if record == nil {
			return nil, ErrEnded
		}
		current, err := cluster.MigrationOf(record)
		expected := &tenant.Migration{Phase: phase}
		switch {
		case err != nil:
			return nil, err
		case current == nil:
			return nil, ErrEnded
		case !isState(current, expected) && !beyond(current, expected):
			return nil, &MigratingError{m.Tenant.Name, *current}
		}
		return prepared, nil
	}, onChange)
	return err
}

// backRequest asks for the tenant as it was before the migration. A deleted Deployment of
// Tiller is created again.
func (m *Migration) backRequest() Request {
	r := m.engineRequest(m.State.Engine)
	r.StartTiller = m.live.Get(tillerKey(m.Tenant.Home())) == nil
	return r
}

// removeAll removes records in a phase of the migration. The records that it has are
// backed up, and no others are removed.
func removeAll(ctx context.Context, c *cluster.Client, migration *Migration, phase tenant.Phase, records func(*Migration) []cluster.Stored, onChange func(cluster.Change)) error {
	_, err := Write(ctx, c, func(ctx context.Context) (*Prepared, error) {
		current, err := readMigration(ctx, c, migration.Tenant.Name, migration.keep, migration, nil)
		if err != nil {
			return nil, err
		}
		if err := current.in(phase); err != nil {
			return nil, err
		}
		prepared := current.prepared()
		return prepared, removeSaved(&prepared.Plan, records(current), records(migration), current.later)
	}, onChange)
	return err
}

// removeSaved removes records if all of them are saved, the early ones before the others.
func removeSaved(plan *cluster.Plan, records, saved []cluster.Stored, early map[cluster.Key]bool) error {
	for _, record := range records {
		same := func(kept cluster.Stored) bool {
			return kept.UID == record.UID && kept.ResourceVersion == record.ResourceVersion
		}
		if !slices.ContainsFunc(saved, same) {
			return fmt.Errorf("%s was written after the backup: the same command again backs it up", record.Key)
		}
		if early[record.Key] {
			plan.Delete(record.Live(), cluster.PhaseEarlyRemoval)
		} else {
			plan.Delete(record.Live(), cluster.PhaseRemoval)
		}
	}
	return nil
}
