package admin

import (
	"context"
	"fmt"
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"

	"helm-tenant/cluster"
	"helm-tenant/failure"
	"helm-tenant/install"
	"helm-tenant/rbac"
	"helm-tenant/tenant"
)

// peopleChange is a change of the subjects of a tenant's bindings.
type peopleChange struct {
	tenant tenant.Tenant
	// who has the subjects that change.
	who tenant.Members
	// relations are the ones whose bindings are read and written.
	relations []tenant.Relation
	// optional leaves out owners if the caller may not read their binding.
	optional bool
	// needed is the relation whose missing objects are created; empty for none.
	needed   tenant.Relation
	accepted Accepted
	// disconnect asks to end the open connections of removed subjects.
	disconnect bool

	unseen []tenant.Relation
	notes  []string
}

// write makes the change to the live bindings, and returns whose relation changed. It
// reads single objects of the home namespace, and others only if it creates objects of
// readers or owners. The errors are those of the API, of change and of checkOwners.
func (p *peopleChange) write(ctx context.Context, c *cluster.Client, dryRun bool, change func(people) (people, map[tenant.Relation]tenant.Members, error)) (Membership, error) {
	result := Membership{Tenant: p.tenant, Changed: map[tenant.Relation]tenant.Members{}}
	disconnects, marks, err := p.mayMark(ctx, c)
	if err != nil {
		return result, err
	}
	now := c.Now() // the same in each round
	var tried tenant.Terms
	prepare := func(ctx context.Context) (*Prepared, error) {
		t, live := p.tenant, cluster.NewLive()
		p.unseen, p.notes = nil, nil
		if err := p.look(ctx, c, live); err != nil {
			return nil, err
		}
		current, kept, err := livePeople(live, t)
		if err != nil {
			return nil, err
		}
		next, changed, err := change(current)
		if err != nil {
			return nil, err
		}
		next.put(&t)
		t.ReadersKept, t.OwnersKept = kept[tenant.RelationReader], kept[tenant.RelationOwner]
		// An earlier round may have made the change although its answer was lost.
		for as, subjects := range changed {
			result.Changed[as] = result.Changed[as].With(subjects)
		}
		result.Was, tried = termsBefore(result.Was, tried, current.terms), next.terms
		wanted, err := p.wanted(ctx, c, live, t)
		if err != nil {
			return nil, err
		}
		result.Tenant, result.Unchanged, result.Unseen, result.Notes = t, p.who.Without(result.Everybody()), p.unseen, p.notes
		result.Unread = slices.DeleteFunc(slices.Clone(tenant.Relations), func(as tenant.Relation) bool { return slices.Contains(p.relations, as) })
		settleTerms(wanted, live, next.unread)
		if result.Disconnect = isMarked(live, t); disconnects && len(p.who)+len(result.Everybody()) > 0 {
			// Also for somebody who is not a member any more: an earlier revoke may have left
			// their connections open.
			result.Disconnect = true
			if marks {
				mark(wanted, now)
			}
		}
		keepLabels(wanted, live)
		plan, err := cluster.NewPlan(t.Name, wanted, live, nil)
		if err != nil {
			return nil, err
		}
		return &Prepared{Tenant: t, Existed: true, Plan: plan, live: live, accepted: p.accepted}, nil
	}
	if dryRun {
		_, err = prepare(ctx)
	} else {
		_, err = Write(ctx, c, prepare, func(cluster.Change) {})
	}
	return result, err
}

// termsBefore returns the terms before a change that is made in several rounds, because others
// write the same binding: those that this round reads, except what a write of an earlier round
// made although its answer was lost. was are the terms before the earlier rounds, tried are those
// that the last one wrote.
func termsBefore(was, tried, current tenant.Terms) tenant.Terms {
	var before tenant.Terms
	for _, term := range current {
		attempt, attempted := tried.Of(term.As, term.Subject)
		if earlier, known := was.Of(term.As, term.Subject); !attempted || attempt != term {
			before = append(before, term)
		} else if known {
			before = append(before, earlier)
		}
	}
	for _, term := range was {
		_, found := current.Of(term.As, term.Subject)
		if _, attempted := tried.Of(term.As, term.Subject); !found && !attempted {
			before = append(before, term) // taken away, as this change wants it
		}
	}
	return before
}

// mayMark reports whether open connections to a Tiller are to be ended, and whether the caller
// may write the annotation that says so on the binding of members, which is then read and
// written whatever the relations of the change.
func (p *peopleChange) mayMark(ctx context.Context, c *cluster.Client) (disconnects, marks bool, err error) {
	if !p.disconnect || !p.tenant.Engine.Has(tenant.EngineTiller) {
		return false, false, nil
	}
	missing, err := missingForMark(ctx, c, p.tenant.Home())
	if err != nil || len(missing) > 0 {
		return true, false, err
	}
	if !slices.Contains(p.relations, tenant.RelationMember) {
		p.relations = append(slices.Clone(p.relations), tenant.RelationMember)
	}
	return true, true, nil
}

// look reads the bindings of the relations, and the Role of each. An owner may not read
// the binding of owners, which is then listed in unseen, nor that of readers if the tenant
// can have none, nor the Roles. The Roles are compared with the caller's own rights, which
// is not needed for a caller with the verb bind.
func (p *peopleChange) look(ctx context.Context, c *cluster.Client, live *cluster.Live) error {
	home := p.tenant.Home()
	for _, as := range p.relations {
		err := c.Lookup(ctx, live, []cluster.Key{peopleKey(home, as)})
		if apierrors.IsForbidden(err) && p.optional {
			if as == tenant.RelationOwner {
				p.unseen = append(p.unseen, as)
				continue
			}
			if as == tenant.RelationReader && p.tenant.CheckReaders() != nil {
				continue
			}
		}
		if err != nil {
			return err
		}
		role := peopleKey(home, as)
		if live.Get(role) == nil {
			continue
		}
		role.Kind = "Role"
		if err := c.Lookup(ctx, live, []cluster.Key{role}); err != nil && !apierrors.IsForbidden(err) {
			return err
		}
	}
	if slices.Contains(p.relations, tenant.RelationMember) && live.Get(memberKey(home)) == nil {
		return failure.Naming(fmt.Errorf("tenant %q has no %s: init it again", p.tenant.Name, memberKey(home)), failure.Tenant(p.tenant.Name))
	}
	return nil
}

// wanted returns the objects that the change writes: the bindings that exist, and the
// objects of the granted relation.
func (p *peopleChange) wanted(ctx context.Context, c *cluster.Client, live *cluster.Live, t tenant.Tenant) ([]runtime.Object, error) {
	var wanted []runtime.Object
	created := map[cluster.Key]bool{}
	switch p.needed {
	case tenant.RelationReader:
		// They exist in a tenant with owners, who may only write the binding.
		if allowed, err := c.May(ctx, cluster.Permission{Verb: "update", Group: rbacv1.GroupName, Resource: "roles", Name: rbac.ReaderName, Namespace: t.Home()}); err != nil {
			return nil, err
		} else if allowed || !t.ReadersKept {
			wanted, created[peopleKey(t.Home(), tenant.RelationReader)] = readerObjects(t), true
		}
	case tenant.RelationOwner:
		if err := p.checkOwners(ctx, c, live, t); err != nil {
			return nil, err
		}
		wanted = ownerObjects(t, servesPolicies(live))
		created[peopleKey(t.Home(), tenant.RelationOwner)], created[peopleKey(t.Home(), tenant.RelationReader)] = true, true
		if err := c.Lookup(ctx, live, []cluster.Key{peopleKey(t.Home(), tenant.RelationReader)}); err != nil {
			return nil, err
		}
	}
	if len(wanted) > 0 {
		if err := c.Lookup(ctx, live, append(keysOf(wanted), clusterRoleKey(rbac.ViewRole))); err != nil {
			return nil, err
		}
	}
	for _, object := range rbac.Home(t) {
		key := cluster.KeyOf(object)
		if key.Kind == "RoleBinding" && (created[key] || live.Get(key) != nil && slices.ContainsFunc(p.relations, func(as tenant.Relation) bool { return key == peopleKey(t.Home(), as) })) {
			wanted = append(wanted, object)
		}
	}
	return wanted, nil
}

// keepLabels keeps the labels of live bindings, except the tenant's own label: an owner
// may not write labels, and can revoke even if one is missing. An init restores them.
func keepLabels(wanted []runtime.Object, live *cluster.Live) {
	for _, object := range wanted {
		binding, ok := object.(*rbacv1.RoleBinding)
		if !ok || live.Get(cluster.KeyOf(object)) == nil {
			continue
		}
		binding.Labels = map[string]string{tenant.LabelTenant: binding.Labels[tenant.LabelTenant]}
	}
}

// checkOwners reads the admission policy of owners. The error is a *RiskError if the tenant's
// owners are a risk that was not accepted.
func (p *peopleChange) checkOwners(ctx context.Context, c *cluster.Client, live *cluster.Live, t tenant.Tenant) error {
	policy := cluster.Key{Kind: cluster.KindPolicy, Name: install.OwnersName}
	if err := c.Lookup(ctx, live, []cluster.Key{policy}); err != nil {
		return err
	}
	risks := ownerRisks{noPolicies: !servesPolicies(live)}
	if home := live.Get(namespaceKey(t.Home())); home != nil && home.GetLabels()[tenant.LabelManagedBy] != tenant.ManagedBy {
		neighbours, err := c.Neighbours(ctx, t.Home())
		if err != nil {
			return err
		}
		risks.homeShared = len(sharers(neighbours, true)) > 0
	}
	if risks.noPolicies && !t.AllNamespaces {
		p.notes = append(p.notes, "no admission policy limits what the owners write: "+unheldOwners)
	}
	return risks.check(t, p.accepted)
}
