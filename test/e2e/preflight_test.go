package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// TestPreflightAgrees compares preflight with helm's own install, under each major: of a
// chart that fits, and of one that does not.
func TestPreflightAgrees(t *testing.T) {
	t.Parallel()
	for _, major := range []int{2, 3, 4} {
		t.Run(fmt.Sprintf("helm %d", major), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			team := fmt.Sprintf("flight%d", major)
			engine, fits := "impersonation", 0
			var member *person
			install := func(name, chart string) []string { return []string{"install", name, chart} }
			if major == 2 {
				engine, fits, member = "tiller", 5, w.user("fay") // a member can't ask everything
				install = func(name, chart string) []string { return []string{"install", chart, "--name", name} }
			} else {
				member = w.userOf(major, "fay")
			}
			w.admin.tenant("init", team, "--namespaces", team+"-1", "--create-namespaces", "--engine", engine, "--user", "fay")
			member.tenant("use", team)
			bad := filepath.Join(t.TempDir(), "bad")
			if err := os.MkdirAll(filepath.Join(bad, "templates"), 0o755); err != nil {
				t.Fatal(err)
			}
			write(t, bad, "Chart.yaml", "apiVersion: v1\nname: bad\nversion: 0.1.0\n")
			write(t, bad, "templates/all.yaml", "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: {{ .Release.Name }}}\nrules: []\n")

			preflight := func(code int, words, name, chart string) {
				t.Helper()
				s := member.try(append([]string{"helm", "tenant", "preflight"}, install(name, chart)...)...)
				if s.code != code {
					t.Errorf("preflight of %s: exit code %d, wanted %d\n%s%s", chart, s.code, code, s.stdout, s.stderr)
				}
				contains(t, s.stdout, words)
			}
			preflight(fits, "0 refused", "good", chart(t))
			member.run(append([]string{"helm", "tenant"}, install("good", chart(t))...)...)
			preflight(4, "ClusterRole bad", "bad", bad)
			member.fails(1, "clusterroles", append([]string{"helm", "tenant"}, install("bad", bad)...)...)
		})
	}
}
