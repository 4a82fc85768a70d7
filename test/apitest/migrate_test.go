package apitest

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"helm-tenant/test/records"
)

// withHelm3 returns the same admin with a Helm 3, in a working folder of their own.
func (w *world) withHelm3(t *testing.T) *user {
	t.Helper()
	u := w.admin(t)
	u.env = append(u.env, "HELM_BIN="+w.Bin("helm3"))
	return u
}

// stored puts records into a tenant's home.
func (w *world) stored(t *testing.T, team team, releases ...records.Release) {
	t.Helper()
	for _, r := range releases {
		_, err := w.root.CoreV1().Secrets(team.home).Create(t.Context(), records.Secret(r), metav1.CreateOptions{})
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

// helmRecords returns the names of Helm 3's records in a namespace.
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
	if r.Code != 1 || !strings.Contains(r.Stderr, "release stuck, revision 1, is UNKNOWN") {
		t.Errorf("%v", r)
	}
	admin.wroteNothing(t)
	var got any
	must(t, json.Unmarshal([]byte(r.Stdout), &got))
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
