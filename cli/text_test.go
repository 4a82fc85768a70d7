package cli

import (
	"strings"
	"testing"

	"helm-tenant/tenant"
)

func TestCountReleases(t *testing.T) {
	for _, test := range []struct {
		byStatus map[string]int
		want     string
	}{
		{nil, "0"},
		{map[string]int{"DEPLOYED": 3}, "3"},
		{map[string]int{"DEPLOYED": 2, "DELETED": 5}, "2"},
		{map[string]int{"DEPLOYED": 2, "FAILED": 1, "PENDING_INSTALL": 2}, "5 (1 failed, 2 pending_install)"},
	} {
		if got := countReleases(test.byStatus); got != test.want {
			t.Errorf("%v: got %q, want %q", test.byStatus, got, test.want)
		}
	}
}

func TestCountMembers(t *testing.T) {
	for _, test := range []struct {
		members tenant.Members
		want    string
	}{
		{tenant.Members{}, ""},
		{tenant.Members{tenant.User("a")}, "1 user"},
		{tenant.Members{tenant.User("a"), tenant.User("b"), tenant.Group("g"), tenant.Account("n", "s"), tenant.Account("n", "t")}, "2 users, 1 group, 2 accounts"},
	} {
		if got := countMembers(test.members); got != test.want {
			t.Errorf("%+v: got %q, want %q", test.members, got, test.want)
		}
	}
}

func TestBrief(t *testing.T) {
	for typed, want := range map[string]string{"": "", "a": "a", "a b c": "a,b,c", "a b c d e": "a,b,c,... (5)"} {
		if got := brief(strings.Fields(typed)); got != want {
			t.Errorf("%s: got %q, want %q", typed, got, want)
		}
	}
}

func TestEnvironmentLookup(t *testing.T) {
	env := Environment{Environ: []string{"A=1", "AB=2", "A=3", "E=", "X=y=z"}}
	for name, want := range map[string]string{"A": "3", "AB": "2", "X": "y=z", "E": "", "B": ""} {
		if got := env.get(name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	if _, set := env.lookup("E"); !set {
		t.Error("an empty variable is set")
	}
	if _, set := env.lookup("B"); set {
		t.Error("a variable that is not there is set")
	}
}
