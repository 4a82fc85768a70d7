package cli_test

import (
	"strings"
	"testing"
)

// TestGrantNamesAllReasons: risks and contradictions of a grant are named at once.
func TestGrantNamesAllReasons(t *testing.T) {
	a := newAdministrator(t)
	a.runs("init", "t", "--engine=impersonation", "--namespaces=a", "--create-namespaces", "--user=alice")
	got := a.tries("", "grant", "t", "--reader", "--user=alice", "--group=system:authenticated")
	for _, want := range []string{"add --accept-risk=everyone", "add --accept-risk=reads-secrets", "user alice is a member, who may do more than read", "helm tenant revoke t --user=alice"} {
		if got.code != 1 || !strings.Contains(got.stderr, want) {
			t.Errorf("exit code %d without %q:\n%s", got.code, want, got.stderr)
		}
	}
	if lines := strings.Count(got.stderr, "Error: "); lines != 3 {
		t.Errorf("%d reasons:\n%s", lines, got.stderr)
	}
	if people := a.runs("describe", "t").stdout; strings.Contains(people, "Readers:") || strings.Contains(people, "authenticated") {
		t.Errorf("something was written:\n%s", people)
	}
	// Where nobody's time is over, nothing is said of groups.
	a.runs("grant", "t", "--group=devs")
	if got := a.runs("revoke", "t", "--expired"); strings.Contains(got.stderr, "devs") {
		t.Errorf("it says %s", got.stderr)
	}
	if got := a.runs("revoke", "t", "--user=bob"); !strings.Contains(got.stderr, "everybody in these groups can use it: devs") && !strings.Contains(got.stderr, "group devs") {
		t.Errorf("it says %s", got.stderr)
	}
}
