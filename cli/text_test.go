package cli

import (
	"slices"
	"strings"
	"testing"

	"helm-tenant/admin"
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

// A member's binding with a long name, or many subjects, pads no table without bound.
func TestLongCells(t *testing.T) {
	long := strings.Repeat("x", 253)
	if got := clipped(long); got != long {
		t.Errorf("a name of 253 characters is cut to %d", len(got))
	}
	if got := clipped(strings.Repeat("\u00e4", 100_000)); len(got) > 300 || !strings.HasSuffix(got, "\u00e4...") {
		t.Errorf("a long name is shown as %q", got)
	}
	if got := someOf([]string{"a", "b"}); got != "a, b" {
		t.Errorf("two names are shown as %q", got)
	}
	many := slices.Repeat([]string{strings.Repeat("x", 5000)}, 5000)
	if got := someOf(many); len(got) > 3000 || !strings.HasSuffix(got, "... and 4990 more") {
		t.Errorf("many names take %d bytes", len(got))
	}
	var out strings.Builder
	bindings := []admin.Binding{{Name: long + long, Role: "Role " + many[0], Subjects: many}}
	for range 200 {
		bindings = append(bindings, admin.Binding{Name: "x", Role: "ClusterRole view"})
	}
	printBindings(&out, []admin.NamespaceOf{{Name: "a", Bindings: bindings}})
	if out.Len() > 1_000_000 {
		t.Errorf("200 bindings take %d bytes", out.Len())
	}
}

func TestEnvironmentLookup(t *testing.T) {
	env := Environment{Environ: []string{"A=1", "AB=2", "A=3", "E=", "X=y=z"}}
	for name, want := range map[string]string{"A": "3", "AB": "2", "X": "y=z", "E": "", "B": ""} {
		if got := env.Get(name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	if _, set := env.Lookup("E"); !set {
		t.Error("an empty variable is set")
	}
	if _, set := env.Lookup("B"); set {
		t.Error("a variable that is not there is set")
	}
}
