package audit

import (
	"strings"
	"testing"
	"time"

	"helm-tenant/tenant"
)

// TestCheckTerms: expired grants, and differences from the file, are reported.
func TestCheckTerms(t *testing.T) {
	noon := time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	term := func(name string, hours int) tenant.Term {
		return tenant.Term{Subject: User(name), As: tenant.RelationMember, Until: noon.Add(time.Duration(hours) * time.Hour), Reason: "INC-12"}
	}
	tested := team("a", tenant.EngineTiller)
	tested.Members = tenant.Members{User("alice"), User("bob"), User("carol")}
	s := sceneOf(tested)
	s.Taken = noon
	for i := range s.Bindings {
		if isMemberBinding(&s.Bindings[i]) {
			s.Bindings[i].Terms = tenant.Terms{term("bob", 0), term("carol", 1)}
		}
	}
	texts := func(id string) string {
		var all []string
		for _, f := range found(s, id) {
			all = append(all, f.Text+" | "+f.Fix.String())
		}
		return strings.Join(all, "\n")
	}
	if got, want := texts(idOver), `user bob was a member until 2026-01-31T12:00:00Z, "INC-12": over, and still in force | helm tenant revoke a --expired`; got != want {
		t.Errorf("got %s", got)
	}
	file := team("a", tenant.EngineTiller).WithDefaults()
	file.Rails = s.Records[0].Tenant.Rails
	for _, test := range []struct {
		members tenant.Members
		terms   tenant.Terms
		want    string
	}{
		{tenant.Members{User("alice")}, tenant.Terms{term("bob", 0), term("carol", 1)}, "user bob is a member in the cluster, and not in the file"},
		{tenant.Members{User("alice"), User("bob")}, tenant.Terms{term("carol", 1)}, `user bob is a member for good in the file, and until 2026-01-31T12:00:00Z, "INC-12" in the cluster`},
		{tenant.Members{User("alice")}, tenant.Terms{term("bob", 3), term("carol", 1)}, `user bob is a member until 2026-01-31T15:00:00Z, "INC-12" in the file, and until 2026-01-31T12:00:00Z, "INC-12" in the cluster`},
	} {
		file.Members, file.Temporary = test.members, test.terms
		s.File = []tenant.Located{{Tenant: file, File: "f", Line: 1}}
		if got := texts(idFile); got != test.want+" | helm tenant apply --filename=f" {
			t.Errorf("got %s, want %s", got, test.want)
		}
	}
}
