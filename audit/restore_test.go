package audit

import (
	"slices"
	"testing"

	"helm-tenant/tenant"
)

// TestUnreadableRecord: only the unreadable record of the tenant is reported, with the init
// that keeps the tenant's current state; no fix deletes a healthy release.
func TestUnreadableRecord(t *testing.T) {
	for _, engine := range []tenant.Engine{tenant.EngineTiller, tenant.EngineImpersonation, tenant.EngineBoth} {
		was := team("lost", engine)
		want := "helm tenant init lost --engine=" + string(engine) + " --namespaces=lost-1"
		if engine.Has(tenant.EngineTiller) {
			was.Tiller = tenant.Tiller{Storage: tenant.StorageConfigMap, Version: "v2.18.0", HistoryMax: new(7)}
			was = was.WithDefaults()
			want += " --storage=configmap --tiller-version=v2.18.0 --history-max=7"
		}
		s := sceneOf(was)
		s.Releases = []Release{{Home: was.Home(), Name: "web", Namespace: "lost-1", Record: ObjectRef{"ConfigMap", was.Home(), "web.v1"}}}
		s.Records[0].Tenant = tenant.Tenant{Name: "lost", HomeNamespace: was.Home()}.WithDefaults()
		s.Records[0].Problem = "tenant.yaml: it is no YAML"
		var findings []Finding
		for _, f := range Audit(s, Options{}).Findings {
			if slices.Contains(f.Tenants, "lost") && f.ID != idConfigMaps { // that is true whatever the record says
				findings = append(findings, f)
			}
		}
		if len(findings) != 1 || findings[0].ID != idDrift || findings[0].Severity != High || findings[0].Fix.String() != want || len(findings[0].Or) != 1 {
			t.Errorf("%s: got %+v, want the fix %s", engine, findings, want)
		}
	}
}
