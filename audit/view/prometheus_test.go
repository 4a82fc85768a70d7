package view

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"helm-tenant/audit"
)

func TestPrometheus(t *testing.T) {
	r := &audit.Report{Result: audit.Unknown, Compared: true, Unseen: make([]audit.Unseen, 2), Deployers: make([]audit.Deployer, 3), Ignored: make([]audit.Finding, 1),
		Findings: []audit.Finding{
			{ID: "HT002", Severity: audit.Critical, Tenants: []string{"team-a", "team-b"}, New: true},
			{ID: "HT040", Severity: audit.Medium, Tenants: []string{"team-a"}},
			{ID: "HT040", Severity: audit.Low, Tenants: []string{"a\"b\\c\nd\xff"}},
			{ID: "HT040", Severity: audit.Low},
		}}
	var out strings.Builder
	if err := Prometheus(&out, r, "1.2.3", time.Unix(1700000000, 5)); err != nil {
		t.Fatal(err)
	}
	var samples []string
	for line := range strings.Lines(out.String()) {
		if !strings.HasPrefix(line, "#") {
			samples = append(samples, strings.TrimSuffix(line, "\n"))
		}
	}
	want := []string{
		`helm_tenant_audit_info{version="1.2.3"} 1`,
		`helm_tenant_audit_timestamp_seconds 1700000000`,
		`helm_tenant_audit_complete 0`,
		`helm_tenant_audit_unseen 2`,
		`helm_tenant_audit_deployers 3`,
		`helm_tenant_audit_ignored 1`,
		`helm_tenant_audit_findings{severity="critical"} 1`,
		`helm_tenant_audit_findings{severity="high"} 0`,
		`helm_tenant_audit_findings{severity="medium"} 1`,
		`helm_tenant_audit_findings{severity="low"} 2`,
		`helm_tenant_audit_new_findings{severity="critical"} 1`,
		`helm_tenant_audit_new_findings{severity="high"} 0`,
		`helm_tenant_audit_new_findings{severity="medium"} 0`,
		`helm_tenant_audit_new_findings{severity="low"} 0`,
		`helm_tenant_audit_rule_findings{id="HT002",severity="critical"} 1`,
		`helm_tenant_audit_rule_findings{id="HT040",severity="low"} 2`,
		`helm_tenant_audit_rule_findings{id="HT040",severity="medium"} 1`,
		`helm_tenant_audit_tenant_findings{tenant="team-a"} 2`,
		"helm_tenant_audit_tenant_findings{tenant=\"a\\\"b\\\\c\\nd\uFFFD\"} 1",
		`helm_tenant_audit_tenant_findings{tenant="team-b"} 1`,
	}
	if diff := cmp.Diff(want, samples); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestPrometheusIsBounded: however many tenants there are, so many samples are written.
func TestPrometheusIsBounded(t *testing.T) {
	r := &audit.Report{Result: audit.Found}
	for i := range 3 * mostTenants {
		r.Findings = append(r.Findings, audit.Finding{ID: "HT040", Severity: audit.Low, Tenants: []string{fmt.Sprintf("team-%d", i)}})
	}
	var out strings.Builder
	if err := Prometheus(&out, r, "1.2.3", time.Unix(0, 0)); err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(out.String(), "\nhelm_tenant_audit_tenant_findings{"); got != mostTenants+1 {
		t.Errorf("there are samples of %d tenants", got)
	}
	if want := fmt.Sprintf(`helm_tenant_audit_tenant_findings{tenant="(others)"} %d`, 2*mostTenants); !strings.Contains(out.String(), want) {
		t.Errorf("there is no %s", want)
	}
}
