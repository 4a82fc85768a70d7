package admin

import (
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"helm-tenant/cluster/clustertest"
	"helm-tenant/tenant"
)

// pairStride is stride for the many pairs of deleted things.
func pairStride() int {
	if os.Getenv("HELM_TENANT_SOAK") != "" {
		return 1
	}
	return 7 * stride()
}

// TestMigrateWaysWithoutTwo is TestMigrateWays with two things deleted: a migration can be
// completed and aborted from each phase, or the error says what to repair first.
func TestMigrateWaysWithoutTwo(t *testing.T) {
	t.Parallel()
	repairs := map[string]func(*clustertest.Server){ // by what the error says
		`namespace "a" does not exist`:                 func(s *clustertest.Server) { s.Put(namespaceNamed("a")) },
		`namespace "b" does not exist`:                 func(s *clustertest.Server) { s.Put(namespaceNamed("b")) },
		"ClusterRole admin, does not exist: create it": func(s *clustertest.Server) { s.Put(clusterRole("admin", "*")) },
		"is no release record of Helm 2":               gone["the newest record of Tiller"],
	}
	names := slices.Sorted(maps.Keys(gone))
	// What init then writes again depends on what else is gone.
	names = slices.DeleteFunc(names, func(what string) bool { return what == "nothing" || what == "what the record says" })
	scenarios := 0
	for _, phase := range slices.Sorted(maps.Keys(broken)) {
		objects := inPhase(t, phase)
		for i, one := range names {
			for _, other := range names[i+1:] {
				if scenarios++; scenarios%pairStride() != 0 {
					continue
				}
				t.Run(string(phase)+", gone are "+one+" and "+other, func(t *testing.T) {
					lost := strings.Contains(one+other, "the record") || strings.Contains(one+other, "the home")
					without := func() (*clustertest.Server, *Migrate) {
						server := clustertest.Start(t, objects...)
						gone[one](server)
						gone[other](server)
						m, _ := migrating(t, server.Connect())
						m.Accepted = Accepted{RiskMissingReleases}
						return server, m
					}
					repaired := func(server *clustertest.Server, run func() error) error {
						err := run()
						for range repairs {
							for says, repair := range repairs {
								if strings.Contains(fullText(err), says) {
									repair(server)
									err = run()
								}
							}
						}
						return err
					}
					if phase != tenant.PhaseAborting {
						server, m := without()
						err := repaired(server, func() error { m.File += "-1"; return onward(t.Context(), m, phase) })
						checkEnd(t, server, "to the end", err, lost)
					}
					if phase == tenant.PhaseFinishing || phase == "" {
						return
					}
					server, m := without()
					err := repaired(server, func() error { m.File += "-2"; _, err := m.Abort(t.Context()); return err })
					checkEnd(t, server, "back", err, lost)
					if err == nil && !lost && server.Get(tillerKey("t-tiller")) == nil {
						t.Error("back: there is no Tiller")
					}
				})
			}
		}
	}
}
