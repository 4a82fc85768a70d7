package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/clientcmd/api"

	"helm-tenant/test/harness"
	"helm-tenant/test/testcluster"
)

// majors runs a test under Helm 3 and under Helm 4, side by side.
func majors(t *testing.T, run func(t *testing.T, w *world, major int)) {
	for _, major := range []int{3, 4} {
		t.Run(fmt.Sprintf("helm %d", major), func(t *testing.T) {
			t.Parallel()
			run(t, newWorld(t), major)
		})
	}
}

// tested is the chart for Helm 3 and 4, which brings a test.
func tested(t testing.TB) string {
	return filepath.Join(repository(t), "test", "charts", "tested")
}

// ways are how helm-tenant is called: as helm's plugin, and by itself.
func (w *world) ways() map[string][]string {
	return map[string][]string{"plugin": {"helm", "tenant"}, "alone": {w.binary()}}
}

// sampled reports whether the case of that number runs in that way under that major: each
// case runs in each way, under one of Helm 3 and 4, and in a soak under both.
func sampled(way string, major, number int) bool {
	return harness.Soak() || (way == "plugin") == ((number+major)%2 == 0)
}

// turns are how helm-tenant is called in one command after the other: by turns as a plugin
// and by itself, so that each command is called so under one of Helm 3 and 4 and otherwise
// under the other. In a soak each of both all the time.
func (w *world) turns(major int) map[string]func() []string {
	ways := w.ways()
	if harness.Soak() {
		return map[string]func() []string{"plugin": func() []string { return ways["plugin"] }, "alone": func() []string { return ways["alone"] }}
	}
	return map[string]func() []string{"turns": func() []string {
		major++
		return ways[[]string{"plugin", "alone"}[major%2]]
	}}
}

// with is the same person with more in the environment.
func (p *person) with(env ...string) *person {
	q := *p
	q.env = append(append([]string{}, p.env...), env...)
	return &q
}

// names are the releases that a list with -q told.
func names(out string) string { return strings.Join(strings.Fields(out), " ") }

// TestHelmLife is a release's life under Helm 3 and 4: every command that acts on
// the cluster, as a plugin and standing alone.
func TestHelmLife(t *testing.T) {
	t.Parallel()
	majors(t, func(t *testing.T, w *world, major int) {
		team := fmt.Sprintf("life%d", major)
		one, two := team+"-1", team+"-2"
		admin, alice := w.personOf(major, w.cluster.Admin()), w.userOf(major, "alice")
		admin.tenant("init", team, "--namespaces", one+","+two, "--create-namespaces", "--user", "alice")
		alice.tenant("use", team)

		for way, tenant := range w.turns(major) {
			t.Run(way, func(t *testing.T) {
				alice := alice.in(t)
				run := func(args ...string) string {
					t.Helper()
					return alice.run(append(slices.Clone(tenant()), args...)...)
				}
				release := "web-" + way
				contains(t, run("install", release, tested(t), "--set", "greeting=first"), "NAMESPACE: "+one, "STATUS: deployed", "Hello from "+release+" in "+one)
				if got := alice.try("kubectl", "get", "configmap", release, "-n", one); got.code == 0 {
					t.Error("alice has rights in the namespace herself: then this shows nothing")
				}
				if got := admin.in(t).jsonpath("{.data.greeting}", "configmap", release, "-n", one); got != "first" {
					t.Errorf("the greeting is %q", got)
				}
				contains(t, run("list"), release, one, "deployed", "tested-0.1.0")
				contains(t, run("ls", "-q"), release)
				contains(t, run("upgrade", release, tested(t), "--set", "greeting=second"), "REVISION: 2")
				contains(t, run("status", release), "STATUS: deployed", "REVISION: 2")
				contains(t, run("get", "values", release), "greeting: second")
				contains(t, run("get", "manifest", release), "greeting: \"second\"", "kind: ConfigMap")
				contains(t, run("get", "hooks", release), release+"-test")
				contains(t, run("get", "notes", release), "Hello from "+release)
				contains(t, run("get", "metadata", release), "NAMESPACE: "+one)
				contains(t, run("get", "all", release), "REVISION: 2", "greeting: second")
				contains(t, run("history", release), "superseded", "deployed")
				run("rollback", release, "1")
				contains(t, run("get", "values", release, "--revision", "3"), "greeting: first")
				contains(t, run("test", release), "Succeeded")
				contains(t, run("upgrade", "--install", release+"-too", tested(t), "-n", two), "NAMESPACE: "+two)
				if got := names(run("list", "-q", "-n", two, "--filter", way)); got != release+"-too" {
					t.Errorf("the second namespace has %q", got)
				}

				// What asks the API server, and is the tenant's for that.
				contains(t, run("template", "checked", tested(t), "--validate"), "kind: ConfigMap")
				contains(t, run("template", "checked", tested(t), "--dry-run=server"), "kind: ConfigMap")
				contains(t, run("install", "dry", tested(t), "--dry-run=server"), "STATUS: pending-install")

				// Standard input.
				piped := alice.tryWith("greeting: from-stdin\n", append(slices.Clone(tenant()), "install", release+"-piped", tested(t), "-f", "-")...)
				if piped.code != 0 {
					t.Fatalf("install -f -: %d\n%s", piped.code, piped.stderr)
				}
				contains(t, run("get", "values", release+"-piped"), "from-stdin")

				// helm's own errors, words and code.
				fails := func(code int, words string, args ...string) {
					t.Helper()
					alice.fails(code, words, append(slices.Clone(tenant()), args...)...)
				}
				fails(1, "release: not found", "status", "none-of-that-name")
				fails(1, "a name that is still in use", "install", release, tested(t))
				fails(1, "unknown flag: --nonsense", "list", "--nonsense")
				run("upgrade", release, tested(t), "--set", "file=/nowhere")
				fails(1, "pod "+release+"-test failed", "test", release)
				// A tenant has its namespaces, and not all.
				fails(1, "--all-namespaces lists the whole cluster's releases", "list", "--all-namespaces")
				fails(1, `in the namespace "default"`, "install", "intruder", tested(t), "-n", "default")
				fails(1, `in the namespace "kube-system"`, "list", "-n", "kube-system")

				contains(t, run("uninstall", release, release+"-piped"), `release "`+release+`" uninstalled`)
				run("uninstall", release+"-too", "-n", two)
				if got := names(run("list", "-q")); strings.Contains(got, release) {
					t.Errorf("still there: %q", got)
				}
			})
		}
	})
}

// TestHelmLocal shows that commands which need no cluster are helm's own: same
// output, and no tenant is asked for.
func TestHelmLocal(t *testing.T) {
	t.Parallel()
	majors(t, func(t *testing.T, w *world, major int) {
		// Nobody listens there.
		p := w.personOf(major, write(t, t.TempDir(), "kubeconfig", `apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "https://127.0.0.1:1"}}]
users: [{name: u, user: {token: t}}]
contexts: [{name: none, context: {cluster: c, user: u}}]
current-context: none
`))
		broken := filepath.Join(t.TempDir(), "broken")
		write(t, broken, "Chart.yaml", "apiVersion: v2\nname: broken\n")
		for i, args := range [][]string{
			{"lint", tested(t)}, {"lint", broken}, {"template", "r", tested(t), "--set", "greeting=x"}, {"show", "values", tested(t)},
			{"version"}, {"repo", "list"}, {"plugin", "list"}, {"dependency", "list", tested(t)}, {"search", "repo", "x"},
		} {
			want := p.try(append([]string{"helm"}, args...)...)
			for way, tenant := range w.ways() {
				if !sampled(way, major, i) {
					continue
				}
				got := p.try(append(append([]string{}, tenant...), args...)...)
				if way == "plugin" {
					// helm tells of a plugin that failed.
					got.stderr = strings.ReplaceAll(got.stderr, "Error: plugin \"tenant\" exited with error\n", "")
				}
				if got.stdout != want.stdout || got.code != want.code || way == "alone" && got.stderr != want.stderr || !strings.Contains(got.stderr, want.stderr) {
					t.Errorf("%s, %s: exit code %d\n%.2000s%s\nhelm itself: %d\n%.2000s%s", way, strings.Join(args, " "), got.code, got.stdout, got.stderr, want.code, want.stdout, want.stderr)
				}
			}
		}
		contains(t, p.run(w.binary(), "env"), `HELM_NAMESPACE="default"`, `HELM_KUBEASUSER=""`)
		contains(t, p.run("helm", "tenant", "env"), `HELM_NAMESPACE="default"`, `HELM_KUBEASUSER=""`)
		dir := t.TempDir()
		p.run("helm", "tenant", "create", filepath.Join(dir, "made"))
		p.run("helm", "tenant", "package", filepath.Join(dir, "made"), "-d", dir)
		if _, err := os.Stat(filepath.Join(dir, "made-0.1.0.tgz")); err != nil {
			t.Error(err)
		}
		p.fails(1, "can't be reached", "helm", "tenant", "list")
	})
}

// TestHelmNamespace shows in which namespace helm acts. Each of them holds a
// release of its own, which a list tells.
func TestHelmNamespace(t *testing.T) {
	t.Parallel()
	majors(t, func(t *testing.T, w *world, major int) {
		team := fmt.Sprintf("ns%d", major)
		one, two := team+"-1", team+"-2"
		admin, nina := w.personOf(major, w.cluster.Admin()), w.userOf(major, "nina")
		admin.tenant("init", team, "--namespaces", one+","+two, "--create-namespaces", "--user", "nina")
		nina.tenant("use", team)
		nina.run("helm", "tenant", "install", "in-one", tested(t))
		nina.run("helm", "tenant", "install", "in-two", tested(t), "-n", two)

		const outside = "outside"
		for i, c := range []struct {
			name    string
			context string // its namespace, none where empty
			env     []string
			args    []string // T stands for helm-tenant as it is called
			want    string   // a release, or outside where helm goes where the tenant may not
		}{
			{"the tenant's default", "", nil, []string{"T", "ls", "-q"}, "in-one"},
			{"the context's is no tenant's", "kube-public", nil, []string{"T", "ls", "-q"}, "in-one"},
			{"the context's is the tenant's", two, nil, []string{"T", "ls", "-q"}, "in-two"},
			{"-n after", "", nil, []string{"T", "ls", "-q", "-n", two}, "in-two"},
			{"-n after, joined", "", nil, []string{"T", "ls", "-q", "-n=" + two}, "in-two"},
			{"-n after, in one", "", nil, []string{"T", "ls", "-q", "-n" + two}, "in-two"},
			{"--namespace after", "", nil, []string{"T", "ls", "-q", "--namespace", two}, "in-two"},
			{"--namespace after, joined", "", nil, []string{"T", "ls", "-q", "--namespace=" + two}, "in-two"},
			{"-n between", "", nil, []string{"T", "-n", two, "ls", "-q"}, "in-two"},
			{"--namespace between", "", nil, []string{"T", "--namespace=" + two, "ls", "-q"}, "in-two"},
			{"before the plugin", "", nil, []string{"helm", "-n", two, "tenant", "ls", "-q"}, "in-two"},
			{"before the plugin, joined", "", nil, []string{"helm", "--namespace=" + two, "tenant", "ls", "-q"}, "in-two"},
			{"typed, against the context's", two, nil, []string{"T", "ls", "-q", "-n", one}, "in-one"},
			{"typed, and equal to the context's", "", nil, []string{"T", "ls", "-q", "-n", "default"}, outside},
			{"typed long, and equal to the context's", "", nil, []string{"T", "ls", "-q", "--namespace=default"}, outside},
			{"before the plugin, and equal to the context's", "", nil, []string{"helm", "-n", "default", "tenant", "ls", "-q"}, outside},
			{"HELM_NAMESPACE", "", []string{"HELM_NAMESPACE=" + two}, []string{"T", "ls", "-q"}, "in-two"},
			{"HELM_NAMESPACE, against the context's", two, []string{"HELM_NAMESPACE=" + one}, []string{"T", "ls", "-q"}, "in-one"},
			{"typed, against HELM_NAMESPACE", "", []string{"HELM_NAMESPACE=" + one}, []string{"T", "ls", "-q", "-n", two}, "in-two"},
			{"HELM_NAMESPACE that is no tenant's", "", []string{"HELM_NAMESPACE=kube-public"}, []string{"T", "ls", "-q"}, outside},
		} {
			t.Run(c.name, func(t *testing.T) {
				nina := nina.in(t)
				nina.run("kubectl", "config", "set-context", "test", "--namespace="+c.context)
				for way, tenant := range w.ways() {
					if !sampled(way, major, i) {
						continue
					}
					args := c.args
					if args[0] == "T" {
						args = append(append([]string{}, tenant...), args[1:]...)
					}
					s := nina.with(c.env...).try(args...)
					switch {
					case c.want == outside:
						if s.code != 1 || !strings.Contains(s.stderr, "cannot list resource") {
							t.Errorf("%s, %s: exit code %d, and not refused: %s%s", way, strings.Join(args, " "), s.code, s.stdout, s.stderr)
						}
					case s.code != 0 || names(s.stdout) != c.want:
						t.Errorf("%s, %s: exit code %d, %q, wanted %q\n%s", way, strings.Join(args, " "), s.code, names(s.stdout), c.want, s.stderr)
					}
				}
			})
		}
		nina.run("kubectl", "config", "set-context", "test", "--namespace=")
	})
}

// TestHelmIdentity shows that who acts is the tenant's word alone, whatever a
// shell exports, and that what says otherwise is refused.
func TestHelmIdentity(t *testing.T) {
	t.Parallel()
	majors(t, func(t *testing.T, w *world, major int) {
		team := fmt.Sprintf("who%d", major)
		admin, ida := w.personOf(major, w.cluster.Admin()), w.userOf(major, "ida")
		admin.tenant("init", team, "--namespaces", team, "--create-namespaces", "--user", "ida")
		ida.tenant("use", team)
		ida.run("helm", "tenant", "install", "mine", tested(t))

		exported := []string{"HELM_KUBEASUSER=root", "HELM_KUBEASGROUPS=system:masters", "HELM_KUBETOKEN=stolen"}
		// helm itself heeds each of them: none is without effect.
		for _, name := range exported {
			if s := ida.with("HELM_NAMESPACE="+team, name).try("helm", "list"); s.code == 0 {
				t.Errorf("with %s helm works: it shows nothing here", name)
			}
		}
		for way, tenant := range w.ways() {
			t.Run("exported, "+way, func(t *testing.T) {
				for i, env := range [][]string{exported[:1], exported[1:2], exported[2:], exported} {
					if !sampled(way, major, i) {
						continue
					}
					if got := names(ida.in(t).with(env...).run(append(append([]string{}, tenant...), "ls", "-q")...)); got != "mine" {
						t.Errorf("with %s: %q", env, got)
					}
				}
				ida.in(t).with("HELM_KUBEAPISERVER=https://127.0.0.1:1").fails(1, "HELM_KUBEAPISERVER", append(append([]string{}, tenant...), "ls")...)
			})
		}
		for i, flag := range []string{"--kube-as-user=root", "--kube-as-group=system:masters", "--kube-token=x", "--kube-apiserver=https://127.0.0.1:1"} {
			name, value, _ := strings.Cut(flag, "=")
			for j, args := range [][]string{
				{"helm", flag, "tenant", "ls"}, {"helm", name, value, "tenant", "ls"}, {"helm", "tenant", flag, "ls"}, {"helm", "tenant", "ls", flag}, {"helm", "tenant", "ls", name, value},
				{w.binary(), flag, "ls"}, {w.binary(), "ls", flag}, {w.binary(), "ls", name, value},
			} {
				if harness.Soak() || (i+j+major)%2 == 0 { // each of them under one of the majors
					ida.fails(1, name+" sets who acts", args...)
				}
			}
		}
		ida.fails(1, "--tiller-namespace is Helm 2's", w.binary(), "--tiller-namespace=x", "ls")
		// The member's own rights are no help: the deployer's are what counts.
		admin.run("kubectl", "create", "rolebinding", "ida-everywhere", "--clusterrole=admin", "--user=ida", "-n", "kube-public")
		ida.fails(1, `User "system:serviceaccount:`+team+`-helm:helm" cannot list resource "secrets"`, "helm", "tenant", "ls", "-n", "kube-public")
		admin.run("kubectl", "delete", "rolebinding", "ida-everywhere", "-n", "kube-public")
	})
}

// TestHelmContext shows that the context that was typed is the one that is used,
// of two clusters and of two tenants in one.
func TestHelmContext(t *testing.T) {
	t.Parallel()
	c, err := testcluster.Start(context.Background(), testcluster.Options{Size: testcluster.API})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	})
	for _, major := range []int{3, 4} {
		t.Run(fmt.Sprintf("helm %d", major), func(t *testing.T) {
			w := newWorld(t)
			other := &world{t: t, cluster: c, plugin: w.plugin}
			team := fmt.Sprintf("ctx%d", major)
			here, there := w.personOf(major, w.cluster.Admin()), other.personOf(major, c.Admin())
			// The same tenant in both clusters, and another in the first.
			for _, p := range []*person{here, there} {
				p.tenant("init", team, "--namespaces", team, "--create-namespaces", "--user", "carol")
			}
			here.tenant("init", team+"-too", "--namespaces", team+"-too", "--create-namespaces", "--user", "carol")
			carol := w.personOf(major, twoClusters(t, w.cluster, c, "carol"))
			for name, tenant := range map[string]string{"first": team, "second": team, "first-too": team + "-too"} {
				carol.run("helm", "tenant", "--context", name, "use", tenant)
				carol.run("helm", "tenant", "--context", name, "install", "in-"+name, tested(t))
			}
			for i, args := range [][]string{
				{"helm", "--kube-context", "second", "tenant", "ls", "-q"},
				{"helm", "--kube-context=second", "tenant", "ls", "-q"},
				{"helm", "tenant", "ls", "-q", "--kube-context", "second"},
				{"helm", "tenant", "ls", "--kube-context=second", "-q"},
				{"helm", "tenant", "--kube-context", "second", "ls", "-q"},
				{"helm", "tenant", "--context", "second", "ls", "-q"},
				{w.binary(), "ls", "-q", "--kube-context", "second"},
				{w.binary(), "--kube-context=second", "ls", "-q"},
				{w.binary(), "--context=second", "ls", "-q"},
				{"env", "HELM_KUBECONTEXT=second", "helm", "tenant", "ls", "-q"},
				{"env", "HELM_KUBECONTEXT=second", w.binary(), "ls", "-q"},
			} {
				for j, name := range []string{"second", "first-too", "first"} {
					if !harness.Soak() && (i+j+major)%2 != 0 { // each of them under one of the majors
						continue
					}
					var typed []string
					for _, arg := range args {
						typed = append(typed, strings.ReplaceAll(arg, "second", name))
					}
					if got := names(carol.run(typed...)); got != "in-"+name {
						t.Errorf("%s: %q", strings.Join(typed, " "), got)
					}
				}
			}
			if got := names(carol.run("helm", "tenant", "ls", "-q")); got != "in-first" {
				t.Errorf("the current context: %q", got)
			}
			carol.fails(1, "two contexts are named", "helm", "--kube-context", "first", "tenant", "--context", "second", "ls")
			contains(t, carol.run("helm", "--kube-context", "first-too", "tenant", "whoami"), team+"-too")
			// The record of the release is where it should be, and nowhere else.
			if got := there.jsonpath("{.items[*].metadata.name}", "secrets", "-n", team, "-l", "owner=helm"); got != "sh.helm.release.v1.in-second.v1" {
				t.Errorf("the second cluster has the records %q", got)
			}
		})
	}
}

// twoClusters is a kubeconfig of somebody in both clusters: the contexts first
// and first-too of the one, and second of the other.
func twoClusters(t testing.TB, one, two *testcluster.Cluster, user string) string {
	t.Helper()
	merged := api.NewConfig()
	for name, c := range map[string]*testcluster.Cluster{"first": one, "second": two} {
		file, err := c.Kubeconfig(user)
		if err != nil {
			t.Fatal(err)
		}
		config, err := clientcmd.LoadFromFile(file)
		if err != nil {
			t.Fatal(err)
		}
		kubeContext := config.Contexts[config.CurrentContext]
		merged.Clusters[name], merged.AuthInfos[name] = config.Clusters[kubeContext.Cluster], config.AuthInfos[kubeContext.AuthInfo]
		merged.Contexts[name] = &api.Context{Cluster: name, AuthInfo: name}
	}
	merged.Contexts["first-too"] = &api.Context{Cluster: "first", AuthInfo: "first"}
	merged.CurrentContext = "first"
	file := filepath.Join(t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*merged, file); err != nil {
		t.Fatal(err)
	}
	return file
}

// TestHelmSignals shows that a Ctrl-C reaches the helm that waits, which says so
// and marks its release as failed; and that by itself our process becomes helm's.
func TestHelmSignals(t *testing.T) {
	t.Parallel()
	majors(t, func(t *testing.T, w *world, major int) {
		team := fmt.Sprintf("signal%d", major)
		admin, sam := w.personOf(major, w.cluster.Admin()), w.userOf(major, "sam")
		admin.tenant("init", team, "--namespaces", team, "--create-namespaces", "--user", "sam")
		sam.tenant("use", team)
		bin, err := filepath.EvalSymlinks(w.cluster.Bin(fmt.Sprintf("helm%d", major)))
		if err != nil {
			t.Fatal(err)
		}
		for way, tenant := range w.ways() {
			t.Run(way, func(t *testing.T) {
				args := append(append([]string{}, tenant...), "install", "never-"+way, chart(t), "--set", "image=example.invalid/none:1", "--wait", "--timeout", "20m")
				path := args[0]
				if path == "helm" {
					path = w.cluster.Bin(fmt.Sprintf("helm%d", major))
				}
				cmd := exec.Command(path, args[1:]...)
				cmd.Args[0] = args[0]
				cmd.Env = sam.env
				cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // as a shell starts it
				var out bytes.Buffer
				cmd.Stdout, cmd.Stderr = &out, &out
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				record := func() string {
					return admin.in(t).jsonpath("{.items[*].metadata.labels.status}", "secrets", "-n", team, "-l", "name=never-"+way)
				}
				deadline := time.Now().Add(harness.Patience)
				for record() != "pending-install" {
					if time.Now().After(deadline) {
						syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
						cmd.Wait()
						t.Fatalf("helm did not come to wait:\n%s", out.String())
					}
					time.Sleep(200 * time.Millisecond)
				}
				if way == "alone" {
					if exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", cmd.Process.Pid)); err != nil || exe != bin {
						t.Errorf("process %d runs %q, not %q (%v)", cmd.Process.Pid, exe, bin, err)
					}
				}
				time.Sleep(time.Second) // it writes the record a little before it waits
				if err := syscall.Kill(-cmd.Process.Pid, syscall.SIGINT); err != nil {
					t.Fatal(err)
				}
				err := cmd.Wait()
				if err == nil || !strings.Contains(out.String(), "Release never-"+way+" has been cancelled.") {
					t.Errorf("ended with %v:\n%s", err, out.String())
				}
			})
		}
	})
}

// probe is a plugin as many are: it calls helm back by HELM_BIN, and asks the
// cluster by what helm told it. It ends with a code of its own.
const probe = `#!/bin/sh
set -e
case $1 in
diff) # RELEASE CHART
	"$HELM_BIN" get manifest "$2" >"$0.live.$$"
	"$HELM_BIN" template "$2" "$3" --validate >"$0.next.$$"
	diff "$0.live.$$" "$0.next.$$" || exit 7
	;;
env)
	printf '%s|%s|%s|%s' "$HELM_NAMESPACE" "$HELM_KUBECONTEXT" "$HELM_KUBEASUSER" "$HELM_TENANT"
	shift; printf '|%s' "$@"; echo
	;;
esac
`

// aPod runs a command with what client-go knows a pod by: a service account's files
// and the API server's address.
const aPod = `set -e
mount -t tmpfs none /run
account=/run/secrets/kubernetes.io/serviceaccount
mkdir -p $account
echo token >$account/token
printf ci >$account/namespace
KUBERNETES_SERVICE_HOST=127.0.0.1 KUBERNETES_SERVICE_PORT=1 exec "$@"
`

// TestHelmPlugins runs a plugin of helm's through the wrapper: it acts as the
// tenant, knowing nothing of it.
func TestHelmPlugins(t *testing.T) {
	t.Parallel()
	majors(t, func(t *testing.T, w *world, major int) {
		team := fmt.Sprintf("plug%d", major)
		admin, pam := w.personOf(major, w.cluster.Admin()), w.userOf(major, "pam")
		admin.tenant("init", team, "--namespaces", team+"-1,"+team+"-2", "--create-namespaces", "--user", "pam")
		pam.tenant("use", team)
		dir := filepath.Join(t.TempDir(), "probe")
		write(t, dir, "plugin.yaml", "name: probe\nversion: 0.1.0\nusage: x\ndescription: x\ncommand: \"$HELM_PLUGIN_DIR/probe.sh\"\n")
		if err := os.Chmod(write(t, dir, "probe.sh", probe), 0o755); err != nil {
			t.Fatal(err)
		}
		pam.run("helm", "plugin", "install", dir)
		pam.run("helm", "tenant", "install", "web", tested(t))
		as := "system:serviceaccount:" + team + "-helm:helm"
		for way, tenant := range w.ways() {
			t.Run(way, func(t *testing.T) {
				pam := pam.in(t)
				typed := func(args ...string) []string { return append(append([]string{}, tenant...), args...) }
				for i, c := range []struct {
					args []string
					want string
				}{
					{typed("probe", "env", "--flag", "a b"), team + "-1|test|" + as + "|" + team + "|--flag|a b\n"},
					{typed("-n", team+"-2", "probe", "env", "x"), team + "-2|test|" + as + "|" + team + "|x\n"},
					{typed("probe", "env", "x", "-n", team+"-2"), team + "-2|test|" + as + "|" + team + "|x\n"},
				} {
					if !sampled(way, major, i) {
						continue
					}
					if got := pam.run(c.args...); got != c.want {
						t.Errorf("%s\n got %swant %s", strings.Join(c.args, " "), got, c.want)
					}
				}
				// In a pod helm's default namespace is the pod's, which nobody typed.
				inPod := append([]string{"unshare", "--mount", "sh", "-c", aPod, "sh"}, typed("probe", "env", "x")...)
				if got, want := pam.run(inPod...), team+"-1|test|"+as+"|"+team+"|x\n"; got != want {
					t.Errorf("in a pod\n got %swant %s", got, want)
				}
				// A difference, and the plugin's own exit code for it.
				s := pam.try(typed("probe", "diff", "web", tested(t))...)
				if s.code != 7 || !strings.Contains(s.stdout, "helm.sh/hook: test") || strings.Contains(s.stderr, "forbidden") {
					t.Errorf("exit code %d\n%s%s", s.code, s.stdout, s.stderr)
				}
			})
		}
		// By helm itself she is nobody.
		pam.fails(1, `User "pam" cannot list resource "secrets"`, "helm", "probe", "diff", "web", tested(t))
	})
}

// whoAmI is what whoami tells machines of this engine.
type whoAmI struct {
	Tenant, HomeNamespace, Rule, Context, UserName, Namespace string
	Namespaces                                                []string
	Deployer                                                  struct {
		User, Problem string
		Answers       bool
	}
}

func (p *person) whoami(code int, args ...string) (who whoAmI) {
	p.t.Helper()
	s := p.try(append([]string{"helm", "tenant"}, append(args, "whoami", "-o", "json")...)...)
	if s.code != code {
		p.t.Fatalf("whoami: exit code %d\n%s%s", s.code, s.stdout, s.stderr)
	}
	if err := json.Unmarshal([]byte(s.stdout), &who); err != nil {
		p.t.Fatalf("%v in %s", err, s.stdout)
	}
	return who
}
