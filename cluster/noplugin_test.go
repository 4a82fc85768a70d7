package cluster_test

import (
	"os"
	"path/filepath"
	"testing"

	"helm-tenant/cluster"
	"helm-tenant/tenant"
)

// TestPluginNotInstalled: a missing credential plugin is one short line, with what the kubeconfig
// says about installing it.
func TestPluginNotInstalled(t *testing.T) {
	for hint, want := range map[string]string{
		"":                                 "",
		"Install it:\\n  see the intranet": ": Install it: see the intranet",
	} {
		file := filepath.Join(t.TempDir(), "config")
		text := `{kind: Config, apiVersion: v1, current-context: here, clusters: [{name: c, cluster: {server: "https://127.0.0.1:1"}}], contexts: [{name: here, context: {cluster: c, user: u}}],
  users: [{name: u, user: {exec: {apiVersion: client.authentication.k8s.io/v1, interactiveMode: Never, command: helm-tenant-has-no-such-program, installHint: "` + hint + `"}}}]}`
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		k, err := tenant.LoadKubeconfig([]string{"KUBECONFIG=" + file}, "", "")
		if err != nil {
			t.Fatal(err)
		}
		c, err := cluster.Connect(k, "test", 0)
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.Record(t.Context(), "t-helm")
		full := `the credentials of context "here" can't be obtained: the program "helm-tenant-has-no-such-program", which the kubeconfig names, is not installed` + want
		if err == nil || err.Error() != full {
			t.Errorf("got %v, want %s", err, full)
		}
	}
}
