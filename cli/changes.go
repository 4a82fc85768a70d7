package cli

import (
	"strings"

	"helm-tenant/admin"
	"helm-tenant/cluster"
	"helm-tenant/visible"
)

// pastTense has what a change did, as its line begins.
var pastTense = map[cluster.Action]string{cluster.Create: "created", cluster.Update: "updated", cluster.Delete: "deleted", cluster.Replace: "replaced"}

// policyChanges are changes of admission policies of one kind that are not printed yet.
type policyChanges struct {
	first  cluster.Change
	number int
}

// change prints a change that was made. The first init of a cluster makes dozens of admission
// policies, among which the tenant's own objects would not be seen: those that follow each other
// are one line, unless debugging output is asked for.
func (s *session) change(c cluster.Change) {
	if !admin.IsPolicy(c.Key) || s.Debug() || len(c.Removed) > 0 {
		s.say("%-8s %s", pastTense[c.Action], changed(c.Key, c.Removed))
		return
	}
	if first := s.policies.first; s.policies.number > 0 && (first.Action != c.Action || first.Key.Kind != c.Key.Kind) {
		s.changesMade()
	}
	if s.policies.number == 0 {
		s.policies.first = c
	}
	s.policies.number++
}

// changed names an object that is changed, and the finalizers that are removed with it.
func changed(key cluster.Key, finalizers []string) string {
	if len(finalizers) == 0 {
		return key.String()
	}
	return key.String() + ", in spite of its finalizers: " + visible.List(finalizers)
}

func (s *session) changesMade() {
	made := s.policies
	s.policies = policyChanges{}
	switch {
	case made.number == 1:
		s.say("%-8s %s", pastTense[made.first.Action], made.first.Key)
	case made.number > 1:
		kind := strings.TrimSuffix(made.first.Key.Kind, "y")
		if kind != made.first.Key.Kind {
			kind += "ie"
		}
		s.say("%-8s %s for all tenants", pastTense[made.first.Action], counted(made.number, kind))
	}
}
