package admin

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"

	"helm-tenant/cluster"
	"helm-tenant/install"
	"helm-tenant/tenant"
)

// tenantsAtOnce times requestsOfOne is how many writes are under way at once
// when many tenants are written: what an API server with default settings
// serves without holding anybody back.
const (
	tenantsAtOnce = 12
	requestsOfOne = 4
)

// TakeShared takes the changes that belong to no single tenant, the cluster's
// admission policy, out of the tenants' plans and returns them once.
func TakeShared(outcomes []Outcome) cluster.Plan {
	var shared cluster.Plan
	for _, o := range outcomes {
		if o.Err != nil {
			continue
		}
		plan := &o.Prepared.Plan
		plan.Changes = slices.DeleteFunc(plan.Changes, func(change cluster.Change) bool {
			if change.Key.Name != install.AdmissionName || change.Key.Namespace != "" {
				return false
			}
			if !slices.ContainsFunc(shared.Changes, func(c cluster.Change) bool { return c.Key == change.Key }) {
				shared.Changes = append(shared.Changes, change)
			}
			return true
		})
	}
	return shared
}

// ApplyAll writes what was prepared for many tenants, several side by side, and
// calls done after each. What is shared is written first. outcomes gets each
// tenant's error; one that fails does not stop the others. Where a permission is
// missing for one tenant, nothing is written for that one; where one is missing
// for what is shared, or that can't be written, nothing is written at all, and
// that is the error.
func ApplyAll(ctx context.Context, c *cluster.Client, requests []Request, outcomes []Outcome, shared cluster.Plan, done func(Outcome)) error {
	var preflight *cluster.Preflight
	var first Request
	check := func(plan *cluster.Plan) error {
		missing, err := preflight.Missing(ctx, plan)
		if err == nil && len(missing) > 0 {
			err = &DeniedError{missing}
		}
		return err
	}
	for i := range outcomes {
		o := &outcomes[i]
		if o.Err != nil {
			continue
		}
		if preflight == nil {
			preflight, first = c.NewPreflight(o.Prepared.live), requests[i]
			if err := check(&shared); err != nil {
				return err
			}
		}
		o.Err = check(&o.Prepared.Plan)
	}
	if preflight == nil {
		shared = cluster.Plan{} // no tenant is left that needs it
	}
	if err := writeShared(ctx, c, first, &shared); err != nil {
		return err
	}
	work := make(chan int)
	var workers sync.WaitGroup
	var mutex sync.Mutex
	for range tenantsAtOnce {
		workers.Go(func() {
			for i := range work {
				o := &outcomes[i]
				if o.Err == nil {
					o.Err = applyOne(ctx, c, requests[i], o.Prepared)
				}
				mutex.Lock()
				done(*o)
				mutex.Unlock()
			}
		})
	}
	for i := range outcomes {
		work <- i
	}
	close(work)
	workers.Wait()
	return nil
}

// writeShared writes what is shared. When somebody else was there meanwhile, it
// is read and planned anew, as what the first request asks for beside its tenant.
func writeShared(ctx context.Context, c *cluster.Client, first Request, shared *cluster.Plan) error {
	err := c.Write(ctx, shared, requestsOfOne, func(cluster.Change) {})
	if !cluster.Outdated(err) {
		return err
	}
	_, err = Write(ctx, c, func(ctx context.Context) (*Prepared, error) {
		prepared, err := Prepare(ctx, c, first)
		if err == nil {
			prepared.Plan = TakeShared([]Outcome{{Prepared: prepared}})
		}
		return prepared, err
	}, func(cluster.Change) {})
	return err
}

func applyOne(ctx context.Context, c *cluster.Client, r Request, prepared *Prepared) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if len(prepared.Plan.Changes) == 0 {
		return nil
	}
	err := c.Write(ctx, &prepared.Plan, requestsOfOne, func(cluster.Change) {})
	if !cluster.Outdated(err) {
		return err
	}
	// Somebody else was there meanwhile: this one is read and planned anew.
	again, err := Write(ctx, c, func(ctx context.Context) (*Prepared, error) { return Prepare(ctx, c, r) }, func(cluster.Change) {})
	if err == nil {
		*prepared = *again
	}
	return err
}

// Overlaps are namespaces that more than one of the tenants of files claims, and home
// namespaces that are another's namespace or home; each as one clear line that begins
// with the place of the later tenant. share lets tenants have a namespace together.
// It looks at no cluster.
func Overlaps(tenants []tenant.Located, share bool) []error {
	type claim struct {
		tenant.Located
		what   string
		shared bool
	}
	claims := map[string][]claim{}
	for _, l := range tenants {
		l.Tenant = l.WithDefaults()
		claims[l.Home()] = append(claims[l.Home()], claim{l, "the home namespace", false})
		for _, ns := range l.Namespaces {
			claims[ns] = append(claims[ns], claim{l, "a namespace", share})
		}
	}
	var problems []error
	for _, ns := range slices.Sorted(maps.Keys(claims)) {
		by := claims[ns]
		for i, first := range by {
			for _, second := range by[i+1:] {
				// A home is shared with nobody: who may act there has its Tiller.
				if first.Name != second.Name && !(first.shared && second.shared) {
					problems = append(problems, fmt.Errorf("%s:%d: namespace %q is %s of tenant %q and, at %s:%d, %s of tenant %q",
						second.File, second.Line, ns, second.what, second.Name, first.File, first.Line, first.what, first.Name))
				}
			}
		}
	}
	return problems
}
