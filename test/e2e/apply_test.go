package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"helm-tenant/test/testcluster"
)

// TestWholeCluster is what looks at all tenants of a cluster, and at
// kube-system.
func TestWholeCluster(t *testing.T) {
	t.Parallel()
	log := filepath.Join(t.TempDir(), "audit.log")
	w := ownWorld(t, testcluster.Options{AuditLog: log})
	t.Run("a bad file", func(t *testing.T) { badFile(t, w) })
	t.Run("adopt a cluster admin", func(t *testing.T) { adoptClusterAdmin(t, w) })
	t.Run("apply", func(t *testing.T) { applyFile(t, w, log) })
	t.Run("prune", func(t *testing.T) { prune(t, w) })
}

// badFile shows that all mistakes are reported at once, before any request to the cluster.
func badFile(t *testing.T, w *world) {
	dir := t.TempDir()
	// Nobody listens there: who asks gets another error.
	nowhere := w.person(write(t, dir, "kubeconfig", `apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "https://127.0.0.1:1"}}]
users: [{name: u, user: {token: t}}]
contexts: [{name: none, context: {cluster: c, user: u}}]
current-context: none
`)).in(t)
	file := write(t, dir, "bad.yaml", `apiVersion: helm-tenant/v1
tenants:
- name: team-a
  namespaces: [a, B]
  roles: edit
- name: team-b
  namespaces: [b]
  tiller:
    historyMax: -1
    storage: disk
- name: team-a
  namespaces: [c]
`)
	s := nowhere.fails(1, file+":4: ", "helm", "tenant", "apply", "-f", file)
	want := []string{
		file + `:4: tenant "team-a": namespaces: "B" is not a namespace's name`,
		file + `:5: unknown field "roles"`,
		file + `:9: tenant "team-b": history-max: -1 is negative`,
		file + `:10: tenant "team-b": storage: "disk" is not one of secret, configmap`,
		file + `:11: duplicate tenant "team-a", first on line 3`,
	}
	lines := strings.Split(strings.TrimSpace(s.stderr), "\n")
	lines = lines[:len(lines)-1] // helm's own last line
	if len(lines) != len(want) {
		t.Errorf("%d lines, wanted %d:\n%s", len(lines), len(want), s.stderr)
	}
	for _, line := range want {
		contains(t, s.stderr, "Error: "+line)
	}
	lacks(t, s.stderr, "can't be reached")

	overlap := write(t, dir, "overlap.yaml", `apiVersion: helm-tenant/v1
tenants:
- {name: one, namespaces: [shared, x]}
- {name: two, namespaces: [shared, y]}
- {name: three, namespaces: [one-tiller]}
`)
	s = nowhere.fails(1, `namespace "shared" is a namespace of tenant "two" and, at `, "helm", "tenant", "apply", "-f", overlap)
	contains(t, s.stderr, `namespace "one-tiller" is a namespace of tenant "three" and, at `, "--share")
	// A home is never shared.
	s = nowhere.fails(1, `the home namespace of tenant "one"`, "helm", "tenant", "apply", "-f", overlap, "--share")
	lacks(t, s.stderr, `"shared"`)

	nowhere.fails(1, "no such file", "helm", "tenant", "apply", "-f", filepath.Join(dir, "none.yaml"))
	nowhere.fails(2, "no file is named", "helm", "tenant", "apply")
}

// write makes a file and returns its path.
func write(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// writes returns the requests of helm-tenant's that changed something, so far. Dry runs, by
// which it asks whether PodSecurity is enforced, store nothing.
func writes(t *testing.T, log string) []string {
	t.Helper()
	f, err := os.Open(log)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var found []string
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var event struct{ Verb, RequestURI, UserAgent string }
		if json.Unmarshal(lines.Bytes(), &event) != nil || !strings.HasPrefix(event.UserAgent, "helm-tenant") {
			continue // an incomplete line is not from our process, which has ended
		}
		switch event.Verb {
		case "create", "update", "patch", "delete", "deletecollection":
			if !strings.Contains(event.RequestURI, "dryRun=All") && !strings.Contains(event.RequestURI, "accessreviews") && !strings.Contains(event.RequestURI, "rulesreviews") {
				found = append(found, event.Verb+" "+event.RequestURI)
			}
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return found
}

// applied is what apply -o json prints.
type applied struct {
	Kind  string
	Items []struct {
		Name, Result, Error string
		Writes              int
		Notes               []string
	}
}

func (a applied) String() string {
	var parts []string
	for _, item := range a.Items {
		parts = append(parts, item.Name+" "+item.Result)
	}
	return strings.Join(parts, ", ")
}

func (p *person) applyJSON(code int, stdin string, args ...string) applied {
	p.t.Helper()
	s := p.tryWith(stdin, append([]string{"helm", "tenant", "apply", "-o", "json"}, args...)...)
	if s.code != code {
		p.t.Fatalf("apply %v: exit code %d, wanted %d\n%s%s", args, s.code, code, s.stdout, s.stderr)
	}
	var result applied
	if err := json.Unmarshal([]byte(s.stdout), &result); err != nil {
		p.t.Fatalf("apply %v: %v\n%s", args, err, s.stdout)
	}
	return result
}

const threeTenants = `apiVersion: helm-tenant/v1
tenants:
- name: red
  namespaces: [red-1, red-2]
  members: {users: [rosa, rudi], groups: [reds]}
- name: green
  namespaces: [green]
  members: {serviceAccounts: ["ci:deployer"]}
  role: edit
- name: blue
  namespaces: [blue]
  tiller: {storage: configmap, historyMax: 5}
`

func applyFile(t *testing.T, w *world, log string) {
	admin := w.admin.in(t)
	dir := t.TempDir()
	file := write(t, dir, "tenants.yaml", threeTenants)
	writesOf := func(do func()) []string {
		before := len(writes(t, log))
		do()
		return writes(t, log)[before:]
	}

	t.Run("a namespace that is missing", func(t *testing.T) {
		s := admin.in(t).fails(1, `tenant "red": namespaces red-1, red-2 do not exist`, "helm", "tenant", "apply", "-f", file)
		contains(t, s.stderr, `tenant "green": namespace "green" does not exist`, "--create-namespaces")
	})
	t.Run("dry run", func(t *testing.T) {
		var s said
		created := writesOf(func() {
			s = admin.in(t).try("helm", "tenant", "apply", "-f", file, "--create-namespaces", "--dry-run", "--detailed-exitcode")
		})
		// As a plugin, helm 2 gives the code on.
		if s.code != 2 {
			t.Errorf("exit code %d: %s", s.code, s.stderr)
		}
		contains(t, s.stdout, "tenant red: create", "  + Namespace red-1", "  + Deployment tiller-deploy in namespace green-tiller", "tenant blue: create")
		if len(created) > 0 {
			t.Errorf("a dry run wrote: %s", created)
		}
	})
	t.Run("created", func(t *testing.T) {
		if got, want := admin.in(t).applyJSON(0, "", "-f", file, "--create-namespaces").String(), "red created, green created, blue created"; got != want {
			t.Errorf("got %s", got)
		}
	})
	t.Run("a second time writes nothing", func(t *testing.T) {
		var s said
		created := writesOf(func() { s = admin.in(t).try("helm", "tenant", "apply", "-f", file, "--detailed-exitcode") })
		if s.code != 0 || s.stdout != "3 tenants unchanged\n" {
			t.Errorf("exit code %d: %s%s", s.code, s.stdout, s.stderr)
		}
		if len(created) > 0 {
			t.Errorf("it wrote: %s", created)
		}
	})

	less := strings.NewReplacer("[red-1, red-2]", "[red-1]", "[rosa, rudi], groups: [reds]", "[rosa]", "historyMax: 5", "historyMax: 6").Replace(threeTenants)
	t.Run("the difference", func(t *testing.T) {
		admin := admin.in(t)
		var s said
		created := writesOf(func() { s = admin.tryWith(less, "helm", "tenant", "apply", "-f", "-", "--dry-run") })
		if s.code != 0 || len(created) > 0 {
			t.Errorf("exit code %d, writes %s\n%s", s.code, created, s.stderr)
		}
		contains(t, s.stdout, "tenant red: change",
			"  - RoleBinding helm-tenant.red.admin in namespace red-2",
			"  ~ Namespace red-2\n      - metadata.labels[helm-tenant/guard]: \"enforce\"\n      - metadata.labels[helm-tenant/tenant]: \"red\"",
			"  ~ RoleBinding helm-tenant-member in namespace red-tiller\n      - subjects: ",
			`"rudi"`, `  ! no longer members: user rudi, group reds`, `  ! namespace "red-2" is taken from the tenant`,
			"tenant blue: change", "  ~ Deployment tiller-deploy in namespace blue-tiller\n      ~ spec.template.spec.containers[0].env[1].value: \"5\" -> \"6\"\n", "1 tenant unchanged")
		lacks(t, s.stdout, "rosa")

		var diff struct {
			Kind  string
			Items []struct {
				Name, Result string
				Changes      []struct {
					Action, Kind, Name, Namespace string
					Fields                        []struct{ Path string }
				}
			}
		}
		if err := json.Unmarshal([]byte(admin.run("sh", "-c", `printf %s "$0" | helm tenant apply -f - --dry-run -o json`, less)), &diff); err != nil {
			t.Fatal(err)
		}
		if got := fmt.Sprint(diff.Kind, len(diff.Items), diff.Items[0].Result, diff.Items[1].Result, diff.Items[2].Result); got != "TenantDiff3changeunchangedchange" {
			t.Errorf("got %s", got)
		}
	})
	t.Run("members and namespaces are taken away, and said", func(t *testing.T) {
		admin := admin.in(t)
		s := admin.tryWith(less, "helm", "tenant", "apply", "-f", "-", "--detailed-exitcode")
		if s.code != 2 {
			t.Errorf("exit code %d: %s", s.code, s.stderr)
		}
		contains(t, s.stdout, "tenant red changed, ", "tenant blue changed, ", "1 tenant unchanged")
		contains(t, s.stderr, "Note: tenant red: no longer members: user rudi, group reds", `namespace "red-2" is taken from the tenant; what runs in it stays`)
		if got := admin.subjects("rolebinding", "helm-tenant-member", "--namespace", "red-tiller"); got != "User/rosa" {
			t.Errorf("members: %s", got)
		}
		admin.gone("rolebindings", "--namespace", "red-2")
		lacks(t, admin.jsonpath("{.metadata.labels}{.metadata.annotations}", "namespace", "red-2"), "helm-tenant/")
	})
	t.Run("one bad tenant among good ones", func(t *testing.T) {
		mixed := strings.ReplaceAll(less, "[rosa]", "[rosa, rita]") + "- {name: grey, namespaces: [nowhere]}\n- {name: white, namespaces: [red-2], role: none-such}\n"
		s := admin.in(t).tryWith(mixed, "helm", "tenant", "apply", "-f", "-")
		if s.code != 3 {
			t.Errorf("exit code %d", s.code)
		}
		contains(t, s.stdout, "tenant red changed, 1 write\n", "2 tenants unchanged")
		if !strings.HasPrefix(s.stderr, "Error: tenant \"grey\": namespace \"nowhere\" does not exist\n  create them with --create-namespaces, or correct namespaces in the file\n"+
			"Error: tenant \"white\": ClusterRole \"none-such\" does not exist\n  choose another role in the file\n") {
			t.Errorf("the list of what failed: %s", s.stderr)
		}
		result := admin.in(t).applyJSON(3, mixed, "-f", "-")
		if got, want := result.String(), "red unchanged, green unchanged, blue unchanged, grey failed, white failed"; got != want {
			t.Errorf("got %s", got)
		}
	})
	t.Run("several files and a folder", func(t *testing.T) {
		admin := admin.in(t)
		_, body, _ := strings.Cut(strings.ReplaceAll(less, "[rosa]", "[rosa, rita]"), "tenants:\n")
		one, two, found := strings.Cut(body, "- name: blue")
		if !found {
			t.Fatal("the file is another")
		}
		head := "apiVersion: helm-tenant/v1\ntenants:\n"
		first := write(t, dir, "folder/first.yaml", head+one)
		second := write(t, dir, "folder/sub/second.yml", head+"- name: blue"+two)
		write(t, dir, "folder/notes.txt", "no YAML: [")
		for _, args := range [][]string{{"-f", filepath.Join(dir, "folder")}, {"-f", first, "-f", second}, {"-f", first + "," + second}} {
			if got, want := admin.applyJSON(0, "", args...).String(), "red unchanged, green unchanged, blue unchanged"; got != want {
				t.Errorf("%v: got %s", args, got)
			}
		}
		again := write(t, dir, "again.yaml", head+"- name: blue"+two)
		admin.fails(1, again+`:3: tenant "blue" stands in `+second+":3, too", "helm", "tenant", "apply", "-f", second, "-f", again)
	})
	t.Run("export and apply", func(t *testing.T) {
		admin := admin.in(t)
		// A home with the conventional name that was typed anyway; an unconventional one; and
		// every setting.
		admin.tenant("init", "typed", "--namespaces", "typed", "--create-namespaces", "--home-namespace", "typed-tiller", "--wait=false")
		admin.tenant("init", "full", "--namespaces", "full-2,full-1", "--default-namespace", "full-1", "--create-namespaces", "--home-namespace", "elsewhere",
			"--user", "a@b.example,yes", "--group", "1e3", "--service-account", "ci:x", "--role", "view", "--tiller-version", "v2.17.0", "--storage", "configmap", "--history-max", "0",
			"--replicas", "2", "--resources", "limits.cpu=1500m", "--node-selector", "disk=ssd", "--image-pull-secret", "pull", "--wait=false")
		text := admin.tenant("export")
		var s said
		created := writesOf(func() { s = admin.tryWith(text, "helm", "tenant", "apply", "-f", "-", "--detailed-exitcode") })
		if s.code != 0 || s.stdout != "5 tenants unchanged\n" || len(created) > 0 {
			t.Errorf("exit code %d, writes %s\n%s%s\nof:\n%s", s.code, created, s.stdout, s.stderr, text)
		}
		if again := admin.tenant("export"); again != text {
			t.Errorf("a second export differs:\n%s\nfirst:\n%s", again, text)
		}
		some := admin.tenant("export", "red", "blue")
		contains(t, some, "name: red", "name: blue")
		lacks(t, some, "name: green")
		admin.fails(1, `there is no tenant "black"`, "helm", "tenant", "export", "red", "black")
	})
}

// prune shows that tenants which the file leaves out go under destroy's rules.
func prune(t *testing.T, w *world) {
	admin := w.admin.in(t)
	rosa := w.user("rosa").in(t)
	admin.tenant("init", "red", "--user", "rosa") // and wait
	rosa.tenant("use", "red")
	rosa.run("helm", "tenant", "install", chart(t), "--name", "web")
	keep := admin.tenant("export", "green", "typed", "full")

	s := admin.tryWith(keep, "helm", "tenant", "apply", "-f", "-", "--prune", "--dry-run", "--detailed-exitcode")
	if s.code != 3 {
		t.Errorf("exit code %d: %s", s.code, s.stderr)
	}
	contains(t, s.stdout, "tenant blue: destroy", "3 tenants unchanged")
	lacks(t, s.stdout, "tenant red: destroy")
	contains(t, s.stderr, `tenant "red": it has a release`, "--delete-releases", "--keep-releases")

	s = admin.tryWith(keep, "helm", "tenant", "apply", "-f", "-", "--prune")
	if s.code != 1 {
		t.Errorf("exit code %d", s.code)
	}
	contains(t, s.stderr, "--prune would destroy 2 tenants of context \"test\" (blue,red), and there is no terminal to confirm it on", "add --yes")
	contains(t, admin.tenant("tenants", "-o", "name"), "tenant/blue", "tenant/red")

	// In a folder of its own: the backups go there.
	prune := func(code int, args string) applied {
		t.Helper()
		s := admin.tryWith(keep, "sh", "-c", `cd "$0" && helm tenant apply -f - --prune --yes -o json `+args, t.TempDir())
		if s.code != code {
			t.Fatalf("exit code %d: %s%s", s.code, s.stdout, s.stderr)
		}
		if code != 0 {
			contains(t, s.stderr, `Error: tenant "red": it has a release:`, "web", "--keep-releases")
		}
		var result applied
		if err := json.Unmarshal([]byte(s.stdout), &result); err != nil {
			t.Fatalf("%v\n%s", err, s.stdout)
		}
		return result
	}
	if got, want := prune(3, "").String(), "full unchanged, green unchanged, typed unchanged, blue destroyed, red failed"; got != want {
		t.Errorf("got %s", got)
	}
	admin.run("kubectl", "get", "deployment", "web", "--namespace", "red-1")
	admin.gone("namespace", "blue-tiller") // which apply did not wait for
	if got, want := prune(0, "--delete-releases").String(), "full unchanged, green unchanged, typed unchanged, red destroyed"; got != want {
		t.Errorf("got %s", got)
	}
	admin.gone("deployment", "web", "--namespace", "red-1")
	admin.gone("namespace", "red-tiller")
	admin.run("kubectl", "get", "namespaces", "red-1", "blue")
}
