package audit

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// docs/audit.md tells of each kind of finding what the rules say of it, and how
// to mend it.
func TestDocumentedFindings(t *testing.T) {
	text, err := os.ReadFile("../docs/audit.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(text), "<!-- findings -->\n")
	table, _, found := strings.Cut(table, "\n<!-- /findings -->")
	rows := strings.Split(table, "\n")
	if !found || len(rows) < 3 {
		t.Fatal("there is no table of findings")
	}
	var documented []Rule
	for _, row := range rows[2:] {
		cells := strings.Split(strings.Trim(row, "|"), " | ")
		if len(cells) != 5 || strings.TrimSpace(cells[4]) == "" {
			t.Errorf("this is no row of five cells: %s", row)
			continue
		}
		documented = append(documented, Rule{strings.TrimSpace(cells[0]), cells[2], Severity(cells[1]), cells[3]})
	}
	if diff := cmp.Diff(Rules(), documented); diff != "" {
		t.Errorf("docs/audit.md, -rules +documented:\n%s", diff)
	}
}
