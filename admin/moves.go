package admin

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"helm-tenant/cluster"
	"helm-tenant/tenant"
)

// move is a namespace that one run takes from a tenant and gives to another one.
type move struct {
	namespace string
	// from and to are indexes of requests, and order is the move's position among all
	// moves.
	from, to, order int
	// before are namespaces of no other tenant that from gets. They are claimed first if from keeps
	// none of its own.
	before []string
}

// exchange is what keeps moves from being possible.
type exchange struct {
	move
	between *Between
}

// findMoves returns the namespaces that one of the tenants has and is to lose, and that
// another one asks for, in a possible order: a tenant that keeps none of its namespaces
// must get one before it loses the last, since only its namespaces refer to its home.
// The moves of tenants that could only exchange all of their namespaces are blocked.
func findMoves(f *facts, requests []Request) (ordered []move, blocked []exchange) {
	losing := map[string]int{} // by namespace
	keeps, gets := map[int]bool{}, map[int][]string{}
	decisions := map[int]*decision{}
	for i, r := range requests {
		d, err := newDecision(f, r)
		if err != nil {
			continue
		}
		decisions[i] = d
		for _, ns := range d.was.Namespaces {
			keeps[i] = keeps[i] || slices.Contains(d.tenant.Namespaces, ns)
		}
		for _, ns := range d.removedNamespaces().Namespaces {
			losing[ns] = i
		}
	}
	var wanted []move
	for _, i := range slices.Sorted(maps.Keys(decisions)) {
		d := decisions[i]
		if d.request.Share {
			continue
		}
		for _, ns := range d.claimed() {
			if live := f.live.Get(namespaceKey(ns)); !keeps[i] && (live == nil || live.GetLabels()[tenant.LabelTenant] == "") {
				gets[i] = append(gets[i], ns)
			}
			if from, moves := losing[ns]; moves && from != i && f.live.Get(namespaceKey(ns)) != nil {
				wanted = append(wanted, move{namespace: ns, from: from, to: i})
			}
		}
	}
	for progress := true; progress && len(wanted) > 0; {
		progress = false
		for index := 0; index < len(wanted); {
			m := wanted[index]
			if !keeps[m.from] && len(gets[m.from]) == 0 {
				index++
				continue
			}
			m.order, m.before = len(ordered), gets[m.from]
			ordered, wanted, progress = append(ordered, m), slices.Delete(wanted, index, index+1), true
			if !slices.ContainsFunc(wanted, func(other move) bool { return other.to == m.to }) {
				keeps[m.to] = true // from then on it has all of them
			}
		}
	}
	for _, m := range wanted {
		blocked = append(blocked, exchange{m, betweenOf(m, wanted, decisions)})
	}
	return ordered, blocked
}

// betweenOf returns the step that makes a blocked move possible: the first tenant of the file,
// among those on whose namespaces the move depends, gets one that it is to have.
func betweenOf(m move, blocked []move, decisions map[int]*decision) *Between {
	depends := []int{m.from}
	for next := 0; next < len(depends); next++ {
		for _, other := range blocked {
			if other.to == depends[next] && !slices.Contains(depends, other.from) {
				depends = append(depends, other.from)
			}
		}
	}
	first := slices.Min(depends)
	d := decisions[first]
	namespaces := slices.Clone(d.was.Namespaces)
	for _, ns := range d.claimed() {
		if !slices.Contains(namespaces, ns) {
			namespaces = append(namespaces, ns)
		}
	}
	return &Between{d.tenant.Name, namespaces}
}

// decideMoves decides again about the tenants that get namespaces, as if these had been
// taken from the others already. Tenants for which that is refused are refused.
func decideMoves(ctx context.Context, c *cluster.Client, f *facts, requests []Request, outcomes []Outcome) {
	given := map[int][]*unstructured.Unstructured{}
	moves, blocked := findMoves(f, requests)
	for _, e := range blocked {
		if claimed, ok := errors.AsType[*ClaimedError](outcomes[e.to].Err); ok && claimed.Namespace == e.namespace {
			claimed.Between = e.between
		}
	}
	for _, m := range moves {
		object, err := f.unclaimed(requests[m.from], m.namespace)
		if err != nil {
			continue // otherwise the namespace stays claimed
		}
		o := &outcomes[m.to]
		o.given = append(o.given, m)
		given[m.to] = append(given[m.to], object)
		if _, claimed := errors.AsType[*ClaimedError](o.Err); !claimed {
			continue
		}
		after := f.withObjects(given[m.to])
		d, err := newDecision(after, requests[m.to])
		if err == nil {
			err = after.complete(ctx, c, []*decision{d})
		}
		var prepared *Prepared
		if err == nil {
			prepared, err = decide(after, requests[m.to])
		}
		o.decided(prepared, err)
	}
	for range moves { // a refusal may cause another one
		for _, m := range moves {
			if outcomes[m.from].Err != nil && outcomes[m.to].Err == nil {
				outcomes[m.to].decided(nil, &ClaimedError{Namespace: m.namespace, Owner: requests[m.from].Tenant.Name})
			}
		}
	}
}

// unclaimed returns a namespace as it will be when it was taken from the request's tenant.
func (f *facts) unclaimed(r Request, namespace string) (*unstructured.Unstructured, error) {
	d, err := newDecision(f, r)
	if err != nil {
		return nil, err
	}
	live := f.live.Get(namespaceKey(namespace))
	var plan cluster.Plan
	if err := d.planUnclaim(&plan, live); err != nil || len(plan.Changes) == 0 {
		return live, err
	}
	return plan.Changes[0].Object, nil
}

// withObjects returns the facts with these objects in the place of the live ones.
func (f *facts) withObjects(objects []*unstructured.Unstructured) *facts {
	return &facts{where: f.where, live: f.live.With(objects...), server: f.server, homes: f.homes, foreign: f.foreign}
}

// partOf returns the part of a plan that takes a namespace from its tenant.
func partOf(plan cluster.Plan, namespace string) cluster.Plan {
	var part cluster.Plan
	for _, change := range plan.Changes {
		if change.Key == namespaceKey(namespace) || change.Key.Namespace == namespace && change.Action == cluster.Delete {
			part.Changes = append(part.Changes, change)
		}
	}
	return part
}

// claimsIn returns the part of a plan that claims these namespaces for its tenant.
func claimsIn(plan cluster.Plan, namespaces []string) cluster.Plan {
	var part cluster.Plan
	for _, change := range plan.Changes {
		if slices.ContainsFunc(namespaces, func(ns string) bool { return change.Key == namespaceKey(ns) }) {
			part.Changes = append(part.Changes, change)
		}
	}
	return part
}

// writeMoves takes the namespaces that move from their tenants, and writes the tenants
// that get them and those that lost them. It returns the indexes of these tenants.
func writeMoves(ctx context.Context, c *cluster.Client, requests []Request, outcomes []Outcome) map[int]bool {
	var moves []move
	for _, o := range outcomes {
		moves = append(moves, o.given...)
	}
	slices.SortFunc(moves, func(a, b move) int { return cmp.Compare(a.order, b.order) })
	written, claimed := map[int]bool{}, map[int]bool{}
	rewrite := func(i int) {
		if o := &outcomes[i]; o.Err == nil && !written[i] {
			// Planned again, since by now no tenant has the namespace.
			_, o.Err = writeRequest(ctx, c, requests[i], func(cluster.Change) {})
			written[i] = true
		}
	}
	for index, m := range moves {
		from, to := &outcomes[m.from], &outcomes[m.to]
		if from.Err != nil && to.Err == nil {
			to.Err = &ClaimedError{Namespace: m.namespace, Owner: from.Name} // taking it failed
		}
		if to.Err != nil {
			continue
		}
		parts := []cluster.Plan{partOf(from.Prepared.Plan, m.namespace)}
		if !claimed[m.from] {
			parts = append([]cluster.Plan{claimsIn(from.Prepared.Plan, m.before)}, parts...)
			claimed[m.from] = true
		}
		var err error
		for i := range parts {
			if err == nil || cluster.Outdated(err) {
				err = c.Write(ctx, &parts[i], requestsOfOne, func(cluster.Change) {})
			}
		}
		if err != nil && !cluster.Outdated(err) {
			from.Err, to.Err = err, err
			continue
		}
		if !slices.ContainsFunc(moves[index+1:], func(later move) bool { return later.to == m.to }) {
			rewrite(m.to)
		}
	}
	for _, m := range moves {
		rewrite(m.from)
	}
	return written
}
