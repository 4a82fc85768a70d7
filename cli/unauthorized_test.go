package cli_test

import (
	"net/http"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// everyVerb is a command line of each verb that asks the API server about tenant t.
var everyVerb = []string{
	"--tenant=t kubeconfig", "releases --all", "use t", "tenants", "describe t", "grant t --user bob", "revoke t --user bob", "revoke --expired --all", "audit", "export",
	"init u --namespaces=u --create-namespaces", "freeze t --reason INC-1", "thaw t", "migrate t", "destroy t --yes", "prove t",
}

// misleading are hints that help against nothing that an API server's failure is about.
var misleading = []string{"name the namespace", "no tenant is known", "helm tenant use", "no member", "list them with", "--print-role", "did you mean", "ask an admin", "no tenant has its home", "may not read"}

// failsPlainly tries every verb against an API server that fails, and checks that each fails in
// one line that contains want, with nothing that misleads.
func failsPlainly(t *testing.T, fails func(http.ResponseWriter, *http.Request) bool, want string) {
	t.Helper()
	good := newAdministrator(t)
	good.runs("init", "t", "--namespaces=a", "--create-namespaces", "--user=alice", "--wait=false")
	a, server := good.behind()
	server.fails = fails
	for _, line := range everyVerb {
		got := a.tries("", strings.Fields(line)...)
		if got.code != exitFailed || !strings.Contains(got.stderr, want) || strings.Contains(got.stdout, "unknown") {
			t.Errorf("%s: exit code %d: %s", line, got.code, got.stderr)
		}
		for _, words := range misleading {
			if strings.Contains(got.stderr, words) {
				t.Errorf("%s: %q misleads: %s", line, words, got.stderr)
			}
		}
	}
}

// exitFailed is the exit code of a verb that failed.
const exitFailed = 1

// TestCredentialsRefused: refused credentials are reported as such, without a hint that would
// not help, such as naming a namespace or a tenant.
func TestCredentialsRefused(t *testing.T) {
	failsPlainly(t, answerWith(http.StatusUnauthorized, metav1.StatusReasonUnauthorized), "are not accepted")
}

// TestForeignServer: a proxy's refusals are not read as those of an API server, which would say
// that the caller is no member, or that there is no such tenant.
func TestForeignServer(t *testing.T) {
	for code, body := range map[int]string{http.StatusForbidden: "Access denied by policy", http.StatusNotFound: "<html><h1>404 Not Found</h1></html>", http.StatusOK: "<html>Log in</html>"} {
		failsPlainly(t, func(w http.ResponseWriter, _ *http.Request) bool {
			w.Header().Set("Content-Type", http.DetectContentType([]byte(body)))
			w.WriteHeader(code)
			_, err := w.Write([]byte(body))
			return err == nil
		}, "is no Kubernetes API server")
	}
}

// TestServerFails: an error of the API server is neither a missing grant nor a missing tenant.
func TestServerFails(t *testing.T) {
	failsPlainly(t, answerWith(http.StatusInternalServerError, metav1.StatusReasonInternalError), "forged")
	failsPlainly(t, func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("Content-Type", "application/json")
		_, err := w.Write([]byte(`{"kind":"ConfigMapList","apiVersion":"v1","items":[{"met`))
		return err == nil
	}, "can't be read")
}
