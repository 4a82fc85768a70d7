package apitest

import (
	"fmt"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"helm-tenant/test/records"
)

// deleteNamespace deletes a namespace and waits until it is gone.
func (w *world) deleteNamespace(t *testing.T, name string) {
	t.Helper()
	must(t, w.root.CoreV1().Namespaces().Delete(t.Context(), name, metav1.DeleteOptions{}))
	eventually(t, "namespace "+name+" gone", func() error {
		if _, err := w.root.CoreV1().Namespaces().Get(t.Context(), name, metav1.GetOptions{}); err == nil {
			return fmt.Errorf("it exists")
		}
		return nil
	})
}

// TestMigrateWithoutNamespace: a namespace that is deleted after Tiller was stopped prevents
// neither --abort nor --finish, and lost releases are named.
func TestMigrateWithoutNamespace(t *testing.T) {
	t.Parallel()
	w := start(t)
	moved := func(t *testing.T) (team, *user) {
		team := newTeam()
		w.makeTenant(t, team)
		w.stored(t, team, records.Release{Name: "web", Namespace: team.a, Revision: 1, Status: "DEPLOYED"}, records.Release{Name: "db", Namespace: team.b, Revision: 1, Status: "DEPLOYED"})
		admin := w.withHelm3(t)
		admin.must(t, "migrate", team.name, "--backup", backupFile(t))
		w.deleteNamespace(t, team.b)
		return team, admin
	}
	t.Run("back", func(t *testing.T) {
		t.Parallel()
		team, admin := moved(t)
		admin.fails(t, 1, []string{"is moved to Helm 3 and 4", "migrate " + team.name + " --finish", "migrate " + team.name + " --abort"}, "destroy", team.name, "--yes")
		admin.must(t, "migrate", team.name, "--abort", "--wait=false", "--backup", backupFile(t))
		same(t, "Helm 3's records", []string{}, w.helmRecords(t, team.a))
		admin.must(t, "destroy", team.name, "--yes", "--keep-releases", "--wait=false", "--backup", backupFile(t))
	})
	t.Run("to the end", func(t *testing.T) {
		t.Parallel()
		team, admin := moved(t)
		admin.fails(t, 1, []string{"Helm 3 has no record of db in namespace " + team.b, "--accept-risk=missing-releases"}, "migrate", team.name, "--finish", "--yes")
		admin.must(t, "migrate", team.name)
		admin.must(t, "migrate", team.name, "--finish", "--yes", "--accept-risk=missing-releases", "--backup", backupFile(t))
		says(t, admin.must(t, "migrate", team.name, "--finish", "--yes"), "there is nothing left to finish")
	})
	t.Run("without a record", func(t *testing.T) {
		t.Parallel()
		team, admin := moved(t)
		must(t, w.root.CoreV1().ConfigMaps(team.home).Delete(t.Context(), "helm-tenant", metav1.DeleteOptions{}))
		admin.fails(t, 1, []string{"has no record any more: ConfigMap helm-tenant is gone from namespace", "helm tenant init " + team.name + " --namespaces=" + team.a + " --engine=tiller", "--engine=impersonation --home-namespace=" + team.home}, "migrate", team.name)
		admin.must(t, "init", team.name, "--namespaces="+team.a, "--engine=impersonation", "--home-namespace="+team.home, "--wait=false")
		same(t, "Helm 3's records", []string{"web.v1"}, w.helmRecords(t, team.a))
	})
}
