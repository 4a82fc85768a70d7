package admin

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/version"

	"helm-tenant/audit"
	"helm-tenant/cluster"
	"helm-tenant/lists"
	"helm-tenant/tenant"
)

// facts are everything on which a decision may depend. gather reads them once for all
// requests of a run; a test makes them from objects.
type facts struct {
	// where describes the context, for errors.
	where string
	// live holds the objects with a tenant's label, and those that were looked up by
	// name, whoever made them.
	live *cluster.Live
	// homes are the home namespaces of all tenants in the cluster, by tenant name.
	homes map[string][]string
	// server describes the API server's limits. It is read only without admission policies:
	// newer API servers have everything on which a decision depends.
	server audit.Server
	// now is the API server's time.
	now time.Time
	// foreign are the rights that others gave to accounts that can be deployers.
	foreign foreignGrants
	// neighbours are the objects of others in home namespaces that helm-tenant did not
	// create, by namespace.
	neighbours map[string]answer[[]string]
	// strangers are the objects through which others can act in a namespace.
	strangers map[string]answer[[]cluster.Stranger]
	// tillerReleases are the releases of a Tiller, by its namespace. helmReleases are the
	// releases of Helm 3 and 4, by the namespace that was read, which is empty for the
	// whole cluster.
	tillerReleases map[string]answer[[]Release]
	helmReleases   map[string]answer[[]Release]
	// byHand are the Tillers made by hand, by home namespace.
	byHand map[string]answer[byHand]
	// recordKinds are the kinds of objects in which a Tiller has release records.
	recordKinds map[string]answer[[]string]
	// unmarkable are the permissions that the caller lacks to mark a tenant whose connections
	// are to be ended, by home namespace.
	unmarkable map[string]answer[[]cluster.Permission]
	// guard are the policies to write for tenants with a guard.
	guard guardFacts
	// violations are the pods and templates that PodSecurity would refuse, by namespace.
	violations map[tightening]answer[violations]
	// demands are what objects ask for that the guard judges, by namespace.
	demands map[string]answer[[]audit.Demand]
}

// answer is the result of one read. Its error concerns only the tenants whose decision
// uses it.
type answer[T any] struct {
	value T
	err   error
}

// reads are the facts that decisions need beside single objects. Each namespace is read
// once, however many tenants need it.
type reads struct {
	neighbours     []string
	strangers      []string
	byHand         []string
	tillerReleases []string
	helmReleases   []string
	recordKinds    []string
	unmarkable     []string
	tightenings    []tightening
	demands        []string
}

// gather reads all facts for all requests: a few lists, the objects that decisions look at by
// name, the reads of single tenants (reads), and finally the wanted objects. The returned error
// concerns all requests; if reads are forbidden, it is a *ReadDeniedError that names all of them.
func gather(ctx context.Context, c *cluster.Client, requests []Request) (*facts, error) {
	f := &facts{where: c.Where(), live: cluster.NewLive()}
	err := f.gather(ctx, c, requests)
	return f, explainReads(ctx, c, err, func(s *readSet) {
		for _, r := range requests {
			s.requested(r, f.live)
		}
	})
}

func (f *facts) gather(ctx context.Context, c *cluster.Client, requests []Request) error {
	var names []string
	for _, r := range requests {
		if r.Check() == nil {
			names = append(names, r.Tenant.Name)
		}
	}
	if len(names) == 0 {
		return nil
	}
	adopting := slices.ContainsFunc(requests, func(r Request) bool { return r.Adopt })
	if err := f.list(ctx, c, names, adopting); err != nil {
		return err
	}
	f.now = c.Now()
	var open []*decision
	var keys []cluster.Key
	for _, r := range requests {
		if d, err := newDecision(f, r); err == nil {
			if err := checkSeen(f.live, d.was, d.tenant); err != nil {
				return err
			}
			open = append(open, d)
			keys = append(keys, d.keysToDecide()...)
		}
	}
	if err := c.Lookup(ctx, f.live, keys); err != nil {
		return err
	}
	return f.complete(ctx, c, open)
}

// complete makes the reads that follow from what the decisions know so far.
func (f *facts) complete(ctx context.Context, c *cluster.Client, open []*decision) error {
	var needed reads
	for _, d := range open {
		d.addReads(&needed)
	}
	if err := f.read(ctx, c, needed); err != nil {
		return err
	}
	var keys []cluster.Key
	for _, d := range open {
		if d, _ := consider(f, d.request); d != nil {
			if wanted, err := d.wanted(); err == nil {
				keys = append(keys, keysOf(wanted)...)
			}
		}
	}
	return c.Lookup(ctx, f.live, keys)
}

// list makes the lists that serve all tenants. adopting reports whether deployers made by
// others may be adopted.
func (f *facts) list(ctx context.Context, c *cluster.Client, names []string, adopting bool) error {
	var group sync.WaitGroup
	var noObjects, noHomes, noGrants error
	group.Go(func() {
		var live *cluster.Live
		if live, noObjects = c.Read(ctx, names...); noObjects == nil {
			f.live = live
			noObjects = c.ReadShared(ctx, f.live)
		}
		if noObjects == nil && !f.live.Serves(cluster.KindPolicy) {
			var info version.Info
			info, noObjects = c.ServerVersion(ctx)
			f.server = audit.ServerOf(info)
		}
	})
	group.Go(func() { f.homes, noHomes = c.Homes(ctx) })
	group.Go(func() { f.foreign, noGrants = readForeignGrants(ctx, c, adopting) })
	group.Wait()
	return cmp.Or(noObjects, noHomes, noGrants) // the same error each time
}

// read makes the reads of single tenants, concurrently.
func (f *facts) read(ctx context.Context, c *cluster.Client, needed reads) error {
	var err error
	if f.neighbours, err = readEach(ctx, needed.neighbours, c.Neighbours); err != nil {
		return err
	}
	if f.violations, err = readViolations(ctx, c, f.live, needed.tightenings); err != nil {
		return err
	}
	if f.demands, err = readDemands(ctx, c, needed.demands); err != nil {
		return err
	}
	if f.strangers, err = readEach(ctx, needed.strangers, c.Strangers); err != nil {
		return err
	}
	if f.unmarkable, err = readEach(ctx, needed.unmarkable, func(ctx context.Context, home string) ([]cluster.Permission, error) {
		return missingForMark(ctx, c, home)
	}); err != nil {
		return err
	}
	if f.byHand, err = readEach(ctx, needed.byHand, func(ctx context.Context, home string) (byHand, error) { return readByHand(ctx, c, home) }); err != nil {
		return err
	}
	f.tillerReleases, err = readEach(ctx, needed.tillerReleases, func(ctx context.Context, home string) ([]Release, error) {
		return readReleasesIn(ctx, c, tenant.EngineTiller, home)
	})
	if err != nil {
		return err
	}
	f.recordKinds, err = readEach(ctx, needed.recordKinds, func(ctx context.Context, home string) ([]string, error) {
		stored, err := c.StoredReleases(ctx, tenant.EngineTiller, home)
		kinds := lists.Map(stored, func(s cluster.Stored) string { return s.Kind })
		slices.Sort(kinds)
		return slices.Compact(kinds), err
	})
	if err != nil {
		return err
	}
	f.helmReleases, err = readEach(ctx, needed.helmReleases, func(ctx context.Context, namespace string) ([]Release, error) {
		return readReleasesIn(ctx, c, tenant.EngineImpersonation, namespace)
	})
	return err
}

// readEach reads each namespace once and keeps each answer, including errors. It fails
// only if ctx ends.
func readEach[T any](ctx context.Context, namespaces []string, read func(context.Context, string) (T, error)) (map[string]answer[T], error) {
	slices.Sort(namespaces)
	namespaces = slices.Compact(namespaces)
	answers := make([]answer[T], len(namespaces))
	var group errgroup.Group
	group.SetLimit(tenantsAtOnce)
	for i, namespace := range namespaces {
		group.Go(func() error {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			answers[i].value, answers[i].err = read(ctx, namespace)
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	found := make(map[string]answer[T], len(namespaces))
	for i, namespace := range namespaces {
		found[namespace] = answers[i]
	}
	return found, nil
}

// unreadError reports that a decision needs a read that was not made: another admin made
// an object after the reads were chosen and before it was looked up. Everything must be
// gathered again.
type unreadError struct{ what, namespace string }

func (e *unreadError) Error() string {
	return fmt.Sprintf("%s of namespace %q were not read", e.what, e.namespace)
}

// answerAbout returns the answer of a read. If the read was not made, it returns an
// *unreadError instead of an empty answer.
func answerAbout[T any](answers map[string]answer[T], question, namespace string) (T, error) {
	a, found := answers[namespace]
	if !found {
		return a.value, &unreadError{question, namespace}
	}
	return a.value, a.err
}

func (f *facts) releasesOf(t tenant.Tenant, engine tenant.Engine) ([]Release, error) {
	if engine == tenant.EngineTiller {
		return answerAbout(f.tillerReleases, "the releases", t.Home())
	}
	var all []Release
	for _, ns := range helmNamespaces(t) {
		releases, err := answerAbout(f.helmReleases, "the releases", ns)
		if err != nil {
			return nil, err
		}
		all = append(all, releases...)
	}
	sortReleases(all)
	return all, nil
}

func (n *reads) addReleases(t tenant.Tenant, engine tenant.Engine) {
	if engine == tenant.EngineTiller {
		n.tillerReleases = append(n.tillerReleases, t.Home())
		return
	}
	n.helmReleases = append(n.helmReleases, helmNamespaces(t)...)
}
