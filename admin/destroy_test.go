package admin

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/helm/pkg/proto/hapi/release"

	"helm-tenant/tenant"
)

// TestDestroyNamespaces: --delete-namespaces names the namespaces that it does not delete,
// those too that an earlier tenant of the name created.
func TestDestroyNamespaces(t *testing.T) {
	_, c := empty().start(t)
	created := Request{Tenant: tenant.Tenant{Name: "t", Namespaces: []string{"new"}}, CreateNamespaces: true}
	write(t, c, created)
	d, _ := destroying(t, c)
	if _, err := d.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	created.Tenant.Namespaces = []string{"new", "a", "newer"}
	write(t, c, created)
	removal, err := prepareRemoval(t.Context(), c, "t", true)
	if err != nil {
		t.Fatal(err)
	}
	kept := func(name string) string {
		return `namespace "` + name + `" stays with everything in it: helm-tenant did not create it for this tenant; if nobody else needs it: kubectl delete namespace ` + name
	}
	if diff := cmp.Diff([]string{kept("a"), kept("new")}, slices.Sorted(slices.Values(removal.Prepared.Notes))); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if !slices.ContainsFunc(stepsOf(removal.Prepared.Plan), func(step string) bool { return step == "delete Namespace newer" }) {
		t.Errorf("the plan is %q", stepsOf(removal.Prepared.Plan))
	}
}

// TestDestroyNamesBackups: what a destroy returns names the files of its backups.
func TestDestroyNamesBackups(t *testing.T) {
	server, c := empty().start(t)
	write(t, c, asked())
	server.Put(record(t, "t-tiller", "web", "a", 1, release.Status_DEPLOYED))
	d, _ := destroying(t, c)
	d.KeepReleases = true
	removal, err := d.Run(t.Context())
	if err != nil || !slices.Equal(removal.Backups, []string{d.File}) {
		t.Errorf("backups are %q (%v), want %q", removal.Backups, err, d.File)
	}
}

// TestDestroySavesToNamedFile: a backup that somebody named holds the records of Helm 3 and 4, too,
// although they stay; without a name nothing is written for them.
func TestDestroySavesToNamedFile(t *testing.T) {
	for _, named := range []bool{true, false} {
		server, c := empty().start(t)
		write(t, c, asked(engine(tenant.EngineImpersonation)))
		server.Put(helmRecord("a", "web"))
		d, _ := destroying(t, c)
		file := d.File
		d.KeepReleases = true
		if !named {
			d.File = ""
		}
		removal, err := d.Run(t.Context())
		if err != nil || len(removal.Backups) > 0 != named {
			t.Errorf("named %v: backups are %q (%v)", named, removal.Backups, err)
		}
		if text, err := os.ReadFile(file); named && !strings.Contains(string(text), "name: sh.helm.release.v1.web.v1") {
			t.Errorf("the backup has no record of web (%v):\n%s", err, text)
		}
		if got := helmRecordsIn(server, "a"); !slices.Equal(got, []string{"sh.helm.release.v1.web.v1"}) {
			t.Errorf("named %v: Helm's records are %q", named, got)
		}
	}
}
