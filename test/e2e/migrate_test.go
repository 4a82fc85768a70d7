package e2e

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"helm-tenant/test/harness"
)

// TestMigrate moves a tenant with releases of many shapes to Helm 3 and 4, there and
// back and there again.
func TestMigrate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	admin2, mia2 := w.admin, w.user("mia")
	admin3, mia3, mia4 := w.under(admin2, "helm3"), w.under(mia2, "helm3"), w.under(mia2, "helm4")
	admin2.tenant("init", "mig", "--namespaces", "mig-a,mig-b", "--create-namespaces", "--user", "mia")
	mia2.tenant("use", "mig")
	// Objects of a kind of its own need more than a tenant has: here its deployers
	// get it.
	role := "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: mig-crds}\nrules: [{apiGroups: [apiextensions.k8s.io, shapes.example.com], resources: ['*'], verbs: ['*']}]\n"
	admin2.must(admin2.tryWith(role, "kubectl", "create", "--validate=false", "-f", "-"))
	admin2.run("kubectl", "create", "clusterrolebinding", "mig-crds", "--clusterrole=mig-crds", "--serviceaccount=mig-tiller:tiller", "--serviceaccount=mig-tiller:helm")

	charts := map[string]string{
		"plain": chart(t), "many": chart(t), "rolled": chart(t), "gone": chart(t), "again": chart(t), "my.dotted-name": chart(t),
		"valued": valued(t), "family": family(t), "hooked": hooked(t), "stateful": stateful(t), "broken": fragile(t), "halfway": fragile(t),
		"definitions": definitions(t), "empty": empty(t),
	}
	labels := map[string]string{"family": "mig-b", "stateful": "mig-b", "halfway": "mig-b", "my.dotted-name": "mig-b", "empty": "mig-b"}
	for name := range charts {
		if labels[name] == "" {
			labels[name] = "mig-a"
		}
	}
	do := func(args ...string) said { return mia2.try(append([]string{"helm", "tenant"}, args...)...) }
	install := func(name string, more ...string) said {
		return do(append([]string{"install", charts[name], "--name", name, "--namespace", labels[name]}, more...)...)
	}
	upgrade := func(name string, more ...string) said {
		return do(append([]string{"upgrade", name, charts[name]}, more...)...)
	}
	must := mia2.must
	for _, name := range []string{"plain", "rolled", "gone", "again", "my.dotted-name", "family", "hooked", "stateful", "halfway"} {
		must(install(name))
	}
	// Helm 2 knows only v1beta1 of CustomResourceDefinitions, which no current API server
	// serves: the test creates the kind first, and the hook does not run.
	crd, err := os.ReadFile(filepath.Join(charts["definitions"], "templates", "crd.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	admin2.must(admin2.tryWith(string(crd), "kubectl", "create", "--validate=false", "-f", "-"))
	admin2.run("kubectl", "wait", "--for=condition=Established", "crd/greetings.shapes.example.com")
	must(install("definitions", "--no-crd-hook"))
	must(install("many", "--set", "greeting=1"))
	for i := 2; i <= 12; i++ {
		must(upgrade("many", "--set", fmt.Sprintf("greeting=%d", i)))
	}
	must(upgrade("rolled", "--set", "greeting=two"))
	must(do("rollback", "rolled", "1"))
	must(do("delete", "gone"))
	must(do("delete", "again"))
	must(install("again", "--replace"))
	values := filepath.Join(t.TempDir(), "values.yaml")
	if err := os.WriteFile(values, []byte("port: 9090\nbig: 9007199254740991\nflag: yes\ntext: |\n  ünï\n  \"quoted\" & <marked>\nlist: [1, two, 3.5, null]\nnested: {deep: {gone: null}}\n\"odd key: \": 0x1F\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	must(install("valued", "-f", values, "--set", "greeting=set,list[0]=zero", "--set-string", "port=0080"))
	must(upgrade("stateful", "--set", "greeting=two"))
	must(upgrade("family", "--set", "cache.enabled=true,primary.size=5", "--reuse-values"))
	for _, s := range []said{install("broken", "--set", "ok=false"), install("empty")} { // Helm 2 fails if there is nothing to create
		if s.code == 0 {
			t.Fatal("an install that should fail did not")
		}
	}
	if s := upgrade("halfway", "--set", "ok=false"); s.code == 0 {
		t.Fatal("an upgrade that should fail did not")
	}
	if s := do("test", "hooked", "--timeout", "20"); s.code == 0 {
		t.Fatalf("a test that should fail did not: %s", s.stdout)
	}

	before, listed := mia2.allOf2(), mia2.run("helm", "tenant", "list", "--all", "--output", "json")
	if len(before) != len(charts) {
		t.Fatalf("there are %d releases, not %d: %v", len(before), len(charts), slices.Sorted(maps.Keys(before)))
	}
	revisions := 0
	shapes := map[string]bool{}
	for _, s := range before {
		revisions += len(s.Statuses)
		for _, status := range s.Statuses {
			shapes[status] = true
		}
	}
	if got := slices.Sorted(maps.Keys(shapes)); !slices.Equal(got, []string{"deployed", "failed", "superseded", "uninstalled"}) {
		t.Fatalf("revisions of these statuses: %v", got)
	}
	t.Logf("%d releases, %d revisions", len(before), revisions)
	cluster := admin2.everything("mig-a", "mig-b")
	home := admin2.everything("mig-tiller")
	tenantBefore := admin2.snapshot("mig")
	local := t.TempDir()

	t.Run("dry run", func(t *testing.T) {
		// Under Helm 2, too.
		for _, admin := range []*person{admin2.in(t), admin3.in(t)} {
			out := admin.must(admin.tenantIn(local, "migrate", "mig", "--dry-run")).stdout
			contains(t, out, "RELEASE", "NOTES")
			for name, s := range before {
				if !regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(name) + ` +` + s.Namespace + ` +` + strconv.Itoa(len(s.Statuses)) + ` `).MatchString(out) {
					t.Errorf("%s, with %d revisions in %s, is missing in:\n%s", name, len(s.Statuses), s.Namespace, out)
				}
			}
			contains(t, out, "Helm 3 has no crd-install hook greetings.shapes.example.com: what it made stays, and helm leaves it alone")
		}
		if files, err := os.ReadDir(local); err != nil || len(files) > 0 {
			t.Errorf("it wrote %v, %v", files, err)
		}
		if got := admin2.in(t).snapshot("mig"); got != tenantBefore {
			t.Errorf("it changed the cluster:\n%s\nbefore:\n%s", got, tenantBefore)
		}
	})
	t.Run("refused", func(t *testing.T) {
		admin2, admin3, mia3 := admin2.in(t), admin3.in(t), mia3.in(t)
		contains(t, admin2.fails(1, "a Helm 3 or 4 has to find the releases afterwards", "helm", "tenant", "migrate", "mig").stderr, "HELM_BIN")
		mia3.fails(1, "you may not read what this needs, and nothing was written", "helm", "tenant", "migrate", "mig")
		admin3.fails(1, "it is not being migrated: there is nothing to finish", "helm", "tenant", "migrate", "mig", "--finish", "--yes")
		admin3.fails(1, "it is not being migrated: there is nothing to go back from", "helm", "tenant", "migrate", "mig", "--abort")
		admin3.fails(2, "contradict", "helm", "tenant", "migrate", "mig", "--abort", "--finish")
		admin3.fails(1, `there is no tenant "nobody"`, "helm", "tenant", "migrate", "nobody")
		if got := admin2.snapshot("mig"); got != tenantBefore {
			t.Errorf("what was refused changed the cluster:\n%s\nbefore:\n%s", got, tenantBefore)
		}
	})

	// moved checks that a later helm has what Helm 2 had.
	moved := func(t *testing.T, mia *person) {
		t.Helper()
		if diff := cmp.Diff(before, mia.in(t).allOf3("mig-a", "mig-b")); diff != "" {
			t.Errorf("-Helm 2 had +it has:\n%s", diff)
		}
		if got := but(admin2.in(t).everything("mig-a", "mig-b"), `^Secret .*/sh\.helm\.release|^RoleBinding .*/helm-tenant`); got != but(cluster, `^RoleBinding .*/helm-tenant`) {
			t.Errorf("what the releases made is not as it was:\n%s", cmp.Diff(strings.Split(cluster, "\n"), strings.Split(got, "\n")))
		}
	}
	migrate := func(t *testing.T, admin *person) said {
		t.Helper()
		s := admin.in(t).tenantIn(local, "migrate", "mig")
		if s.code != 0 {
			t.Fatalf("exit code %d\n%s%s", s.code, s.stdout, s.stderr)
		}
		return s
	}
	ok := t.Run("migrate", func(t *testing.T) {
		s := migrate(t, admin3)
		contains(t, s.stdout, fmt.Sprintf("tenant mig is moved to Helm 3 and 4: %d releases, %d revisions", len(before), revisions))
		contains(t, s.stderr, fmt.Sprintf("%d release records of tenant mig backed up in helm-tenant-mig-", revisions), "Tiller: stopped",
			"verified release my.dotted-name in namespace mig-b: revision 1, deployed", "verified release gone in namespace mig-a: revision 1, uninstalled")
		if got := strings.Count(s.stderr, "verified release "); got != len(before) {
			t.Errorf("%d releases are verified:\n%s", got, s.stderr)
		}
		files, err := filepath.Glob(filepath.Join(local, "helm-tenant-mig-2*.yaml"))
		if err != nil || len(files) != 1 {
			t.Fatalf("backups: %v, %v", files, err)
		}
		info, err := os.Stat(files[0])
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("the backup: %v, %v", info.Mode(), err)
		}
		mia3.in(t).tenant("use", "mig", "--home-namespace", "mig-tiller")
		moved(t, mia3)
	})
	if !ok {
		return
	}
	t.Run("as Helm 3 itself has it", func(t *testing.T) {
		admin2, admin3 := admin2.in(t), admin3.in(t)
		for name, more := range map[string][]string{
			"plain": nil, "family": {"--set", "cache.enabled=true,primary.size=5"}, "hooked": nil, "stateful": {"--set", "greeting=two"}, "definitions": nil,
			"valued": {"-f", values, "--set", "greeting=set,list[0]=zero", "--set-string", "port=0080"},
		} {
			admin3.run(append([]string{"helm", "install", name, charts[name], "--namespace", "mig-own", "--create-namespace", "--no-hooks"}, more...)...)
			newest := slices.Max(slices.Collect(maps.Keys(before[name].Statuses)))
			own := admin2.record3(name, "mig-own", 1)
			moved := admin2.record3(name, labels[name], newest)
			if name == "family" {
				// Each helm stores its own result for the dependencies: which ones are enabled,
				// under which name, and with which values from the parent.
				for _, record := range []map[string]any{own, moved} {
					chart := record["chart"].(map[string]any)
					delete(chart["metadata"].(map[string]any), "dependencies")
					delete(chart, "values")
				}
			}
			for _, field := range []string{"chart", "config", "hooks"} {
				if diff := cmp.Diff(own[field], moved[field]); diff != "" {
					t.Errorf("%s of release %s: -Helm 3's own +moved:\n%s", field, name, diff)
				}
			}
		}
		admin2.run("kubectl", "delete", "namespace", "mig-own", "--wait=false")
	})
	t.Run("while it is under way", func(t *testing.T) {
		admin2, admin3 := admin2.in(t), admin3.in(t)
		for _, args := range [][]string{{"init", "mig"}, {"destroy", "mig", "--keep-releases", "--yes"}} {
			contains(t, admin2.fails(1, `tenant "mig" is moved to Helm 3 and 4 since `, append([]string{"helm", "tenant"}, args...)...).stderr, "migrate mig --finish", "migrate mig --abort")
		}
		contains(t, mia2.in(t).fails(1, "does not answer: the tenant is moved to Helm 3 and 4 since ", "helm", "tenant", "whoami").stdout, "MIGRATION")
		contains(t, mia3.in(t).tenant("whoami"), "MIGRATION", "mig-tiller")
		contains(t, mia3.in(t).tenant("describe", "mig"), "Migration:", "its Tiller is stopped, and kept until an admin finishes the migration")
		contains(t, admin2.tenant("grant", "mig", "--user", "max"), "user max can now use tenant mig")
		contains(t, admin2.tenant("revoke", "mig", "--user", "max"), "user max can no longer use tenant mig")
		if second := migrate(t, admin3); strings.Contains(second.stderr, "created") || strings.Contains(second.stderr, "updated") {
			t.Errorf("a second time it writes:\n%s", second.stderr)
		}
	})
	t.Run("abort", func(t *testing.T) {
		admin2, admin3, mia2 := admin2.in(t), admin3.in(t), mia2.in(t)
		s := admin3.must(admin3.tenantIn(local, "migrate", "mig", "--abort"))
		contains(t, s.stdout, "tenant mig is back with its Tiller")
		if got := mia2.run("helm", "tenant", "list", "--all", "--output", "json"); got != listed {
			t.Errorf("-before +after:\n%s", cmp.Diff(listed, got))
		}
		// Each record is as it was, which is compared below; a soak asks helm for each, too.
		if harness.Soak() {
			if got := mia2.allOf2(); !cmp.Equal(got, before) {
				t.Errorf("-before +after:\n%s", cmp.Diff(before, got))
			}
		}
		if got := admin2.everything("mig-a", "mig-b"); got != cluster {
			t.Errorf("something is left behind, or missing:\n%s", cmp.Diff(strings.Split(cluster, "\n"), strings.Split(got, "\n")))
		}
		pods := `^Pod .*/tiller-deploy|^Deployment ` // new, and one generation each way
		if got := admin2.everything("mig-tiller"); but(got, pods) != but(home, pods) {
			t.Errorf("the home is not as it was:\n%s", cmp.Diff(strings.Split(home, "\n"), strings.Split(got, "\n")))
		}
		contains(t, admin2.tenant("init", "mig"), "is as asked: nothing was written")
		mia3.in(t).fails(1, "unreachable", "helm", "tenant", "list")
	})

	if ok := t.Run("and again, under Helm 4", func(t *testing.T) {
		migrate(t, w.under(admin2, "helm4"))
		moved(t, mia4)
	}); !ok {
		return
	}
	t.Run("upgrade and rollback", func(t *testing.T) {
		fix := map[string][]string{"broken": {"--set", "ok=true"}, "halfway": {"--set", "ok=true"}, "gone": {"--install"}}
		for name := range charts {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				mia, admin := mia3.in(t), admin2.in(t)
				if name == "my.dotted-name" || name == "family" {
					mia = mia4.in(t)
				}
				ns := labels[name]
				newest := slices.Max(slices.Collect(maps.Keys(before[name].Statuses)))
				mia.run(append([]string{"helm", "tenant", "upgrade", name, charts[name], "--namespace", ns, "--set", "greeting=three"}, fix[name]...)...)
				shows := func() string {
					switch filepath.Base(charts[name]) {
					case "hello":
						return admin.jsonpath("{.data.greeting}", "configmap", name, "--namespace", ns)
					case "empty":
						return ""
					}
					return admin.jsonpath("{.data.greeting}", "configmap", name+"-"+filepath.Base(charts[name]), "--namespace", ns)
				}
				if got := shows(); got != "three" && name != "empty" {
					t.Errorf("after the upgrade it says %q", got)
				}
				if name == "broken" {
					return // there is no revision to go back to
				}
				to := newest
				if name == "halfway" {
					to = 1
				}
				if name == "gone" {
					return // an uninstalled release can't be rolled back
				}
				mia.run("helm", "tenant", "rollback", name, strconv.Itoa(to), "--namespace", ns)
				want := map[string]string{"many": "12", "valued": "set", "stateful": "two", "empty": ""}[name]
				if want == "" && name != "empty" {
					want = "hello"
				}
				if got := shows(); got != want {
					t.Errorf("after the rollback it says %q, not %q", got, want)
				}
				if got, want := mia.run("helm", "tenant", "get", "manifest", name, "--namespace", ns), before[name].Manifests[to]; got != want {
					t.Errorf("the manifest that was gone back to: %s", cmp.Diff(want, got))
				}
			})
		}
	})
	t.Run("finish", func(t *testing.T) {
		admin2, admin3, mia2, mia3 := admin2.in(t), admin3.in(t), mia2.in(t), mia3.in(t)
		// The records themselves are compared; a soak asks helm for each, too.
		var after map[string]seen
		if harness.Soak() {
			after = mia3.allOf3("mig-a", "mig-b")
		}
		records := admin2.records3("mig-a", "mig-b")
		contains(t, admin3.fails(1, "no terminal to confirm it on", "helm", "tenant", "migrate", "mig", "--finish").stderr, "--yes")
		contains(t, admin3.tenant("migrate", "mig", "--finish", "--dry-run"), "would be deleted: Deployment tiller-deploy in namespace mig-tiller", "would be deleted: Secret plain.v1 in namespace mig-tiller")
		s := admin3.must(admin3.tenantIn(local, "migrate", "mig", "--finish", "--yes"))
		contains(t, s.stdout, "tenant mig is for Helm 3 and 4: its Tiller is gone")
		admin2.gone("pods,deployments,replicasets,networkpolicies,secrets", "--namespace", "mig-tiller")
		if got := strings.Fields(admin2.run("kubectl", "get", "configmaps,serviceaccounts,roles,rolebindings", "--namespace", "mig-tiller", "-o", "name")); !slices.Equal(got, []string{
			"configmap/helm-tenant", "configmap/kube-root-ca.crt", "serviceaccount/default", "serviceaccount/helm",
			"role.rbac.authorization.k8s.io/helm-tenant-member", "rolebinding.rbac.authorization.k8s.io/helm-tenant-member"}) {
			t.Errorf("in the home there is %q", got)
		}
		lacks(t, admin2.jsonpath("{.metadata.annotations}", "configmap", "helm-tenant", "--namespace", "mig-tiller"), "migration")
		contains(t, admin2.jsonpath(`{.data.tenant\.yaml}`, "configmap", "helm-tenant", "--namespace", "mig-tiller"), "engine: impersonation", "homeNamespace: mig-tiller")
		if got := admin2.records3("mig-a", "mig-b"); got != records || len(records) == 0 {
			t.Errorf("Helm 3 does not have what it had:\n%s", cmp.Diff(strings.Split(records, "\n"), strings.Split(got, "\n")))
		}
		if harness.Soak() {
			if got := mia3.allOf3("mig-a", "mig-b"); !cmp.Equal(got, after) {
				t.Errorf("Helm 3 does not have what it had:\n%s", cmp.Diff(after, got))
			}
		}
		mia3.run("helm", "tenant", "list", "--namespace", "mig-b")
		mia2.fails(1, "pods is forbidden", "helm", "tenant", "list")
		admin3.fails(1, "and so no Tiller to move away from", "helm", "tenant", "migrate", "mig")
		contains(t, admin3.tenant("init", "mig"), "is as asked: nothing was written")
		contains(t, admin2.tenant("describe", "mig"), "impersonation")
	})
}

// TestMigrateWhileMembersInstall stops a Tiller under the hands of members: what
// Helm 2 told anybody it installed is not lost, whichever way it goes.
func TestMigrateWhileMembersInstall(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	admin2, mona2 := w.admin, w.user("mona")
	admin3, mona3 := w.under(admin2, "helm3"), w.under(mona2, "helm3")
	admin2.tenant("init", "mio", "--namespaces", "mio", "--create-namespaces", "--user", "mona")
	mona2.tenant("use", "mio")

	simple := valued(t)
	var installed sync.Map
	var count atomic.Int32
	var stop atomic.Bool
	var members sync.WaitGroup
	for member := range 4 {
		members.Go(func() {
			// Who was refused several times in a row has seen the Tiller go.
			for i, refused := 0, 0; !stop.Load() && refused < 3; i++ {
				name := fmt.Sprintf("r%d-%d", member, i)
				if s := mona2.try("helm", "tenant", "install", simple, "--name", name, "--namespace", "mio"); s.code == 0 {
					installed.Store(name, true)
					count.Add(1)
					refused = 0
				} else {
					refused++
				}
			}
		})
	}
	for deadline := time.Now().Add(harness.Patience); count.Load() < 6 && time.Now().Before(deadline); {
		time.Sleep(20 * time.Millisecond)
	}
	local := t.TempDir()
	s := admin3.tenantIn(local, "migrate", "mio")
	stop.Store(true)
	members.Wait()
	if count.Load() < 6 {
		t.Fatalf("only %d releases were installed", count.Load())
	}
	if s.code != 0 {
		// One was under way. Tiller may be stopped by then.
		contains(t, s.stderr, "is PENDING_INSTALL")
		if strings.Contains(s.stderr, "--abort") {
			admin3.must(admin3.tenantIn(local, "migrate", "mio", "--abort"))
		}
		for name, r := range mona2.allOf2() {
			if _, found := installed.Load(name); found && r.Statuses[1] != "deployed" {
				t.Errorf("release %s, which was installed, is %v", name, r.Statuses)
			} else if !found {
				mona2.run("helm", "tenant", "delete", "--purge", name)
			}
		}
		admin3.must(admin3.tenantIn(local, "migrate", "mio"))
	}
	t.Logf("%d releases were installed; the first migrate ended with %d", count.Load(), s.code)
	mona3.tenant("use", "mio", "--home-namespace", "mio-tiller")
	var list []struct{ Name, Status string }
	mona3.json(&list, "helm", "tenant", "list", "--namespace", "mio", "--max", "0", "--output", "json")
	found := map[string]string{}
	for _, r := range list {
		found[r.Name] = r.Status
	}
	installed.Range(func(name, _ any) bool {
		if status := found[name.(string)]; status != "deployed" {
			t.Errorf("release %s, which Helm 2 installed, is %q under Helm 3", name, status)
		}
		return true
	})
}
