package tenant

import (
	"fmt"
	"slices"
	"time"
)

// Relation is what a subject is to a tenant.
type Relation string

const (
	// RelationMember may use the tenant.
	RelationMember Relation = "member"
	// RelationReader may see the tenant's releases and change nothing.
	RelationReader Relation = "reader"
)

// Relations are all of them.
var Relations = []Relation{RelationMember, RelationReader}

// peopleFields are the fields of a tenant that hold its people.
var peopleFields = map[Relation]string{RelationMember: "members", RelationReader: "readers"}

// People are those of one relation.
func (t Tenant) People(as Relation) Members {
	if as == RelationReader {
		return t.Readers
	}
	return t.Members
}

// SetPeople makes those the people of that relation.
func (t *Tenant) SetPeople(as Relation, m Members) {
	if as == RelationReader {
		t.Readers = m
		return
	}
	t.Members = m
}

// HasReaders reports whether the tenant has, or keeps, the objects for readers.
func (t Tenant) HasReaders() bool {
	return t.checkReaders() == nil && (len(t.Readers) > 0 || t.ReadersKept)
}

// CheckReaders returns why the tenant can't have readers; nil where it can.
func (t Tenant) CheckReaders() error {
	switch {
	case !t.Engine.Has(EngineImpersonation):
		return fmt.Errorf("readers: tenant %q has a Tiller, which can't tell readers from writers: whoever reaches it may do all that it can; with Helm 3 and 4 (engine impersonation, or both) a tenant can have readers", t.Name)
	case t.AllNamespaces:
		return fmt.Errorf("readers: tenant %q has all namespaces, and a reader would read every Secret of the cluster, tokens of its administrators among them", t.Name)
	}
	return nil
}

// checkReaders is CheckReaders for a tenant that names any.
func (t Tenant) checkReaders() error {
	if len(t.Readers)+len(t.Temporary.As(RelationReader)) == 0 && !t.ReadersKept {
		return nil
	}
	return t.CheckReaders()
}

// checkNamedOnce returns an error for each of a file's grants for a time whose subject is
// named for good, too.
func (t Tenant) checkNamedOnce() []error {
	var problems []error
	for i, term := range t.Temporary {
		if slices.Contains(t.People(term.As), term.Subject) {
			problems = append(problems, at(fmt.Errorf("temporary: %s is named among the %ss, too, which is for good: leave one out", term.Subject, term.As), "temporary", i))
		}
	}
	return problems
}

// Current is a file's tenant at that time: those whose grant is limited and not over
// stand among the people of their relation, too; grants that are over are left out, and
// returned.
func (t Tenant) Current(now time.Time) (current Tenant, over Terms) {
	over = t.Temporary.Over(now)
	t.Temporary = slices.DeleteFunc(slices.Clone(t.Temporary), func(term Term) bool { return term.Over(now) })
	for _, as := range Relations {
		t.SetPeople(as, t.People(as).With(t.Temporary.As(as).Subjects()))
	}
	return t, over
}

// InFile is the reverse of Current: a tenants file names those whose grant is limited
// only there.
func (t Tenant) InFile() Tenant {
	for _, as := range Relations {
		t.SetPeople(as, t.People(as).Without(t.Temporary.As(as).Subjects()))
	}
	return t
}
