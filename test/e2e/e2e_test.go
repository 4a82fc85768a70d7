// Package e2e runs the commands that people type, with the real Helm 2.17, 3 and 4, a real
// Tiller in a pod and a real Kubernetes, and checks the results.
package e2e

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"helm-tenant/test/harness"
	"helm-tenant/test/kubectl"
	"helm-tenant/test/testcluster"
	"helm-tenant/wrapper"
)

// releaseDir has the release that the tests share; TestMain creates and removes it.
var releaseDir string

func TestMain(m *testing.M) {
	flag.Parse()
	// Most of the time is spent waiting for pods and namespaces: more tests at
	// once than there are cores. -parallel still has the last word.
	flag.Set("test.parallel", "8")
	var err error
	if releaseDir, err = os.MkdirTemp("", "e2e-release-"); err != nil {
		panic(err)
	}
	code := testcluster.Main(m, testcluster.Options{Size: testcluster.Full})
	_ = os.RemoveAll(releaseDir)
	os.Exit(code)
}

// repository returns the project's root.
func repository(t testing.TB) string {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// chart returns the one that the tests install.
func chart(t testing.TB) string { return filepath.Join(repository(t), "test", "charts", "hello") }

// person is somebody with a kubeconfig and a Helm home of their own, in which
// the plugin is installed.
type person struct {
	t          testing.TB
	kubeconfig string
	env        []string
	major      int // of the helm; 0 where a test made the person by hand
}

// helmHome returns a fresh home of Helm 2 without plugins, with the helm of a test
// cluster first on PATH.
func helmHome(t testing.TB, c *testcluster.Cluster) (env []string) {
	t.Helper()
	env, dir := anyHome(t, c, 2)
	home := filepath.Join(dir, "helm")
	initialised.Do(func() { initialised.folder, initialised.err = initialisedHome(c.Bin("helm2"), env) })
	if initialised.err != nil {
		t.Fatal(initialised.err)
	}
	// Its links lead into the home that is copied, which stays.
	if out, err := exec.Command("cp", "-a", initialised.folder, home).CombinedOutput(); err != nil {
		t.Fatalf("copying a home of Helm 2: %v\n%s", err, out)
	}
	return append(env, "HELM_HOME="+home)
}

// initialised is a home as helm init makes it for each person alike.
var initialised struct {
	sync.Once
	folder string
	err    error
}

func initialisedHome(helm string, env []string) (string, error) {
	home := filepath.Join(releaseDir, "helm-home")
	if err := os.MkdirAll(filepath.Join(home, "plugins"), 0o755); err != nil {
		return "", err
	}
	setup := exec.Command(helm, "init", "--client-only", "--skip-refresh", "--stable-repo-url", "http://127.0.0.1:1")
	setup.Env = append(slices.Clip(env), "HELM_HOME="+home)
	if out, err := setup.CombinedOutput(); err != nil {
		return "", fmt.Errorf("helm init --client-only: %w\n%s", err, out)
	}
	return home, nil
}

// helm3Home returns a new home of Helm 3 or 4.
func helm3Home(t testing.TB, c *testcluster.Cluster, major int) (env []string) {
	t.Helper()
	env, dir := anyHome(t, c, major)
	for _, name := range []string{"CACHE", "CONFIG", "DATA"} {
		env = append(env, "HELM_"+name+"_HOME="+filepath.Join(dir, strings.ToLower(name)))
	}
	return env
}

// anyHome returns a folder whose bin holds that helm and kubectl, and an environment
// that knows of no other helm.
func anyHome(t testing.TB, c *testcluster.Cluster, major int) (env []string, dir string) {
	t.Helper()
	dir = t.TempDir()
	bin := filepath.Join(dir, "bin")
	if err := os.MkdirAll(bin, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, binary := range map[string]string{"helm": fmt.Sprintf("helm%d", major), "kubectl": "kubectl"} {
		if err := os.Symlink(c.Bin(binary), filepath.Join(bin, name)); err != nil {
			t.Fatal(err)
		}
	}
	for _, entry := range os.Environ() {
		name, _, _ := strings.Cut(entry, "=")
		if strings.HasPrefix(name, "HELM_") && name != "HELM_TENANT_CACHE" || slices.Contains([]string{"TILLER_NAMESPACE", "KUBECONFIG", "PATH", "XDG_CACHE_HOME", "GOCACHE"}, name) {
			continue
		}
		env = append(env, entry)
	}
	// helm-tenant's cache is the person's own: nothing is left in that of whoever runs the tests.
	return append(env, "PATH="+bin+":"+os.Getenv("PATH"), "XDG_CACHE_HOME="+filepath.Join(dir, "own-cache"), "GOCACHE="+goCache()), dir
}

// goCache returns the folder of Go's build cache, which the plugin's install hook uses.
var goCache = sync.OnceValue(func() string {
	out, err := exec.Command("go", "env", "GOCACHE").Output()
	if err != nil {
		panic(err) // go runs these tests
	}
	return strings.TrimSpace(string(out))
})

// plugin returns a plugin's folder with helm-tenant in it, which all tests share: none
// writes into it.
func plugin(t testing.TB) string {
	t.Helper()
	folder, err := pluginFolder()
	if err != nil {
		t.Fatal(err)
	}
	return folder
}

var pluginFolder = sync.OnceValues(func() (string, error) {
	folder := filepath.Join(releaseDir, "plugin", "tenant")
	binary, err := harness.Installed()
	if err != nil {
		return "", err
	}
	root, err := harness.Repository()
	if err != nil {
		return "", err
	}
	// Copies: the folder is not that of other packages' tests.
	pack := exec.Command("sh", "-c", `mkdir -p "$0/bin" && cp "$1/plugin.yaml" "$0" && cp "$2/$3" "$2/$4" "$0/bin"`, folder, root, filepath.Dir(binary), wrapper.Program, wrapper.Whole)
	if out, err := pack.CombinedOutput(); err != nil {
		return "", fmt.Errorf("making the plugin's folder: %w\n%s", err, out)
	}
	return folder, nil
})

// world is what a test has: a cluster, an admin, and people made on demand.
type world struct {
	t       testing.TB
	cluster *testcluster.Cluster
	plugin  string
	admin   *person
}

func newWorld(t testing.TB) *world {
	t.Helper()
	c := testcluster.Get(t)
	w := &world{t: t, cluster: c, plugin: plugin(t)}
	w.admin = w.person(c.Admin())
	return w
}

func (w *world) person(kubeconfig string) *person {
	w.t.Helper()
	env := helmHome(w.t, w.cluster)
	w.linkPlugin(env, "HELM_HOME")
	return &person{t: w.t, kubeconfig: kubeconfig, env: append(env, "KUBECONFIG="+kubeconfig), major: 2}
}

// linkPlugin has helm find the plugin as `helm plugin install` of a folder does: by a link
// in a folder of that variable. TestPluginInstall runs it.
func (w *world) linkPlugin(env []string, variable string) {
	w.t.Helper()
	for _, entry := range env {
		if home, found := strings.CutPrefix(entry, variable+"="); found {
			plugins := filepath.Join(home, "plugins")
			if err := errors.Join(os.MkdirAll(plugins, 0o755), os.Symlink(w.plugin, filepath.Join(plugins, "tenant"))); err != nil {
				w.t.Fatal(err)
			}
		}
	}
}

// personOf returns a person with Helm 3 or 4.
func (w *world) personOf(major int, kubeconfig string) *person {
	w.t.Helper()
	env := helm3Home(w.t, w.cluster, major)
	w.linkPlugin(env, "HELM_DATA_HOME")
	return &person{t: w.t, kubeconfig: kubeconfig, env: append(env, "KUBECONFIG="+kubeconfig), major: major}
}

// userOf is somebody with Helm 3 or 4 whom the cluster knows by that name and
// nothing else.
func (w *world) userOf(major int, name string, groups ...string) *person {
	w.t.Helper()
	kubeconfig, err := w.cluster.Kubeconfig(name, groups...)
	if err != nil {
		w.t.Fatal(err)
	}
	return w.personOf(major, kubeconfig)
}

// user returns a person that the cluster knows by that name and nothing else.
func (w *world) user(name string, groups ...string) *person {
	w.t.Helper()
	kubeconfig, err := w.cluster.Kubeconfig(name, groups...)
	if err != nil {
		w.t.Fatal(err)
	}
	return w.person(kubeconfig)
}

// said is the output of a command, and how it ended.
type said struct {
	stdout, stderr string
	code           int
}

// try runs a command of the person's and returns how it went.
func (p *person) try(args ...string) said { return p.tryWith("", args...) }

func (p *person) tryWith(stdin string, args ...string) said {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*harness.Patience)
	defer cancel()
	if args[0] == "kubectl" && !harness.Soak() && kubectl.Runs(p.env, args[1:]) {
		r, err := kubectl.Run(ctx, p.env, strings.NewReader(stdin), args[1:]...)
		if err != nil {
			p.t.Fatalf("%s: %v", strings.Join(args, " "), err)
		}
		return said{r.Stdout, r.Stderr, r.Code}
	}
	path := args[0]
	for _, entry := range p.env {
		// exec.Command looks in our own PATH, not in the person's.
		if list, found := strings.CutPrefix(entry, "PATH="); found && !strings.Contains(path, "/") {
			for _, dir := range filepath.SplitList(list) {
				if info, err := os.Stat(filepath.Join(dir, path)); err == nil && !info.IsDir() {
					path = filepath.Join(dir, path)
					break
				}
			}
		}
	}
	r, err := harness.Exec(ctx, p.env, strings.NewReader(stdin), path, args[1:]...)
	if err != nil {
		p.t.Fatalf("%s: %v", strings.Join(args, " "), err)
	}
	return said{r.Stdout, r.Stderr, r.Code}
}

// run runs a command that must succeed and returns its standard output.
func (p *person) run(args ...string) string {
	p.t.Helper()
	var s said
	try := func() (int, string) {
		s = p.try(args...)
		return s.code, s.stderr
	}
	if slices.Contains(args, "use") {
		harness.AwaitGrant(try)
	} else {
		try()
	}
	if s.code != 0 {
		p.t.Fatalf("%s: exit code %d\n%s%s", strings.Join(args, " "), s.code, s.stdout, s.stderr)
	}
	return s.stdout
}

// tenant runs a verb of helm-tenant's that must succeed, and returns its standard output.
// The first run of each verb under each helm is the plugin's, as people type it; the others
// are in the test's process, which takes a third of the processor's time. In a soak all are
// the plugin's.
func (p *person) tenant(args ...string) string {
	p.t.Helper()
	_, before := pluginRan.LoadOrStore(fmt.Sprint(p.major, args[0]), true)
	if p.major == 0 || !before || harness.Soak() || args[0] == "use" {
		return p.run(append([]string{"helm", "tenant"}, args...)...)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*harness.Patience)
	defer cancel()
	r, err := harness.Run(ctx, p.env, strings.NewReader(""), args...)
	if err != nil || r.Code != 0 {
		p.t.Fatalf("helm-tenant %s: %v, exit code %d\n%s%s", strings.Join(args, " "), err, r.Code, r.Stdout, r.Stderr)
	}
	return r.Stdout
}

// pluginRan has the majors and verbs that tenant ran as helm's plugin.
var pluginRan sync.Map

// fails runs a command that must end with that code and say those words.
func (p *person) fails(code int, words string, args ...string) said {
	p.t.Helper()
	s := p.try(args...)
	if s.code != code || !strings.Contains(s.stderr, words) {
		p.t.Fatalf("%s: exit code %d, wanted %d and the words %q\n%s%s", strings.Join(args, " "), s.code, code, words, s.stdout, s.stderr)
	}
	return s
}

// binary is helm-tenant by itself.
func (w *world) binary() string { return filepath.Join(w.plugin, "bin", "helm-tenant") }

func contains(t testing.TB, text string, words ...string) {
	t.Helper()
	for _, word := range words {
		if !strings.Contains(text, word) {
			t.Fatalf("%q is missing in:\n%s", word, text)
		}
	}
}
