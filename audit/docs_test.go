package audit

import (
	"os"
	"regexp"
	"slices"
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

// What docs/security.md claims at its beginning is what its tables of attacks,
// written by test/attack, say: what a member can do works, what closes it and
// what nobody gets is refused, and the findings that it names are there.
func TestClaimsAreShownByAttacks(t *testing.T) {
	text, err := os.ReadFile("../docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	claims, attacks, found := strings.Cut(string(text), "## What a tenant's Tiller can do")
	if !found {
		t.Fatal("the beginning of docs/security.md has no end")
	}
	outcomes := map[string][]string{}
	for _, row := range strings.Split(attacks, "\n") {
		if cells := strings.Split(row, " | "); len(cells) == 5 {
			name := strings.TrimPrefix(cells[0], "| ")
			outcomes[name] = append(outcomes[name], cells[2])
		}
	}
	names, shown := regexp.MustCompile(`\*([^*]+)\*`), 0
	check := func(cell string, is func(outcomes []string) bool) {
		t.Helper()
		for _, match := range names.FindAllStringSubmatch(cell, -1) {
			shown++
			if of := outcomes[match[1]]; len(of) == 0 || !is(of) {
				t.Errorf("of the attack %q the tables say %q", match[1], of)
			}
		}
	}
	works := func(of []string) bool {
		return slices.ContainsFunc(of, func(o string) bool { return strings.HasPrefix(o, "works: known") })
	}
	refused := func(of []string) bool {
		return !slices.ContainsFunc(of, func(o string) bool { return !strings.HasPrefix(o, "refused: ") })
	}
	can, cannot, found := strings.Cut(strings.ReplaceAll(claims, "**", ""), "Nobody\ngets")
	if !found {
		t.Fatal("docs/security.md does not say what nobody gets")
	}
	for _, row := range strings.Split(can, "\n") {
		if cells := strings.Split(row, " | "); len(cells) == 3 {
			check(cells[1], works)
			check(cells[2], refused)
		}
	}
	check(cannot, refused)
	if shown < 30 {
		t.Errorf("%d claims are shown by an attack", shown)
	}
	for _, id := range regexp.MustCompile(`HT\d{3}`).FindAllString(claims, -1) {
		if !slices.ContainsFunc(rules, func(r Rule) bool { return r.ID == id }) {
			t.Errorf("no finding is called %s", id)
		}
	}
}
