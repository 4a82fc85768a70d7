package admin

import (
	"context"
	"maps"
	"slices"
	"time"

	"helm-tenant/tenant"
)

// resolveSelectors gives the tenants the namespaces that their namespaceSelectors choose,
// as apply does, since releases go to tenants by namespace. Selectors that can't be
// resolved are returned as an *OutcomesError.
func (s *Split) resolveSelectors(ctx context.Context) error {
	resolved, unresolved, err := resolveSelectors(ctx, s.Client, s.Requests)
	if err != nil {
		return err
	}
	var outcomes []Outcome
	for i, err := range unresolved {
		outcomes = append(outcomes, Outcome{Name: s.Requests[i].Tenant.Name, Err: err})
	}
	s.Requests = resolved
	return failed(outcomes)
}

// frozen returns the state in which the split begins, or goes on.
func (s *Split) frozen(p *SplitPlan) *tenant.Split {
	next := s.frozenWithout(p)
	next.Onward = slices.DeleteFunc(next.Tenants(), func(name string) bool { return !s.onward[name] })
	return next
}

// frozenWithout is frozen without the tenants that go on.
func (s *Split) frozenWithout(p *SplitPlan) *tenant.Split {
	next := tenant.Split{Phase: tenant.PhaseFrozen, Since: s.Backups.Now().UTC().Truncate(time.Second), Storage: p.Storage, Replicas: map[string]int32{}, Releases: p.mapping()}
	if p.State != nil {
		next = *p.State
		next.Releases = maps.Clone(p.State.Releases)
		maps.Copy(next.Releases, p.mapping())
		return &next
	}
	for _, t := range p.tillers {
		next.Replicas[t.String()] = 1
		if t.spec.Replicas != nil {
			next.Replicas[t.String()] = *t.spec.Replicas
		}
		if p.begun { // and stopped it
			next.Replicas[t.String()] = max(1, next.Replicas[t.String()])
		}
	}
	return &next
}

// requests returns the requests for the tenants while records are copied: tenants that
// get records have no Tiller then, or a stopped one. With start, their Tillers are
// wanted.
func (s *Split) requests(p *SplitPlan, state *tenant.Split, start bool) []Request {
	targets := p.targets()
	requests := slices.Clone(s.Requests)
	for i := range requests {
		t := requests[i].Tenant.WithDefaults()
		if !targets[t.Name] {
			continue
		}
		requests[i].StartTiller = start
		requests[i].Resumed = p.State != nil && slices.Contains(p.State.Tenants(), t.Name)
		requests[i].Receiving = receiving(state, s.From, t)
	}
	return requests
}

// receiving returns the tenant's part in the split, as its record has it.
func receiving(state *tenant.Split, from string, t tenant.Tenant) *tenant.Migration {
	return &tenant.Migration{Phase: tenant.PhaseFrozen, Since: state.Since, Engine: t.Engine, Storage: t.Tiller.Storage, Replicas: 1, From: from}
}
