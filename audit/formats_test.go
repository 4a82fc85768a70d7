package audit

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestFormats reads what released versions wrote and read; see testdata/formats/README.md.
func TestFormats(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("testdata", "formats", "ignore-1.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	ignores, problems := ParseIgnores("ignore-1.yaml", text)
	want := []Ignore{{ID: "HT040", Tenant: "team-a", Subject: "group sre", Reason: "the on-call team"}, {ID: "HT053", Reason: "no limits on this cluster"}}
	if diff := cmp.Diff(want, ignores); diff != "" || len(problems) > 0 {
		t.Errorf("%v, -want +got:\n%s", problems, diff)
	}
	report, err := os.Open(filepath.Join("testdata", "formats", "report-1.json"))
	if err != nil {
		t.Fatal(err)
	}
	defer report.Close()
	baseline, err := ParseBaseline("report-1.json", report)
	if err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, f := range baseline.findings {
		ids = append(ids, f.ID+" "+f.Subject+" "+f.Fingerprint)
	}
	if diff := cmp.Diff([]string{"HT003 user zoe 0123456789abcdef", "HT040 group sre fedcba9876543210"}, ids); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
