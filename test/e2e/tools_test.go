package e2e

import (
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"
)

// comparing asks helm for what helm-diff and its relatives ask: what is installed, and what
// an upgrade would make of it. It calls the helm that started it, with nothing but the
// variables that helm gave it.
const comparing = `#!/bin/sh
set -eu
release=$1 chart=$2
ask() { "$HELM_BIN" "$@" >>"$ASKED" 2>&1 || { echo "asking: $*" >&2; tail -3 "$ASKED" >&2; exit 1; }; }
ask get manifest "$release"
ask get hooks "$release"
ask get values "$release"
ask history "$release"
case $MAJOR in
2) ask upgrade "$release" "$chart" --dry-run --debug --set value=two; ask upgrade "$release" "$chart" --set value=two --dry-run --reset-values ;;
3) ask template "$release" "$chart" --is-upgrade --validate --set value=two; ask upgrade "$release" "$chart" --dry-run=server --set value=two --install ;;
4) ask template "$release" "$chart" --is-upgrade --dry-run=server --set value=two; ask upgrade "$release" "$chart" --dry-run=server --set value=two --install ;;
esac
cat "$ASKED"
`

// TestComparingPlugin is a plugin that compares a release with a chart, as helm-diff does,
// under each major, as a member.
func TestComparingPlugin(t *testing.T) {
	t.Parallel()
	for _, major := range []int{2, 3, 4} {
		t.Run(fmt.Sprintf("helm %d", major), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			team := fmt.Sprintf("compare%d", major)
			engine, installed := "impersonation", []string{"install", "web", chart(t)}
			var member *person
			if major == 2 {
				engine, member, installed = "tiller", w.user("cora"), []string{"install", "--name", "web", chart(t)}
			} else {
				member = w.userOf(major, "cora")
			}
			w.admin.tenant("init", team, "--namespaces", team+"-1", "--create-namespaces", "--engine", engine, "--user", "cora")
			member.tenant("use", team)
			folder := filepath.Join(t.TempDir(), "compare")
			if err := os.MkdirAll(folder, 0o755); err != nil {
				t.Fatal(err)
			}
			// Helm 2 opens a tunnel to Tiller for its plugins that want one.
			write(t, folder, "plugin.yaml", "name: compare\nversion: 0.1.0\nusage: compare\ndescription: compare\nuseTunnel: true\ncommand: \"$HELM_PLUGIN_DIR/compare.sh\"\n")
			if major > 2 {
				write(t, folder, "plugin.yaml", "name: compare\nversion: 0.1.0\nusage: compare\ndescription: compare\ncommand: \"$HELM_PLUGIN_DIR/compare.sh\"\n")
			}
			write(t, folder, "compare.sh", comparing)
			if err := os.Chmod(filepath.Join(folder, "compare.sh"), 0o755); err != nil {
				t.Fatal(err)
			}
			member.run("helm", "plugin", "install", folder)
			member.run(append([]string{"helm", "tenant"}, installed...)...)
			before := member.run("helm", "tenant", "history", "web")
			for name, way := range w.ways() {
				if !sampled(name, major, 0) {
					continue
				}
				p := member.with("ASKED="+filepath.Join(t.TempDir(), "asked"), fmt.Sprintf("MAJOR=%d", major))
				got := p.run(append(way, "compare", "web", chart(t))...)
				for _, word := range []string{"kind: ConfigMap", "REVISION"} {
					if !strings.Contains(got, word) {
						t.Errorf("%s: %q is missing in\n%s", name, word, got)
					}
				}
			}
			if after := member.run("helm", "tenant", "history", "web"); after != before {
				t.Errorf("comparing made a revision:\n%s", after)
			}
		})
	}
}

// TestRegistry takes a chart from a registry that wants a login, under Helm 3 and 4.
func TestRegistry(t *testing.T) {
	t.Parallel()
	store := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if name, password, _ := r.BasicAuth(); name != "rosa" || password != "word" {
			w.Header().Set("WWW-Authenticate", `Basic realm="charts"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		store.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close) // after the tests of both majors
	host := strings.TrimPrefix(server.URL, "http://")
	majors(t, func(t *testing.T, w *world, major int) {
		team := fmt.Sprintf("registry%d", major)
		member := w.userOf(major, "rosa")
		w.admin.tenant("init", team, "--namespaces", team+"-1", "--create-namespaces", "--engine", "impersonation", "--user", "rosa")
		member.tenant("use", team)
		folder := t.TempDir()
		member.run("helm", "tenant", "package", tested(t), "--destination", folder)
		packed, err := filepath.Glob(filepath.Join(folder, "*.tgz"))
		if err != nil || len(packed) != 1 {
			t.Fatalf("packed are %q (%v)", packed, err)
		}
		place := fmt.Sprintf("oci://%s/charts%d", host, major)
		member.fails(1, "", "helm", "tenant", "push", packed[0], place, "--plain-http")
		s := member.tryWith("word", "helm", "tenant", "registry", "login", host, "--username", "rosa", "--password-stdin", "--plain-http")
		if s.code != 0 {
			t.Fatalf("login: %d\n%s%s", s.code, s.stdout, s.stderr)
		}
		member.run("helm", "tenant", "push", packed[0], place, "--plain-http")
		from := []string{place + "/tested", "--version", "0.1.0", "--plain-http"}
		contains(t, member.run(append([]string{"helm", "tenant", "show", "chart"}, from...)...), "name: tested")
		contains(t, member.run(append([]string{"helm", "tenant", "preflight", "install", "web"}, from...)...), "0 refused")
		for name, way := range w.ways() {
			release := "by-" + name
			member.run(append(append(way, "install", release), from...)...)
			member.run(append(append(way, "upgrade", release), append(from, "--set", "value=two")...)...)
			contains(t, member.run(append(way, "list")...), release, team+"-1")
		}
		contains(t, member.run(append([]string{"helm", "tenant", "preflight", "upgrade", "by-alone"}, from...)...), "0 refused")
		member.run("helm", "tenant", "registry", "logout", host)
		if s := member.try(append([]string{"helm", "tenant", "preflight", "install", "other"}, from...)...); s.code == 0 || !strings.Contains(s.stderr, "credential not found") {
			t.Errorf("preflight after the logout: %d\n%s%s", s.code, s.stdout, s.stderr)
		}
	})
}
