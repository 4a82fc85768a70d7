package tenant

import (
	"fmt"
	"slices"
	"time"
)

// Relation is the relation of a subject to a tenant.
type Relation string

// Noun returns the relation with its article, as in "is an owner".
func (r Relation) Noun() string {
	if r == RelationOwner {
		return "an " + string(r)
	}
	return "a " + string(r)
}

const (
	// RelationMember may use the tenant.
	RelationMember Relation = "member"
	// RelationReader may see the tenant's releases and change nothing.
	RelationReader Relation = "reader"
	// RelationOwner may grant and revoke the tenant's members and readers, without being
	// one.
	RelationOwner Relation = "owner"
)

// MembersFrom decides who chooses a tenant's members and readers.
type MembersFrom string

const (
	// MembersFromFile: the tenants file chooses; apply removes all others.
	MembersFromFile MembersFrom = "file"
	// MembersFromOwners: the tenant's owners choose; apply leaves members and readers
	// alone.
	MembersFromOwners MembersFrom = "owners"
)

// Relations are all relations.
var Relations = []Relation{RelationMember, RelationReader, RelationOwner}

var peopleFields = map[Relation]string{RelationMember: "members", RelationReader: "readers", RelationOwner: "owners"}

// People returns the subjects with a relation.
func (t Tenant) People(as Relation) Members {
	switch as {
	case RelationReader:
		return t.Readers
	case RelationOwner:
		return t.Owners
	}
	return t.Members
}

// SetPeople sets the subjects with a relation.
func (t *Tenant) SetPeople(as Relation, m Members) {
	switch as {
	case RelationReader:
		t.Readers = m
	case RelationOwner:
		t.Owners = m
	default:
		t.Members = m
	}
}

// HasReaders reports whether the tenant has, or keeps, the objects for readers. A tenant
// with owners has them, since an owner may grant readers and can't create these objects.
func (t Tenant) HasReaders() bool {
	return t.CheckReaders() == nil && (len(t.Readers) > 0 || t.ReadersKept || t.HasOwners())
}

// HasOwners reports whether the tenant has, or keeps, the objects for owners.
func (t Tenant) HasOwners() bool { return len(t.Owners) > 0 || t.OwnersKept }

func (t Tenant) checkMembersFrom() error {
	switch t.MembersFrom {
	case "", MembersFromFile, MembersFromOwners:
		return nil
	}
	return fmt.Errorf("membersFrom: %q is not one of %s, %s", t.MembersFrom, MembersFromFile, MembersFromOwners)
}

// checkOwnersSay returns what is wrong with a file's tenant whose owners choose the
// members.
func (t Tenant) checkOwnersSay() []error {
	if t.MembersFrom != MembersFromOwners {
		return nil
	}
	var problems []error
	for _, as := range []Relation{RelationMember, RelationReader} {
		if len(t.People(as))+len(t.Temporary.As(as)) > 0 {
			problems = append(problems, inField(fmt.Errorf("%s: with membersFrom: owners, the owners choose them: leave them out", peopleFields[as]), peopleFields[as]))
		}
	}
	if len(t.Owners)+len(t.Temporary.As(RelationOwner)) == 0 {
		problems = append(problems, inField(fmt.Errorf("membersFrom: %s, and there are no owners", t.MembersFrom), "membersFrom"))
	}
	return problems
}

// CheckReaders returns the reason why the tenant can't have readers, nil if it can.
func (t Tenant) CheckReaders() error {
	switch {
	case !t.Engine.Has(EngineImpersonation):
		return fmt.Errorf("readers: tenant %q has a Tiller, which can't tell readers from writers: whoever reaches it may do all that it can; with Helm 3 and 4 (engine impersonation, or both) a tenant can have readers", t.Name)
	case t.AllNamespaces:
		return fmt.Errorf("readers: tenant %q has all namespaces, and a reader would read every Secret of the cluster, tokens of its administrators among them", t.Name)
	}
	return nil
}

func (t Tenant) checkReaders() error {
	if len(t.Readers)+len(t.Temporary.As(RelationReader)) == 0 && !t.ReadersKept {
		return nil
	}
	return t.CheckReaders()
}

// checkNamedOnce returns an error for each of a file's grants for a time whose subject is
// also named without end.
func (t Tenant) checkNamedOnce() []error {
	var problems []error
	for i, term := range t.Temporary {
		if slices.Contains(t.People(term.As), term.Subject) {
			problems = append(problems, inField(fmt.Errorf("temporary: %s is named among the %ss, too, which is for good: leave one out", term.Subject, term.As), "temporary", i))
		}
	}
	return problems
}

// Current returns a file's tenant at that time: the subjects of grants for a time that
// have not ended are added to their relation. Grants that have ended are left out, and
// returned.
func (t Tenant) Current(now time.Time) (current Tenant, ended Terms) {
	ended = t.Temporary.Over(now)
	t.Temporary = slices.DeleteFunc(slices.Clone(t.Temporary), func(term Term) bool { return term.over(now) })
	for _, as := range Relations {
		t.SetPeople(as, t.People(as).With(t.Temporary.As(as).Subjects()))
	}
	return t, ended
}

// inFile reverses Current: in a tenants file the subjects of grants for a time
// are named only there. If the owners choose the members, members and readers are left
// out.
func (t Tenant) inFile() Tenant {
	for _, as := range Relations {
		t.SetPeople(as, t.People(as).Without(t.Temporary.As(as).Subjects()))
	}
	if t.MembersFrom == MembersFromOwners {
		t.Members, t.Readers, t.Temporary = nil, nil, t.Temporary.As(RelationOwner)
	}
	return t
}
