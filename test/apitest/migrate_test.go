package apitest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"helm-tenant/test/records"
)

// withHelm3 is the same admin with a Helm 3, who stands in a folder of their own.
func (w *world) withHelm3(t *testing.T) *user {
	t.Helper()
	u := w.admin(t)
	u.env = append(u.env, "HELM_BIN="+w.Bin("helm3"))
	return u
}

// stored puts records into a tenant's home.
func (w *world) stored(t *testing.T, made team, releases ...records.Release) {
	t.Helper()
	for _, r := range releases {
		_, err := w.root.CoreV1().Secrets(made.home).Create(t.Context(), records.Secret(r), metav1.CreateOptions{})
		must(t, err)
	}
}

// helm3 runs the real Helm 3 as root.
func (w *world) helm3(t *testing.T, args ...string) string {
	t.Helper()
	return w.helmOf(t, "helm3", args...)
}

// helmOf runs a real helm as root, by its name.
func (w *world) helmOf(t *testing.T, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(w.Bin(name), args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+w.Admin(), "HOME="+filepath.Join(dir, "home"))
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("helm %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// helmRecords are the names of Helm 3's records in a namespace.
func (w *world) helmRecords(t *testing.T, namespace string) []string {
	t.Helper()
	found, err := w.root.CoreV1().Secrets(namespace).List(t.Context(), metav1.ListOptions{LabelSelector: "owner=helm"})
	must(t, err)
	names := []string{}
	for _, secret := range found.Items {
		names = append(names, strings.TrimPrefix(secret.Name, "sh.helm.release.v1."))
	}
	return names
}

// backupFile names a file for a backup, in a folder of its own.
func backupFile(t *testing.T) string { return filepath.Join(t.TempDir(), "backup.yaml") }

// kept counts the records in a backup, by kind.
func kept(t *testing.T, file string) map[string]int {
	t.Helper()
	text, err := os.ReadFile(file)
	must(t, err)
	var list struct{ Items []struct{ Kind string } }
	must(t, yaml.Unmarshal(text, &list))
	count := map[string]int{}
	for _, item := range list.Items {
		count[item.Kind]++
	}
	return count
}

func hello() string { return filepath.Join("..", "charts", "hello") }

// TestMigrateRefuses: all that is in the way is said at once, and nothing is written.
func TestMigrateRefuses(t *testing.T) {
	t.Parallel()
	w := start(t)
	for _, c := range []struct {
		name  string
		make  func(t *testing.T, made team)
		words []string
		args  []string
	}{
		{"releases of every bad kind", func(t *testing.T, made team) {
			w.namespace(t, made.c)
			w.stored(t, made,
				records.Release{Name: "fine", Namespace: made.a, Revision: 1, Status: "DEPLOYED"},
				records.Release{Name: "pending", Namespace: made.a, Revision: 4, Status: "DEPLOYED"},
				records.Release{Name: "pending", Namespace: made.a, Revision: 5, Status: "PENDING_UPGRADE"},
				records.Release{Name: "leaving", Namespace: made.a, Revision: 1, Status: "DELETING"},
				records.Release{Name: "elsewhere", Namespace: made.c, Revision: 1, Status: "DEPLOYED"},
				records.Release{Name: "taken", Namespace: made.b, Revision: 1, Status: "DEPLOYED"})
			w.helm3(t, "install", "taken", hello(), "--namespace", made.b)
			broken := records.Secret(records.Release{Name: "broken", Namespace: made.a, Revision: 1, Status: "DEPLOYED"})
			broken.Data["release"] = []byte("nonsense")
			_, err := w.root.CoreV1().Secrets(made.home).Create(t.Context(), broken, metav1.CreateOptions{})
			must(t, err)
			forged := records.Secret(records.Release{Name: "forged", Namespace: made.a, Revision: 1, Status: "DEPLOYED"})
			forged.Name = "other.v1"
			_, err = w.root.CoreV1().Secrets(made.home).Create(t.Context(), forged, metav1.CreateOptions{})
			must(t, err)
		}, []string{"it can't move, for 6 reasons:",
			"release pending, revision 5, is PENDING_UPGRADE: wait for the helm that works on it, or go back with helm tenant rollback pending 4",
			"release leaving, revision 1, is DELETING: delete it again with helm tenant delete --purge leaving",
			`release elsewhere is in namespace "NAME-c", which is not the tenant's: give it to the tenant with init, or delete the release with helm tenant delete --purge elsewhere`,
			"release taken: Helm 3 has one of that name in namespace NAME-b (Secret sh.helm.release.v1.taken.v1: it holds another release)",
			"Secret broken.v1 in namespace NAME-tiller is no release record of Helm 2",
			"record other.v1 holds forged.v1, which no Tiller writes: remove it"}, nil},
		{"a role without Secrets", func(t *testing.T, made team) {
			w.admin(t).must(t, "init", made.name, "--role", "view", "--wait=false")
		}, []string{"the tenant's role, ClusterRole view, does not let Helm 3 keep its records: it needs get, list, create, update and delete of secrets"}, nil},
		{"a Secret in the place of a record", func(t *testing.T, made team) {
			w.stored(t, made, records.Release{Name: "web", Namespace: made.a, Revision: 1, Status: "DEPLOYED"})
			_, err := w.root.CoreV1().Secrets(made.a).Create(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "sh.helm.release.v1.web.v1"}}, metav1.CreateOptions{})
			must(t, err)
		}, []string{"release web: Helm 3 has one of that name in namespace NAME-a (Secret sh.helm.release.v1.web.v1: it holds no release)"}, nil},
		{"a namespace that is gone", func(t *testing.T, made team) {
			w.stored(t, made, records.Release{Name: "web", Namespace: made.a, Revision: 1, Status: "DEPLOYED"})
			w.deleteNamespace(t, made.a)
		}, []string{`namespace "NAME-a" does not exist, and releases are recorded there: create it, or delete them under Helm 2`}, nil},
		{"a quota without room", func(t *testing.T, made team) {
			w.stored(t, made, records.Release{Name: "web", Namespace: made.a, Revision: 1, Status: "DEPLOYED"}, records.Release{Name: "db", Namespace: made.a, Revision: 1, Status: "DEPLOYED"})
			quota := &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Name: "few"}, Spec: corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{"count/secrets": resource.MustParse("1")}}}
			_, err := w.root.CoreV1().ResourceQuotas(made.a).Create(t.Context(), quota, metav1.CreateOptions{})
			must(t, err)
		}, []string{`ResourceQuota few of namespace "NAME-a" allows 1 Secrets, 0 exist, and Helm 3 needs 2 more for the records: raise it, or move fewer revisions with --keep`}, nil},
		{"a service account of somebody else's", func(t *testing.T, made team) {
			_, err := w.root.CoreV1().ServiceAccounts(made.home).Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "helm"}}, metav1.CreateOptions{})
			must(t, err)
		}, []string{"ServiceAccount helm in namespace NAME-tiller was not made by helm-tenant"}, nil},
		{"finish before the start", func(*testing.T, team) {}, []string{"it is not being migrated: there is nothing to finish", "helm tenant migrate NAME"}, []string{"--finish", "--yes"}},
		{"abort before the start", func(*testing.T, team) {}, []string{"it is not being migrated: there is nothing to go back from"}, []string{"--abort"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			team := newTeam()
			w.makeTenant(t, team)
			c.make(t, team)
			admin := w.withHelm3(t)
			before := w.versions(t, team)
			var words []string
			for _, word := range c.words {
				words = append(words, strings.ReplaceAll(word, "NAME", team.name))
			}
			admin.fails(t, 1, words, append([]string{"migrate", team.name, "--backup", backupFile(t)}, c.args...)...)
			admin.wroteNothing(t)
			same(t, "what is there", before, w.versions(t, team))
		})
	}
}

// TestMigrateWithTooFewRights: rights that any step needs are reported before the first step.
func TestMigrateWithTooFewRights(t *testing.T) {
	t.Parallel()
	w, team := start(t), newTeam()
	w.makeTenant(t, team)
	w.stored(t, team, records.Release{Name: "web", Namespace: team.a, Revision: 1, Status: "DEPLOYED"})
	u := w.newUser(t, "reader")
	u.env = append(u.env, "HELM_BIN="+w.Bin("helm3"))
	w.allow(t, u, "", append(readsAll, rule("", "secrets", "get"), rule(rbacv1.GroupName, "clusterroles", "get"))...)
	file := backupFile(t)
	r := u.fails(t, 1, []string{"you lack ", "nothing was written",
		"create secrets in namespace " + team.a, "delete secrets/sh.helm.release.v1.web.v1 in namespace " + team.a,
		"update configmaps/helm-tenant in namespace " + team.home, "update deployments.apps/tiller-deploy in namespace " + team.home,
		"create serviceaccounts in namespace " + team.home, "impersonate serviceaccounts/helm in namespace " + team.home,
	}, "migrate", team.name, "--backup", file)
	u.wroteNothing(t)
	if _, err := os.Stat(file); err == nil {
		t.Errorf("a backup was written: %v", r)
	}
}

// TestMigratePlan is what a dry run tells machines.
func TestMigratePlan(t *testing.T) {
	t.Parallel()
	w, team := start(t), newTeam()
	w.makeTenant(t, team)
	old := "\n---\napiVersion: extensions/v1beta1\nkind: Deployment\nmetadata:\n  name: web\n---\napiVersion: v1\nkind: Nonsense\nmetadata:\n  name: odd\n---\napiVersion: ../api\nkind: Path\nmetadata:\n  name: odd\n"
	w.stored(t, team,
		records.Release{Name: "web", Namespace: team.a, Revision: 1, Status: "SUPERSEDED"},
		records.Release{Name: "web", Namespace: team.a, Revision: 2, Status: "DEPLOYED", Manifest: old},
		records.Release{Name: "stuck", Namespace: team.b, Revision: 1, Status: "UNKNOWN"},
		records.Release{Name: "gone", Namespace: team.b, Revision: 1, Status: "DELETED", Manifest: old})
	admin := w.admin(t) // a Helm 2 will do
	r := admin.run(t, "migrate", team.name, "--dry-run", "-o", "json")
	if r.code != 1 || !strings.Contains(r.stderr, "release stuck, revision 1, is UNKNOWN") {
		t.Errorf("%v", r)
	}
	admin.wroteNothing(t)
	var got any
	must(t, json.Unmarshal([]byte(r.stdout), &got))
	unserved := func(what, name string) string {
		return what + " is of " + name + ", which this API server does not serve: Helm 3 can't upgrade the release before the Helm plugin mapkubeapis has changed its record"
	}
	noRollback := func(what string) string {
		return "Helm 3 can't roll back to revision 1, which has a " + what + ": this API server does not serve it"
	}
	want := map[string]any{
		"apiVersion": "helm-tenant/v1", "kind": "Migration", "tenant": team.name, "home": team.home,
		"releases": []any{
			map[string]any{"name": "gone", "namespace": team.b, "revisions": 1.0, "revision": 1.0, "status": "DELETED", "notes": []any{
				noRollback("Deployment of extensions/v1beta1"), noRollback("Nonsense of v1"), noRollback("Path of ../api")}},
			map[string]any{"name": "web", "namespace": team.a, "revisions": 2.0, "revision": 2.0, "status": "DEPLOYED", "notes": []any{
				unserved("Deployment web", "extensions/v1beta1"), unserved("Nonsense odd", "v1"), unserved("Path odd", "../api")}},
		},
		"problems": []any{"release stuck, revision 1, is UNKNOWN: wait for the helm that works on it, or delete it with helm tenant delete --purge stuck"},
	}
	same(t, "plan", any(want), got)
}

// TestMigrateStorages: with ConfigMap storage the records are ConfigMaps, and Secrets
// that look like some are not this Tiller's.
func TestMigrateStorages(t *testing.T) {
	t.Parallel()
	w, team := start(t), newTeam()
	w.makeTenant(t, team, "--storage", "configmap")
	for revision, status := range []string{"SUPERSEDED", "DEPLOYED"} {
		r := records.Release{Name: "web", Namespace: team.a, Revision: revision + 1, Status: status}
		_, err := w.root.CoreV1().ConfigMaps(team.home).Create(t.Context(), records.ConfigMap(r), metav1.CreateOptions{})
		must(t, err)
	}
	w.stored(t, team, records.Release{Name: "stray", Namespace: team.a, Revision: 1, Status: "DEPLOYED"})
	admin, file := w.withHelm3(t), backupFile(t)
	admin.must(t, "migrate", team.name, "--backup", file)
	same(t, "Helm 3's records", []string{"web.v1", "web.v2"}, w.helmRecords(t, team.a))
	same(t, "in the backup", map[string]int{"ConfigMap": 2}, kept(t, file))
	admin.must(t, "migrate", team.name, "--finish", "--yes", "--backup", backupFile(t))
	left, err := w.root.CoreV1().ConfigMaps(team.home).List(t.Context(), metav1.ListOptions{LabelSelector: "OWNER=TILLER"})
	must(t, err)
	if len(left.Items) > 0 {
		t.Errorf("Tiller's records are there: %v", left.Items)
	}
	stray, err := w.root.CoreV1().Secrets(team.home).List(t.Context(), metav1.ListOptions{LabelSelector: "OWNER=TILLER"})
	must(t, err)
	if len(stray.Items) != 1 {
		t.Errorf("there are %d Secrets that were not this Tiller's, not 1", len(stray.Items))
	}
}

// TestMigrateOfAllNamespaces: the releases of a tenant of all namespaces may be
// anywhere, and nothing else is looked at there.
func TestMigrateOfAllNamespaces(t *testing.T) {
	t.Parallel()
	w, team := start(t), newTeam()
	w.namespace(t, team.a, team.b)
	w.admin(t).must(t, "init", team.name, "--all-namespaces", "--accept-risk", "cluster-wide", "--wait=false")
	w.stored(t, team, records.Release{Name: "web", Namespace: team.a, Revision: 1, Status: "DEPLOYED"}, records.Release{Name: "db", Namespace: team.b, Revision: 3, Status: "FAILED"})
	admin := w.withHelm3(t)
	admin.must(t, "migrate", team.name, "--backup", backupFile(t))
	same(t, "Helm 3's records", [][]string{{"web.v1"}, {"db.v3"}}, [][]string{w.helmRecords(t, team.a), w.helmRecords(t, team.b)})
	admin.must(t, "migrate", team.name, "--abort", "--wait=false", "--backup", backupFile(t))
	same(t, "Helm 3's records", [][]string{{}, {}}, [][]string{w.helmRecords(t, team.a), w.helmRecords(t, team.b)})
}

// TestMigrateOfBothEngines: who had both before has both again after --abort.
func TestMigrateOfBothEngines(t *testing.T) {
	t.Parallel()
	w, team := start(t), newTeam()
	w.makeTenant(t, team, "--engine", "both")
	w.stored(t, team, records.Release{Name: "web", Namespace: team.a, Revision: 1, Status: "DEPLOYED"})
	w.helm3(t, "install", "own", hello(), "--namespace", team.a)
	before := w.dump(t, team)
	admin := w.withHelm3(t)
	admin.must(t, "migrate", team.name, "--backup", backupFile(t))
	admin.must(t, "migrate", team.name, "--abort", "--wait=false", "--backup", backupFile(t))
	same(t, "what is there", before, w.dump(t, team))
}

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
			case r.code == 0:
				done++
			case len(args) > 0 && (strings.Contains(r.stderr, "another admin has ended the migration in the meantime") || strings.Contains(r.stderr, "it is not being migrated")):
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
	said := func(t *testing.T, r result, words ...string) {
		t.Helper()
		for _, word := range words {
			if !strings.Contains(r.stderr, word) {
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
			said(t, admin.must(t, "migrate", team.name), "Helm 3 has changed release web in namespace "+team.a+" since: it is at revision 5, deployed")
			same(t, "records", []string{"web.v3", "web.v4", "web.v5"}, w.helmRecords(t, team.a))
			file := backupFile(t)
			r := admin.must(t, "migrate", team.name, "--abort", "--wait=false", "--backup", file)
			said(t, r, "release web: its objects stay as Helm 3 left them at revision 5; Tiller knows it as of revision 2")
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
		said(t, admin.must(t, "migrate", team.name), "release web in namespace "+team.a+" is gone", "release db in namespace "+team.b+" was installed again by Helm 3: that one is at revision 1, deployed")
		r := admin.must(t, "migrate", team.name, "--abort", "--wait=false", "--backup", backupFile(t))
		said(t, r, "release web was uninstalled by Helm 3; Tiller lists it as it was", "rollback web 2",
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
		said(t, r, "release web was installed again by Helm 3 in namespace "+team.a+": that one stays", "release db was installed again by Helm 3 in namespace "+team.b+": that one stays")
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
		said(t, admin.must(t, "migrate", team.name, "--finish", "--yes", "--accept-risk", "missing-releases", "--backup", file), "only the backup will know of web in namespace "+team.a)
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
		said(t, admin.must(t, "migrate", team.name, "--finish", "--yes", "--accept-risk", "missing-releases", "--backup", file), "only the backup will know of revision 2 of web in namespace "+team.a)
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

// TestMigrateMissesWhatItWrote: all revisions must exist before members can use Helm 3, not
// only the newest; the same command again writes the missing ones.
func TestMigrateMissesWhatItWrote(t *testing.T) {
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
	if words := fmt.Sprintf("the Tiller in namespace %q did not stop in time: waiting for pod %s to end", team.home, pod.Name); r.code != 1 || !strings.Contains(r.stderr, words) || !strings.Contains(r.stderr, "run the same command again to continue") {
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
			if says := strings.ReplaceAll(c.says, "NAME", team.name); r.code != 1 || !strings.Contains(r.stderr, says) || !strings.Contains(r.stderr, "migrate "+team.name+" --abort") {
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
