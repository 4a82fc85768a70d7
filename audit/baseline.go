package audit

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"

	"helm-tenant/tenant"
)

// Baseline has the findings of an earlier audit, from its JSON report.
type Baseline struct {
	findings []formerFinding
}

// formerFinding is a finding of a former audit, which may be of an older helm-tenant.
type formerFinding struct {
	ID          string     `json:"id"`
	Severity    Severity   `json:"severity"`
	Tenants     []string   `json:"tenants"`
	Home        string     `json:"home"`
	Subject     string     `json:"subject"`
	Text        string     `json:"text"`
	Chains      [][]string `json:"chains"`
	Fingerprint string     `json:"fingerprint"`
}

// maxBaseline is more than the report of a cluster of thousands of tenants.
const maxBaseline = 64 << 20

// ParseBaseline reads the JSON report of an earlier audit. Errors name the file: it is not a
// report, or is too large to be one.
func ParseBaseline(name string, r io.Reader) (*Baseline, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxBaseline+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if len(text) > maxBaseline {
		return nil, fmt.Errorf("%s: larger than any report of an audit (%d MiB)", name, maxBaseline>>20)
	}
	var report struct {
		APIVersion string          `json:"apiVersion"`
		Kind       string          `json:"kind"`
		Findings   []formerFinding `json:"findings"`
		Ignored    []formerFinding `json:"ignored"`
	}
	if err := json.Unmarshal(text, &report); err != nil {
		return nil, fmt.Errorf("%s: this is not what \"helm tenant audit -o json\" writes: %w", name, err)
	}
	if report.APIVersion != tenant.APIVersion || report.Kind != reportKind {
		return nil, fmt.Errorf("%s: this is not what \"helm tenant audit -o json\" writes: its kind is %q, not %q of %s", name, report.Kind, reportKind, tenant.APIVersion)
	}
	b := &Baseline{findings: append(report.Findings, report.Ignored...)}
	for i := range b.findings {
		f := &b.findings[i]
		if f.Severity.rank() < 0 {
			return nil, fmt.Errorf("%s: finding %d has the severity %q, which is none", name, i+1, f.Severity)
		}
		if f.Fingerprint == "" {
			f.Fingerprint = Finding{ID: f.ID, Home: f.Home, Subject: f.Subject, Tenants: f.Tenants, Chains: f.Chains}.Fingerprint()
		}
	}
	return b, nil
}

const reportKind = "AuditReport"

// Gone is a finding of the baseline that is found no more.
type Gone struct {
	ID       string   `json:"id"`
	Severity Severity `json:"severity"`
	Tenants  []string `json:"tenants"`
	Subject  string   `json:"subject"`
	Text     string   `json:"text"`
}

// compare marks the findings that are missing in the baseline or less severe there, and
// collects those that are gone. Findings of unread objects, and of tenants that were not
// requested, do not count as gone.
func (b *Baseline) compare(r *Report, all []Finding, o Options) {
	known := map[string]Severity{}
	for _, f := range b.findings {
		if earlier, found := known[f.Fingerprint]; !found || f.Severity.AtLeast(earlier) {
			known[f.Fingerprint] = f.Severity
		}
	}
	for i := range r.Findings {
		f := &r.Findings[i]
		was, found := known[f.Print]
		f.New = !found || !was.AtLeast(f.Severity)
	}
	if len(r.Unseen) > 0 {
		return
	}
	current := map[string]bool{}
	for _, f := range all {
		current[f.Fingerprint()] = true
	}
	for _, f := range b.findings {
		asked := len(f.Tenants) == 0 && (f.Home == "" || o.asks("")) || slices.ContainsFunc(f.Tenants, o.asks)
		if !current[f.Fingerprint] && asked {
			current[f.Fingerprint] = true // once
			r.Gone = append(r.Gone, Gone{f.ID, f.Severity, f.Tenants, f.Subject, f.Text})
		}
	}
}
