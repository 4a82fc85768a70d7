package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"helm-tenant/test/testcluster"
)

// TestHelmTenants: an admin's commands for a tenant with Helm 3 and 4, and their effect on its
// members.
func TestHelmTenants(t *testing.T) {
	t.Parallel()
	majors(t, func(t *testing.T, w *world, major int) {
		team := fmt.Sprintf("adm%d", major)
		one, two, home := team+"-1", team+"-2", team+"-helm"
		admin, mia := w.personOf(major, w.cluster.Admin()), w.userOf(major, "mia")
		create := []string{"helm", "tenant", "init", team, "--namespaces", one + "," + two, "--create-namespaces", "--user", "mia", "--group", team + "-devs", "--service-account", "ci:deployer"}
		as := "system:serviceaccount:" + home + ":helm"

		t.Run("init", func(t *testing.T) {
			admin := admin.in(t)
			// The output of a dry run is complete: kubectl creates the tenant from it.
			manifest := admin.run(append(create, "--dry-run", "-o", "yaml")...)
			admin.gone("namespace", home)
			lacks(t, manifest, "Deployment", "tiller", "NetworkPolicy", "kind: Secret")
			if s := admin.tryWith(manifest, "kubectl", "apply", "--server-side", "--validate=false", "-f", "-"); s.code != 0 {
				t.Fatalf("kubectl apply: %s", s.stderr)
			}
			contains(t, admin.run(create...), "tenant "+team+" is as asked: nothing was written")
			contains(t, admin.tenant("init", team), "nothing was written")
			if got := admin.jsonpath("{.automountServiceAccountToken}", "serviceaccount", "helm", "-n", home); got != "false" {
				t.Errorf("a token of the account is mounted: %q", got)
			}
			if got := admin.jsonpath("{.rules}", "role", "helm-tenant-member", "-n", home); got !=
				`[{"apiGroups":[""],"resourceNames":["helm"],"resources":["serviceaccounts"],"verbs":["impersonate"]},{"apiGroups":[""],"resourceNames":["helm-tenant"],"resources":["configmaps"],"verbs":["get"]}]` {
				t.Errorf("a member may %s", got)
			}
			admin.gone("deployments,secrets,pods,services", "-n", home)
			// Manual changes are repaired.
			admin.run("kubectl", "delete", "rolebinding", "--all", "-n", two)
			contains(t, admin.tenant("describe", team), "Differs from the record", "+ RoleBinding helm-tenant."+team+".admin in namespace "+two)
			contains(t, admin.tenant("init", team), "is ready")
			lacks(t, admin.tenant("describe", team), "Differs")
		})

		t.Run("use and whoami", func(t *testing.T) {
			mia := mia.in(t)
			mia.tenant("use", team)
			want := whoAmI{Tenant: team, HomeNamespace: home, Rule: "kubeconfig context", Context: "test", UserName: "mia", Namespace: one, Namespaces: []string{one, two}}
			want.Deployer.User, want.Deployer.Answers = as, true
			if got := mia.whoami(0); fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", want) {
				t.Errorf("\n got %+v\nwant %+v", got, want)
			}
			contains(t, mia.tenant("whoami"), "ACTS AS", as)
			stranger := w.userOf(major, "stranger").in(t)
			stranger.fails(1, "ask an admin: helm tenant grant", "helm", "tenant", "use", team)
			who := stranger.whoami(1, "--tenant", team)
			if who.Deployer.Answers || !strings.Contains(who.Deployer.Problem, "may not impersonate") || who.UserName != "stranger" {
				t.Errorf("a stranger is %+v", who)
			}
			// A group's member is one, too.
			group := w.userOf(major, "gert", team+"-devs").in(t)
			group.tenant("use", team)
			group.run("helm", "tenant", "ls")
		})

		t.Run("grant and revoke count at the next call", func(t *testing.T) {
			admin, nora := admin.in(t), w.userOf(major, "nora").in(t)
			nora.fails(1, "", "helm", "tenant", "--tenant", team, "ls")
			for range 3 {
				admin.tenant("grant", team, "--user", "nora")
				nora.run("helm", "tenant", "--tenant", team, "-n", one, "ls")
				admin.tenant("revoke", team, "--user", "nora")
				nora.isOut(team, "-n", one)
			}
			nora.fails(1, "forbidden", "helm", "tenant", "grant", team, "--user", "nora")
			mia.in(t).fails(1, "forbidden", "helm", "tenant", "grant", team, "--user", "nora")
		})

		t.Run("tenants and describe", func(t *testing.T) {
			admin, mia := admin.in(t), mia.in(t)
			mia.run("helm", "tenant", "install", "web", tested(t))
			mia.run("helm", "tenant", "install", "gone", tested(t), "-n", two)
			mia.run("helm", "tenant", "uninstall", "gone", "--keep-history", "-n", two)
			var list struct {
				Items []struct {
					Name, Home, Engine string
					Releases           map[string]int
				}
			}
			if err := json.Unmarshal([]byte(admin.tenant("tenants", "-o", "json")), &list); err != nil {
				t.Fatal(err)
			}
			found := false
			for _, item := range list.Items {
				if item.Name == team {
					found = true
					if item.Home != home || item.Engine != "impersonation" || item.Releases["DEPLOYED"] != 1 {
						t.Errorf("%+v", item)
					}
				}
			}
			if !found {
				t.Error("it is not listed")
			}
			out := strings.Join(strings.Fields(admin.tenant("describe", team)), " ")
			contains(t, out, "Engine: impersonation", "Home: "+home, "Members: user mia, group "+team+"-devs, service account ci:deployer",
				one+" ClusterRole admin service account "+home+":helm helm-tenant."+team+".admin", "Releases: 1", "web "+one+" 1 DEPLOYED tested-0.1.0")
			lacks(t, out, "Tiller", "Not shown", "Differs")
			contains(t, mia.tenant("describe", team), "Engine:", "impersonation", "(you may not see them)")
			mia.fails(1, "can't be listed", "helm", "tenant", "tenants")
		})

		t.Run("shellenv", func(t *testing.T) {
			mia := mia.in(t)
			script := `eval "$(helm tenant shellenv --shell sh)"; helm list --short; helm get values -n ` + one + ` web >/dev/null; helm tenant list --short; echo "$HELM_TENANT"`
			if got := names(mia.run("sh", "-c", script)); got != "web web "+team {
				t.Errorf("%q", got)
			}
			// Our own verbs are the caller's all the same.
			contains(t, mia.run("sh", "-c", `eval "$(helm tenant shellenv --shell sh)"; helm tenant whoami`), "USER         mia\n", as)
			contains(t, mia.with("HELM_KUBEASGROUPS=system:masters", "HELM_KUBETOKEN=stolen").run("sh", "-c", `eval "$(helm tenant shellenv --shell sh)"; helm list --short`), "web")
		})

		t.Run("export and apply", func(t *testing.T) {
			admin := admin.in(t)
			text := admin.tenant("export", team)
			contains(t, text, "engine: impersonation")
			s := admin.tryWith(text, "helm", "tenant", "apply", "-f", "-", "--detailed-exitcode")
			if s.code != 0 || s.stdout != "1 tenant unchanged\n" {
				t.Errorf("exit code %d: %s%s\nof:\n%s", s.code, s.stdout, s.stderr, text)
			}
		})

		t.Run("destroy", func(t *testing.T) { destroyHelm(t, admin.in(t), mia.in(t), team, create) })
	})
}

// destroyHelm ends a tenant with releases in each of the ways there are, and
// brings them back from the backup.
func destroyHelm(t *testing.T, admin, mia *person, team string, create []string) {
	one, two, home := team+"-1", team+"-2", team+"-helm"
	mia.run("helm", "tenant", "upgrade", "web", tested(t), "--set", "greeting=second")
	mia.run("helm", "tenant", "install", "late", tested(t), "-n", two)
	dir := t.TempDir()
	before := admin.snapshot(team)
	s := admin.fails(1, "it has 2 releases", "helm", "tenant", "destroy", team, "--yes")
	contains(t, s.stderr, "web", "namespace "+one, "late", "namespace "+two, "--delete-releases", "--keep-releases")
	mia.fails(1, "you may not read", "helm", "tenant", "destroy", team, "--delete-releases", "--yes")
	if after := admin.snapshot(team); after != before {
		t.Fatalf("what was refused changed something:\n%s\nbefore:\n%s", after, before)
	}

	// Kept: they are Helm's, in namespaces that stay, and the new tenant's again.
	s = admin.try("helm", "tenant", "destroy", team, "--keep-releases", "--yes", "--backup", filepath.Join(dir, "keep.yaml"))
	if s.code != 0 {
		t.Fatalf("exit code %d: %s", s.code, s.stderr)
	}
	contains(t, s.stderr, "release web in namespace "+one+" stays")
	admin.gone("namespace", home)
	lacks(t, admin.jsonpath("{.metadata.labels}{.metadata.annotations}", "namespace", one), "helm-tenant/")
	mia.fails(1, "", "helm", "tenant", "ls")
	admin.run(create...)
	if got := names(mia.run("helm", "tenant", "ls", "-q")); got != "web" {
		t.Errorf("after it was made again the tenant has %q", got)
	}

	// Deleted: by the tenant's own deployer, which the admin acts as.
	backup := filepath.Join(dir, "delete.yaml")
	contains(t, admin.tenant("destroy", team, "--delete-releases", "--yes", "--backup", backup), "backed up in "+backup, "tenant "+team+" is gone")
	admin.gone("configmaps/web", "-n", one)
	admin.gone("secrets", "-n", one)
	admin.gone("configmaps/late", "-n", two)
	if info, err := os.Stat(backup); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the backup: %v", err)
	}

	// Restored: the records exist again, and a rollback creates their objects again.
	admin.run(create...)
	if got := names(mia.run("helm", "tenant", "ls", "-q")); got != "" {
		t.Fatalf("releases before the restore: %s", got)
	}
	admin.run("kubectl", "apply", "--server-side", "--validate=false", "-f", backup)
	contains(t, mia.run("helm", "tenant", "ls"), "web", "deployed")
	contains(t, mia.run("helm", "tenant", "history", "web"), "superseded", "deployed")
	mia.run("helm", "tenant", "rollback", "web", "1")
	if got := admin.jsonpath("{.data.greeting}", "configmap", "web", "-n", one); got != "hello" {
		t.Errorf("the rollback did not reach the cluster: greeting is %q", got)
	}
	// The namespaces existed before the tenant was made again: they stay.
	admin.tenant("destroy", team, "--delete-releases", "--delete-namespaces", "--yes", "--backup", filepath.Join(dir, "last.yaml"))
	admin.gone("namespace", home)
	lacks(t, admin.jsonpath("{.items[*].metadata.labels}", "namespaces", one, two), "helm-tenant/")
}

// isOut fails unless helm and whoami tell that somebody can't act as the tenant.
// Helm asks the server's version first, and can't read why that is refused.
func (p *person) isOut(team string, more ...string) {
	p.t.Helper()
	p.fails(1, "unreachable: unknown", append([]string{"helm", "tenant", "--tenant", team, "ls"}, more...)...)
	if who := p.whoami(1, "--tenant", team); !strings.Contains(who.Deployer.Problem, "you may not impersonate service account") {
		p.t.Errorf("whoami says %q", who.Deployer.Problem)
	}
}

const mixedTenants = `apiVersion: helm-tenant/v1
tenants:
- name: old
  namespaces: [old]
  members: {users: [olaf]}
- name: new
  namespaces: [new-1, new-2]
  members: {users: [nick], groups: [news]}
  engine: impersonation
- name: between
  namespaces: [between]
  members: {serviceAccounts: ["ci:deployer"]}
  role: edit
  engine: both
`

// TestHelmApply makes a cluster what a file says that mixes the engines, as an
// admin with each helm.
func TestHelmApply(t *testing.T) {
	t.Parallel()
	log := filepath.Join(t.TempDir(), "audit.log")
	c, err := testcluster.Start(context.Background(), testcluster.Options{Size: testcluster.API, AuditLog: log})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	})
	w := &world{t: t, cluster: c, plugin: plugin(t)}
	admin := w.personOf(3, c.Admin())
	writesOf := func(do func()) []string {
		before := len(writes(t, log))
		do()
		return writes(t, log)[before:]
	}
	if got, want := admin.applyJSON(0, mixedTenants, "-f", "-", "--create-namespaces").String(), "old created, new created, between created"; got != want {
		t.Fatalf("got %s", got)
	}
	for _, c := range []struct{ namespace, has, not string }{
		{"old-tiller", "serviceaccount/tiller", "serviceaccount/helm"}, {"old-tiller", "deployment.apps/tiller-deploy", "x"},
		{"new-helm", "serviceaccount/helm", "serviceaccount/tiller"}, {"new-helm", "serviceaccount/helm", "deployment.apps"},
		{"between-tiller", "serviceaccount/helm", "x"}, {"between-tiller", "deployment.apps/tiller-deploy", "x"},
	} {
		out := admin.run("kubectl", "get", "-o", "name", "serviceaccounts,deployments", "-n", c.namespace)
		contains(t, out, c.has)
		lacks(t, out, c.not)
	}
	if got := admin.subjects("rolebinding", "helm-tenant.between.edit", "-n", "between"); got != "ServiceAccount/tiller ServiceAccount/helm" {
		t.Errorf("between is bound to %s", got)
	}
	// Again, by an admin with each helm: the file says which engine, and not helm.
	for major, p := range map[int]*person{2: w.person(c.Admin()), 3: admin, 4: w.personOf(4, c.Admin())} {
		var s said
		created := writesOf(func() {
			s = p.tryWith(mixedTenants, "helm", "tenant", "apply", "-f", "-", "--detailed-exitcode")
		})
		if s.code != 0 || s.stdout != "3 tenants unchanged\n" || len(created) > 0 {
			t.Errorf("with helm %d: exit code %d, writes %s\n%s%s", major, s.code, created, s.stdout, s.stderr)
		}
		text := p.tenant("export")
		created = writesOf(func() { s = p.tryWith(text, "helm", "tenant", "apply", "-f", "-", "--detailed-exitcode") })
		if s.code != 0 || len(created) > 0 {
			t.Errorf("with helm %d, of its export: exit code %d, writes %s\n%s%s\nof:\n%s", major, s.code, created, s.stdout, s.stderr, text)
		}
		// init of an existing tenant keeps its engine, too.
		for _, name := range []string{"old", "new", "between"} {
			created = writesOf(func() { s = p.try("helm", "tenant", "init", name, "--wait=false") })
			if s.code != 0 || len(created) > 0 && (major != 2 || name == "new") {
				t.Errorf("with helm %d, init %s: exit code %d, writes %s\n%s", major, name, s.code, created, s.stderr)
			}
		}
	}

	// Members and namespaces that the file leaves out are taken away.
	less := strings.NewReplacer("[new-1, new-2]", "[new-1]", "[nick], groups: [news]", "[nick]").Replace(mixedTenants)
	s := admin.tryWith(less, "helm", "tenant", "apply", "-f", "-")
	if s.code != 0 {
		t.Fatal(s.stderr)
	}
	contains(t, s.stderr, "no longer members: group news", `namespace "new-2" is taken from the tenant`)
	admin.gone("rolebindings", "-n", "new-2")

	// What the file does not name goes with --prune, unless it has releases.
	nick := w.userOf(3, "nick")
	nick.tenant("use", "new")
	nick.run("helm", "tenant", "install", "web", tested(t))
	head, rest, _ := strings.Cut(less, "- name: new")
	_, last, _ := strings.Cut(rest, "- name: between")
	without := head + "- name: between" + last
	prune := func(code int, more ...string) applied {
		t.Helper()
		return admin.applyJSON(code, without, append([]string{"-f", "-", "--prune", "--yes"}, more...)...)
	}
	if got, want := prune(3).String(), "old unchanged, between unchanged, new failed"; got != want {
		t.Errorf("got %s", got)
	}
	nick.run("helm", "tenant", "ls")
	// The backup goes into the admin's working folder.
	s = admin.tryWith(without, "sh", "-c", `cd "$0" && helm tenant apply -f - --prune --yes --delete-releases`, t.TempDir())
	if s.code != 0 {
		t.Fatal(s.stderr)
	}
	admin.gone("namespace", "new-helm")
	admin.gone("configmaps/web", "-n", "new-1")
	contains(t, admin.tenant("tenants", "-o", "name"), "tenant/old", "tenant/between")
}

// TestBothEngines has one tenant serve Helm 2 and Helm 3 and 4 at once, and
// takes one of its engines away again.
func TestBothEngines(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	admin := w.person(w.cluster.Admin())
	for _, team := range []string{"both-a", "both-b"} {
		admin.tenant("init", team, "--engine", "both", "--namespaces", team, "--create-namespaces", "--user", "bela")
	}
	admin.tenant("init", "both-old", "--namespaces", "both-old", "--create-namespaces", "--wait=false")
	admin.tenant("init", "both-new", "--engine", "impersonation", "--namespaces", "both-new", "--create-namespaces")
	with := map[int]*person{2: w.user("bela"), 3: w.userOf(3, "bela"), 4: w.userOf(4, "bela")}
	for major, bela := range with {
		for _, team := range []string{"both-b", "both-a"} {
			bela.tenant("use", team)
		}
		name := fmt.Sprintf("by-helm%d", major)
		if major == 2 {
			bela.run("helm", "tenant", "install", chart(t), "--name", name)
		} else {
			bela.run("helm", "tenant", "install", name, tested(t))
		}
	}
	if got := names(with[2].run("helm", "tenant", "ls", "-q")); got != "by-helm2" {
		t.Errorf("Helm 2 lists %q", got)
	}
	for _, major := range []int{3, 4} {
		if got := names(with[major].run("helm", "tenant", "ls", "-q")); got != "by-helm3 by-helm4" {
			t.Errorf("Helm %d lists %q", major, got)
		}
	}
	contains(t, admin.tenant("describe", "both-a"), "by-helm2", "by-helm3", "by-helm4")
	contains(t, admin.tenant("describe", "both-a"), "Tiller:", "Engine:", "both")
	lacks(t, admin.tenant("describe", "both-a"), "Differs")
	contains(t, admin.tenant("init", "both-a"), "nothing was written")

	before := admin.snapshot("both-a")
	for engine, words := range map[string]string{"impersonation": "by-helm2", "tiller": "by-helm3, by-helm4"} {
		admin.fails(1, "has releases that the engine "+engine+" can't manage: "+words, "helm", "tenant", "init", "both-a", "--engine", engine)
	}
	if after := admin.snapshot("both-a"); after != before {
		t.Fatalf("what was refused changed something:\n%s\nbefore:\n%s", after, before)
	}
	admin.fails(1, "can't become impersonation at once", "helm", "tenant", "init", "both-old", "--engine", "impersonation")
	admin.fails(1, "can't become tiller at once", "helm", "tenant", "init", "both-new", "--engine", "tiller")

	// The two deployers share a home, and neither gets at the other there.
	t.Run("neither is the way to the other", func(t *testing.T) {
		const home = "both-a-tiller"
		secret := filepath.Join(t.TempDir(), "secret")
		write(t, secret, "Chart.yaml", "apiVersion: v1\nname: secret\nversion: 0.1.0\n")
		write(t, secret, "templates/token.yaml", `apiVersion: v1
kind: Secret
type: kubernetes.io/service-account-token
metadata: {name: token, namespace: `+home+`, annotations: {kubernetes.io/service-account.name: helm}}
`)
		// Tiller may write Secrets in the home, and nothing but its records.
		with[2].in(t).fails(1, "ValidatingAdmissionPolicy 'helm-tenant-records'", "helm", "tenant", "install", secret, "--name", "token")
		with[2].in(t).run("helm", "tenant", "delete", "--purge", "token")
		with[3].in(t).fails(1, `in the namespace "`+home+`"`, "helm", "tenant", "install", "token", secret)
		bela := with[3].in(t)
		as := "--as=system:serviceaccount:" + home + ":"
		for _, args := range [][]string{
			{"get", "secrets", "-n", home, as + "helm"}, {"create", "token", "tiller", "-n", home, as + "helm"}, {"create", "token", "helm", "-n", home, as + "helm"},
			{"get", "secrets", "-n", home}, {"create", "token", "helm", "-n", home}, {"get", "secrets", "-n", home, as + "tiller"}, {"get", "pods", "-n", home, as + "helm"},
		} {
			bela.fails(1, "orbidden", append([]string{"kubectl"}, args...)...)
		}
		bela.run("kubectl", "get", "secrets", "-n", "both-a", as+"helm") // which it may
	})

	t.Run("Tiller goes", func(t *testing.T) {
		admin, home := admin.in(t), "both-a-tiller"
		with[2].in(t).run("helm", "tenant", "delete", "--purge", "by-helm2")
		admin.tenant("init", "both-a", "--engine", "impersonation")
		admin.gone("deployments,replicasets,pods,networkpolicies", "-n", home)
		admin.gone("serviceaccount/tiller", "role/helm-tenant-records", "rolebinding/helm-tenant-records", "-n", home)
		if got := admin.subjects("rolebinding", "helm-tenant.both-a.admin", "-n", "both-a"); got != "ServiceAccount/helm" {
			t.Errorf("bound are %s", got)
		}
		lacks(t, admin.jsonpath("{.rules}", "role", "helm-tenant-member", "-n", home), "pods")
		if s := admin.try("kubectl", "auth", "can-i", "--list", "-n", "both-a", "--as=system:serviceaccount:"+home+":tiller"); strings.Contains(s.stdout, "secrets") {
			t.Errorf("Tiller's account has rights still:\n%s", s.stdout)
		}
		with[2].in(t).fails(1, "", "helm", "tenant", "ls")
		for _, major := range []int{3, 4} {
			bela := with[major].in(t)
			if got := names(bela.run("helm", "tenant", "ls", "-q")); got != "by-helm3 by-helm4" {
				t.Errorf("Helm %d lists %q", major, got)
			}
			// One who comes new finds the home, which is not where its engine's are.
			fresh := w.userOf(major, "bela").in(t)
			fresh.tenant("use", "both-a")
			fresh.run("helm", "tenant", "ls")
		}
		lacks(t, admin.tenant("describe", "both-a"), "Differs")
		contains(t, admin.tenant("init", "both-a"), "nothing was written")
	})
	t.Run("Helm 3 goes", func(t *testing.T) {
		admin, home := admin.in(t), "both-b-tiller"
		for _, major := range []int{3, 4} {
			bela := with[major].in(t)
			bela.run("helm", "tenant", "--tenant", "both-b", "install", fmt.Sprintf("b%d", major), tested(t))
		}
		admin.fails(1, "can't manage: b3, b4", "helm", "tenant", "init", "both-b", "--engine", "tiller")
		with[4].in(t).run("helm", "tenant", "--tenant", "both-b", "uninstall", "b3", "b4")
		admin.tenant("init", "both-b", "--engine", "tiller")
		admin.gone("serviceaccount/helm", "-n", home)
		if got := admin.subjects("rolebinding", "helm-tenant.both-b.admin", "-n", "both-b"); got != "ServiceAccount/tiller" {
			t.Errorf("bound are %s", got)
		}
		lacks(t, admin.jsonpath("{.rules}", "role", "helm-tenant-member", "-n", home), "impersonate")
		// The members are still members; the API server refuses them as it does strangers.
		bela := with[3].in(t)
		bela.fails(1, "unreachable: unknown", "helm", "tenant", "--tenant", "both-b", "ls")
		if who := bela.whoami(1, "--tenant", "both-b"); !strings.Contains(who.Deployer.Problem, "the tenant has a Tiller by now") {
			t.Errorf("whoami says %q", who.Deployer.Problem)
		}
		with[2].in(t).run("helm", "tenant", "--tenant", "both-b", "ls")
		contains(t, admin.tenant("init", "both-b"), "nothing was written")
	})
	t.Run("and back", func(t *testing.T) {
		admin := admin.in(t)
		admin.tenant("init", "both-old", "--engine", "both", "--user", "bela")
		bela := with[3].in(t)
		bela.tenant("use", "both-old")
		bela.run("helm", "tenant", "install", "later", tested(t))
		admin.tenant("destroy", "both-old", "--keep-releases", "--yes", "--backup", filepath.Join(t.TempDir(), "b.yaml"))
		admin.gone("namespace", "both-old-tiller")
	})
}
