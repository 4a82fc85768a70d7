package audit

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// readMetrics parses a file as Prometheus does and returns its samples: by the family's
// name and the value of the label.
func readMetrics(t *testing.T, file, label string) map[string]float64 {
	t.Helper()
	f, err := os.Open(file)
	must(t, err)
	defer f.Close()
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(f)
	must(t, err)
	samples := map[string]float64{}
	for name, family := range families {
		if family.GetType() != dto.MetricType_GAUGE || family.GetHelp() == "" {
			t.Errorf("%s is a %s with the help %q", name, family.GetType(), family.GetHelp())
		}
		for _, m := range family.GetMetric() {
			key := name
			for _, pair := range m.GetLabel() {
				if pair.GetName() == label {
					key += " " + pair.GetValue()
				}
			}
			samples[key] += m.GetGauge().GetValue()
		}
	}
	return samples
}

// TestMetrics: the file has the same numbers as the report, and an audit that fails does not
// change the file.
func TestMetrics(t *testing.T) {
	w := start(t)
	w.clean(t)
	p := w.plant(t)
	p.bind("beta-a", "foreign", "ClusterRole", "edit", "user zoe")
	dir := t.TempDir()
	file := filepath.Join(dir, "helm-tenant.prom")
	must(t, os.WriteFile(file, []byte("what was there\n"), 0o600))
	if r := w.run(w.Admin(), "audit", "--metrics", file); r.Code != 4 {
		t.Fatalf("exit code %d\n%s", r.Code, r.Stderr)
	}
	byTenant, bySeverity := readMetrics(t, file, "tenant"), readMetrics(t, file, "severity")
	for key, want := range map[string]float64{"helm_tenant_audit_tenant_findings beta": 1, "helm_tenant_audit_complete": 1, "helm_tenant_audit_unseen": 0} {
		if got, found := byTenant[key]; got != want || !found {
			t.Errorf("%s is %v, %t", key, got, found)
		}
	}
	for severity, want := range map[string]float64{"critical": 0, "high": 0, "medium": 1, "low": 0} {
		if got, found := bySeverity["helm_tenant_audit_findings "+severity]; got != want || !found {
			t.Errorf("findings of the severity %s: %v, %t", severity, got, found)
		}
	}
	if created := time.Unix(int64(byTenant["helm_tenant_audit_timestamp_seconds"]), 0); time.Since(created) > time.Hour {
		t.Errorf("it was made at %s", created)
	}
	before, err := os.ReadFile(file)
	must(t, err)
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o644 {
		t.Errorf("the file's mode is %v, %v", info.Mode(), err)
	}
	if r := w.run(filepath.Join(dir, "no-kubeconfig"), "audit", "--metrics", file); r.Code != 1 {
		t.Errorf("without a cluster: exit code %d", r.Code)
	}
	after, err := os.ReadFile(file)
	must(t, err)
	if string(after) != string(before) {
		t.Error("an audit that failed changed the file")
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("there are %v, %v", left, err)
	}
}
