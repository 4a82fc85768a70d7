package view

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"helm-tenant/audit"
)

// mostTenants limits the tenants with samples of their own; the others are summed up under
// otherTenants, which can't be a tenant's name.
const (
	mostTenants  = 500
	otherTenants = "(others)"
)

// Prometheus writes the report in Prometheus' text format (version 0.0.4), as the node
// exporter's textfile collector reads it. The number of samples is limited by the rules, the
// severities and mostTenants, whatever the cluster contains.
func Prometheus(w io.Writer, r *audit.Report, version string, now time.Time) error {
	var m metrics
	m.family("helm_tenant_audit_info", "The helm-tenant that made the audit.")
	m.sample(1, "version", version)
	m.family("helm_tenant_audit_timestamp_seconds", "When the audit was made, in seconds since 1970.")
	m.sample(int(now.Unix()))
	m.family("helm_tenant_audit_complete", "1 if the audit could read everything, else 0.")
	m.sample(boolean(r.Result != audit.Unknown))
	m.family("helm_tenant_audit_unseen", "What the audit could not read.")
	m.sample(len(r.Unseen))
	m.family("helm_tenant_audit_deployers", "Deployers that were looked at.")
	m.sample(len(r.Deployers))
	m.family("helm_tenant_audit_ignored", "Findings that are ignored.")
	m.sample(len(r.Ignored))

	m.family("helm_tenant_audit_findings", "Findings by severity.")
	bySeverity := map[audit.Severity]int{}
	for _, f := range r.Findings {
		bySeverity[f.Severity]++
	}
	for _, severity := range audit.Severities() {
		m.sample(bySeverity[severity], "severity", string(severity))
	}
	if r.Compared {
		m.family("helm_tenant_audit_new_findings", "Findings that are not in the baseline, by severity.")
		fresh := map[audit.Severity]int{}
		for _, f := range r.Findings {
			if f.New {
				fresh[f.Severity]++
			}
		}
		for _, severity := range audit.Severities() {
			m.sample(fresh[severity], "severity", string(severity))
		}
	}
	type idSeverity struct {
		id       string
		severity audit.Severity
	}
	byID := map[idSeverity]int{}
	for _, f := range r.Findings {
		byID[idSeverity{f.ID, f.Severity}]++
	}
	m.family("helm_tenant_audit_rule_findings", "Findings by ID and severity.")
	for _, key := range slices.SortedFunc(maps.Keys(byID), func(a, b idSeverity) int {
		return strings.Compare(a.id+string(a.severity), b.id+string(b.severity))
	}) {
		m.sample(byID[key], "id", key.id, "severity", string(key.severity))
	}
	m.tenants(r.Findings)
	_, err := io.WriteString(w, m.text.String())
	return err
}

// tenants writes the number of findings of each tenant, for the tenants with the most findings.
func (m *metrics) tenants(findings []audit.Finding) {
	count := map[string]int{}
	for _, f := range findings {
		for _, name := range f.Tenants {
			count[name]++
		}
	}
	names := slices.SortedFunc(maps.Keys(count), func(a, b string) int {
		if count[a] != count[b] {
			return count[b] - count[a]
		}
		return strings.Compare(a, b)
	})
	m.family("helm_tenant_audit_tenant_findings", "Findings by tenant; one of several tenants counts for each.")
	others := 0
	for i, name := range names {
		if i < mostTenants {
			m.sample(count[name], "tenant", name)
		} else {
			others += count[name]
		}
	}
	if others > 0 {
		m.sample(others, "tenant", otherTenants)
	}
}

func boolean(b bool) int {
	if b {
		return 1
	}
	return 0
}

// metrics is text in Prometheus' format. All families are gauges: an audit counts the current
// state.
type metrics struct {
	name string
	text strings.Builder
}

func (m *metrics) family(name, help string) {
	m.name = name
	fmt.Fprintf(&m.text, "# HELP %s %s\n# TYPE %s gauge\n", name, help, name)
}

// labelValue escapes the value of a label. Bytes that are no UTF-8, which the format does
// not allow, are replaced.
var labelValue = strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)

// sample writes a sample of the family with labels: names and values in turn.
func (m *metrics) sample(value int, labels ...string) {
	m.text.WriteString(m.name)
	between := "{"
	for i := 0; i+1 < len(labels); i += 2 {
		fmt.Fprintf(&m.text, `%s%s="%s"`, between, labels[i], labelValue.Replace(strings.ToValidUTF8(labels[i+1], "\uFFFD")))
		between = ","
	}
	if len(labels) > 0 {
		m.text.WriteString("}")
	}
	fmt.Fprintf(&m.text, " %d\n", value)
}
