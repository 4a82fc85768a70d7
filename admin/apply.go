package admin

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"helm-tenant/cluster"
	"helm-tenant/tenant"
)

// tenantsAtOnce times requestsOfOne is the number of concurrent writes when many tenants
// are written: as many as an API server with default settings serves without throttling.
const (
	tenantsAtOnce = 12
	requestsOfOne = 4
)

// isShared reports whether an object belongs to no single tenant: the admission policies
// and the roles made for tenants, which a cluster has once.
func isShared(key cluster.Key) bool {
	return IsPolicy(key) || key.Kind == "ClusterRole"
}

// IsPolicy reports whether an object is an admission policy or puts one into force. A cluster
// has dozens of them, for all tenants.
func IsPolicy(key cluster.Key) bool {
	return key.Kind == cluster.KindPolicy || key.Kind == cluster.KindPolicyBinding
}

// TakeShared removes the changes of shared objects from the tenants' plans and returns
// each once.
func TakeShared(outcomes []Outcome) cluster.Plan {
	var shared cluster.Plan
	for _, o := range outcomes {
		if o.Err != nil {
			continue
		}
		plan := &o.Prepared.Plan
		plan.Changes = slices.DeleteFunc(plan.Changes, func(change cluster.Change) bool {
			if !isShared(change.Key) {
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

// ApplyAll writes the prepared tenants, several concurrently, and calls done after each.
// Shared objects are written first.
//
// An error of one tenant is put into outcomes and does not stop the others; a tenant for
// which a permission is missing is not written at all. If a permission for a shared
// object is missing, or writing one fails, no tenant is written, and that is the returned
// error.
func ApplyAll(ctx context.Context, c *cluster.Client, requests []Request, outcomes []Outcome, shared cluster.Plan, done func(Outcome)) error {
	var preflight *cluster.Preflight
	var first Request
	check := func(plan *cluster.Plan) error { return orDenied(preflight.Missing(ctx, plan)) }
	for i := range outcomes {
		o := &outcomes[i]
		if o.Err != nil {
			if o.refused != nil {
				o.Err = withDenied(ctx, cmp.Or(preflight, c.NewPreflight(o.refused.live)), o.refused, o.Err)
			}
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
		shared = cluster.Plan{} // there is nothing to write
	}
	if err := writeShared(ctx, c, first, &shared); err != nil {
		return err
	}
	held := new(atomic.Bool)
	moved := writeMoves(ctx, c, requests, outcomes)
	var group errgroup.Group
	group.SetLimit(tenantsAtOnce)
	var mutex sync.Mutex
	for i := range outcomes {
		group.Go(func() error {
			o := &outcomes[i]
			if o.Err == nil && !moved[i] {
				o.Err = applyOne(ctx, c, requests[i], o.Prepared, held)
			}
			mutex.Lock()
			defer mutex.Unlock()
			done(*o)
			return nil
		})
	}
	return group.Wait()
}

// writeShared writes the shared objects. If another admin changed one in the meantime,
// they are read and planned again for the first request.
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

func applyOne(ctx context.Context, c *cluster.Client, r Request, prepared *Prepared, held *atomic.Bool) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if len(prepared.Plan.Changes) == 0 {
		return nil
	}
	err := prepared.write(ctx, c, requestsOfOne, held, func(cluster.Change) {})
	if !cluster.Outdated(err) {
		return err
	}
	// Another admin changed an object in the meantime: read and plan this tenant again.
	again, err := writeRequest(ctx, c, r, func(cluster.Change) {})
	if err == nil {
		// Whether the caller may end connections was asked for the earlier plan only.
		again.Disconnect = again.Disconnect && prepared.Disconnect
		again.addNotes(prepared.Notes)
		*prepared = *again
	}
	return err
}

// Overlaps returns the namespaces that two tenants of the files claim, and the home
// namespaces that another tenant claims or has as its home. Each error is one line that
// begins with the place of the later tenant. With share, tenants may have a namespace
// together. It reads nothing from the cluster.
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
		claimants := claims[ns]
		for i, first := range claimants {
			for _, second := range claimants[i+1:] {
				// A home is never shared: whoever may act there has its Tiller.
				if first.Name != second.Name && !(first.shared && second.shared) {
					problems = append(problems, fmt.Errorf("%s:%d: namespace %q is %s of tenant %q and, at %s:%d, %s of tenant %q",
						second.File, second.Line, ns, second.what, second.Name, first.File, first.Line, first.what, first.Name))
				}
			}
		}
	}
	return problems
}
