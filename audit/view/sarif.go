package view

import (
	"cmp"
	"net/url"
	"path/filepath"
	"strings"
	"unicode"
	"unicode/utf8"

	"helm-tenant/audit"
	"helm-tenant/command"
	"helm-tenant/visible"
)

// The parts of SARIF 2.1.0 that code scanning reads
// (https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html).
type (
	// SARIFLog is a report as SARIF; it is written as JSON.
	SARIFLog struct {
		Schema  string     `json:"$schema"`
		Version string     `json:"version"`
		Runs    []sarifRun `json:"runs"`
	}
	sarifRun struct {
		Tool        sarifTool         `json:"tool"`
		Results     []sarifResult     `json:"results"`
		Invocations []sarifInvocation `json:"invocations"`
	}
	sarifTool struct {
		Driver sarifDriver `json:"driver"`
	}
	sarifDriver struct {
		Name    string      `json:"name"`
		Version string      `json:"version,omitempty"`
		Rules   []sarifRule `json:"rules"`
	}
	sarifRule struct {
		ID               string         `json:"id"`
		Name             string         `json:"name"`
		ShortDescription sarifText      `json:"shortDescription"`
		FullDescription  sarifText      `json:"fullDescription"`
		Default          sarifLevel     `json:"defaultConfiguration"`
		Properties       map[string]any `json:"properties"`
	}
	sarifLevel struct {
		Level string `json:"level"`
	}
	sarifText struct {
		Text string `json:"text"`
	}
	sarifResult struct {
		RuleID       string             `json:"ruleId"`
		RuleIndex    int                `json:"ruleIndex"`
		Level        string             `json:"level"`
		Message      sarifText          `json:"message"`
		Locations    []sarifLocation    `json:"locations"`
		Fingerprints map[string]string  `json:"partialFingerprints"`
		Suppressions []sarifSuppression `json:"suppressions,omitempty"`
		// Baseline is "new" or "unchanged" if there is an earlier report.
		Baseline   string          `json:"baselineState,omitempty"`
		Properties sarifProperties `json:"properties"`
	}
	// sarifProperties are what SARIF has no place for: it knows fixes of files only.
	sarifProperties struct {
		Fixes []command.Fix `json:"fixes"`
	}
	sarifLocation struct {
		Physical *sarifPhysical `json:"physicalLocation,omitempty"`
		Logical  []sarifLogical `json:"logicalLocations"`
	}
	sarifPhysical struct {
		Artifact sarifArtifact `json:"artifactLocation"`
		Region   sarifRegion   `json:"region"`
	}
	sarifArtifact struct {
		URI string `json:"uri"`
	}
	sarifRegion struct {
		StartLine int `json:"startLine"`
	}
	sarifLogical struct {
		FullyQualifiedName string `json:"fullyQualifiedName"`
		Kind               string `json:"kind"`
	}
	sarifSuppression struct {
		Kind          string `json:"kind"`
		Justification string `json:"justification"`
	}
	sarifInvocation struct {
		ExecutionSuccessful bool                `json:"executionSuccessful"`
		Notifications       []sarifNotification `json:"toolExecutionNotifications,omitempty"`
	}
	sarifNotification struct {
		Level   string    `json:"level"`
		Message sarifText `json:"message"`
	}
)

// sarifSeverity returns SARIF's level for a severity, and the score by which code scanning
// sorts.
func sarifSeverity(s audit.Severity) (level, score string) {
	switch s {
	case audit.Critical:
		return "error", "9.5"
	case audit.High:
		return "error", "8.0"
	case audit.Medium:
		return "warning", "5.0"
	}
	return "note", "2.0"
}

// SARIF returns the report as SARIF of that version of helm-tenant. Code scanning needs a file
// and a line for each result: those of the tenant in its tenants file; for other tenants the
// first line of the first file of the audit.
func SARIF(r *audit.Report, version string, files []string) SARIFLog {
	run := sarifRun{
		Tool:        sarifTool{sarifDriver{Name: "helm-tenant audit", Version: version}},
		Results:     []sarifResult{},
		Invocations: []sarifInvocation{{ExecutionSuccessful: len(r.Unseen) == 0}},
	}
	index := map[string]int{}
	for i, rule := range audit.Rules() {
		index[rule.ID] = i
		level, score := sarifSeverity(rule.Severity)
		run.Tool.Driver.Rules = append(run.Tool.Driver.Rules, sarifRule{
			ID: rule.ID, Name: sarifName(rule.Name), ShortDescription: sarifText{sentence(rule.Name)}, FullDescription: sarifText{rule.Why},
			Default: sarifLevel{level}, Properties: map[string]any{"security-severity": score, "tags": []string{"security"}},
		})
	}
	anywhere := "tenants.yaml"
	if len(files) > 0 {
		anywhere = files[0]
	}
	add := func(f audit.Finding, suppressions []sarifSuppression) {
		level, _ := sarifSeverity(f.Severity)
		baseline := ""
		switch {
		case f.New:
			baseline = "new"
		case r.Compared:
			baseline = "unchanged"
		}
		text := sentence(visible.Text(f.Text)) + " " + f.Why
		if way := f.Chain(); way != "" {
			text += "\nWay: " + visible.Text(way)
		}
		// With a backslash in it, a command would name another object.
		if fix := f.Fix.String(); plainMessage(fix) == fix {
			text += "\nFix: " + fix
		} else {
			text += "\nFix: see properties.fixes of this result; a name in it looks like a link"
		}
		run.Results = append(run.Results, sarifResult{
			RuleID: f.ID, RuleIndex: index[f.ID], Level: level, Message: sarifText{plainMessage(text)},
			Locations: []sarifLocation{{
				Physical: &sarifPhysical{sarifArtifact{uriOf(cmp.Or(f.File, anywhere))}, sarifRegion{max(1, f.Line)}},
				Logical:  []sarifLogical{{f.Title() + "/" + f.Subject, "resource"}},
			}},
			// These identify the finding in later runs.
			Fingerprints: map[string]string{"helmTenantFinding/v1": f.Fingerprint()},
			Suppressions: suppressions,
			Baseline:     baseline,
			Properties:   sarifProperties{f.Fixes()},
		})
	}
	for _, f := range r.Findings {
		add(f, nil)
	}
	for _, f := range r.Ignored {
		add(f, []sarifSuppression{{"external", f.Reason}})
	}
	for _, u := range r.Unseen {
		run.Invocations[0].Notifications = append(run.Invocations[0].Notifications, sarifNotification{"error", sarifText{plainMessage(u.What + " can't be read, so it is not known " + u.Matters + ": " + u.Why)}})
	}
	return SARIFLog{Schema: "https://json.schemastore.org/sarif-2.1.0.json", Version: "2.1.0", Runs: []sarifRun{run}}
}

// plainMessage returns the text of a message in which no name or answer of others is a link:
// viewers of SARIF make one of [text](target) (SARIF 2.1.0, 3.11.6).
func plainMessage(text string) string { return strings.ReplaceAll(text, "](", `]\(`) }

// uriOf returns a file's name in SARIF's form: relative to the repository's root, or
// absolute.
func uriOf(name string) string {
	name = filepath.ToSlash(name)
	if filepath.IsAbs(name) {
		return (&url.URL{Scheme: "file", Path: "/" + strings.TrimPrefix(name, "/")}).String() // C: is not a host
	}
	return (&url.URL{Path: name}).String()
}

// sarifName returns a rule's name in the form that SARIF advises.
func sarifName(name string) string {
	var text strings.Builder
	for _, word := range strings.FieldsFunc(name, func(r rune) bool { return r == ' ' || r == '-' || r == '\'' }) {
		text.WriteString(strings.ToUpper(word[:1]) + word[1:])
	}
	return text.String()
}

func sentence(text string) string {
	first, size := utf8.DecodeRuneInString(text)
	return string(unicode.ToUpper(first)) + text[size:] + "."
}
