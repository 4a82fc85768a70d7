package apitest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// tenantsFile writes a tenants file and returns its name.
func tenantsFile(t *testing.T, items string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "tenants.yaml")
	must(t, os.WriteFile(name, []byte("apiVersion: helm-tenant/v1\ntenants:\n"+items), 0o600))
	return name
}

// TestOverlapsAreToldWithAllElse: with their places, and at once.
func TestOverlapsAreToldWithAllElse(t *testing.T) {
	t.Parallel()
	admin := start(t).admin(t)
	one := tenantsFile(t, "- name: one\n  namespaces: [shared, one]\n- name: wrong\n  namespaces: [B]\n")
	two := tenantsFile(t, "- name: two\n  namespaces: [shared]\n- name: three\n  namespaces: [one-tiller]\n")
	home := fmt.Sprintf("Error: %s:5: namespace %q is a namespace of tenant %q and, at %s:3, the home namespace of tenant %q", two, "one-tiller", "three", one, "one")
	both := fmt.Sprintf("Error: %s:3: namespace %q is a namespace of tenant %q and, at %s:3, a namespace of tenant %q", two, "shared", "two", one, "one")
	mistake := fmt.Sprintf("Error: %s:6: tenant %q: namespaces: ", one, "wrong")
	for _, c := range []struct {
		flags  []string
		errors []string
	}{{nil, []string{mistake, home, both}}, {[]string{"--share"}, []string{mistake, home}}} {
		r := admin.run(t, append([]string{"apply", "-f", one, "-f", two}, c.flags...)...)
		for _, word := range append(c.errors, "--share") {
			if !strings.Contains(r.Stderr, word) {
				t.Errorf("%q is not said: %v", word, r)
			}
		}
		if n := strings.Count(r.Stderr, "Error: "); r.Code != 1 || n != len(c.errors) {
			t.Errorf("%d errors, not %d: %v", n, len(c.errors), r)
		}
	}
	admin.wroteNothing(t)
}

// TestMountedFolder holds the files as a ConfigMap's are mounted: links to links
// into a folder whose name begins with a dot.
func TestMountedFolder(t *testing.T) {
	t.Parallel()
	w, team := start(t), newTeam()
	folder := t.TempDir()
	data := filepath.Join(folder, "..2024_01_02_03_04_05.1")
	must(t, os.Mkdir(data, 0o700))
	must(t, os.WriteFile(filepath.Join(data, "tenants.yaml"), []byte("apiVersion: helm-tenant/v1\ntenants:\n- name: "+team.name+"\n  namespaces: ["+team.a+"]\n"), 0o600))
	must(t, os.Symlink(filepath.Base(data), filepath.Join(folder, "..data")))
	must(t, os.Symlink(filepath.Join("..data", "tenants.yaml"), filepath.Join(folder, "tenants.yaml")))
	must(t, os.WriteFile(filepath.Join(folder, ".tenants.yaml.swp.yaml"), []byte("not ours"), 0o600))
	w.admin(t).must(t, "apply", "-f", folder, "--create-namespaces")
	if w.record(t, team) == nil {
		t.Error("the tenant is not made")
	}
}
