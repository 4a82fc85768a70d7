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
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"helm-tenant/cluster"
	"helm-tenant/rails"
	"helm-tenant/rbac"
	"helm-tenant/tenant"
)

// people are those whom the bindings of a tenant name.
type people struct {
	members tenant.Members
	// terms are the grants that are limited in time. unread says for which relations they
	// can't be read, and why.
	terms  tenant.Terms
	unread map[tenant.Relation]error
}

// peopleOf reads a binding of people in the home namespace.
func peopleOf(b *rbacv1.RoleBinding) people {
	p := people{members: tenant.MembersOf(b.Subjects, b.Namespace), unread: map[tenant.Relation]error{}}
	terms, err := tenant.ParseTerms(b.Annotations[tenant.AnnotationTerms], tenant.RelationMember, p.members)
	p.terms = terms
	if err != nil {
		p.unread[tenant.RelationMember] = fmt.Errorf("RoleBinding %s in namespace %q: %w", b.Name, b.Namespace, err)
	}
	return p
}

// problem is why terms can't be read; empty where they can.
func (p people) problem() string {
	for _, as := range slices.Sorted(maps.Keys(p.unread)) {
		return p.unread[as].Error()
	}
	return ""
}

// livePeople are those whom the tenant's live bindings name.
func livePeople(live *cluster.Live, t tenant.Tenant) (people, error) {
	var binding rbacv1.RoleBinding
	_, err := live.Into(memberKey(t.Home()), &binding)
	binding.Namespace = t.Home()
	return peopleOf(&binding), err
}

// TermOf reads until when the subject may use the tenant whose home that is; found is
// false for one who may for good, or who is not named. Few may read that.
func TermOf(ctx context.Context, c *cluster.Client, home string, s tenant.Subject) (term tenant.Term, found bool, err error) {
	live := cluster.NewLive()
	if err := c.Lookup(ctx, live, []cluster.Key{memberKey(home)}); err != nil {
		return tenant.Term{}, false, err
	}
	have, err := livePeople(live, tenant.Tenant{HomeNamespace: home})
	term, found = have.terms.Of(tenant.RelationMember, s)
	return term, found, err
}

func memberKey(home string) cluster.Key {
	return cluster.Key{Kind: "RoleBinding", Namespace: home, Name: rbac.MemberName}
}

// settleTerms completes the annotation for grants for a time on wanted bindings: one that
// is there and not wanted goes, and one that can't be read stays.
func settleTerms(objects []runtime.Object, live *cluster.Live, unread map[tenant.Relation]error) {
	for _, object := range objects {
		binding, is := object.(*rbacv1.RoleBinding)
		if !is || binding.Name != rbac.MemberName {
			continue
		}
		have := live.Get(cluster.KeyOf(object))
		switch {
		case unread[tenant.RelationMember] != nil:
			delete(binding.Annotations, tenant.AnnotationTerms)
		case have != nil && have.GetAnnotations()[tenant.AnnotationTerms] != "" && binding.Annotations[tenant.AnnotationTerms] == "":
			metav1.SetMetaDataAnnotation(&binding.ObjectMeta, tenant.AnnotationTerms, rails.Absent)
		}
	}
}

// settlePeople decides who may use the tenant, and until when, and says who is out and
// whose time changes.
func (d *decision) settlePeople() error {
	have, err := livePeople(d.facts.live, d.tenant)
	if err != nil {
		return err
	}
	if d.squatted {
		have = people{} // whoever they are, a stranger chose them
	}
	asked, over := d.request.Tenant.Current(d.facts.now)
	if d.request.Exact {
		d.tenant.Members, d.tenant.Temporary = asked.Members, asked.Temporary
		d.noteChanged(have, over)
	} else {
		d.tenant.Members, d.tenant.Temporary, d.unreadTerms = have.members.With(d.request.Tenant.Members), have.terms, have.unread
		d.noteTerms(have)
	}
	if d.tenant.Engine.Has(tenant.EngineTiller) && !d.facts.live.Serves("ValidatingAdmissionPolicy") {
		d.note("this API server has no ValidatingAdmissionPolicy (Kubernetes 1.30): a chart can write Secrets into the home namespace")
	}
	return nil
}

// noteChanged says what a tenants file changes for those who were in; over are its grants
// whose time has ended.
func (d *decision) noteChanged(have people, over tenant.Terms) {
	if d.revoked = have.members.Without(d.tenant.Members); len(d.revoked) > 0 {
		d.note("no longer members: %s", strings.Join(described(d.revoked, have.terms), ", "))
	}
	if len(over) > 0 {
		d.note("over by the file, and not granted: %s", strings.Join(described(over.Subjects(), over), ", "))
	}
	var forGood, forATime tenant.Members
	for _, s := range have.members {
		_, was := have.terms.Of(tenant.RelationMember, s)
		_, is := d.tenant.Temporary.Of(tenant.RelationMember, s)
		switch {
		case !slices.Contains(d.tenant.Members, s):
		case was && !is:
			forGood = append(forGood, s)
		case !was && is && have.unread[tenant.RelationMember] == nil:
			forATime = append(forATime, s)
		}
	}
	if len(forGood) > 0 {
		d.note("members for good, by the file, who were members for a time: %s", strings.Join(described(forGood, have.terms), ", "))
	}
	if len(forATime) > 0 {
		d.note("members for a time, by the file, who were members for good: %s", strings.Join(described(forATime, d.tenant.Temporary), ", "))
	}
}

// noteTerms says whose time is over, and what an init does not change.
func (d *decision) noteTerms(have people) {
	for _, as := range slices.Sorted(maps.Keys(have.unread)) {
		d.note("until when %ss were let in can't be read, and stays as it is: %v", as, have.unread[as])
	}
	if over := have.terms.Over(d.facts.now); len(over) > 0 {
		d.note("over, and still in force until a revoke --expired: %s", strings.Join(described(over.Subjects(), over), ", "))
	}
	var limited tenant.Members
	for _, s := range d.request.Tenant.Members {
		if _, is := have.terms.Of(tenant.RelationMember, s); is {
			limited = append(limited, s)
		}
	}
	if len(limited) > 0 {
		d.note("members for a time stay so: %s", strings.Join(described(limited, have.terms), ", "))
	}
}

// described are subjects as people read them, each with its term.
func described(who tenant.Members, terms tenant.Terms) []string {
	var all []string
	for _, s := range who {
		text := s.String()
		if at := slices.IndexFunc(terms, func(t tenant.Term) bool { return t.Subject == s }); at >= 0 {
			text += fmt.Sprintf(" (%s)", terms[at])
		}
		all = append(all, text)
	}
	return all
}

// GrantRequest is who is let into a tenant, as what, and for how long.
type GrantRequest struct {
	Who tenant.Members
	// For is how long the grant lasts; 0 is for good.
	For      time.Duration
	Reason   string
	Accepted Accepted
}

// The bounds of GrantRequest.For.
const (
	minTerm = time.Second
	maxTerm = 10 * 366 * 24 * time.Hour
)

// Check refuses what can be refused without a cluster.
func (g GrantRequest) Check() error {
	switch {
	case g.For < 0 || g.For > 0 && g.For < minTerm:
		return fmt.Errorf("--for: %s is not at least a second", g.For)
	case g.For > maxTerm:
		return fmt.Errorf("--for: %s is more than ten years; leave it out for a grant for good", g.For)
	case g.For == 0 && g.Reason != "":
		return errors.New("--reason goes with --for: a grant for good keeps none")
	}
	if err := tenant.CheckReason(g.Reason); err != nil {
		return fmt.Errorf("--%w", err)
	}
	return nil
}

// ContradictionError refuses a grant that contradicts what somebody has.
type ContradictionError struct {
	Tenant string
	Who    tenant.Members
	// Whys name for each what they have and what was asked for.
	Whys []string
}

func (e *ContradictionError) Error() string { return strings.Join(e.Whys, "; ") }

// grant is what becomes of people by a grant that ends at until. The error is a
// *ContradictionError, or says that terms can't be read.
func (p people) grant(name string, g GrantRequest, until time.Time) (next people, changed tenant.Members, err error) {
	const as = tenant.RelationMember
	if err := p.unread[as]; err != nil {
		return p, nil, err
	}
	wrong := &ContradictionError{Tenant: name}
	refuse := func(s tenant.Subject, format string, args ...any) {
		wrong.Who, wrong.Whys = append(wrong.Who, s), append(wrong.Whys, fmt.Sprintf(format, args...))
	}
	next = p
	var terms tenant.Terms
	for _, s := range g.Who {
		term, limited := p.terms.Of(as, s)
		wanted := tenant.Term{Subject: s, As: as, Until: until, Reason: g.Reason}
		switch in := slices.Contains(p.members, s); {
		case g.For > 0 && in && !limited:
			refuse(s, "%s is a %s for good, and --for %s asks for one %s", s, as, g.For, wanted)
		case g.For == 0 && limited:
			refuse(s, "%s is a %s %s, and without --for a grant is for good", s, as, term)
		case g.For > 0 && term != wanted:
			terms, changed = append(terms, wanted), append(changed, s)
		case !in:
			changed = append(changed, s)
		}
	}
	if len(wrong.Who) > 0 {
		return p, nil, wrong
	}
	next.members, next.terms = p.members.With(g.Who), p.terms.With(terms)
	if problems := next.terms.Validate(); len(problems) > 0 {
		return p, nil, Invalid(problems)
	}
	return next, changed, nil
}

// RevokeRequest is who is taken out of a tenant.
type RevokeRequest struct {
	Who tenant.Members
	// Expired takes out those whose time is over.
	Expired bool
}

// revoke is what becomes of people by a revocation.
func (p people) revoke(r RevokeRequest, now time.Time) (next people, changed tenant.Members, err error) {
	who := r.Who
	if r.Expired {
		for _, as := range slices.Sorted(maps.Keys(p.unread)) {
			return p, nil, fmt.Errorf("whose time is over is not known: %w", p.unread[as])
		}
		who = p.terms.Over(now).Subjects()
	}
	next = p
	next.members = p.members.Without(who)
	next.terms = p.terms.Without(tenant.RelationMember, who)
	return next, p.members.Without(next.members), nil
}
