package cli_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
)

// TestHangs: a verb that looks for a tenant's record in two namespaces waits once for an API server
// that does not answer.
func TestHangs(t *testing.T) {
	for _, line := range []string{"kubeconfig t --request-timeout=300ms", "use t --request-timeout=300ms", "--tenant t whoami --request-timeout=300ms"} {
		var records atomic.Int32
		server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			if strings.Contains(r.URL.Path, "/configmaps/") {
				records.Add(1)
			}
			<-r.Context().Done()
		}))
		a := administrator{t: t, kubeconfig: filepath.Join(t.TempDir(), "config")}
		text := "apiVersion: v1\nkind: Config\nclusters: [{name: c, cluster: {server: '" + server.URL + "'}}]\nusers: [{name: u, user: {token: t}}]\ncontexts: [{name: c, context: {cluster: c, user: u}}]\ncurrent-context: c\n"
		if err := os.WriteFile(a.kubeconfig, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		got := a.tries("", strings.Fields(line)...)
		if got.code != 1 || !strings.Contains(got.stderr, "did not answer in time") || records.Load() != 1 {
			t.Errorf("%s: exit code %d after %d requests for records: %s", line, got.code, records.Load(), got.stderr)
		}
		server.CloseClientConnections()
		server.Close()
	}
}
