package apitest

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"helm-tenant/test/records"
)

// TestDestroySavesWhatIsWrittenMeanwhile has a member upgrade while the tenant is
// destroyed: after the backup, before the rights are gone.
func TestDestroySavesWhatIsWrittenMeanwhile(t *testing.T) {
	t.Parallel()
	w, of := start(t), newTeam()
	w.makeTenant(t, of)
	w.stored(t, of, records.Release{Name: "web", Namespace: of.a, Revision: 1, Status: "DEPLOYED"})
	var upgraded atomic.Bool
	admin := w.admin(t).through(t, func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodDelete && strings.Contains(r.URL.Path, "/rolebindings/") && !upgraded.Swap(true) {
			w.stored(t, of, records.Release{Name: "web", Namespace: of.a, Revision: 2, Status: "DEPLOYED"})
		}
		return false
	})
	file := filepath.Join(t.TempDir(), "backup.yaml")
	r := admin.must(t, "destroy", of.name, "--keep-releases", "--yes", "--wait=false", "--backup", file)
	later := strings.TrimSuffix(file, ".yaml") + "-later.yaml"
	for name, want := range map[string][]string{file: {"web.v1"}, later: {"web.v1", "web.v2"}} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatalf("%v\n%v", err, r)
		}
		for _, record := range want {
			if !strings.Contains(string(text), "name: "+record) {
				t.Errorf("%s does not hold %s", name, record)
			}
		}
		if !strings.Contains(r.stdout, "backed up in "+name) {
			t.Errorf("%s is not told of: %v", name, r)
		}
	}
}

// TestDestroyRefusesWhatIsInstalledMeanwhile is the same where releases are not to be
// left behind: the tenant stays, and init gives it back its rights.
func TestDestroyRefusesWhatIsInstalledMeanwhile(t *testing.T) {
	t.Parallel()
	w, of := start(t), newTeam()
	w.makeTenant(t, of, "--user", "alice")
	var installed atomic.Bool
	admin := w.admin(t).through(t, func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodDelete && strings.Contains(r.URL.Path, "/rolebindings/") && !installed.Swap(true) {
			w.stored(t, of, records.Release{Name: "new", Namespace: of.a, Revision: 1, Status: "DEPLOYED"})
		}
		return false
	})
	admin.fails(t, 1, []string{"it has a release", "new", "--keep-releases"}, "destroy", of.name, "--yes", "--wait=false")
	if !installed.Load() {
		t.Fatal("no right was taken away: the test shows nothing")
	}
	if w.record(t, of) == nil {
		t.Error("the tenant's record is gone")
	}
	admin.must(t, "init", of.name, "--wait=false")
	w.bound(t, of.a, of, "admin")
}
