package auditpages

import (
	"bytes"
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	// For the schema that is in it.
	_ "github.com/owenrumney/go-sarif/v3/pkg/report/v210/sarif"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"helm-tenant/audit"
	"helm-tenant/audit/view"
)

const sarifPackage = "github.com/owenrumney/go-sarif/v3/pkg/report/v210/sarif"

// sarifSchema is OASIS' schema of SARIF 2.1.0, errata 01, as the module
// go-sarif (public domain) has it in its source.
func sarifSchema(t *testing.T) *jsonschema.Schema {
	t.Helper()
	dir, err := exec.Command("go", "list", "-f", "{{.Dir}}", sarifPackage).Output()
	if err != nil {
		t.Fatal(err)
	}
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(strings.TrimSpace(string(dir)), "schema.go"), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	text, err := strconv.Unquote(file.Scope.Lookup("schema").Decl.(*ast.ValueSpec).Values[0].(*ast.BasicLit).Value)
	if err != nil {
		t.Fatal(err)
	}
	document, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	compiler := jsonschema.NewCompiler()
	compiler.AssertFormat()
	const id = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
	if got := document.(map[string]any)["id"]; got != id {
		t.Fatalf("the schema is %v", got)
	}
	if err := compiler.AddResource(id, document); err != nil {
		t.Fatal(err)
	}
	schema, err := compiler.Compile(id)
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

func sarifOf(t *testing.T, r *audit.Report, files ...string) any {
	t.Helper()
	text, err := json.Marshal(view.SARIF(r, "0.1.0", files))
	if err != nil {
		t.Fatal(err)
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return document
}

func TestSARIFIsValid(t *testing.T) {
	schema := sarifSchema(t)
	unseen := newScene(1)
	unseen.Unseen = []audit.Unseen{{What: "secrets in all namespaces", Why: "forbidden", Matters: "where releases are"}}
	alone := everythingWrong()
	alone.File = nil
	for name, document := range map[string]any{
		"findings of every kind": sarifOf(t, audit.Audit(&everythingWrong().Snapshot, audit.Options{}), "tenants"),
		"no tenants file":        sarifOf(t, audit.Audit(&alone.Snapshot, audit.Options{})),
		"ignored":                sarifOf(t, audit.Audit(&everythingWrong().Snapshot, audit.Options{Ignore: []audit.Ignore{{ID: "HT010", Reason: "x"}, {ID: "HT001", Reason: "y"}}})),
		"nothing found":          sarifOf(t, audit.Audit(&newScene(2).Snapshot, audit.Options{})),
		"no tenants":             sarifOf(t, audit.Audit(&newScene(0).Snapshot, audit.Options{}), `/etc/a file.yaml`),
		"unseen":                 sarifOf(t, audit.Audit(&unseen.Snapshot, audit.Options{})),
	} {
		if err := schema.Validate(document); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The schema is asked for something: what is wrong in these is refused.
func TestSARIFSchemaRefusesWhatIsWrong(t *testing.T) {
	schema := sarifSchema(t)
	for name, spoil := range map[string]func(run map[string]any){
		"level":      func(run map[string]any) { mapIn(run, "results", 0)["level"] = "critical" },
		"no message": func(run map[string]any) { delete(mapIn(run, "results", 0), "message") },
		"uri": func(run map[string]any) {
			mapIn(run, "results", 0, "locations", 0, "physicalLocation", "artifactLocation")["uri"] = "a b%"
		},
		"line 0": func(run map[string]any) {
			mapIn(run, "results", 0, "locations", 0, "physicalLocation", "region")["startLine"] = 0
		},
		"unknown key": func(run map[string]any) { run["severity"] = "x" },
		"no tool":     func(run map[string]any) { delete(run, "tool") },
	} {
		document := sarifOf(t, audit.Audit(&everythingWrong().Snapshot, audit.Options{}))
		spoil(mapIn(document.(map[string]any), "runs", 0))
		if schema.Validate(document) == nil {
			t.Errorf("%s: the schema lets it pass", name)
		}
	}
}

// at goes down into a document.
func mapIn(document map[string]any, path ...any) map[string]any {
	var local any = document
	for _, step := range path {
		if key, ok := step.(string); ok {
			local = local.(map[string]any)[key]
		} else {
			local = local.([]any)[step.(int)]
		}
	}
	return local.(map[string]any)
}

func TestSARIFSaysWhatTheReportSays(t *testing.T) {
	ignore := []audit.Ignore{{ID: "HT010", Subject: "user mallory-forward", Reason: "she left"}}
	report := audit.Audit(&everythingWrong().Snapshot, audit.Options{Ignore: ignore})
	run := view.SARIF(report, "0.1.0", []string{"tenants"}).Runs[0]
	if len(run.Results) != len(report.Findings)+1 {
		t.Fatalf("%d results of %d findings and one that is ignored", len(run.Results), len(report.Findings))
	}
	fingerprints := map[string]string{}
	for i, result := range run.Results {
		if rule := run.Tool.Driver.Rules[result.RuleIndex]; rule.ID != result.RuleID {
			t.Errorf("result %d is of %s, and its index of %s", i, result.RuleID, rule.ID)
		}
		print := result.Fingerprints["helmTenantFinding/v1"]
		if first, twice := fingerprints[print]; twice {
			t.Errorf("two results have one fingerprint, %s:\n%s\n%s", print, first, result.Message.Text)
		}
		fingerprints[print] = result.Message.Text
		if len(result.Locations) != 1 || result.Locations[0].Physical == nil {
			t.Errorf("code scanning wants one place of a result, and %s has %d", result.RuleID, len(result.Locations))
		}
	}
	for i, f := range report.Findings {
		want := map[audit.Severity]string{audit.Critical: "error", audit.High: "error", audit.Medium: "warning", audit.Low: "note"}[f.Severity]
		result := run.Results[i]
		if result.Level != want || !strings.Contains(result.Message.Text, f.Fix.String()) || !strings.Contains(result.Message.Text, f.Chain()) {
			t.Errorf("%s %s is told as %s: %s", f.ID, f.Severity, result.Level, result.Message.Text)
		}
	}
	last := run.Results[len(run.Results)-1]
	if len(last.Suppressions) != 1 || last.Suppressions[0].Justification != "she left" {
		t.Errorf("what is ignored is told as %+v", last)
	}
	// Each in the file that it comes from.
	var places []string
	for i, f := range report.Findings {
		if place := run.Results[i].Locations[0].Physical; f.Line > 0 {
			if text := place.Artifact.URI + ":" + strconv.Itoa(place.Region.StartLine); !slices.Contains(places, text) {
				places = append(places, text)
			}
		}
	}
	slices.Sort(places)
	if diff := cmp.Diff([]string{"tenants/a%20b.yaml:3", "tenants/b.yaml:7"}, places); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
