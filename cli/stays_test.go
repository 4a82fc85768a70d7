package cli_test

import (
	"strings"
	"testing"
)

// TestRevokeStays: a revoke of one relation says which others are left, and how to revoke them.
func TestRevokeStays(t *testing.T) {
	a := newAdministrator(t)
	a.runs("init", "t", "--namespaces=a", "--create-namespaces", "--engine=impersonation", "--user=olga")
	a.runs("grant", "t", "--reader", "--user=rita", "--accept-risk=reads-secrets")
	a.runs("grant", "t", "--user=rita")
	a.runs("grant", "t", "--owner", "--user=olga")
	const reader = "Note: user rita stays a reader of tenant t; to revoke that as well: helm tenant revoke t --user=rita --reader\n"
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"--member", "--user=rita", "--dry-run"}, reader},
		{[]string{"--member", "--user=rita"}, reader},
		{[]string{"--member", "--user=rita"}, reader},
		{[]string{"--reader", "--user=olga"}, "Note: user olga stays a member of tenant t; to revoke that as well: helm tenant revoke t --user=olga --member\n" +
			"Note: user olga stays an owner of tenant t; to revoke that as well: helm tenant revoke t --user=olga --owner\n"},
		{[]string{"--reader", "--user=rita"}, ""},
		{[]string{"--user=olga"}, ""},
	} {
		got := a.runs(append([]string{"revoke", "t"}, test.args...)...)
		var notes string
		for line := range strings.Lines(got.stderr) {
			if strings.Contains(line, " stays ") {
				notes += line
			}
		}
		if notes != test.want {
			t.Errorf("%q: %s", test.args, got.stderr)
		}
	}
	a.runs("grant", "t", "--owner", "--user=rita")
	a.runs("grant", "t", "--user=rita")
	if got := a.runs("revoke", "t", "--member", "--user=rita", "-o", "json"); !strings.Contains(strings.Join(strings.Fields(got.stdout), ""), `"stays":{"owner":{"users":["rita"]`) {
		t.Errorf("as JSON: %s", got.stdout)
	}
}
