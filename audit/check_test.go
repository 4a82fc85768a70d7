package audit

import (
	"testing"

	"helm-tenant/tenant"
)

// Only an init of a tenant with a Tiller writes the admission policy.
func TestAdmissionIsMendedByTenantWithTiller(t *testing.T) {
	broken := sceneOf(team("bad", tenant.EngineTiller), team("good", tenant.EngineTiller))
	broken.Records[0].Problem = "it is no YAML"
	for _, test := range []struct {
		name string
		s    *Snapshot
		want string
	}{
		{"the first has no Tiller", sceneOf(team("a", tenant.EngineImpersonation), team("b", tenant.EngineBoth), team("c", tenant.EngineTiller)), "helm tenant init b"},
		{"the first can't be read", broken, "helm tenant init good"},
		{"nobody has a Tiller", sceneOf(team("a", tenant.EngineImpersonation)), ""},
	} {
		test.s.Admission = AdmissionMissing
		var got string
		for _, f := range found(test.s, idAdmission) {
			got += f.Fix
		}
		if got != test.want {
			t.Errorf("%s: the fix is %q, not %q", test.name, got, test.want)
		}
	}
}
