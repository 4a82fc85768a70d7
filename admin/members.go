package admin

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"helm-tenant/cluster"
	"helm-tenant/rbac"
	"helm-tenant/tenant"
)

// NoTenantError says that there is no tenant of that name.
type NoTenantError struct {
	Name, Where string
	// Home is the home namespace that was named, empty where none was.
	Home string
	// Near are tenants with a similar name, of those that the caller may see.
	Near []string
}

// noTenant returns the error for a tenant that is not there, of the tenants that are.
func noTenant(name, where string, known []string) *NoTenantError {
	return &NoTenantError{Name: name, Where: where, Near: tenant.Near(name, known)}
}

// noTenantIn is noTenant where the tenants that are there have yet to be read; a caller who
// may not read them gets no similar names.
func noTenantIn(ctx context.Context, c *cluster.Client, name string) *NoTenantError {
	homes, err := c.Homes(ctx)
	if err != nil {
		homes = nil // the error is about the name, and not about this list
	}
	return noTenant(name, c.Where(), slices.Collect(maps.Keys(homes)))
}

func (e *NoTenantError) Error() string {
	if e.Home != "" {
		return fmt.Sprintf("namespace %q is not the home of tenant %q in %s", e.Home, e.Name, e.Where)
	}
	return fmt.Sprintf("there is no tenant %q in %s", e.Name, e.Where)
}

// Membership is a change of a tenant's members.
type Membership struct {
	Tenant tenant.Tenant
	// Changed are those who became members, or what else their relation is, or ceased to
	// be; for those in Unchanged nothing had to be done.
	Changed   map[tenant.Relation]tenant.Members
	Unchanged tenant.Members
	// Was are the grants for a time before the change.
	Was tenant.Terms
}

// Everybody are those for whom anything changed.
func (m Membership) Everybody() tenant.Members {
	var all tenant.Members
	for _, as := range tenant.Relations {
		all = all.With(m.Changed[as])
	}
	return all
}

// Find returns the tenant of that name, without its members. A caller who may not list
// ConfigMaps in the cluster finds it in its conventional home namespace, or in the one
// that is named. Where the error is a *cluster.RecordError, the record can't be read, and
// the tenant that is returned is what is known without it: its home, and that it may have
// either engine.
func Find(ctx context.Context, c *cluster.Client, name, home string) (tenant.Tenant, error) {
	homes := []string{home}
	var known []string
	if home == "" {
		all, err := c.Homes(ctx)
		switch {
		case apierrors.IsForbidden(err):
			homes = []string{tenant.EngineTiller.ConventionalHome(name), tenant.EngineImpersonation.ConventionalHome(name)}
		case err != nil:
			return tenant.Tenant{}, err
		default:
			homes, known = all[name], slices.Collect(maps.Keys(all))
		}
		if len(homes) > 1 && err == nil {
			return tenant.Tenant{}, fmt.Errorf("tenant %q has two records, in namespaces %q and %q: remove the ConfigMap %s that is not the tenant's, or name its home with --home-namespace", name, homes[0], homes[1], tenant.RecordName)
		}
	}
	for _, home := range homes {
		t, err := c.Record(ctx, home)
		if apierrors.IsNotFound(err) {
			continue
		}
		if _, unreadable := errors.AsType[*cluster.RecordError](err); unreadable {
			return tenant.Tenant{Name: name, HomeNamespace: home, Engine: tenant.EngineBoth}, err
		}
		if err != nil {
			return tenant.Tenant{}, err
		}
		if t.Name != name {
			return tenant.Tenant{}, fmt.Errorf("namespace %q is the home of tenant %q, not of %q", home, t.Name, name)
		}
		return t.WithDefaults(), nil
	}
	unknown := noTenant(name, c.Where(), known)
	unknown.Home = home
	return tenant.Tenant{}, unknown
}

// Grant lets somebody into the tenant. Besides the API's, the errors are *RiskError,
// Invalid and *ContradictionError.
func Grant(ctx context.Context, c *cluster.Client, t tenant.Tenant, g GrantRequest, dryRun bool) (Membership, error) {
	if problems := g.Who.Validate(); len(problems) > 0 {
		return Membership{}, Invalid(problems)
	}
	if err := checkOpenGroups(g.Who, g.Accepted); err != nil {
		return Membership{}, err
	}
	if g.As == tenant.RelationReader {
		if err := t.CheckReaders(); err != nil {
			return Membership{}, err
		}
		if err := checkReadsSecrets(g.Accepted, t); err != nil {
			return Membership{}, err
		}
	}
	var until time.Time
	return changePeople(ctx, c, t, g.Who, []tenant.Relation{g.As}, dryRun, func(have people) (next people, changed map[tenant.Relation]tenant.Members, err error) {
		if until.IsZero() { // in a second round it is the same
			until = c.Now().Add(g.For + time.Second - 1).UTC().Truncate(time.Second)
		}
		return have.grant(t.Name, g, until)
	})
}

// Revoke takes somebody out of the tenant, by one write for each relation that they have.
func Revoke(ctx context.Context, c *cluster.Client, t tenant.Tenant, r RevokeRequest, dryRun bool) (Membership, error) {
	if problems := r.Who.Validate(); len(problems) > 0 {
		return Membership{}, Invalid(problems)
	}
	return changePeople(ctx, c, t, r.Who, nil, dryRun, func(have people) (next people, changed map[tenant.Relation]tenant.Members, err error) {
		return have.revoke(r, c.Now())
	})
}

// changePeople changes whom the tenant's bindings name, from what is there when it is
// written. who are those that the change is about; needed are the relations whose objects
// are made where they are missing.
func changePeople(ctx context.Context, c *cluster.Client, t tenant.Tenant, who tenant.Members, needed []tenant.Relation, dryRun bool, change func(people) (people, map[tenant.Relation]tenant.Members, error)) (Membership, error) {
	result := Membership{Tenant: t, Changed: map[tenant.Relation]tenant.Members{}}
	prepare := func(ctx context.Context) (*Prepared, error) {
		live := cluster.NewLive()
		bindings := peopleKeys(t.Home())
		if err := c.Lookup(ctx, live, bindings); err != nil {
			return nil, err
		}
		if live.Get(memberKey(t.Home())) == nil {
			return nil, fmt.Errorf("tenant %q has no %s: init it again", t.Name, memberKey(t.Home()))
		}
		// A tenant without readers has no Role for them, and whoever may change its members
		// need not be allowed to read one.
		var roles []cluster.Key
		for _, key := range bindings {
			if live.Get(key) != nil {
				roles = append(roles, cluster.Key{Kind: "Role", Namespace: key.Namespace, Name: key.Name})
			}
		}
		if err := c.Lookup(ctx, live, roles); err != nil {
			return nil, err
		}
		have, readers, err := livePeople(live, t)
		if err != nil {
			return nil, err
		}
		next, changed, err := change(have)
		if err != nil {
			return nil, err
		}
		next.put(&t)
		t.ReadersKept = readers
		// An earlier round may have made the change although its answer was lost.
		for as, who := range changed {
			result.Changed[as] = result.Changed[as].With(who)
		}
		result.Was = have.terms.With(result.Was)
		result.Tenant, result.Unchanged = t, who.Without(result.Everybody())
		var wanted []runtime.Object
		if slices.Contains(needed, tenant.RelationReader) {
			wanted = readerObjects(t)
			if err := c.Lookup(ctx, live, append(keysOf(wanted), clusterRoleKey(rbac.ViewRole))); err != nil {
				return nil, err
			}
		}
		for _, object := range rbac.Home(t) {
			if key := cluster.KeyOf(object); slices.Contains(peopleKeys(t.Home()), key) && (live.Get(key) != nil || slices.Contains(needed, tenant.RelationReader)) {
				wanted = append(wanted, object)
			}
		}
		settleTerms(wanted, live, next.unread)
		plan, err := cluster.NewPlan(t.Name, wanted, live, func(cluster.Key) bool { return false })
		if err != nil {
			return nil, err
		}
		return &Prepared{Tenant: t, Existed: true, Plan: plan, live: live}, nil
	}
	var err error
	if dryRun {
		_, err = prepare(ctx)
	} else {
		_, err = Write(ctx, c, prepare, func(cluster.Change) {})
	}
	return result, err
}

// Expired are the tenants of the cluster with grants that are over, and those of which
// that can't be told. It reads a few lists, however many tenants there are.
func Expired(ctx context.Context, c *cluster.Client) ([]tenant.Tenant, error) {
	records, err := c.TenantRecords(ctx)
	if err != nil {
		return nil, err
	}
	over := map[string]bool{} // by home
	err = eachPeople(ctx, c, func(b *rbacv1.RoleBinding) {
		var p people
		p.add(b)
		over[b.Namespace] = over[b.Namespace] || len(p.unread) > 0 || len(p.terms.Over(c.Now())) > 0
	})
	if err != nil {
		return nil, err
	}
	var found []tenant.Tenant
	for _, record := range records {
		if !over[record.Namespace] {
			continue
		}
		// Who is in stands in the bindings alone: an unreadable record is no reason to let
		// somebody stay.
		t, err := tenant.ReadRecord(record.Data[tenant.RecordKey])
		if err != nil || t.WithDefaults().Home() != record.Namespace {
			t = tenant.Tenant{Name: record.Labels[tenant.LabelTenant], HomeNamespace: record.Namespace, Engine: tenant.EngineBoth}
		}
		found = append(found, t.WithDefaults())
	}
	slices.SortFunc(found, func(a, b tenant.Tenant) int { return strings.Compare(a.Name, b.Name) })
	return found, nil
}

// eachPeople reads the bindings of the people of all tenants, whoever made them.
func eachPeople(ctx context.Context, c *cluster.Client, do func(*rbacv1.RoleBinding)) error {
	for _, as := range tenant.Relations {
		options := metav1.ListOptions{LabelSelector: tenant.LabelTenant, FieldSelector: "metadata.name=" + rbac.BindingName(as)}
		if err := cluster.Each(ctx, c, "RoleBinding", "", options, do); err != nil {
			return err
		}
	}
	return nil
}
