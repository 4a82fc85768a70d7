package view

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"encoding/xml"
	"strings"
	"testing"
	"time"

	"helm-tenant/prove"
)

// What comes from a cluster may be anything.
const hostile = "</td><script>alert(1)</script>\x1b[2J & \"quotes\""

func proof() *prove.Report {
	return prove.NewReport([]string{"a", "b"}, []prove.Row{
		{Tenant: "a", Attempt: "control-pod", What: "run a harmless pod", As: prove.Deployer, Result: prove.Accepted, Namespace: "a-1"},
		{Tenant: "a", Attempt: "privileged-container", What: "run a privileged container", As: prove.Deployer, Result: prove.Allowed, Namespace: "a-1", Answer: hostile, Closes: "podSecurity: baseline",
			Benchmarks: []string{"MTB-PL1-BC-CPI-5 Block privileged containers"}},
		{Tenant: "a", Attempt: "token", What: "get a token", As: prove.Member, Result: prove.Untried, Answer: "timeout"},
		{Tenant: "a", Attempt: "node-port", What: "open a port", As: prove.Deployer, Result: prove.Open},
		{Tenant: "b", Attempt: "quota", What: "make a quota", As: prove.Deployer, Result: prove.Refused, By: "RBAC"},
		{Tenant: "b", Attempt: "node", What: "leave a container", Result: prove.Beyond, How: "read"},
	})
}

func TestProofJUnit(t *testing.T) {
	var out bytes.Buffer
	if err := ProofJUnit(&out, proof()); err != nil {
		t.Fatal(err)
	}
	var read junitSuites
	if err := xml.Unmarshal(out.Bytes(), &read); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	if len(read.Suites) != 2 {
		t.Fatalf("%d suites: %s", len(read.Suites), out.String())
	}
	a, b := read.Suites[0], read.Suites[1]
	if a.Tests != 4 || a.Failures != 1 || a.Errors != 1 || a.Skipped != 1 || b.Tests != 2 || b.Failures+b.Errors != 0 || b.Skipped != 1 {
		t.Errorf("%s", out.String())
	}
	if strings.Contains(out.String(), "\x1b") || strings.Contains(out.String(), "<script") {
		t.Error("the cluster's words are markup, or steer a terminal")
	}
}

func TestProofSARIF(t *testing.T) {
	log := ProofSARIF(proof(), "1.2.3")
	text, err := json.Marshal(log)
	if err != nil {
		t.Fatal(err)
	}
	run := log.Runs[0]
	if len(run.Results) != 3 || run.Invocations[0].ExecutionSuccessful {
		t.Errorf("%s", text)
	}
	seen := map[string]bool{}
	for _, result := range run.Results {
		if rule := run.Tool.Driver.Rules[result.RuleIndex]; rule.ID != result.RuleID {
			t.Errorf("result %s names rule %s", result.RuleID, rule.ID)
		}
		fingerprint := result.Fingerprints["helmTenantAttempt/v1"]
		if seen[fingerprint] {
			t.Errorf("two results are %s", fingerprint)
		}
		seen[fingerprint] = true
	}
	if run.Results[0].Level != "error" || run.Results[1].Level != "warning" || run.Results[2].Level != "note" {
		t.Errorf("%s", text)
	}
}

func TestProofHTML(t *testing.T) {
	var out bytes.Buffer
	if err := ProofHTML(&out, proof(), time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)); err != nil {
		t.Fatal(err)
	}
	text := out.String()
	if strings.Contains(text, "<script") {
		t.Error("the cluster's words are markup")
	}
	_, after, _ := strings.Cut(text, "<style>")
	style, _, found := strings.Cut(after, "</style>")
	hash := sha256.Sum256([]byte(style))
	if !found || len(style) < 1000 || !strings.Contains(text, "style-src 'sha256-"+base64.StdEncoding.EncodeToString(hash[:])+"'") {
		t.Error("the page's policy does not allow its style")
	}
	for _, words := range []string{"something was not refused", "run a privileged container", "podSecurity: baseline", "Allowed, and must not be: 1", "12:00 UTC", "MTB-PL1-BC-CPI-5"} {
		if !strings.Contains(text, words) {
			t.Errorf("the page lacks %q", words)
		}
	}
}
