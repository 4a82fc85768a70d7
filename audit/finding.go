package audit

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"helm-tenant/command"
	"helm-tenant/lists"
	"helm-tenant/tenant"
)

// Finding is one thing that is wrong.
type Finding struct {
	ID       string   `json:"id"`
	Name     string   `json:"name"`
	Severity Severity `json:"severity"`
	// Tenants are the affected tenants; none if it is about the whole cluster.
	Tenants []string `json:"tenants"`
	// Home is the deployer's home namespace, if it concerns a deployer.
	Home string `json:"home,omitempty"`
	// Subject is the subject of the finding: "user alice".
	Subject string `json:"subject"`
	// Text describes the finding, as a sentence without its full stop.
	Text string `json:"text"`
	Why  string `json:"why"`
	// Chains are the chains of objects that prove it.
	Chains [][]string `json:"chains"`
	// Fix fixes it; each of Or is an alternative.
	Fix command.Fix   `json:"-"`
	Or  []command.Fix `json:"-"`
	// File and Line are the tenant's place in the tenants file; empty and 0 if there is
	// none.
	File string `json:"file,omitempty"`
	Line int    `json:"line,omitempty"`
	// Print is its Fingerprint, by which a later audit recognises it.
	Print string `json:"fingerprint"`
	// New reports whether the baseline does not have it, or has it with a milder
	// severity.
	New bool `json:"new,omitempty"`
	// Reason is the reason for ignoring it.
	Reason string `json:"reason,omitempty"`
	// Object distinguishes it from others of its kind about the same subject, if its
	// chain does not.
	Object string `json:"-"`
}

// Fingerprint returns a text that stays the same in later runs, whatever the finding's
// wording and severity, and that differs from those of all other findings.
func (f Finding) Fingerprint() string {
	parts := append([]string{f.ID, f.Home, f.Subject}, f.Tenants...)
	if object := f.discriminator(); object != "" {
		parts = append(parts, object)
	}
	// Untrusted names may contain the separator.
	for i, part := range parts {
		parts[i] = strings.NewReplacer(`\`, `\\`, "|", `\|`).Replace(part)
	}
	return strings.Join(parts, "|")
}

// discriminator returns the object that distinguishes several findings of one kind for
// one subject; it is empty for kinds of which a subject has one finding at most.
func (f Finding) discriminator() string {
	index, several := map[string]int{idLeaves: 1, idEscalates: 2}[f.ID] // the binding, the role
	if several && len(f.Chains) > 0 && index < len(f.Chains[0]) {
		return f.Chains[0][index]
	}
	return f.Object
}

// Fixes returns all alternatives that mend it, the advised one first.
func (f Finding) Fixes() []command.Fix { return append([]command.Fix{f.Fix}, f.Or...) }

// Chain returns all chains on one line.
func (f Finding) Chain() string {
	lines := lists.Map(f.Chains, func(chain []string) string { return strings.Join(chain, " -> ") })
	return strings.Join(lines, "; and ")
}

// sortFindings sorts findings, the worst first.
func sortFindings(findings []Finding) {
	slices.SortStableFunc(findings, func(x, y Finding) int {
		return cmp.Or(cmp.Compare(x.Severity.rank(), y.Severity.rank()), cmp.Compare(x.ID, y.ID),
			slices.Compare(x.Tenants, y.Tenants), cmp.Compare(x.Home, y.Home), cmp.Compare(x.Subject, y.Subject), cmp.Compare(x.Text, y.Text))
	})
}

// Title names the subject of a finding: a tenant, an unmanaged Tiller, or more.
func (f Finding) Title() string {
	switch {
	case len(f.Tenants) == 1:
		return "tenant " + f.Tenants[0]
	case len(f.Tenants) > 1:
		return "several tenants"
	case f.Home != "":
		return fmt.Sprintf("unmanaged Tiller in namespace %s", f.Home)
	}
	return "the whole cluster"
}

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
