package cli_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestExportFile: -o replaces a file when all is written, and not before.
func TestExportFile(t *testing.T) {
	good := newAdministrator(t)
	good.runs("init", "t", "--namespaces=a", "--create-namespaces", "--user=alice", "--wait=false")
	a, server := good.behind()
	folder := t.TempDir()
	file, link := filepath.Join(folder, "tenants.yaml"), filepath.Join(folder, "link.yaml")
	if err := os.Symlink("tenants.yaml", link); err != nil {
		t.Fatal(err)
	}
	holds := func(want string) {
		t.Helper()
		if got, err := os.ReadFile(file); err != nil || string(got) != want {
			t.Errorf("the file holds %q, want %q: %v", got, want, err)
		}
	}
	printed := a.runs("export").stdout
	if !strings.Contains(printed, "alice") {
		t.Fatalf("it printed %q", printed)
	}
	if got := a.runs("export", "-o", file); got.stdout != "" || got.stderr != "wrote "+file+"\n" {
		t.Errorf("it printed %q and %q", got.stdout, got.stderr)
	}
	holds(printed)
	if got := a.runs("export", "-o", "-"); got.stdout != printed {
		t.Errorf("-o - printed %q", got.stdout)
	}
	if err := os.WriteFile(file, []byte("before\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	server.fails = answerWith(http.StatusUnauthorized, metav1.StatusReasonUnauthorized)
	if got := a.tries("", "export", "--output-file="+link); got.code != 1 {
		t.Errorf("exit code %d: %s", got.code, got.stderr)
	}
	holds("before\n")
	server.fails = func(http.ResponseWriter, *http.Request) bool { return false }
	a.runs("export", "t", "--output-file="+link)
	holds(printed)
	if to, err := os.Readlink(link); err != nil || to != "tenants.yaml" {
		t.Errorf("the link leads to %q: %v", to, err)
	}
	for name, want := range map[string]string{
		"yaml": "-o names a file here, and what is written is YAML: leave -o yaml out, or write ./yaml", folder: "is not a regular file",
		filepath.Join(folder, "absent", "x"): "does not exist",
	} {
		if got := a.tries("", "export", "-o", name); got.code != 2 || !strings.Contains(got.stderr, want) {
			t.Errorf("-o %s: exit code %d: %s", name, got.code, got.stderr)
		}
	}
	if left, err := filepath.Glob(filepath.Join(folder, ".*")); len(left) > 0 || err != nil {
		t.Errorf("%v stay: %v", left, err)
	}
}
