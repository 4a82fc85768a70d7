package admin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	runtimepkg "runtime"
	"slices"
	"strings"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"helm-tenant/cluster"
	"helm-tenant/install"
	"helm-tenant/rbac"
	"helm-tenant/tenant"
)

// Prepared is a tenant and what must be written to make it so.
type Prepared struct {
	Tenant tenant.Tenant
	// Existed says whether the tenant was there before.
	Existed bool
	Plan    cluster.Plan
	// Notes are things that the admin should know, a line each.
	Notes []string
	// Wrote says whether Write had anything to write, in its last round or in
	// one before, of which the answer may have been lost.
	Wrote bool

	live *cluster.Live
}

// Invalid is everything that is wrong with what was asked, whatever the cluster
// holds.
type Invalid []error

func (e Invalid) Error() string   { return errors.Join(e...).Error() }
func (e Invalid) Unwrap() []error { return e }

// Prepare finds out what must be written for the tenant to be what is asked.
// It writes nothing. Errors: Invalid, *RefusedError, *EngineError,
// *LeftReleasesError, *RiskError, *cluster.NotOursError, *MissingNamespacesError,
// *ClaimedError, *MigratingError, and those of the API.
func Prepare(ctx context.Context, c *cluster.Client, r Request) (*Prepared, error) {
	all, err := PrepareAll(ctx, c, []Request{r})
	if err != nil {
		return nil, err
	}
	return all[0].Prepared, all[0].Err
}

// Outcome is what came of one tenant: what must be written, or why it can't be.
type Outcome struct {
	Name     string
	Prepared *Prepared
	Err      error
}

// PrepareAll does the same for many tenants with few requests: what they need
// to know is read for all at once. What is wrong with one tenant stands in its
// Outcome and does not stop the others; an error is one that concerns them all.
func PrepareAll(ctx context.Context, c *cluster.Client, requests []Request) ([]Outcome, error) {
	builders := make([]*builder, len(requests))
	var names []string
	for i, r := range requests {
		builders[i] = &builder{request: r}
		// What can be told without the cluster comes first.
		builders[i].do(builders[i].checkRequest)
		if builders[i].err == nil {
			names = append(names, r.Tenant.Name)
		}
	}
	outcomes := make([]Outcome, len(requests))
	if len(names) > 0 {
		if err := prepareAll(ctx, c, builders, names); err != nil {
			return nil, err
		}
	}
	for i, b := range builders {
		if cluster.Outdated(b.err) {
			b.prepared, b.err = Prepare(ctx, c, b.request)
		}
		outcomes[i] = Outcome{Name: b.request.Tenant.Name, Prepared: b.prepared, Err: b.err}
	}
	return outcomes, nil
}

// prepareAll brings all builders on, step by step: those that read are made
// once for all, the others for each.
func prepareAll(ctx context.Context, c *cluster.Client, builders []*builder, names []string) error {
	var found foreign
	var notFound error
	var reading sync.WaitGroup
	reading.Go(func() { found, notFound = readForeign(ctx, c) })
	live, err := c.Read(ctx, names...)
	reading.Wait()
	if err = cmp.Or(err, notFound); err != nil {
		return err
	}
	homes, err := c.Homes(ctx)
	if err != nil {
		return err
	}
	each := func(step func(*builder) error) {
		for _, b := range builders {
			b.do(func() error { return step(b) })
		}
	}
	lookup := func(keys func(*builder) ([]cluster.Key, error)) error {
		var all []cluster.Key
		each(func(b *builder) error {
			more, err := keys(b)
			all = append(all, more...)
			return err
		})
		return c.Lookup(ctx, live, all)
	}
	each(func(b *builder) error { b.live, b.homes, b.foreign = live, homes, found; return b.begin() })
	if err := lookup((*builder).toDecide); err != nil {
		return err
	}
	each(func(b *builder) error { return b.lookAtHome(ctx, c) })
	each(func(b *builder) error { return b.lookToAdopt(ctx, c) })
	each(func(b *builder) error { return b.lookForLeftReleases(ctx, c) })
	each(func(b *builder) error { return b.lookIntoDropped(ctx, c) })
	each((*builder).check)
	each((*builder).compose)
	if err := lookup((*builder).wantedKeys); err != nil {
		return err
	}
	// The comparing is most of the work of a thousand tenants, and each is
	// independent of the others.
	var side sync.WaitGroup
	next := make(chan *builder)
	for range runtimepkg.GOMAXPROCS(0) {
		side.Go(func() {
			for b := range next {
				b.do(b.plan)
			}
		})
	}
	for _, b := range builders {
		next <- b
	}
	close(next)
	side.Wait()
	return nil
}

func openWhy(open []string) string {
	return fmt.Sprintf("%s as a member opens the tenant to everybody, or to every pod, that it stands for", strings.Join(open, ", "))
}

// recorded is the tenant as its record has it.
func recorded(live *cluster.Live, name string) (tenant.Tenant, bool, error) {
	var found []tenant.Tenant
	for _, key := range live.OfTenant(name) {
		if key.Kind != "ConfigMap" || key.Name != tenant.RecordName {
			continue
		}
		t, err := cluster.RecordOf(live.Get(key))
		if err != nil {
			return tenant.Tenant{}, false, err
		}
		if t.Name != name || t.Home() != key.Namespace {
			return tenant.Tenant{}, false, fmt.Errorf("%s is labelled as tenant %q but records tenant %q with the home namespace %q", key, name, t.Name, t.Home())
		}
		found = append(found, t)
	}
	switch len(found) {
	case 0:
		return tenant.Tenant{}, false, nil
	case 1:
		return found[0], true, nil
	}
	return tenant.Tenant{}, false, fmt.Errorf("tenant %q has two records, in namespaces %q and %q: remove the ConfigMap %s that is not the tenant's", name, found[0].Home(), found[1].Home(), tenant.RecordName)
}

// builder holds what is known of one tenant while it is prepared.
type builder struct {
	request Request
	tenant  tenant.Tenant
	// was is the tenant as it is recorded, if it existed.
	was     tenant.Tenant
	live    *cluster.Live
	existed bool
	// migration is nil where the tenant is not being migrated. Where it is, its
	// Deployment is left as it is: it is stopped, and may have to start again.
	migration *tenant.Migration

	foreign     foreign
	homes       map[string][]string
	homeCreated bool // by helm-tenant, now or before
	// membersKnown says whether the member binding was read before the members
	// that are wanted were made of it.
	membersKnown bool
	shared       bool
	notes        []string

	// dropped are the releases in namespaces that are taken from the tenant.
	dropped map[string][]string

	// adopted is set where a Tiller made by hand is taken over.
	adopted *adoption

	prepared *Prepared
	err      error
}

// do takes a step unless one before it failed.
func (b *builder) do(step func() error) {
	if b.err == nil {
		b.err = step()
	}
}

func (b *builder) checkRequest() error {
	if err := tenant.CheckName(b.request.Tenant.Name); err != nil {
		return Invalid{err}
	}
	if open := b.request.Tenant.Members.OpenGroups(); len(open) > 0 && !b.request.Accepted.has(RiskEveryone) {
		return &RiskError{RiskEveryone, openWhy(open)}
	}
	return nil
}

// begin makes the tenant that is wanted of what was and what is asked.
func (b *builder) begin() error {
	r := b.request
	was, existed, err := recorded(b.live, r.Tenant.Name)
	if err != nil {
		return err
	}
	b.existed = existed
	if record := b.live.Get(recordKey(was.WithDefaults().Home())); existed && record != nil {
		if b.migration, err = cluster.MigrationOf(record); err != nil {
			return err
		}
		if b.migration != nil && !r.Migrating {
			return &MigratingError{r.Tenant.Name, *b.migration}
		}
	}
	b.tenant = r.merged(was)
	if existed && !r.Exact && b.tenant.HomeNamespace == "" {
		b.tenant.HomeNamespace = was.WithDefaults().Home() // another engine's convention is no reason to move
	}
	if b.tenant.HomeNamespace == b.tenant.Engine.ConventionalHome(b.tenant.Name) {
		b.tenant.HomeNamespace = "" // a record says so as a tenants file does
	}
	if problems := b.tenant.Validate(); len(problems) > 0 {
		return Invalid(problems)
	}
	if existed {
		b.was = was.WithDefaults()
		if err := b.checkChange(); err != nil {
			return err
		}
	}
	if first := r.DefaultNamespace; first != "" && !slices.Contains(b.tenant.Namespaces, first) {
		return Invalid{fmt.Errorf("default namespace %q is not one of the tenant's namespaces %s", first, strings.Join(b.tenant.Namespaces, ", "))}
	}
	return nil
}

// checkChange refuses to make of a tenant what it can't become.
func (b *builder) checkChange() error {
	was, next := b.was, b.tenant
	switch {
	case next.Home() != was.Home():
		return &RefusedError{fmt.Sprintf("tenant %q has its home in namespace %q and can't move to another", was.Name, was.Home()), SettingHome, was.Home()}
	case next.Engine != was.Engine && next.Engine != tenant.EngineBoth && was.Engine != tenant.EngineBoth:
		return &EngineError{was.Name, was.Engine, next.Engine}
	case was.Engine.Has(tenant.EngineTiller) && next.Engine.Has(tenant.EngineTiller) && next.Tiller.Storage != was.Tiller.Storage:
		return &RefusedError{fmt.Sprintf("tenant %q stores its releases as %ss; Tiller would not find them if that changed", was.Name, was.Tiller.Storage), SettingStorage, string(was.Tiller.Storage)}
	}
	return nil
}

// lookForLeftReleases refuses to take a deployer away from under its releases.
func (b *builder) lookForLeftReleases(ctx context.Context, c *cluster.Client) error {
	if b.was.Engine != tenant.EngineBoth || b.tenant.Engine == tenant.EngineBoth || b.request.LeaveReleases {
		return nil
	}
	leaving := tenant.EngineTiller
	if b.tenant.Engine == tenant.EngineTiller {
		leaving = tenant.EngineImpersonation
	}
	releases, err := readReleases(ctx, c, b.was, leaving)
	if err != nil {
		return err
	}
	releases = slices.DeleteFunc(releases, Release.Gone)
	if len(releases) == 0 {
		return nil
	}
	var names []string
	for _, r := range releases {
		names = append(names, r.Name)
	}
	return &LeftReleasesError{b.tenant.Name, b.tenant.Engine, names}
}

// lookIntoDropped finds the tenant's releases in namespaces that are taken from it.
func (b *builder) lookIntoDropped(ctx context.Context, c *cluster.Client) error {
	if !b.existed || !b.request.Prune && !b.request.Exact {
		return nil
	}
	was := b.was
	was.AllNamespaces = false
	was.Namespaces = slices.DeleteFunc(slices.Clone(was.Namespaces), func(ns string) bool {
		return slices.Contains(b.tenant.Namespaces, ns)
	})
	if len(was.Namespaces) == 0 || b.tenant.AllNamespaces {
		return nil
	}
	b.dropped = map[string][]string{}
	for _, engine := range was.Engine.Parts() {
		releases, err := readReleases(ctx, c, was, engine)
		if apierrors.IsForbidden(err) {
			continue // who may not read them may take the namespace away
		}
		if err != nil {
			return err
		}
		for _, r := range releases {
			if !r.Gone() && slices.Contains(was.Namespaces, r.Namespace) {
				b.dropped[r.Namespace] = append(b.dropped[r.Namespace], r.Name)
			}
		}
	}
	return nil
}

func namespaceKey(name string) cluster.Key { return cluster.Key{Kind: "Namespace", Name: name} }

// claimed are the namespaces that get the tenant's label. A tenant of all
// namespaces claims none: the others' must stay theirs.
func (b *builder) claimed() []string {
	if b.tenant.AllNamespaces {
		return nil
	}
	return b.tenant.Namespaces
}

// lookAtHome finds out whether the home namespace is the tenant's alone.
func (b *builder) lookAtHome(ctx context.Context, c *cluster.Client) error {
	home := b.live.Get(namespaceKey(b.tenant.Home()))
	b.homeCreated = home == nil || home.GetLabels()[tenant.LabelManagedBy] == tenant.ManagedBy
	if b.homeCreated {
		return nil
	}
	neighbours, err := c.Neighbours(ctx, b.tenant.Home())
	b.shared = len(neighbours) > 0
	return err
}

// ofEngines are the names of the objects in a home that only one engine needs.
var ofEngines = []string{install.DeploymentName, tenant.TillerAccount, tenant.HelmAccount, rbac.RecordsName, install.PolicyName}
