package admin

import (
	"cmp"
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

	"helm-tenant/cluster"
	"helm-tenant/failure"
	"helm-tenant/rbac"
	"helm-tenant/tenant"
)

// NoTenantError reports that no tenant of that name exists.
type NoTenantError struct {
	Name, Where string
	// Home is the home namespace that was named, empty if none was.
	Home string
	// Near has tenants with similar names, of those that the caller may see.
	Near []string
}

// noTenant returns the error for a tenant that does not exist, given the ones that do.
func noTenant(name, where string, known []string) *NoTenantError {
	return &NoTenantError{Name: name, Where: where, Near: tenant.Near(name, known)}
}

// noTenantIn is noTenant for a caller that has not read the tenants yet; without the
// right to read them, there are no similar names.
func noTenantIn(ctx context.Context, c *cluster.Client, name string) *NoTenantError {
	homes, err := c.Homes(ctx)
	if err != nil {
		homes = nil // similar names are optional
	}
	return noTenant(name, c.Where(), slices.Collect(maps.Keys(homes)))
}

func (e *NoTenantError) Error() string {
	if e.Home != "" {
		return fmt.Sprintf("namespace %q is not the home of tenant %q in %s", e.Home, e.Name, e.Where)
	}
	return fmt.Sprintf("there is no tenant %q in %s", e.Name, e.Where)
}

// Names implements failure.Namer.
func (e *NoTenantError) Names() []string { return []string{failure.Tenant(e.Name), e.Where} }

// Membership is the result of a change of a tenant's members.
type Membership struct {
	Tenant tenant.Tenant
	// Changed has the subjects that got or lost the relation. Those in Unchanged had it,
	// or lacked it, already.
	Changed   map[tenant.Relation]tenant.Members
	Unchanged tenant.Members
	// Unseen has the relations whose binding the caller may not read.
	Unseen []tenant.Relation
	// Unread has the relations whose binding was not read because the change does not
	// concern them: Tenant does not have their subjects.
	Unread []tenant.Relation
	// Stays has what a revoke of some relations leaves to those whom it names, as far as the
	// caller may read it.
	Stays map[tenant.Relation]tenant.Members
	// Notes are remarks for the admin.
	Notes []string
	// Was has the grants for a time before the change.
	Was tenant.Terms
	// Disconnect says that open connections to the tenant's Tiller must be ended: those of
	// subjects that the request names or removes, if it asks for that, or those that an
	// interrupted run should have ended.
	Disconnect bool
}

// Everybody returns all subjects that the change affected.
func (m Membership) Everybody() tenant.Members {
	var all tenant.Members
	for _, as := range tenant.Relations {
		all = all.With(m.Changed[as])
	}
	return all
}

// twoRecords returns the error for a tenant with records in two namespaces; otherwise is what the
// caller can do instead of removing one.
func twoRecords(name, home, other, otherwise string) error {
	err := fmt.Errorf("tenant %q has two records, in namespaces %q and %q: remove the ConfigMap %s that is not the tenant's%s", name, home, other, tenant.RecordName, otherwise)
	return failure.Naming(err, failure.Tenant(name))
}

// Find returns the tenant of that name without its members. For a caller who may not list
// ConfigMaps in the cluster it looks in the conventional home namespace, or in the one
// that is named. If the record can't be read, the error is a *cluster.RecordError, and
// the returned tenant has what is known without the record: its home, and that it may
// have either engine.
func Find(ctx context.Context, c *cluster.Client, name, home string) (tenant.Tenant, error) {
	homes := []string{home}
	var known []string
	if home == "" {
		// An owner may not list them, so the permission is asked for first.
		allowed, err := c.May(ctx, cluster.Permission{Verb: "list", Resource: "configmaps"})
		if err != nil {
			return tenant.Tenant{}, err
		}
		var all map[string][]string
		if allowed {
			all, err = c.Homes(ctx)
		}
		switch {
		case !allowed, apierrors.IsForbidden(err):
			homes = []string{tenant.EngineTiller.ConventionalHome(name), tenant.EngineImpersonation.ConventionalHome(name)}
		case err != nil:
			return tenant.Tenant{}, err
		default:
			homes, known = all[name], slices.Collect(maps.Keys(all))
		}
		if len(homes) > 1 && err == nil && allowed {
			return tenant.Tenant{}, twoRecords(name, homes[0], homes[1], ", or name its home with --home-namespace")
		}
	}
	var forbidden error
	for _, home := range homes {
		t, err := c.Record(ctx, home)
		if apierrors.IsNotFound(err) || apierrors.IsForbidden(err) && len(homes) > 1 {
			if apierrors.IsForbidden(err) {
				forbidden = err // reading the other home may be allowed
			}
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
	if forbidden != nil {
		return tenant.Tenant{}, forbidden
	}
	unknown := noTenant(name, c.Where(), known)
	unknown.Home = home
	return tenant.Tenant{}, unknown
}

// Grant lets somebody into the tenant. Besides the API's, the errors are *RiskError,
// Invalid, *ContradictionError, and Refusals of several of these.
func Grant(ctx context.Context, c *cluster.Client, t tenant.Tenant, g GrantRequest, dryRun bool) (Membership, error) {
	if problems := g.Who.Validate(); len(problems) > 0 {
		return Membership{}, Invalid(problems)
	}
	refused := checkNamed(g.As, g.Who, g.Accepted)
	if g.As == tenant.RelationReader {
		if err := t.CheckReaders(); err != nil {
			return Membership{}, refuse(refused, err)
		}
		refused = refuse(refused, checkReadsSecrets(g.Accepted, t))
	}
	var until time.Time
	relations := []tenant.Relation{tenant.RelationMember}
	switch g.As {
	case tenant.RelationReader:
		relations = append(relations, tenant.RelationReader)
	case tenant.RelationOwner:
		relations = tenant.Relations // the first owner needs the bindings of all relations
	}
	change := peopleChange{tenant: t, who: g.Who, relations: relations, needed: g.As, accepted: g.Accepted}
	result, err := change.write(ctx, c, dryRun || refused != nil, func(current people) (next people, changed map[tenant.Relation]tenant.Members, err error) {
		if until.IsZero() { // a second round keeps the time of the first
			until = c.Now().Add(g.For + time.Second - 1).UTC().Truncate(time.Second)
		}
		return current.grant(t.Name, g, until)
	})
	if refused == nil {
		return result, err
	}
	if against, ok := errors.AsType[*ContradictionError](err); ok {
		refused = refuse(refused, against)
	}
	return Membership{}, refused
}

// Revoke removes subjects from the tenant, by one write for each relation that they have.
// The relations whose binding the caller may not read are in the result's Unseen.
func Revoke(ctx context.Context, c *cluster.Client, t tenant.Tenant, r RevokeRequest, dryRun bool) (Membership, error) {
	if problems := r.Who.Validate(); len(problems) > 0 {
		return Membership{}, Invalid(problems)
	}
	change := peopleChange{tenant: t, who: r.Who, relations: r.As, disconnect: r.Disconnect}
	if len(r.As) == 0 {
		change.relations, change.optional = tenant.Relations, true
	}
	var unknown error
	result, err := change.write(ctx, c, dryRun, func(current people) (next people, changed map[tenant.Relation]tenant.Members, err error) {
		next, changed, unknown = current.revoke(r, c.Now())
		return next, changed, nil
	})
	if err == nil && len(r.As) > 0 {
		result.Stays = staying(ctx, c, t.Home(), result.Unread, r.Who.With(result.Everybody()))
	}
	return result, cmp.Or(err, unknown)
}

// staying returns those of who that have one of the relations; bindings that can't be read are
// left out.
func staying(ctx context.Context, c *cluster.Client, home string, relations []tenant.Relation, who tenant.Members) map[tenant.Relation]tenant.Members {
	live := cluster.NewLive()
	for _, as := range relations {
		_ = c.Lookup(ctx, live, []cluster.Key{peopleKey(home, as)}) // the revoke itself was made
	}
	current, _, err := livePeople(live, tenant.Tenant{HomeNamespace: home})
	if err != nil {
		return nil
	}
	return current.within(who)
}

// Expired returns the tenants of the cluster that have grants whose time has ended, or
// grants that can't be read, or of which a disconnect was not finished. It makes a few lists,
// however many tenants there are.
func Expired(ctx context.Context, c *cluster.Client) ([]tenant.Tenant, error) {
	records, err := c.TenantRecords(ctx)
	if err != nil {
		return nil, err
	}
	ended := map[string]bool{} // by home
	err = eachPeople(ctx, c, func(b *rbacv1.RoleBinding) {
		var p people
		p.add(b)
		ended[b.Namespace] = ended[b.Namespace] || len(p.unread) > 0 || len(p.terms.Over(c.Now())) > 0 ||
			b.Name == rbac.MemberName && b.Annotations[tenant.AnnotationDisconnect] != ""
	})
	if err != nil {
		return nil, err
	}
	var found []tenant.Tenant
	for _, record := range records {
		if !ended[record.Namespace] {
			continue
		}
		// The bindings alone say who is a member: an unreadable record is no reason to
		// keep an expired grant.
		t, err := tenant.ReadRecord(record.Data[tenant.RecordKey])
		if err != nil || t.WithDefaults().Home() != record.Namespace {
			t = tenant.Tenant{Name: record.Labels[tenant.LabelTenant], HomeNamespace: record.Namespace, Engine: tenant.EngineBoth}
		}
		found = append(found, t.WithDefaults())
	}
	slices.SortFunc(found, func(a, b tenant.Tenant) int { return strings.Compare(a.Name, b.Name) })
	return found, nil
}

// eachPeople reads the bindings of members, readers and owners of all tenants, whoever
// made them.
func eachPeople(ctx context.Context, c *cluster.Client, do func(*rbacv1.RoleBinding)) error {
	for _, as := range tenant.Relations {
		options := metav1.ListOptions{LabelSelector: tenant.LabelTenant, FieldSelector: "metadata.name=" + rbac.BindingName(as)}
		if err := cluster.Each(ctx, c, "RoleBinding", "", options, do); err != nil {
			return err
		}
	}
	return nil
}
