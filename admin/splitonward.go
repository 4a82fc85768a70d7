package admin

import (
	"context"
	"fmt"
	"strings"

	"helm-tenant/cluster"
	"helm-tenant/failure"
	"helm-tenant/tenant"
)

// MovedOnError refuses to abort a split after a tenant's migration to Helm 3 and 4 was
// finished: its Tiller is deleted, and the split one would manage the same releases.
type MovedOnError struct {
	From    string
	Tenants []string
}

func (e *MovedOnError) Error() string {
	return fmt.Sprintf("the releases of tenant %s are Helm 3's for good, and there is no way back", strings.Join(e.Tenants, ", "))
}

// stageOnward asks for tenants that have only Helm 3 and 4 in the file with a Tiller as
// well, to which releases can move; they are migrated afterwards. Their homes are that
// Tiller's, which migrate keeps, or the ones that they have already.
func (s *Split) stageOnward(ctx context.Context) error {
	s.onward = map[string]bool{}
	requests := append([]Request(nil), s.Requests...)
	var names []string
	for _, r := range requests {
		if !r.Tenant.WithDefaults().Engine.Has(tenant.EngineTiller) {
			names = append(names, r.Tenant.Name)
		}
	}
	if len(names) == 0 {
		return nil
	}
	live, err := s.Client.Read(ctx, names...)
	if err != nil {
		return err
	}
	for i := range requests {
		t := &requests[i].Tenant
		if t.WithDefaults().Engine.Has(tenant.EngineTiller) {
			continue
		}
		s.onward[t.Name] = true
		t.Engine = tenant.EngineTiller
		was, existed, err := recorded(live, t.Name)
		if err != nil || !existed {
			continue // PrepareAll reports it
		}
		if was = was.WithDefaults(); was.Engine != tenant.EngineTiller {
			t.Engine = tenant.EngineBoth
		}
		if t.HomeNamespace == "" {
			t.HomeNamespace = was.Home()
		}
	}
	s.Requests = requests
	return nil
}

// unstage restores the requests of the file for tenants that get no release.
func (s *Split) unstage(wanted []Request, targets map[string]bool) {
	for i := range s.Requests {
		if name := s.Requests[i].Tenant.Name; s.onward[name] && !targets[name] {
			s.Requests[i] = wanted[i]
			delete(s.onward, name)
		}
	}
}

// checkVerifier fails if no helm can verify the releases of the tenants that go on.
func (s *Split) checkVerifier(ctx context.Context, state *tenant.Split) error {
	for _, name := range state.Onward {
		if _, err := s.Migration(name).Verifier(ctx); err != nil {
			return err
		}
	}
	return nil
}

type recordedTenant struct {
	tenant    tenant.Tenant
	existed   bool
	migration *tenant.Migration
}

func (s *Split) readRecorded(ctx context.Context, name string) (recordedTenant, error) {
	var st recordedTenant
	live, err := s.Client.Read(ctx, name)
	if err != nil {
		return st, err
	}
	if st.tenant, st.existed, err = recorded(live, name); err == nil && st.existed {
		st.tenant = st.tenant.WithDefaults()
		st.migration, err = cluster.MigrationOf(live.Get(recordKey(st.tenant.Home())))
	}
	return st, err
}

func (s recordedTenant) finished() bool {
	return s.existed && s.migration == nil && !s.tenant.Engine.Has(tenant.EngineTiller)
}

// finishing reports whether the migration of the tenant is being finished, and can't be
// aborted.
func (s recordedTenant) finishing() bool {
	return s.migration != nil && s.migration.From == "" && s.migration.Phase == tenant.PhaseFinishing
}

// migrateOnward migrates the tenants that go on to Helm 3 and 4. An error of one does not stop the
// others: the returned error is a *SplitError of an *OutcomesError.
func (s *Split) migrateOnward(ctx context.Context, state *tenant.Split) error {
	var outcomes []Outcome
	for _, name := range state.Onward {
		outcomes = append(outcomes, Outcome{Name: name, Err: s.migrateTenant(ctx, name)})
	}
	if err := failed(outcomes); err != nil {
		return &SplitError{s.From, err}
	}
	return nil
}

func (s *Split) migrateTenant(ctx context.Context, name string) error {
	st, err := s.readRecorded(ctx, name)
	if err != nil || st.finished() || st.migration != nil && st.migration.Phase == tenant.PhaseVerified {
		return err
	}
	m, err := s.Migration(name).Begin(ctx)
	if err == nil {
		s.Event.say("tenant %s is moved to Helm 3 and 4: %s", name, m.Moved())
	}
	return err
}

// previewOnward adds to the plan what the ends of the migrations would write, and fails
// if one of them can't be finished.
func (s *Split) previewOnward(ctx context.Context, e *SplitEnd) error {
	for _, name := range e.state.Onward {
		st, err := s.readRecorded(ctx, name)
		if err != nil {
			return err
		}
		switch {
		case !st.existed || st.finished():
			continue
		case st.migration == nil:
			s.Event.note("tenant %s is not being migrated, and keeps its Tiller", name)
			continue
		}
		m := s.Migration(name)
		m.DryRun = true
		if !s.DryRun {
			m.Event, m.Ownership = func(Event) {}, func(OwnershipChange) {}
		}
		prepared, err := m.Finish(ctx)
		if err != nil {
			return failure.OfTenant(name).Wrap(err)
		}
		e.Plan.Changes = append(e.Plan.Changes, prepared.Plan.Changes...)
	}
	return nil
}

func (s *Split) finishOnward(ctx context.Context, e *SplitEnd) error {
	for _, name := range e.state.Onward {
		st, err := s.readRecorded(ctx, name)
		if err == nil && st.migration != nil {
			_, err = s.Migration(name).Finish(ctx)
		}
		if err != nil {
			return failure.OfTenant(name).Wrap(err)
		}
	}
	return nil
}

// abortOnward aborts the migrations: each tenant has its Tiller again.
func (s *Split) abortOnward(ctx context.Context, e *SplitEnd) error {
	for _, name := range e.state.Onward {
		st, err := s.readRecorded(ctx, name)
		if err == nil && st.migration != nil && st.migration.From == "" {
			m := s.Migration(name)
			m.Wait = false // the split stops it next
			_, err = m.Abort(ctx)
		}
		if err != nil {
			return failure.OfTenant(name).Wrap(err)
		}
	}
	return nil
}

// readMoved reads what Helm 3 has of the releases that a tenant got before its migration
// was finished. migrate keeps the revision numbers.
func (s *Split) readMoved(ctx context.Context, e *SplitEnd, t tenant.Tenant) error {
	e.finished = append(e.finished, t.Name)
	namespaces := t.Namespaces
	if t.AllNamespaces {
		namespaces = []string{""}
	}
	for _, namespace := range namespaces {
		records, err := s.Client.StoredReleases(ctx, tenant.EngineImpersonation, namespace)
		if err != nil {
			return err
		}
		for _, record := range records {
			if e.state.Copied(record.Release) == t.Name {
				e.helmRecords = append(e.helmRecords, record)
			}
		}
	}
	return nil
}
