package admin

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"helm-tenant/tenant"
)

// GrantRequest asks for subjects to get a relation to a tenant, possibly for a time.
type GrantRequest struct {
	Who tenant.Members
	// As is the relation that they get.
	As tenant.Relation
	// For is the duration of the grant; 0 means without end.
	For      time.Duration
	Reason   string
	Accepted Accepted
}

// These bound GrantRequest.For.
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

// ContradictionError refuses a grant that contradicts the present relations of a subject.
type ContradictionError struct {
	Tenant string
	Who    tenant.Members
	// As is the relation that they have; empty if they have several.
	As tenant.Relation
	// Whys has a line for each subject: what it has and what was asked for.
	Whys []string
}

func (e *ContradictionError) Error() string { return strings.Join(e.Whys, "; ") }

// grant returns the people after a grant that ends at until. The error is a
// *ContradictionError, or reports that terms can't be read.
func (p people) grant(name string, g GrantRequest, until time.Time) (next people, changed map[tenant.Relation]tenant.Members, err error) {
	as := g.As
	if err := p.unread[as]; err != nil {
		return p, nil, err
	}
	wrong := &ContradictionError{Tenant: name}
	refuse := func(s tenant.Subject, has tenant.Relation, format string, args ...any) {
		if wrong.Who == nil {
			wrong.As = has
		} else if wrong.As != has {
			wrong.As = ""
		}
		wrong.Who, wrong.Whys = append(wrong.Who, s), append(wrong.Whys, fmt.Sprintf(format, args...))
	}
	next = p.clone()
	var terms tenant.Terms
	var more tenant.Members
	for _, s := range g.Who {
		term, limited := p.terms.Of(as, s)
		wanted := tenant.Term{Subject: s, As: as, Until: until, Reason: g.Reason}
		switch in := slices.Contains(p.byRelation[as], s); {
		case as == tenant.RelationReader && slices.Contains(p.byRelation[tenant.RelationMember], s):
			refuse(s, tenant.RelationMember, "%s is a member, who may do more than read, and would stay one beside a reader", s)
		case g.For > 0 && in && !limited:
			refuse(s, as, "%s is %s for good, and --for %s asks for one %s", s, as.Noun(), g.For, wanted)
		case g.For == 0 && limited:
			refuse(s, as, "%s is %s %s, and without --for a grant is for good", s, as.Noun(), term)
		case g.For > 0 && term != wanted:
			terms, more = append(terms, wanted), append(more, s)
		case !in:
			more = append(more, s)
		}
	}
	if len(wrong.Who) > 0 {
		return p, nil, wrong
	}
	next.byRelation[as], next.terms = p.byRelation[as].With(g.Who), p.terms.With(terms)
	if problems := next.terms.Validate(); len(problems) > 0 {
		return p, nil, Invalid(problems)
	}
	return next, map[tenant.Relation]tenant.Members{as: more}, nil
}

// RevokeRequest asks for subjects to lose their relations to a tenant.
type RevokeRequest struct {
	Who tenant.Members
	// As has the relations to take away; empty means all.
	As []tenant.Relation
	// Expired takes away the grants whose time has ended.
	Expired bool
	// Disconnect asks to end the open connections of removed subjects, and of those in Who that
	// an earlier request removed.
	Disconnect bool
}

// revoke returns the people after a revocation. A relation whose ended grants can't be read stays
// as it is, and unknown has the reason. The other relations change nevertheless: an owner, who may
// write one binding, can't keep a subject in another.
func (p people) revoke(r RevokeRequest, now time.Time) (next people, changed map[tenant.Relation]tenant.Members, unknown error) {
	relations := r.As
	if len(relations) == 0 {
		relations = tenant.Relations
	}
	next, changed = p.clone(), map[tenant.Relation]tenant.Members{}
	for _, as := range relations {
		subjects := r.Who
		if r.Expired {
			if err := p.unread[as]; err != nil {
				unknown = refuse(unknown, fmt.Errorf("whose time is over is not known: %w", err))
				continue
			}
			subjects = p.terms.As(as).Over(now).Subjects()
		}
		next.byRelation[as] = p.byRelation[as].Without(subjects)
		next.terms = next.terms.Without(as, subjects)
		changed[as] = p.byRelation[as].Without(next.byRelation[as])
	}
	return next, changed, unknown
}
