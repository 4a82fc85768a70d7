package view

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"helm-tenant/audit"
	"helm-tenant/command"
	"helm-tenant/prove"
	"helm-tenant/visible"
)

// What the pages and files are to their readers, a browser and the schema of
// SARIF, is tested in test/auditpages.

func finding(id string, severity audit.Severity) audit.Finding {
	return audit.Finding{ID: id, Severity: severity, Tenants: []string{"a"}, Home: "a-tiller", Subject: "user eve", Text: "user eve can", Why: "It is so.", Fix: command.Advice("fix it")}
}

func TestSARIFRules(t *testing.T) {
	driver := SARIF(&audit.Report{}, "1.2.3", nil).Runs[0].Tool.Driver
	if driver.Version != "1.2.3" || len(driver.Rules) != len(audit.Rules()) {
		t.Fatalf("version %s, and %d of %d rules", driver.Version, len(driver.Rules), len(audit.Rules()))
	}
	levels := map[audit.Severity]sarifRule{
		audit.Critical: {Default: sarifLevel{"error"}, Properties: map[string]any{"security-severity": "9.5"}},
		audit.High:     {Default: sarifLevel{"error"}, Properties: map[string]any{"security-severity": "8.0"}},
		audit.Medium:   {Default: sarifLevel{"warning"}, Properties: map[string]any{"security-severity": "5.0"}},
		audit.Low:      {Default: sarifLevel{"note"}, Properties: map[string]any{"security-severity": "2.0"}},
	}
	name := regexp.MustCompile(`^[A-Z][A-Za-z]+$`)
	for i, rule := range audit.Rules() {
		got, want := driver.Rules[i], levels[rule.Severity]
		if got.ID != rule.ID || got.Default != want.Default || got.Properties["security-severity"] != want.Properties["security-severity"] {
			t.Errorf("%s, %s, is %+v", rule.ID, rule.Severity, got)
		}
		if !name.MatchString(got.Name) || got.ShortDescription.Text == "" || got.FullDescription.Text != rule.Why {
			t.Errorf("%s is described as %+v", rule.ID, got)
		}
	}
}

// A result's level is that of the finding, which can be milder or worse than its
// kind.
func TestSARIFLevels(t *testing.T) {
	r := &audit.Report{}
	for _, severity := range audit.Severities() {
		r.Findings = append(r.Findings, finding("HT010", severity))
	}
	r.Findings = append(r.Findings, finding("HT060", audit.Low))
	run := SARIF(r, "", nil).Runs[0]
	var got []string
	for _, result := range run.Results {
		got = append(got, result.RuleID+" "+result.Level)
		if rule := run.Tool.Driver.Rules[result.RuleIndex]; rule.ID != result.RuleID {
			t.Errorf("the index of %s is that of %s", result.RuleID, rule.ID)
		}
	}
	if diff := cmp.Diff([]string{"HT010 error", "HT010 error", "HT010 warning", "HT010 note", "HT060 note"}, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// Code scanning recognizes a finding by its fingerprint: a finding with another wording or
// severity is the same one, and stays closed if it was closed by hand.
func TestSARIFFingerprints(t *testing.T) {
	fingerprint := func(f audit.Finding) string {
		return SARIF(&audit.Report{Findings: []audit.Finding{f}}, "", nil).Runs[0].Results[0].Fingerprints["helmTenantFinding/v1"]
	}
	one := finding("HT010", audit.High)
	if got, want := fingerprint(one), "HT010|a-tiller|user eve|a"; got != want {
		t.Errorf("the fingerprint is %q, and was %q", got, want)
	}
	reworded := one
	reworded.Text, reworded.Why, reworded.Fix, reworded.Severity, reworded.Line, reworded.Chains = "x", "y", command.Advice("z"), audit.Low, 7, [][]string{{"w"}}
	if fingerprint(reworded) != fingerprint(one) {
		t.Error("reworded it has another fingerprint")
	}
	for name, change := range map[string]func(*audit.Finding){
		"kind":    func(f *audit.Finding) { f.ID = "HT011" },
		"home":    func(f *audit.Finding) { f.Home = "b-tiller" },
		"subject": func(f *audit.Finding) { f.Subject = "user adam" },
		"tenant":  func(f *audit.Finding) { f.Tenants = []string{"a", "b"} },
		"object":  func(f *audit.Finding) { f.Object = "namespace ci" },
	} {
		other := one
		if change(&other); fingerprint(other) == fingerprint(one) {
			t.Errorf("one of another %s has the same fingerprint", name)
		}
	}
}

func TestSARIFPlaces(t *testing.T) {
	inFile := finding("HT010", audit.High)
	inFile.File, inFile.Line = "tenants/a b.yaml", 3
	elsewhere := finding("HT001", audit.High)
	for _, test := range []struct {
		f     audit.Finding
		files []string
		want  string
		line  int
	}{
		{inFile, []string{"other.yaml"}, "tenants/a%20b.yaml", 3},
		{elsewhere, []string{"tenants.d/x.yaml", "y.yaml"}, "tenants.d/x.yaml", 1},
		{elsewhere, nil, "tenants.yaml", 1},
	} {
		location := SARIF(&audit.Report{Findings: []audit.Finding{test.f}}, "", test.files).Runs[0].Results[0].Locations[0].Physical
		if location.Artifact.URI != test.want || location.Region.StartLine != test.line {
			t.Errorf("%s is at %s:%d, not %s:%d", test.f.ID, location.Artifact.URI, location.Region.StartLine, test.want, test.line)
		}
	}
	absolute, err := filepath.Abs("tenants.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if got := uriOf(absolute); !strings.HasPrefix(got, "file:///") {
		t.Errorf("%s is %s", absolute, got)
	}
}

func TestSARIFSaysWhatIsIgnoredAndUnseen(t *testing.T) {
	ignored := finding("HT010", audit.High)
	ignored.Reason = "she left"
	run := SARIF(&audit.Report{Ignored: []audit.Finding{ignored}, Unseen: []audit.Unseen{{What: "secrets", Why: "forbidden", Matters: "where releases are"}}}, "", nil).Runs[0]
	if len(run.Results) != 1 || len(run.Results[0].Suppressions) != 1 || run.Results[0].Suppressions[0].Justification != "she left" {
		t.Errorf("what is ignored is told as %+v", run.Results)
	}
	if invocation := run.Invocations[0]; invocation.ExecutionSuccessful || len(invocation.Notifications) != 1 {
		t.Errorf("what is not seen is told as %+v", invocation)
	}
	if text, err := json.Marshal(SARIF(&audit.Report{}, "", nil)); err != nil || !bytes.Contains(text, []byte(`"results":[]`)) {
		t.Errorf("without findings it is %s, %v", text, err)
	}
}

func pageOf(t *testing.T, r *audit.Report) string {
	t.Helper()
	var text bytes.Buffer
	if err := HTML(&text, r, time.Date(2024, 2, 3, 4, 5, 6, 0, time.UTC)); err != nil {
		t.Fatal(err)
	}
	return text.String()
}

// between returns the part of the page between two texts.
func between(t *testing.T, text, start, end string) string {
	t.Helper()
	_, after, found := strings.Cut(text, start)
	inner, _, ended := strings.Cut(after, end)
	if !found || !ended {
		t.Fatalf("the page has no %s ... %s", start, end)
	}
	return inner
}

const dataStart = `<script id="data" type="application/json">`

// No name ends the element that contains the report, and each name is unchanged.
func TestHTMLEscapesHostileNames(t *testing.T) {
	names := []string{
		`</script><script>alert(1)</script>`, `<!--<script>`, `]]>`, `<img src=x onerror=alert(1)>`, `"'&amp;`, "\u2028\u2029", `/*REPORT*/null`,
		"STYLE-HASH SCRIPT-HASH", `\u003c/script>`,
	}
	r := &audit.Report{}
	for _, name := range names {
		f := finding("HT010", audit.High)
		f.Subject, f.Text, f.Chains = "user "+name, name, [][]string{{name}}
		r.Findings = append(r.Findings, f)
		r.Deployers = append(r.Deployers, audit.Deployer{Tenant: name})
	}
	text := pageOf(t, r)
	data := between(t, text, dataStart, "</script>")
	if strings.ContainsAny(data, "<>&\u2028\u2029") {
		t.Errorf("a character that could end the data stands in it: %s", data)
	}
	var got struct {
		Made       string
		Severities []string
		Report     audit.Report
	}
	if err := json.Unmarshal([]byte(data), &got); err != nil || len(got.Report.Findings) != len(names) {
		t.Fatalf("%d findings, %v", len(got.Report.Findings), err)
	}
	for i, f := range got.Report.Findings {
		if name := names[i]; f.Subject != "user "+name || f.Text != visible.Text(name) || f.Chains[0][0] != name {
			t.Errorf("%q is in the page as %+v", name, f)
		}
	}
	if got.Made != "2024-02-03 04:05 UTC" || len(got.Severities) != 4 {
		t.Errorf("the page is made at %s, of %q", got.Made, got.Severities)
	}
	// All but the data is what it is without findings.
	without := func(text string) string {
		start, rest, _ := strings.Cut(text, dataStart)
		_, end, _ := strings.Cut(rest, "</script>")
		return start + end
	}
	if diff := cmp.Diff(without(pageOf(t, &audit.Report{})), without(text)); diff != "" {
		t.Errorf("names change the page:\n%s", diff)
	}
}

// The policy lets the browser run the page's own script and style, and load
// nothing.
func TestHTMLPolicy(t *testing.T) {
	text := pageOf(t, &audit.Report{})
	policy := between(t, text, `http-equiv="Content-Security-Policy" content="`, `"`)
	for tag, directive := range map[string]string{"style": "style-src", "script": "script-src"} {
		hash := sha256.Sum256([]byte(between(t, text, "\n<"+tag+">", "</"+tag+">")))
		if want := directive + " 'sha256-" + base64.StdEncoding.EncodeToString(hash[:]) + "'"; !strings.Contains(policy, want) {
			t.Errorf("%q lacks %s", policy, want)
		}
	}
	if !strings.Contains(policy, "default-src 'none'") || strings.Contains(policy, "unsafe") {
		t.Errorf("the policy is %q", policy)
	}
	for _, loads := range []string{"src=", "<link", "@import", "url(", "innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("} {
		if strings.Contains(text, loads) {
			t.Errorf("%s stands in the page", loads)
		}
	}
}

// TestSARIFLinks: no name or answer of others is a link in a message, and no command of one is
// shown with another name.
func TestSARIFLinks(t *testing.T) {
	const link = "[click](https://evil.example)"
	f := finding("HT040", audit.High)
	f.Text, f.Chains, f.Fix = "user "+link+" can", [][]string{{"user " + link, "x](y)"}}, command.Run(command.Kubectl("delete", "a", "rolebinding", link))
	run := SARIF(&audit.Report{Findings: []audit.Finding{f}, Unseen: []audit.Unseen{{What: "pods", Why: link, Matters: link}}}, "", nil).Runs[0]
	result := run.Results[0]
	for _, text := range []string{result.Message.Text, run.Invocations[0].Notifications[0].Message.Text} {
		if strings.Contains(text, "](") || !strings.Contains(text, `[click]\(https://evil.example)`) {
			t.Errorf("a message has a link: %s", text)
		}
	}
	if !strings.Contains(result.Message.Text, "properties.fixes") || strings.Contains(result.Message.Text, "kubectl") || result.Properties.Fixes[0].Commands[0][5] != link {
		t.Errorf("the fix is %+v, and in the message: %s", result.Properties.Fixes, result.Message.Text)
	}
	proof := ProofSARIF(&prove.Report{Rows: []prove.Row{{Tenant: "a", Attempt: "x", Result: prove.Untried, Answer: link}}}, "").Runs[0].Results[0]
	if strings.Contains(proof.Message.Text, "](") {
		t.Errorf("a proof's message has a link: %s", proof.Message.Text)
	}
}
