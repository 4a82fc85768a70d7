package view

import (
	"cmp"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"html/template"
	"io"
	"strings"
	"sync"
	"time"

	"helm-tenant/prove"
)

// proofLevels maps results to SARIF's levels; other results have none.
var proofLevels = map[prove.Result]string{prove.Allowed: "error", prove.Untried: "warning", prove.Open: "note"}

// ProofSARIF returns a proof as SARIF of that version of helm-tenant: a result for each attempt
// that was not refused.
func ProofSARIF(r *prove.Report, version string) SARIFLog {
	run := sarifRun{
		Tool:        sarifTool{sarifDriver{Name: "helm-tenant prove", Version: version, Rules: []sarifRule{}}},
		Results:     []sarifResult{},
		Invocations: []sarifInvocation{{ExecutionSuccessful: r.Counts[prove.Untried] == 0}},
	}
	index := map[string]int{}
	rule := func(id, title, why string, benchmarks []string) int {
		if position, known := index[id]; known {
			return position
		}
		index[id] = len(run.Tool.Driver.Rules)
		run.Tool.Driver.Rules = append(run.Tool.Driver.Rules, sarifRule{
			ID: id, Name: sarifName(id), ShortDescription: sarifText{sentence("a tenant must not be able to " + title)},
			FullDescription: sarifText{sentence(cmp.Or(why, title))}, Default: sarifLevel{"error"},
			Properties: map[string]any{"security-severity": "9.0", "tags": append([]string{"security"}, benchmarks...)},
		})
		return index[id]
	}
	for _, a := range prove.Attempts() {
		rule(a.ID, a.What, a.Why, a.Benchmarks)
	}
	for _, row := range r.Rows {
		level, printed := proofLevels[row.Result]
		if !printed {
			continue
		}
		subject := strings.Trim(row.Tenant+"/"+row.Namespace+"/"+string(row.As), "/")
		run.Results = append(run.Results, sarifResult{
			RuleID: row.Attempt, RuleIndex: rule(row.Attempt, row.What, row.Why, row.Benchmarks), Level: level, Message: sarifText{plainMessage(proofText(row))},
			Locations: []sarifLocation{{
				Physical: &sarifPhysical{sarifArtifact{"tenants.yaml"}, sarifRegion{1}},
				Logical:  []sarifLogical{{subject, "resource"}},
			}},
			Fingerprints: map[string]string{"helmTenantAttempt/v1": row.Attempt + "/" + subject},
		})
	}
	return SARIFLog{Schema: "https://json.schemastore.org/sarif-2.1.0.json", Version: "2.1.0", Runs: []sarifRun{run}}
}

func proofText(row prove.Row) string {
	tenantName := "Tenant " + row.Tenant
	if row.As != "" {
		tenantName += ", as " + string(row.As)
	}
	if row.Namespace != "" {
		tenantName += ", in namespace " + row.Namespace
	}
	text := fmt.Sprintf("%s: %s: %s.", tenantName, row.What, row.Result)
	if row.By != "" {
		text += " Refused by " + row.By + "."
	}
	if row.Answer != "" {
		text += " Answer: " + row.Answer
	}
	if row.Result != prove.Refused && row.Closes != "" {
		text += " It would be refused with " + row.Closes + "."
	}
	if row.How != "" {
		text += " To try it: " + row.How + "."
	}
	return text
}

// The parts of JUnit's format that build servers read.
type (
	junitSuites struct {
		XMLName xml.Name     `xml:"testsuites"`
		Name    string       `xml:"name,attr"`
		Suites  []junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name     string      `xml:"name,attr"`
		Tests    int         `xml:"tests,attr"`
		Failures int         `xml:"failures,attr"`
		Errors   int         `xml:"errors,attr"`
		Skipped  int         `xml:"skipped,attr"`
		Cases    []junitCase `xml:"testcase"`
	}
	junitCase struct {
		Class   string        `xml:"classname,attr"`
		Name    string        `xml:"name,attr"`
		Failure *junitProblem `xml:"failure,omitempty"`
		Error   *junitProblem `xml:"error,omitempty"`
		Skipped *junitProblem `xml:"skipped,omitempty"`
		Out     string        `xml:"system-out,omitempty"`
	}
	junitProblem struct {
		Message string `xml:"message,attr"`
	}
)

// ProofJUnit writes a proof as JUnit's XML: a suite for each tenant, a failure for each allowed
// attempt, an error for each untried one.
func ProofJUnit(w io.Writer, r *prove.Report) error {
	all := junitSuites{Name: "helm-tenant prove"}
	index := map[string]int{}
	for _, row := range r.Rows {
		position, known := index[row.Tenant]
		if !known {
			position = len(all.Suites)
			index[row.Tenant] = position
			all.Suites = append(all.Suites, junitSuite{Name: row.Tenant})
		}
		suite := &all.Suites[position]
		one := junitCase{Class: row.Tenant + "." + cmp.Or(row.Namespace, "cluster"), Name: strings.TrimPrefix(string(row.As)+": "+row.What, ": ")}
		suite.Tests++
		problem := &junitProblem{proofText(row)}
		switch row.Result {
		case prove.Allowed:
			suite.Failures++
			one.Failure = problem
		case prove.Untried:
			suite.Errors++
			one.Error = problem
		case prove.Open, prove.Denied, prove.Beyond:
			suite.Skipped++
			one.Skipped = problem
		default:
			one.Out = proofText(row)
		}
		suite.Cases = append(suite.Cases, one)
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	encoder := xml.NewEncoder(w)
	encoder.Indent("", "  ")
	if err := encoder.Encode(all); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}

//go:embed proof.html
var proofPage string

// proofTemplate is the page with the audit page's style in it, which its content
// security policy names by its hash: nothing is run there.
var proofTemplate = sync.OnceValues(func() (*template.Template, error) {
	_, after, _ := strings.Cut(page, "\n<style>")
	style, _, _ := strings.Cut(after, "</style>")
	hash := sha256.Sum256([]byte(style))
	text := strings.Replace(proofPage, "STYLE-HASH", "sha256-"+base64.StdEncoding.EncodeToString(hash[:]), 1)
	text = strings.Replace(text, "/*STYLE*/", style, 1)
	return template.New("proof").Parse(text)
})

type proofSection struct {
	Title, Class, Note string
	Rows               []prove.Row
}

// ProofHTML writes a proof as one page, which loads nothing and runs nothing.
func ProofHTML(w io.Writer, r *prove.Report, now time.Time) error {
	page, err := proofTemplate()
	if err != nil {
		return err
	}
	sections := []proofSection{
		{Title: "Allowed, and must not be", Class: "critical"},
		{Title: "Could not be tried", Class: "high"},
		{Title: "Allowed, and no setting of the tenant forbids it", Class: "low"},
		{Title: "Refused", Class: "good"},
		{Title: "What a tenant can do for itself", Class: "good", Note: "Controls: a refusal proves nothing where these are not accepted."},
		{Title: "Not tried", Class: "low"},
	}
	place := map[prove.Result]int{prove.Allowed: 0, prove.Untried: 1, prove.Open: 2, prove.Refused: 3, prove.Accepted: 4, prove.Denied: 4, prove.Beyond: 5}
	for _, row := range r.Rows {
		section := &sections[place[row.Result]]
		section.Rows = append(section.Rows, row)
	}
	return page.Execute(w, map[string]any{
		"Made": now.UTC().Format("2006-01-02 15:04 UTC"), "Report": r, "Sections": sections,
		"Class": map[string]string{string(prove.Refused): "clean", string(prove.Allowed): "findings", string(prove.Untried): "unknown"}[r.Result],
		"Result": map[string]string{string(prove.Refused): "everything was refused", string(prove.Allowed): "something was not refused",
			string(prove.Untried): "not everything could be tried"}[r.Result],
	})
}
