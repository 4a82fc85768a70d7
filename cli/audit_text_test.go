package cli

import (
	"testing"

	"helm-tenant/audit"
	"helm-tenant/tenant"
)

// A tenant with both engines has two deployers, and neither is unmanaged.
func TestAuditCountsTenants(t *testing.T) {
	both := []audit.Deployer{
		{Tenant: "a", Engine: tenant.EngineTiller, Home: "a-tiller", Account: "tiller"},
		{Tenant: "a", Engine: tenant.EngineImpersonation, Home: "a-tiller", Account: "helm"},
	}
	for _, test := range []struct {
		deployers []audit.Deployer
		want      string
	}{
		{nil, "Nothing found in 0 tenants and 0 unmanaged Tillers.\n"},
		{both, "Nothing found in 1 tenant and 0 unmanaged Tillers.\n"},
		{append([]audit.Deployer{{Home: "kube-system", Account: "tiller"}}, both...), "Nothing found in 1 tenant and 1 unmanaged Tiller.\n"},
	} {
		var text reportText
		text.summary(&audit.Report{Result: audit.Clean, Deployers: test.deployers}, true)
		if got := text.text.String(); got != test.want {
			t.Errorf("got %q, want %q", got, test.want)
		}
	}
}
