package cli_test

import (
	"strings"
	"testing"
)

// TestNamedTenantOfAnotherEngine: a tenant that is only named has the engine and the home of
// its record, not those of the helm in use. Here no helm is, which counts as Helm 2.
func TestNamedTenantOfAnotherEngine(t *testing.T) {
	a := newAdministrator(t)
	a.runs("init", "two", "--engine=tiller", "--namespaces=a", "--create-namespaces", "--user=alice", "--wait=false")
	a.runs("init", "three", "--engine=impersonation", "--namespaces=b", "--create-namespaces", "--user=alice")
	for _, test := range []struct {
		line string
		code int
		want []string
	}{
		{"kubeconfig two", 1, []string{`Error: tenant "two" has a Tiller: its members reach the tenant through helm only, not by a kubeconfig`, "helm tenant shellenv"}},
		{"kubeconfig three", 0, []string{"as: system:serviceaccount:three-helm:helm", "namespace: b"}},
		{"kubeconfig none", 1, []string{`the namespaces of tenant "none" are not known: you are no member, or there is no such tenant`, "not found\n  if its home is elsewhere: helm tenant use none --home-namespace NAMESPACE\n"}},
		{"--tenant two whoami", 1, []string{"two-tiller\n", "TILLER"}},
		{"--tenant three whoami", 0, []string{"three-helm\n", "ACTS AS      system:serviceaccount:three-helm:helm\n"}},
		{"--tenant three releases", 0, []string{"There are no releases."}},
	} {
		got := a.tries("", strings.Fields(test.line)...)
		for _, want := range test.want {
			if got.code != test.code || !strings.Contains(got.stdout+got.stderr, want) {
				t.Errorf("%s: exit code %d without %q:\n%s%s", test.line, got.code, want, got.stdout, got.stderr)
			}
		}
	}
}
