package e2e

import (
	"bytes"
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

	"helm-tenant/test/harness"
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

// tested returns the chart for Helm 3 and 4, which brings a test.
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

// turns returns how helm-tenant is called from command to command: alternately as a plugin and
// alone, so that each command runs one way under Helm 3 and the other way under Helm 4. In a
// soak it returns both ways, each for all commands.
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

// with returns the same person with more in the environment.
func (p *person) with(env ...string) *person {
	q := *p
	q.env = append(append([]string{}, p.env...), env...)
	return &q
}

// names returns the releases that a list with -q told.
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

				// A command that asks the API server, and therefore acts as the tenant.
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

// TestHelmSignals: a Ctrl-C reaches the waiting helm, which reports it and marks its release as
// failed; and helm-tenant's process is replaced by helm's.
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
				args := append(append([]string{}, tenant...), "install", "never-"+way, chart(t), "--set", "image=127.0.0.1:10256/none:1", "--wait", "--timeout", "20m")
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
				time.Sleep(time.Second) // helm writes the record a moment before it waits
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
