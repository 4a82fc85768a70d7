package cli

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"
)

// docs/audit.md tells of each of the audit's own options.
func TestDocumentedAuditOptions(t *testing.T) {
	text, err := os.ReadFile("../docs/audit.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(text), "<!-- options -->")
	table, _, _ = strings.Cut(table, "<!-- /options -->")
	var documented, options []string
	for _, match := range regexp.MustCompile("(?m)^\\| (?:`-[a-z]`, )?`--([a-z-]+) ").FindAllStringSubmatch(table, -1) {
		documented = append(documented, match[1])
	}
	newAudit(&session{}).LocalNonPersistentFlags().VisitAll(func(f *pflag.Flag) {
		if f.Name != "help" {
			options = append(options, f.Name)
		}
	})
	slices.Sort(documented)
	slices.Sort(options)
	if diff := cmp.Diff(options, documented); diff != "" {
		t.Errorf("-options +documented:\n%s", diff)
	}
}
