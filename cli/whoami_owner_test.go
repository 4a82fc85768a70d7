package cli_test

import (
	"regexp"
	"strings"
	"testing"
)

// TestWhoamiOfTemporaryOwner: an owner for a time sees until when, beside the end of the grant as
// a member.
func TestWhoamiOfTemporaryOwner(t *testing.T) {
	a := newAdministrator(t)
	a.runs("init", "t", "--namespaces=a", "--create-namespaces", "--engine=impersonation", "--wait=false")
	if got := a.runs("--tenant=t", "whoami").stdout; strings.Contains(got, "OWNER") {
		t.Errorf("nobody is an owner:\n%s", got)
	}
	a.runs("grant", "t", "--owner", "--user=admin", "--for=8h", "--reason=INC-7")
	got := a.runs("--tenant=t", "whoami").stdout
	if !regexp.MustCompile(`(?m)^OWNER +until \S+, "INC-7"$`).MatchString(got) || strings.Contains(got, "FOR A TIME") {
		t.Errorf("an owner for a time:\n%s", got)
	}
	a.runs("grant", "t", "--user=admin", "--for=1h", "--reason=INC-8")
	got = a.runs("--tenant=t", "whoami").stdout
	if !regexp.MustCompile(`(?m)^FOR A TIME +until \S+, "INC-8"$`).MatchString(got) || !strings.Contains(got, `"INC-7"`) {
		t.Errorf("an owner and member for a time:\n%s", got)
	}
}
