package admin

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"helm-tenant/backup"
	"helm-tenant/cluster"
	"helm-tenant/failure"
	"helm-tenant/lists"
	"helm-tenant/tenant"
	"helm-tenant/visible"
)

// Split is one run of split: Begin, Finish or Abort.
type Split struct {
	Client *cluster.Client
	// From is the namespace of the Tiller that is split.
	From string
	// Requests ask for the tenants of the file; Finish and Abort need none.
	Requests []Request
	// Leave names releases that stay.
	Leave []string
	// Backups writes the backups; File is the requested file, empty for a new one.
	Backups backup.Backups
	File    string
	// DryRun ends the run before the first write.
	DryRun   bool
	Accepted Accepted
	// Wait requires the started Tillers to become ready. Timeout bounds this wait, and
	// the wait for a Tiller to stop.
	Wait    bool
	Timeout time.Duration
	Event   Sink
	// Confirm asks the admin before the records of the Tiller are removed.
	Confirm func(context.Context) error
	// Narrow is the name of the tenant that Finish makes of the Tiller, with rights in
	// the namespaces of the releases that stay; if it is empty, the Tiller keeps its
	// rights.
	Narrow string
	// ClientVersion is the version of the admin's Helm 2, which a narrowed Tiller gets.
	ClientVersion string
	// Migration returns a run of migrate for a tenant that moves on to Helm 3 and 4,
	// without confirmation.
	Migration func(tenant string) *Migrate

	// onward are the tenants that go on to Helm 3 and 4.
	onward map[string]bool
}

// OutcomesError has the errors of several tenants.
type OutcomesError struct{ Failed []Outcome }

func (e *OutcomesError) Error() string {
	first := failure.OfTenant(e.Failed[0].Name).Wrap(e.Failed[0].Err).Error()
	if more := len(e.Failed) - 1; more > 0 {
		return fmt.Sprintf("%s; and %d more of the tenants", first, more)
	}
	return first
}

// Unwrap returns the errors of the tenants.
func (e *OutcomesError) Unwrap() []error {
	return lists.Map(e.Failed, func(o Outcome) error { return o.Err })
}

// failed returns an *OutcomesError if one of the tenants has an error.
func failed(outcomes []Outcome) error {
	e := &OutcomesError{}
	for _, o := range outcomes {
		if o.Err != nil {
			e.Failed = append(e.Failed, o)
		}
	}
	if len(e.Failed) == 0 {
		return nil
	}
	return e
}

// SplitError is an error after a split has begun: the split can be continued or aborted.
type SplitError struct {
	From string
	Err  error
}

func (e *SplitError) Error() string { return e.Err.Error() }
func (e *SplitError) Unwrap() error { return e.Err }

func (s *Split) tenants() []tenant.Tenant {
	return lists.Map(s.Requests, func(r Request) tenant.Tenant { return r.Tenant.WithDefaults() })
}

// Begin moves the releases: it backs up the Tiller's records, makes the tenants, stops
// the Tiller, copies the records to the tenants' homes, compares the copies with the
// originals, and starts the tenants' Tillers, in that order. Then it migrates the tenants
// for which the file asks for Helm 3 and 4 only. A run that was interrupted is continued.
// It returns the plan also with the error of a dry run.
func (s *Split) Begin(ctx context.Context) (*SplitPlan, error) {
	if err := s.resolveSelectors(ctx); err != nil {
		return nil, err
	}
	wanted := s.Requests
	if err := s.stageOnward(ctx); err != nil {
		return nil, err
	}
	p, err := s.read(ctx, nil)
	if err != nil {
		return nil, err
	}
	s.unstage(wanted, p.targets())
	if p.State != nil {
		switch p.State.Phase {
		case tenant.PhaseFinishing, tenant.PhaseAborting:
			return nil, &SplittingError{s.From, *p.State}
		case tenant.PhaseVerified:
			if s.DryRun {
				return p, nil
			}
			return p, s.migrateOnward(ctx, p.State)
		}
	}
	if err := p.readTenants(ctx, s.Client); err != nil {
		return nil, err
	}
	err = p.check(s.Accepted)
	if err != nil && !s.DryRun {
		return nil, s.begun(p, err)
	}
	state := s.frozen(p)
	outcomes, unread := PrepareAll(ctx, s.Client, s.requests(p, state, false))
	if err == nil {
		err = unread
	}
	if err == nil {
		err = failed(outcomes)
	}
	if err == nil {
		s.sayNotes(p, outcomes)
	}
	if s.DryRun {
		return p, err
	}
	if err != nil {
		return nil, s.begun(p, err)
	}
	if moving, _ := p.Moving(); moving == 0 && p.State == nil {
		return nil, errors.New("no release would move to a tenant of the file")
	}
	if err := s.checkAllowed(ctx, p); err != nil {
		return nil, s.begun(p, err)
	}
	if err := s.checkVerifier(ctx, state); err != nil {
		return nil, s.begun(p, err)
	}
	if p.State == nil || p.State.Phase == tenant.PhaseFrozen {
		if p, err = s.convert(ctx, p, state); err != nil {
			return nil, &SplitError{s.From, err}
		}
	}
	if err := s.start(ctx, p); err != nil {
		return nil, &SplitError{s.From, err}
	}
	if err := s.step(ctx, p.State, tenant.PhaseVerified); err != nil {
		return nil, &SplitError{s.From, err}
	}
	return p, s.migrateOnward(ctx, p.State)
}

// sayNotes says what an apply of the tenants would say of them, and what is remarkable about
// the releases; a dry run returns the latter in the plan.
func (s *Split) sayNotes(p *SplitPlan, outcomes []Outcome) {
	for _, o := range outcomes {
		for _, warning := range o.Prepared.Warnings {
			s.Event.warn(nil, "tenant %s: %s", o.Name, warning)
		}
		for _, note := range o.Prepared.Notes {
			s.Event.note("tenant %s: %s", o.Name, note)
		}
	}
	if others := otherContainers(p.tillers); len(others) > 0 && p.State == nil {
		s.Event.note("containers beside Tiller stop with it: %s", strings.Join(others, ", "))
	}
	if s.DryRun {
		return
	}
	for _, r := range p.Releases {
		for _, note := range r.Notes() {
			s.Event.note("release %s: %s", r.Name, note)
		}
	}
}

// begun wraps the error of a run that wrote nothing in a *SplitError if an earlier run
// did.
func (s *Split) begun(p *SplitPlan, err error) error {
	if p.State != nil {
		return &SplitError{s.From, err}
	}
	return err
}

// convert makes the tenants, stops the Tiller, and copies its records.
func (s *Split) convert(ctx context.Context, p *SplitPlan, state *tenant.Split) (*SplitPlan, error) {
	earlier := ""
	if p.State != nil {
		earlier = p.State.Backup
	}
	saved, err := s.Backups.Save(ctx, s.File, earlier, p.movingRecords())
	if err != nil {
		return nil, err
	}
	state.Backup = saved.File
	if err := setSplit(ctx, s.Client, s.From, p.State, state, s.Event.made); err != nil {
		return nil, err
	}
	if err := s.apply(ctx, s.requests(p, state, false)); err != nil {
		return nil, err
	}
	if err := s.stopTenants(ctx, p, state); err != nil {
		return nil, err
	}
	if err := s.scale(ctx, nil); err != nil {
		return nil, err
	}
	if err := s.waitUntilStopped(ctx); err != nil {
		return nil, err
	}
	frozen, err := s.read(ctx, p)
	if err == nil {
		err = frozen.checkStopped(state)
	}
	if err == nil {
		err = frozen.check(s.Accepted)
	}
	if err != nil {
		return nil, err
	}
	if _, err = s.Backups.SaveAgain(ctx, saved, "-stopped", frozen.movingRecords()); err != nil {
		return nil, err
	}
	state = s.frozen(frozen) // another admin's replicas, if that one began the split
	state.Backup, state.Copies = saved.File, map[string]string{}
	maps.Copy(state.Copies, frozen.State.Copies)
	for name := range frozen.mapping() {
		state.Copies[name] = ""
	}
	if err := setSplit(ctx, s.Client, s.From, frozen.State, state, s.Event.made); err != nil {
		return nil, err
	}
	if err := copyRecords(ctx, s.Client, frozen, s.Event.made); err != nil {
		return nil, err
	}
	copied, err := s.read(ctx, frozen)
	if err != nil {
		return nil, err
	}
	if err := copied.checkCopies(frozen); err != nil {
		return nil, err
	}
	copied.State = state
	for _, r := range copied.Releases {
		if r.Tenant != "" {
			state.Copies[r.Name] = digestOf(storedOf(r.records))
		}
	}
	return copied, s.step(ctx, copied.State, tenant.PhaseConverted)
}

func (s *Split) step(ctx context.Context, state *tenant.Split, phase tenant.Phase) error {
	next := *state
	next.Phase = phase
	err := setSplit(ctx, s.Client, s.From, state, &next, s.Event.made)
	if err == nil {
		*state = next
	}
	return err
}

func (s *Split) apply(ctx context.Context, requests []Request) error {
	requests = slices.Clone(requests)
	for i := range requests {
		requests[i].NoteRefused = false // the notes are said: see sayNotes
	}
	outcomes, err := PrepareAll(ctx, s.Client, requests)
	if err == nil {
		err = failed(outcomes)
	}
	if err != nil {
		return err
	}
	shared := TakeShared(outcomes)
	err = ApplyAll(ctx, s.Client, requests, outcomes, shared, func(o Outcome) {
		if o.Err == nil && len(o.Prepared.Plan.Changes) > 0 {
			s.Event.say("tenant %s: %s", o.Name, visible.Counted(len(o.Prepared.Plan.Changes), "write"))
		}
	})
	if err != nil {
		return err
	}
	return failed(outcomes)
}
