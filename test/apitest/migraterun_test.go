package apitest

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"helm-tenant/test/harness"
	"helm-tenant/test/records"
)

// TestTwoAdminsMigrateAtOnce: both come to the same end, and back.
func TestTwoAdminsMigrateAtOnce(t *testing.T) {
	t.Parallel()
	w, team := start(t), newTeam()
	w.makeTenant(t, team, "--replicas", "2")
	for revision := 1; revision <= 6; revision++ {
		w.stored(t, team, records.Release{Name: "web", Namespace: team.a, Revision: revision, Status: map[bool]string{false: "SUPERSEDED", true: "DEPLOYED"}[revision == 6]})
	}
	before := w.dump(t, team)
	atOnce := func(args ...string) {
		t.Helper()
		var admins []*running
		for range 3 {
			admins = append(admins, w.withHelm3(t).launch(t, append([]string{"migrate", team.name, "--backup", backupFile(t)}, args...)...))
		}
		done := 0
		for _, admin := range admins {
			r := <-admin.ended
			switch {
			case r.Code == 0:
				done++
			case len(args) > 0 && (strings.Contains(r.Stderr, "another admin has ended the migration in the meantime") || strings.Contains(r.Stderr, "it is not being migrated")):
			default:
				t.Errorf("%v", r)
			}
		}
		if done == 0 {
			t.Errorf("nobody came to the end of migrate %v", args)
		}
	}
	atOnce()
	same(t, "Helm 3's records", 6, len(w.helmRecords(t, team.a)))
	atOnce("--abort", "--wait=false")
	same(t, "what is there", before, w.dump(t, team))
	atOnce()
	atOnce("--finish", "--yes")
	same(t, "Helm 3's records", 6, len(w.helmRecords(t, team.a)))
}

// TestMigrateAndWork has a Helm 3 work on the releases before the migration ends.
func TestMigrateAndWork(t *testing.T) {
	t.Parallel()
	w := start(t)
	moved := func(t *testing.T) (team, *user) {
		team := newTeam()
		w.makeTenant(t, team)
		w.stored(t, team,
			records.Release{Name: "web", Namespace: team.a, Revision: 1, Status: "SUPERSEDED"},
			records.Release{Name: "web", Namespace: team.a, Revision: 2, Status: "DEPLOYED"},
			records.Release{Name: "db", Namespace: team.b, Revision: 1, Status: "DEPLOYED"},
			records.Release{Name: "old", Namespace: team.b, Revision: 1, Status: "DELETED"})
		admin := w.withHelm3(t)
		admin.must(t, "migrate", team.name, "--backup", backupFile(t))
		if replicas := *w.tiller(t, team).Spec.Replicas; replicas != 0 {
			t.Errorf("Tiller has %d replicas", replicas)
		}
		return team, admin
	}
	output := func(t *testing.T, r harness.Result, words ...string) {
		t.Helper()
		for _, word := range words {
			if !strings.Contains(r.Stderr, word) {
				t.Errorf("%q is not said: %v", word, r)
			}
		}
	}
	for _, helm := range []string{"helm3", "helm4"} {
		t.Run("back, after upgrades by "+helm, func(t *testing.T) {
			t.Parallel()
			team, admin := moved(t)
			// The third revision forgets the first revision.
			for range 2 {
				w.helmOf(t, helm, "upgrade", "web", hello(), "--namespace", team.a, "--history-max", "3")
			}
			w.helmOf(t, helm, "rollback", "web", "3", "--namespace", team.a, "--history-max", "3")
			same(t, "records", []string{"web.v3", "web.v4", "web.v5"}, w.helmRecords(t, team.a))
			output(t, admin.must(t, "migrate", team.name), "Helm 3 has changed release web in namespace "+team.a+" since: it is at revision 5, deployed")
			same(t, "records", []string{"web.v3", "web.v4", "web.v5"}, w.helmRecords(t, team.a))
			file := backupFile(t)
			r := admin.must(t, "migrate", team.name, "--abort", "--wait=false", "--backup", file)
			output(t, r, "release web: its objects stay as Helm 3 left them at revision 5; Tiller knows it as of revision 2")
			same(t, "records", [][]string{{}, {}}, [][]string{w.helmRecords(t, team.a), w.helmRecords(t, team.b)})
			same(t, "in the backup", map[string]int{"Secret": 5}, kept(t, file))
		})
	}
	t.Run("back, after it was uninstalled, and another installed", func(t *testing.T) {
		t.Parallel()
		team, admin := moved(t)
		w.helm3(t, "uninstall", "web", "--namespace", team.a)
		w.helm3(t, "uninstall", "db", "--namespace", team.b)
		w.helm3(t, "install", "db", hello(), "--namespace", team.b)
		output(t, admin.must(t, "migrate", team.name), "release web in namespace "+team.a+" is gone", "release db in namespace "+team.b+" was installed again by Helm 3: that one is at revision 1, deployed")
		r := admin.must(t, "migrate", team.name, "--abort", "--wait=false", "--backup", backupFile(t))
		output(t, r, "release web was uninstalled by Helm 3; Tiller lists it as it was", "rollback web 2",
			"release db was installed again by Helm 3 in namespace "+team.b+": that one stays")
		same(t, "records", [][]string{{}, {"db.v1"}}, [][]string{w.helmRecords(t, team.a), w.helmRecords(t, team.b)})
	})
	t.Run("back, after another was installed, and upgraded past Tiller's newest", func(t *testing.T) {
		t.Parallel()
		team, admin := moved(t)
		w.helm3(t, "uninstall", "web", "--namespace", team.a)
		w.helm3(t, "uninstall", "db", "--namespace", team.b, "--keep-history")
		for range 3 {
			w.helm3(t, "upgrade", "--install", "web", hello(), "--namespace", team.a)
			w.helm3(t, "upgrade", "--install", "db", hello(), "--namespace", team.b)
		}
		same(t, "records", [][]string{{"web.v1", "web.v2", "web.v3"}, {"db.v1", "db.v2", "db.v3", "db.v4", "old.v1"}}, [][]string{w.helmRecords(t, team.a), w.helmRecords(t, team.b)})
		file := backupFile(t)
		r := admin.must(t, "migrate", team.name, "--abort", "--wait=false", "--backup", file)
		output(t, r, "release web was installed again by Helm 3 in namespace "+team.a+": that one stays", "release db was installed again by Helm 3 in namespace "+team.b+": that one stays")
		same(t, "records", [][]string{{"web.v1", "web.v2", "web.v3"}, {"db.v2", "db.v3", "db.v4"}}, [][]string{w.helmRecords(t, team.a), w.helmRecords(t, team.b)})
		same(t, "in the backup", map[string]int{"Secret": 2}, kept(t, file))
		for name, namespace := range map[string]string{"web": team.a, "db": team.b} {
			if status := w.helm3(t, "status", name, "--namespace", namespace); !strings.Contains(status, "STATUS: deployed") {
				t.Errorf("release %s, which stays, is\n%s", name, status)
			}
		}
	})
	t.Run("to the end, after it was uninstalled", func(t *testing.T) {
		t.Parallel()
		team, admin := moved(t)
		w.helm3(t, "upgrade", "db", hello(), "--namespace", team.b)
		w.helm3(t, "uninstall", "web", "--namespace", team.a)
		admin.requests(t)
		admin.fails(t, 1, []string{"Helm 3 has no record of web in namespace " + team.a, "add --accept-risk=missing-releases"}, "migrate", team.name, "--finish", "--yes")
		admin.wroteNothing(t)
		file := backupFile(t)
		output(t, admin.must(t, "migrate", team.name, "--finish", "--yes", "--accept-risk", "missing-releases", "--backup", file), "only the backup will know of web in namespace "+team.a)
		same(t, "in the backup", map[string]int{"Secret": 4}, kept(t, file))
		same(t, "records", [][]string{{}, {"db.v1", "db.v2", "old.v1"}}, [][]string{w.helmRecords(t, team.a), w.helmRecords(t, team.b)})
	})
	t.Run("to the end, after somebody removed its newest record", func(t *testing.T) {
		t.Parallel()
		team, admin := moved(t)
		must(t, w.root.CoreV1().Secrets(team.a).Delete(t.Context(), "sh.helm.release.v1.web.v2", metav1.DeleteOptions{}))
		must(t, w.root.CoreV1().Secrets(team.b).Delete(t.Context(), "sh.helm.release.v1.old.v1", metav1.DeleteOptions{})) // it made nothing
		before := w.versions(t, team)
		admin.fails(t, 1, []string{"release web in namespace " + team.a + ": Helm 3 has no record of revision 2, and made none of it: somebody removed it", "migrate " + team.name + " --abort"}, "migrate", team.name)
		admin.fails(t, 1, []string{"Helm 3 has no record of revision 2 of web in namespace " + team.a + ":", "add --accept-risk=missing-releases"}, "migrate", team.name, "--finish", "--yes")
		same(t, "what is there", before, w.versions(t, team))
		file := backupFile(t)
		output(t, admin.must(t, "migrate", team.name, "--finish", "--yes", "--accept-risk", "missing-releases", "--backup", file), "only the backup will know of revision 2 of web in namespace "+team.a)
		same(t, "in the backup", map[string]int{"Secret": 4}, kept(t, file))
	})
	t.Run("a backup is never written over", func(t *testing.T) {
		t.Parallel()
		team, admin := moved(t)
		file := backupFile(t)
		must(t, os.WriteFile(file, []byte("mine"), 0o644))
		admin.requests(t)
		admin.fails(t, 1, []string{"the backup can't be written, and nothing is removed without it"}, "migrate", team.name, "--finish", "--yes", "--backup", file)
		admin.fails(t, 1, []string{"the backup can't be written, and nothing is removed without it"}, "migrate", team.name, "--abort", "--backup", file)
		admin.wroteNothing(t)
	})
}

// TestMigrateDetectsMissingRecords: all revisions must exist before members can use Helm 3, not
// only the newest; the same command again writes the missing ones.
func TestMigrateDetectsMissingRecords(t *testing.T) {
	t.Parallel()
	w, team := start(t), newTeam()
	w.makeTenant(t, team)
	w.stored(t, team, records.Release{Name: "web", Namespace: team.a, Revision: 1, Status: "SUPERSEDED"}, records.Release{Name: "web", Namespace: team.a, Revision: 2, Status: "DEPLOYED"})
	secrets := "/namespaces/" + team.a + "/secrets"
	var removed atomic.Bool
	admin := w.withHelm3(t).through(t, func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodGet && strings.Contains(r.URL.Path, secrets) && len(w.helmRecords(t, team.a)) == 2 && !removed.Swap(true) {
			must(t, w.root.CoreV1().Secrets(team.a).Delete(t.Context(), "sh.helm.release.v1.web.v1", metav1.DeleteOptions{}))
		}
		return false
	})
	admin.fails(t, 1, []string{"release web: somebody removed Secret sh.helm.release.v1.web.v1 in namespace " + team.a, "run the same command again to write what is missing"}, "migrate", team.name, "--backup", backupFile(t))
	if _, err := w.root.CoreV1().ServiceAccounts(team.home).Get(t.Context(), "helm", metav1.GetOptions{}); err == nil {
		t.Error("its second deployer is there")
	}
	admin.must(t, "migrate", team.name, "--backup", backupFile(t))
	same(t, "records", []string{"web.v1", "web.v2"}, w.helmRecords(t, team.a))
}

// TestMigrateWaitsUntilTillerStops: a pod that does not end makes migrate fail, and the same
// command again continues.
func TestMigrateWaitsUntilTillerStops(t *testing.T) {
	t.Parallel()
	w, team := start(t), newTeam()
	w.makeTenant(t, team)
	pods := w.root.CoreV1().Pods(team.home)
	pod := w.tillerPod(t, team).DeepCopy()
	pod.ObjectMeta = metav1.ObjectMeta{Name: "another", Labels: map[string]string{"app": "helm", "name": "tiller"}} // which no Deployment takes away
	_, err := pods.Create(t.Context(), pod, metav1.CreateOptions{})
	must(t, err)
	admin := w.withHelm3(t)
	r := admin.run(t, "migrate", team.name, "--timeout", "2s")
	if words := fmt.Sprintf("the Tiller in namespace %q did not stop in time: waiting for pod %s to end", team.home, pod.Name); r.Code != 1 || !strings.Contains(r.Stderr, words) || !strings.Contains(r.Stderr, "run the same command again to continue") {
		t.Errorf("%v", r)
	}
	none := int64(0)
	must(t, pods.Delete(t.Context(), pod.Name, metav1.DeleteOptions{GracePeriodSeconds: &none}))
	admin.must(t, "migrate", team.name)
}

// TestMigrateVerifies: with a helm that does not find the releases, the migration can't be
// finished; it can be repeated with another helm, or aborted.
func TestMigrateVerifies(t *testing.T) {
	t.Parallel()
	w := start(t)
	for _, c := range []struct{ name, script, says string }{
		{"lists nothing", `case "$*" in *" list "*) echo '[]';; *) exec HELM "$@";; esac`, "release web in namespace NAME-a is not listed by "},
		{"lists another revision", `case "$*" in *" list "*) echo '[{"name":"web","revision":"1","status":"deployed"}]';; *) exec HELM "$@";; esac`,
			"release web in namespace NAME-a should be at revision 2, deployed, but "},
		{"has another manifest", `case "$*" in *" get manifest "*) echo 'kind: Other';; *) exec HELM "$@";; esac`, "release web in namespace NAME-a has another manifest under "},
		{"fails", `case "$*" in *" list "*) echo 'Error: no luck' >&2; exit 1;; *) exec HELM "$@";; esac`, "does not list the releases of namespace NAME-a: no luck"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			team := newTeam()
			w.makeTenant(t, team)
			w.stored(t, team, records.Release{Name: "web", Namespace: team.a, Revision: 1, Status: "SUPERSEDED"}, records.Release{Name: "web", Namespace: team.a, Revision: 2, Status: "DEPLOYED"})
			before := w.dump(t, team)
			path := filepath.Join(t.TempDir(), "helm")
			must(t, os.WriteFile(path, []byte("#!/bin/sh\n"+strings.ReplaceAll(c.script, "HELM", w.Bin("helm3"))+"\n"), 0o755))
			admin := w.admin(t)
			admin.env = append(admin.env, "HELM_BIN="+path)
			r := admin.run(t, "migrate", team.name, "--backup", backupFile(t))
			if says := strings.ReplaceAll(c.says, "NAME", team.name); r.Code != 1 || !strings.Contains(r.Stderr, says) || !strings.Contains(r.Stderr, "migrate "+team.name+" --abort") {
				t.Errorf("it should say %q: %v", says, r)
			}
			admin.fails(t, 1, []string{"its releases are not all moved and verified yet", "go on with: helm tenant migrate " + team.name}, "migrate", team.name, "--finish", "--yes")
			if c.name == "fails" {
				admin.must(t, "migrate", team.name, "--abort", "--wait=false", "--backup", backupFile(t))
				same(t, "what is there", before, w.dump(t, team))
				return
			}
			w.withHelm3(t).must(t, "migrate", team.name, "--backup", backupFile(t))
			admin.must(t, "migrate", team.name, "--finish", "--yes", "--backup", backupFile(t))
		})
	}
}
