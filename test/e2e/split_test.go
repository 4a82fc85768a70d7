package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestSplit takes a cluster-admin's Tiller apart, as helm init made it, with its records as
// ConfigMaps: the tenants list, upgrade and roll back what was theirs, and the old Tiller has
// only the rest.
func TestSplit(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	admin := w.admin
	for _, ns := range []string{"split-old", "split-a", "split-b", "split-c"} {
		admin.run("kubectl", "create", "namespace", ns)
	}
	admin.run("kubectl", "create", "serviceaccount", "tiller", "--namespace", "split-old")
	admin.run("kubectl", "create", "clusterrolebinding", "split-old", "--clusterrole=cluster-admin", "--serviceaccount=split-old:tiller")
	admin.run("helm", "init", "--tiller-namespace", "split-old", "--service-account", "tiller", "--skip-refresh", "--wait")
	old := []string{"helm", "--tiller-namespace", "split-old"}
	for name, ns := range map[string]string{"web": "split-a", "db": "split-b", "rest": "split-c"} {
		admin.run(append(old, "install", chart(t), "--name", name, "--namespace", ns)...)
	}
	admin.run(append(old, "upgrade", "web", chart(t), "--set", "greeting=second")...)

	file, backups := filepath.Join(t.TempDir(), "tenants.yaml"), t.TempDir()
	text := "apiVersion: helm-tenant/v1\ntenants:\n- name: split-one\n  namespaces: [split-a]\n- name: split-two\n  namespaces: [split-b]\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	contains(t, admin.tenant("split", "-f", file, "--from", "split-old", "--dry-run"), `no tenant of the file has namespace "split-c"`)
	contains(t, admin.tenant("split", "-f", file, "--from", "split-old", "--backup", filepath.Join(backups, "1.yaml")), "gave 2 releases, 3 revisions, to tenants")
	admin.fails(1, "could not find tiller", append(old, "list")...)

	one := []string{"helm", "tenant", "--tenant", "split-one"}
	contains(t, admin.run(append(one, "list")...), "web")
	lacks(t, admin.run(append(one, "list", "--all")...), "db", "rest")
	contains(t, admin.run("helm", "tenant", "--tenant", "split-two", "list"), "db")
	admin.run(append(one, "upgrade", "web", chart(t), "--set", "greeting=third")...)
	admin.run(append(one, "rollback", "web", "1")...)
	contains(t, admin.run(append(one, "history", "web")...), "Rollback to 1")

	admin.tenant("split", "--finish", "--yes", "--from", "split-old", "--backup", filepath.Join(backups, "2.yaml"))
	admin.run("kubectl", "rollout", "status", "deployment/tiller-deploy", "--namespace", "split-old", "--timeout=300s")
	if got := strings.Fields(admin.run(append(old, "list", "--all", "--short")...)); len(got) != 1 || got[0] != "rest" {
		t.Errorf("the old Tiller has %q", got)
	}
	admin.run(append(old, "upgrade", "rest", chart(t))...)
	contains(t, admin.run(append(one, "list")...), "web")
}
