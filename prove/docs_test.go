package prove

import (
	"os"
	"strings"
	"testing"
)

// docs/prove.md has a line for each attempt, as the table has it.
func TestDocs(t *testing.T) {
	text, err := os.ReadFile("../docs/prove.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range append(Attempts(), controlPod, controlMember, controlAccount, controlReader, controlPolicy, controlBinding) {
		if line := docsLine(a); !strings.Contains(string(text), line) {
			t.Errorf("docs/prove.md lacks: %s", line)
		}
	}
}

func docsLine(a *Attempt) string {
	var as []string
	for _, role := range a.As {
		as = append(as, string(role))
	}
	closes := a.Closes
	switch {
	case strings.HasPrefix(a.ID, "control"):
		closes = "must be accepted"
		if a.Optional {
			closes = "accepted or not"
		}
	case closes == "":
		closes = "RBAC"
	}
	if a.Optional && !strings.HasPrefix(a.ID, "control") {
		closes += ", where it is set"
	}
	where := "once"
	if a.Each {
		where = "each namespace"
	}
	return "| `" + a.ID + "` | " + a.What + " | " + strings.Join(as, ", ") + " | " + where + " | " + closes + " | " + strings.Join(a.Benchmarks, ", ") + " |"
}
