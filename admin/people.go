package admin

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"helm-tenant/cluster"
	"helm-tenant/rails"
	"helm-tenant/rbac"
	"helm-tenant/tenant"
	"helm-tenant/visible"
)

// people are the subjects of a tenant's bindings.
type people struct {
	byRelation map[tenant.Relation]tenant.Members
	// terms has the grants for a time. unread has, by relation, the reason why they can't
	// be read.
	terms  tenant.Terms
	unread map[tenant.Relation]error
}

// add adds the subjects of a binding in the home namespace.
func (p *people) add(b *rbacv1.RoleBinding) {
	as, found := relationOf(b)
	if !found {
		return
	}
	if p.byRelation == nil {
		p.byRelation, p.unread = map[tenant.Relation]tenant.Members{}, map[tenant.Relation]error{}
	}
	p.byRelation[as] = tenant.MembersOf(b.Subjects, b.Namespace)
	terms, err := tenant.ParseTerms(b.Annotations[tenant.AnnotationTerms], as, p.byRelation[as])
	p.terms = append(p.terms, terms...)
	if err != nil {
		p.unread[as] = &TermsError{cluster.Key{Kind: "RoleBinding", Namespace: b.Namespace, Name: b.Name}, err}
	}
}

// relationOf returns the relation whose binding in a home namespace has that name.
func relationOf(b *rbacv1.RoleBinding) (tenant.Relation, bool) {
	for _, as := range tenant.Relations {
		if rbac.BindingName(as) == b.Name {
			return as, true
		}
	}
	return "", false
}

// TermsError reports that the ends of a binding's grants for a time can't be read.
type TermsError struct {
	Binding cluster.Key
	Err     error
}

func (e *TermsError) Error() string {
	return fmt.Sprintf("RoleBinding %s in namespace %q: %v", e.Binding.Name, e.Binding.Namespace, e.Err)
}

func (e *TermsError) Unwrap() error { return e.Err }

// problem returns the reason why terms can't be read; empty if they can.
func (p people) problem() string {
	for _, as := range slices.Sorted(maps.Keys(p.unread)) {
		return p.unread[as].Error()
	}
	return ""
}

// clone returns a copy with lists of its own.
func (p people) clone() people {
	p.byRelation, p.terms = maps.Clone(p.byRelation), slices.Clone(p.terms)
	if p.byRelation == nil {
		p.byRelation = map[tenant.Relation]tenant.Members{}
	}
	return p
}

// within returns, by relation, those of who that have it.
func (p people) within(who tenant.Members) map[tenant.Relation]tenant.Members {
	found := map[tenant.Relation]tenant.Members{}
	for as, subjects := range p.byRelation {
		if both := subjects.Without(subjects.Without(who)); len(both) > 0 {
			found[as] = both
		}
	}
	return found
}

// put makes them the tenant's members, readers and owners.
func (p people) put(t *tenant.Tenant) {
	for _, as := range tenant.Relations {
		t.SetPeople(as, p.byRelation[as])
	}
	t.Temporary = p.terms
}

func peopleKey(home string, as tenant.Relation) cluster.Key {
	return cluster.Key{Kind: "RoleBinding", Namespace: home, Name: rbac.BindingName(as)}
}

// livePeople returns the subjects of the tenant's live bindings. kept has the relations
// whose binding exists and is the tenant's.
func livePeople(live *cluster.Live, t tenant.Tenant) (found people, kept map[tenant.Relation]bool, err error) {
	kept = map[tenant.Relation]bool{}
	for _, as := range tenant.Relations {
		var binding rbacv1.RoleBinding
		exists, err := live.Into(peopleKey(t.Home(), as), &binding)
		if err != nil {
			return found, kept, err
		}
		if exists {
			found.add(&binding)
			kept[as] = binding.Labels[tenant.LabelTenant] == t.Name
		}
	}
	return found, kept, nil
}

// TermOf returns the end of the subject's relation to the tenant with that home
// namespace. found is false if the relation has no end, or the subject is not named. Few
// may read it: an owner may read the terms of members and readers; a member or reader may
// read none.
func TermOf(ctx context.Context, c *cluster.Client, home string, as tenant.Relation, s tenant.Subject) (term tenant.Term, found bool, err error) {
	live := cluster.NewLive()
	if err := c.Lookup(ctx, live, []cluster.Key{peopleKey(home, as)}); err != nil {
		return tenant.Term{}, false, err
	}
	current, _, err := livePeople(live, tenant.Tenant{HomeNamespace: home})
	term, found = current.terms.Of(as, s)
	return term, found, err
}

// SubjectsOf returns the subjects that have any relation to the tenant with that home namespace.
// An error reports bindings that could not be read, beside the subjects of the others: an owner
// may read the members and readers.
func SubjectsOf(ctx context.Context, c *cluster.Client, home string) (tenant.Members, error) {
	var subjects tenant.Members
	var unread []error
	for _, as := range tenant.Relations {
		live := cluster.NewLive()
		if err := c.Lookup(ctx, live, []cluster.Key{peopleKey(home, as)}); err != nil {
			unread = append(unread, err)
			continue
		}
		found, _, err := livePeople(live, tenant.Tenant{HomeNamespace: home})
		unread = append(unread, err)
		subjects = append(subjects, found.byRelation[as]...)
	}
	return subjects, errors.Join(unread...)
}

func memberKey(home string) cluster.Key {
	return peopleKey(home, tenant.RelationMember)
}

// settleTerms completes the annotation for grants for a time on wanted bindings: a live
// annotation that is not wanted is removed, one that can't be read stays.
func settleTerms(objects []runtime.Object, live *cluster.Live, unread map[tenant.Relation]error) {
	for _, object := range objects {
		binding, ok := object.(*rbacv1.RoleBinding)
		if !ok {
			continue
		}
		as, found := relationOf(binding)
		if !found {
			continue
		}
		current := live.Get(cluster.KeyOf(object))
		switch {
		case unread[as] != nil:
			delete(binding.Annotations, tenant.AnnotationTerms)
		case current != nil && current.GetAnnotations()[tenant.AnnotationTerms] != "" && binding.Annotations[tenant.AnnotationTerms] == "":
			metav1.SetMetaDataAnnotation(&binding.ObjectMeta, tenant.AnnotationTerms, rails.Absent)
		}
	}
}

// settlePeople decides who has which relation to the tenant, and until when, and notes
// who loses it and whose time changes.
func (d *decision) settlePeople() error {
	current, kept, err := livePeople(d.facts.live, d.tenant)
	if err != nil {
		return err
	}
	if d.squatted {
		current, kept = people{}, nil // an untrusted author chose them
	}
	asked, ended := d.request.Tenant.Current(d.facts.now)
	if d.request.Exact {
		d.tenant.Temporary = nil
		for _, as := range tenant.Relations {
			if as != tenant.RelationOwner && d.tenant.MembersFrom == tenant.MembersFromOwners {
				d.leaveToOwners(as, current)
				continue
			}
			d.tenant.SetPeople(as, asked.People(as))
			d.tenant.Temporary = append(d.tenant.Temporary, asked.Temporary.As(as)...)
		}
		d.noteChanged(current, ended)
	} else {
		next := current.clone()
		next.byRelation[tenant.RelationMember] = current.byRelation[tenant.RelationMember].With(d.request.Tenant.Members)
		next.put(&d.tenant)
		d.unreadTerms = current.unread
		d.noteTerms(current)
	}
	if d.tenant.Engine.Has(tenant.EngineTiller) && !d.facts.live.Serves(cluster.KindPolicy) {
		d.note("this API server has no ValidatingAdmissionPolicy (Kubernetes 1.30): a chart can write Secrets into the home namespace")
	}
	d.tenant.OwnersKept = kept[tenant.RelationOwner]
	if err := d.settleReaders(current, kept[tenant.RelationReader]); err != nil {
		return err
	}
	if more := d.tenant.Owners.Without(current.byRelation[tenant.RelationOwner]); len(more) > 0 {
		return ownerRisks{d.homeShared, !servesPolicies(d.facts.live)}.check(d.tenant, d.request.Accepted)
	}
	return nil
}

// noteChanged notes what a tenants file changes for the present subjects; ended has the
// grants whose time has ended.
func (d *decision) noteChanged(current people, ended tenant.Terms) {
	for _, as := range tenant.Relations {
		before, after := current.byRelation[as], d.tenant.People(as)
		removed := before.Without(after)
		if as == tenant.RelationMember {
			d.revoked = removed
		}
		if len(removed) > 0 {
			d.note("no longer %ss: %s", as, strings.Join(described(removed, current.terms.As(as)), ", "))
			if as != tenant.RelationOwner && len(current.byRelation[tenant.RelationOwner]) > 0 {
				d.note("those whom the tenant's owners let in as %ss are removed as well, since the file does not name them; with membersFrom: owners, apply leaves them alone", as)
			}
		}
		if ended := ended.As(as); len(ended) > 0 {
			d.note("over according to the file, and not granted: %s", strings.Join(described(ended.Subjects(), ended), ", "))
		}
		var forGood, forATime tenant.Members
		for _, s := range before {
			_, was := current.terms.Of(as, s)
			_, ok := d.tenant.Temporary.Of(as, s)
			switch {
			case !slices.Contains(after, s):
			case was && !ok:
				forGood = append(forGood, s)
			case !was && ok && current.unread[as] == nil:
				forATime = append(forATime, s)
			}
		}
		if len(forGood) > 0 {
			d.note("%ss for good, by the file, who were %ss for a time: %s", as, as, strings.Join(described(forGood, current.terms.As(as)), ", "))
		}
		if len(forATime) > 0 {
			d.note("%ss for a time, by the file, who were %ss for good: %s", as, as, strings.Join(described(forATime, d.tenant.Temporary.As(as)), ", "))
		}
	}
}

// noteTerms notes the grants whose time has ended, and those that an init does not
// change.
func (d *decision) noteTerms(current people) {
	for _, as := range slices.Sorted(maps.Keys(current.unread)) {
		d.note("until when %ss were let in can't be read, and stays as it is: %v", as, current.unread[as])
	}
	if ended := current.terms.Over(d.facts.now); len(ended) > 0 {
		d.note("over, and still in force until a revoke --expired: %s", strings.Join(described(ended.Subjects(), ended), ", "))
	}
	var limited tenant.Members
	for _, s := range d.request.Tenant.Members {
		if _, ok := current.terms.Of(tenant.RelationMember, s); ok {
			limited = append(limited, s)
		}
	}
	if len(limited) > 0 {
		d.note("members for a time stay so: %s", strings.Join(described(limited, current.terms), ", "))
	}
}

// described returns subjects in their readable form, each with its term.
func described(subjects tenant.Members, terms tenant.Terms) []string {
	var all []string
	for _, s := range subjects {
		text := visible.Name(s.String())
		if index := slices.IndexFunc(terms, func(t tenant.Term) bool { return t.Subject == s }); index >= 0 {
			text += fmt.Sprintf(" (%s)", terms[index])
		}
		all = append(all, text)
	}
	return all
}
