package admin

import (
	"cmp"
	"context"
	"errors"
	"runtime"
	"slices"

	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"helm-tenant/cluster"
	"helm-tenant/tenant"
)

// Prepared is a tenant with the plan that makes it so.
type Prepared struct {
	Tenant tenant.Tenant
	// Existed reports whether the tenant existed before.
	Existed bool
	Plan    cluster.Plan
	// Stale reports whether kubeconfigs that remember the tenant have other namespaces,
	// or another engine, than it has now.
	Stale bool
	// RoleGaps has the rights that the deployer's role lacks and helm needs, and what
	// fails without them, a line each. Notes contains them as well.
	RoleGaps []string
	// Notes are remarks for the admin, a line each; Warnings are those to read before
	// anything is written.
	Notes, Warnings []string
	// Revoked are the members that the tenant loses.
	Revoked tenant.Members
	// Disconnect reports whether open connections to the tenant's Tiller must be ended when the
	// plan is written: those of Revoked, if the request asks for that, or those that an
	// interrupted run should have ended.
	Disconnect bool
	// Wrote reports whether Write wrote anything, in its last round or in an earlier one,
	// whose answer may have been lost.
	Wrote bool

	live *cluster.Live
	// accepted has the risks that the admin accepted.
	accepted Accepted
}

// Invalid has everything that is wrong with a request, whatever the cluster has.
type Invalid []error

// Error returns all of it on one line.
func (e Invalid) Error() string { return joined(e) }

func (e Invalid) Unwrap() []error { return e }

// Prepare returns what must be written for the tenant to be what the request asks. It
// writes nothing. With an error, what it returns serves only to name the permissions that
// would be missing as well. Errors: Invalid, *RefusedError, *EngineError, *LeftReleasesError,
// *RiskError, *cluster.NotOursError, *MissingNamespacesError, *ClaimedError,
// *MigratingError, *SquattedError, *ReadDeniedError, Refusals of several of these, and those
// of the API.
func Prepare(ctx context.Context, c *cluster.Client, r Request) (*Prepared, error) {
	all, err := PrepareAll(ctx, c, []Request{r})
	if err != nil {
		return nil, err
	}
	return cmp.Or(all[0].Prepared, all[0].refused), all[0].Err
}

// Outcome is the result for one tenant: the plan, or an error.
type Outcome struct {
	Name     string
	Prepared *Prepared
	Err      error

	// refused has, with an error, the writes that were judged nevertheless.
	refused *Prepared
	// given has the namespaces that it gets from other tenants of the run.
	given []move
}

// PrepareAll is Prepare for many tenants: it reads for all of them at once (gather), then
// decides about each (decide). An error of one tenant is in its Outcome and does not stop
// the others; the returned error concerns all of them.
func PrepareAll(ctx context.Context, c *cluster.Client, requests []Request) ([]Outcome, error) {
	outcomes, err := prepareOnce(ctx, c, requests)
	for i := range outcomes {
		pause := conflictPauses(maxGatherings)
		for tries := 0; tries < maxGatherings && changedWhileRead(outcomes[i].Err); tries++ {
			if err := sleep(ctx, pause()); err != nil {
				return nil, err
			}
			single, err := prepareOnce(ctx, c, requests[i:i+1])
			if err != nil {
				outcomes[i].Err = err
				break
			}
			outcomes[i] = single[0]
		}
	}
	return outcomes, err
}

// prepareOnce is PrepareAll without a second look at what other admins changed while it read.
func prepareOnce(ctx context.Context, c *cluster.Client, asked []Request) ([]Outcome, error) {
	requests, err := withAdoptedEngines(ctx, c, asked)
	if err != nil {
		return nil, err
	}
	requests, unresolved, err := resolveSelectors(ctx, c, requests)
	if err != nil {
		return nil, err
	}
	f, err := gather(ctx, c, requests)
	if err != nil {
		return nil, err
	}
	outcomes := make([]Outcome, len(requests))
	// Comparing is most of the work for a thousand tenants.
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	for i, r := range requests {
		group.Go(func() error {
			outcomes[i].Name = r.Tenant.Name
			if outcomes[i].Err = unresolved[i]; unresolved[i] == nil {
				outcomes[i].decided(decide(f, r))
			}
			return nil
		})
	}
	_ = group.Wait() // errors are in the outcomes
	decideMoves(ctx, c, f, requests, outcomes)
	for i, r := range requests {
		outcomes[i].Err = explainReads(ctx, c, outcomes[i].Err, func(s *readSet) { s.requested(r, f.live) })
	}
	return outcomes, nil
}

func (o *Outcome) decided(prepared *Prepared, err error) {
	o.Prepared, o.refused, o.Err = prepared, nil, err
	if err != nil {
		o.Prepared, o.refused = nil, prepared
	}
}

// maxGatherings bounds how often facts are gathered again for one tenant.
const maxGatherings = 3

// changedWhileRead reports whether a decision may have failed because another admin made
// the tenant between two reads: its record appeared, or its home was read, and what refers to
// it was not.
func changedWhileRead(err error) bool {
	_, unread := errors.AsType[*unreadError](err)
	_, squatted := errors.AsType[*SquattedError](err)
	return unread || squatted || errors.Is(err, errRecordAppeared)
}

// errSelectorOffline is the error for a selector where no cluster is read.
var errSelectorOffline = errors.New("its namespaceSelector chooses namespaces of a cluster: apply the file to one, or name the namespaces")

// resolveSelectors returns the requests with the namespaces that their selectors choose.
// For a selector that can't be resolved, the error has the index of the request. The
// namespaces are listed once, and only if there is a selector.
func resolveSelectors(ctx context.Context, c *cluster.Client, requests []Request) ([]Request, []error, error) {
	selects := func(r Request) bool { return r.Tenant.NamespaceSelector != nil }
	unresolved := make([]error, len(requests))
	if !slices.ContainsFunc(requests, selects) {
		return requests, unresolved, nil
	}
	var all []tenant.LabelledNamespace
	err := c.EachMeta(ctx, "Namespace", "", metav1.ListOptions{}, func(ns *metav1.PartialObjectMetadata) {
		all = append(all, tenant.LabelledNamespace{Name: ns.Name, Labels: ns.Labels, Terminating: ns.DeletionTimestamp != nil})
	})
	if err != nil {
		return nil, nil, explainReads(ctx, c, err, func(s *readSet) { s.list("namespaces") })
	}
	resolved, unresolved := withSelected(requests, all)
	return resolved, unresolved, nil
}

// withSelected is resolveSelectors for namespaces that were listed. A request that is
// prepared again alone has the other tenants of its file in File.
func withSelected(requests []Request, all []tenant.LabelledNamespace) ([]Request, []error) {
	file := requests[0].File
	if file == nil {
		for _, r := range requests {
			file = append(file, r.Tenant)
		}
	}
	selection := tenant.Select(file, all)
	resolved, unresolved := slices.Clone(requests), make([]error, len(requests))
	for i := range resolved {
		r := &resolved[i]
		r.Tenant, r.leftOut, unresolved[i] = selection.Of(r.Tenant)
	}
	return resolved, unresolved
}
