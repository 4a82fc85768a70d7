package admin

import (
	"testing"

	"helm-tenant/cluster/clustertest"
	"helm-tenant/tenant"
)

// TestReleasesWhileMigrating: a release of which both engines have records is one release.
func TestReleasesWhileMigrating(t *testing.T) {
	for phase, want := range map[tenant.Phase]tenant.Engine{
		tenant.PhaseFrozen: tenant.EngineTiller, tenant.PhaseConverted: tenant.EngineTiller, tenant.PhaseAborting: tenant.EngineTiller,
		tenant.PhaseVerified: tenant.EngineImpersonation,
	} {
		t.Run(string(phase), func(t *testing.T) {
			c := clustertest.Start(t, inPhase(t, phase)...).Connect()
			tenants, _, err := Tenants(t.Context(), c)
			if err != nil {
				t.Fatal(err)
			}
			list, err := ListReleases(t.Context(), c, tenants, false)
			if err != nil {
				t.Fatal(err)
			}
			if len(list.Releases) != 1 || list.Releases[0].Engine != want {
				t.Errorf("listed: %+v", list.Releases)
			}
			inventory, err := TakeInventory(t.Context(), c)
			if err != nil {
				t.Fatal(err)
			}
			count := 0
			for _, releases := range inventory.Tenants[0].Releases {
				count += releases
			}
			described, err := Describe(t.Context(), c, tenants[0].Name, "")
			if err != nil {
				t.Fatal(err)
			}
			if count != 1 || len(described.Releases) != 1 {
				t.Errorf("%d releases of the tenants' list, described: %+v", count, described.Releases)
			}
		})
	}
}
