package cli_test

import (
	"net/http"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestCredentialsRefused: refused credentials are reported as such, without a hint that would
// not help, such as naming a namespace or a tenant.
func TestCredentialsRefused(t *testing.T) {
	good := newAdministrator(t)
	good.runs("init", "t", "--namespaces=a", "--create-namespaces", "--user=alice", "--wait=false")
	a, server := good.behind()
	server.fails = answerWith(http.StatusUnauthorized, metav1.StatusReasonUnauthorized)
	for _, line := range []string{
		"--tenant=t kubeconfig", "releases --all", "use t", "tenants", "describe t", "grant t --user bob", "revoke t --user bob", "audit", "export",
		"init u --namespaces=u --create-namespaces", "freeze t --reason INC-1", "migrate t", "destroy t --yes", "prove t",
	} {
		got := a.tries("", strings.Fields(line)...)
		if got.code == 0 || !strings.Contains(got.stderr, "are not accepted") {
			t.Errorf("%s: exit code %d: %s", line, got.code, got.stderr)
		}
		for _, misleading := range []string{"name the namespace", "no tenant is known", "helm tenant use", "no member", "list them with", "--print-role", "did you mean", "ask an admin"} {
			if strings.Contains(got.stderr, misleading) {
				t.Errorf("%s: %q misleads: %s", line, misleading, got.stderr)
			}
		}
	}
}
