package apitest

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	"helm-tenant/test/harness"
	"helm-tenant/test/records"
)

// recipeKinds are the kinds in admin/testdata/recipes, except namespaces.
var recipeKinds = map[string]schema.GroupVersionResource{
	"ServiceAccount": {Version: "v1", Resource: "serviceaccounts"}, "Service": {Version: "v1", Resource: "services"},
	"Deployment": {Group: "apps", Version: "v1", Resource: "deployments"}, "StatefulSet": {Group: "apps", Version: "v1", Resource: "statefulsets"},
	"DaemonSet": {Group: "apps", Version: "v1", Resource: "daemonsets"}, "Pod": {Version: "v1", Resource: "pods"},
	"Role": {Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "roles"}, "RoleBinding": {Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "rolebindings"},
	"ClusterRoleBinding": {Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "clusterrolebindings"},
}

// follow makes the objects of a recipe, whose Tiller is in namespace old and deploys into
// namespace a, in the team's namespaces.
func (w *world) follow(t *testing.T, file string, team team) {
	t.Helper()
	text, err := os.ReadFile(file)
	must(t, err)
	replaced := regexp.MustCompile(`\bold\b`).ReplaceAllString(string(text), team.home)
	replaced = regexp.MustCompile(`namespace: a\b`).ReplaceAllString(replaced, "namespace: "+team.a)
	for document := range strings.SplitSeq(replaced, "\n---\n") {
		var object unstructured.Unstructured
		must(t, yaml.Unmarshal([]byte(document), &object.Object))
		if object.GetKind() == "Namespace" {
			continue
		}
		if object.GetNamespace() == "" {
			object.SetName(object.GetName() + "-" + team.name)
		}
		_, err := w.dynamic.Resource(recipeKinds[object.GetKind()]).Namespace(object.GetNamespace()).Create(t.Context(), &object, metav1.CreateOptions{})
		must(t, err)
	}
}

// seenTiller is a Tiller in the output of a verb.
type seenTiller struct {
	Namespace string
	Account   string `json:"serviceAccount"`
	Releases  map[string]int
}

// TestRecipesAgree: of each published way to run a Tiller every verb sees the same one, and
// its releases, before it is a tenant's and after.
func TestRecipesAgree(t *testing.T) {
	t.Parallel()
	w := start(t)
	storages := map[string]string{"kubergrunt": "secret", "helmsman": "secret", "other-image": "secret", "variables": "secret", "daemon-set": "secret", "bare-pod": "secret", "flags-elsewhere": "secret"} // of the others ConfigMaps
	// What an admin has to name beside --adopt, and the words of the refusal otherwise.
	flags := map[string][]string{"sidecar": {"--accept-risk=other-containers"}, "flags-elsewhere": {"--accept-risk=other-containers", "--history-max=6"}}
	refusals := map[string][]string{"sidecar": {"dashboard of Deployment dashboard"}, "flags-elsewhere": {"metrics of Deployment tiller-deploy", "from ConfigMap flags", "--history-max=N"}}
	files, err := filepath.Glob(filepath.Join("..", "..", "admin", "testdata", "recipes", "*.yaml"))
	must(t, err)
	if len(files) < 14 {
		t.Fatalf("there are %d recipes", len(files))
	}
	for _, file := range files {
		recipe := strings.TrimSuffix(filepath.Base(file), ".yaml")
		t.Run(recipe, func(t *testing.T) {
			team := newTeam()
			w.namespace(t, team.home, team.a)
			w.follow(t, file, team)
			w.keep(t, team, storages[recipe],
				records.Release{Name: "web", Namespace: team.a, Revision: 1, Status: "SUPERSEDED"}, records.Release{Name: "web", Namespace: team.a, Revision: 2, Status: "DEPLOYED"})
			admin := w.withHelm3(t)

			before := w.unmanaged(t, admin, team)
			if len(before) != 1 || before[0].Releases["DEPLOYED"] != 1 {
				t.Errorf("tenants lists %+v", before)
			}
			if account := w.auditedAccount(t, admin, team); len(before) == 1 && account != before[0].Account {
				t.Errorf("the audit's Tiller runs as %q, and that of tenants as %q", account, before[0].Account)
			}

			command := []string{"init", team.name, "--home-namespace", team.home, "--namespaces", team.a, "--engine", "tiller", "--adopt", "--wait=false"}
			if words := refusals[recipe]; words != nil {
				admin.fails(t, 1, words, command...)
			}
			command = append(command, flags[recipe]...)
			planned := admin.must(t, append(slices.Clone(command), "--dry-run")...)
			done := admin.must(t, command...)
			for _, note := range notesOf(planned) {
				if !strings.Contains(done.Stderr, note) {
					t.Errorf("the dry run says %q, and the run does not:\n%s", note, done.Stderr)
				}
			}
			if second := admin.must(t, "init", team.name, "--wait=false"); !strings.Contains(second.Stdout, "is as asked") {
				t.Errorf("init a second time: %v", second)
			}
			if left := w.unmanaged(t, admin, team); len(left) > 0 {
				t.Errorf("tenants still lists %+v", left)
			}

			var described struct {
				Tiller   struct{ Storage string }
				Running  seenTiller
				Releases []struct {
					Name     string
					Revision int
				}
				Drift []any
			}
			must(t, json.Unmarshal([]byte(admin.must(t, "describe", team.name, "-o", "json").Stdout), &described))
			storage := described.Tiller.Storage
			if storage == "" {
				storage = "secret" // a tenant's default
			}
			if want := map[string]string{"": "configmap", "secret": "secret"}[storages[recipe]]; storage != want {
				t.Errorf("describe: storage %q, want %q", storage, want)
			}
			if described.Running.Account != "tiller" || len(described.Drift) > 0 {
				t.Errorf("describe: Tiller runs as %q, drift %v", described.Running.Account, described.Drift)
			}
			if len(described.Releases) != 1 || described.Releases[0].Name != "web" || described.Releases[0].Revision != 2 {
				t.Errorf("describe: releases %+v", described.Releases)
			}
			if account := w.auditedAccount(t, admin, team); account != "tiller" {
				t.Errorf("the audit's Tiller runs as %q", account)
			}
			if out := admin.must(t, "migrate", team.name, "--dry-run"); !strings.Contains(out.Stdout+out.Stderr, "web") {
				t.Errorf("migrate does not see the release: %v", out)
			}
		})
	}
}

// keep stores release records as a Tiller with that storage does; ConfigMaps if it is empty.
func (w *world) keep(t *testing.T, team team, storage string, releases ...records.Release) {
	t.Helper()
	if storage == "secret" {
		w.stored(t, team, releases...)
		return
	}
	for _, r := range releases {
		_, err := w.root.CoreV1().ConfigMaps(team.home).Create(t.Context(), records.ConfigMap(r), metav1.CreateOptions{})
		must(t, err)
	}
}

// unmanaged returns the Tillers in the team's home that tenants lists as nobody's.
func (w *world) unmanaged(t *testing.T, admin *user, team team) []seenTiller {
	t.Helper()
	var list struct{ Unmanaged []seenTiller }
	must(t, json.Unmarshal([]byte(admin.must(t, "tenants", "-o", "json").Stdout), &list))
	return slices.DeleteFunc(list.Unmanaged, func(s seenTiller) bool { return s.Namespace != team.home })
}

// auditedAccount returns the account of the one deployer in the team's home, as the audit has it.
func (w *world) auditedAccount(t *testing.T, admin *user, team team) string {
	t.Helper()
	r := admin.run(t, "audit", "-o", "json")
	if r.Code != 4 && r.Code != 0 {
		t.Fatalf("audit: %v", r)
	}
	var report struct {
		Deployers []struct {
			Home    string
			Account string `json:"serviceAccount"`
		}
	}
	must(t, json.Unmarshal([]byte(r.Stdout), &report))
	var accounts []string
	for _, d := range report.Deployers {
		if d.Home == team.home {
			accounts = append(accounts, strings.TrimPrefix(d.Account, team.home+":"))
		}
	}
	if len(accounts) != 1 {
		t.Errorf("the audit has the deployers %q in namespace %s", accounts, team.home)
		return ""
	}
	return accounts[0]
}

// notesOf returns the notes among what a command says.
func notesOf(r harness.Result) []string {
	var notes []string
	for line := range strings.Lines(r.Stderr) {
		if note, found := strings.CutPrefix(line, "Note: "); found {
			notes = append(notes, strings.TrimSpace(note))
		}
	}
	return notes
}
