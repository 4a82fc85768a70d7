// Package e2e runs what people type, with the real Helm 2.17, 3 and 4, a real
// Tiller in a pod and a real Kubernetes, and looks at what comes of it.
package e2e

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"helm-tenant/test/harness"
	"helm-tenant/test/testcluster"
	"helm-tenant/wrapper"
)

// releaseDir holds the release that the tests share; TestMain makes and removes it.
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

// repository is the project's root.
func repository(t testing.TB) string {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// chart is the one that the tests install.
func chart(t testing.TB) string { return filepath.Join(repository(t), "test", "charts", "hello") }

// person is somebody with a kubeconfig and a Helm home of their own, in which
// the plugin is installed.
type person struct {
	t          testing.TB
	kubeconfig string
	env        []string
}

// helmHome is a fresh home of Helm 2 without plugins, with the helm of a test
// cluster first on PATH.
func helmHome(t testing.TB, c *testcluster.Cluster) (env []string) {
	t.Helper()
	env, dir := anyHome(t, c, 2)
	home := filepath.Join(dir, "helm")
	env = append(env, "HELM_HOME="+home)
	if err := os.MkdirAll(filepath.Join(home, "plugins"), 0o755); err != nil {
		t.Fatal(err)
	}
	setup := exec.Command(filepath.Join(dir, "bin", "helm"), "init", "--client-only", "--skip-refresh", "--stable-repo-url", "http://127.0.0.1:1")
	setup.Env = env
	if out, err := setup.CombinedOutput(); err != nil {
		t.Fatalf("helm init --client-only: %v\n%s", err, out)
	}
	return env
}

// helm3Home is the same of Helm 3 or 4.
func helm3Home(t testing.TB, c *testcluster.Cluster, major int) (env []string) {
	t.Helper()
	env, dir := anyHome(t, c, major)
	for _, name := range []string{"CACHE", "CONFIG", "DATA"} {
		env = append(env, "HELM_"+name+"_HOME="+filepath.Join(dir, strings.ToLower(name)))
	}
	return env
}

// anyHome is a folder whose bin holds that helm and kubectl, and an environment
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
		if strings.HasPrefix(name, "HELM_") && name != "HELM_TENANT_CACHE" || name == "TILLER_NAMESPACE" || name == "KUBECONFIG" || name == "PATH" {
			continue
		}
		env = append(env, entry)
	}
	return append(env, "PATH="+bin+":"+os.Getenv("PATH")), dir
}

// plugin makes a plugin folder with helm-tenant in it and returns it.
func plugin(t testing.TB) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "tenant")
	if err := os.MkdirAll(filepath.Join(dir, "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	binary, err := harness.Installed()
	if err != nil {
		t.Fatal(err)
	}
	// Copies: the hook that installs the plugin writes into this folder.
	for _, name := range []string{wrapper.Program, wrapper.Whole} {
		copyFile(t, filepath.Join(filepath.Dir(binary), name), filepath.Join(dir, "bin", name))
	}
	// And as a release has it, so that the hook that installs it finds its programs.
	system := runtime.GOOS + "-" + runtime.GOARCH
	pack := exec.Command("sh", "-c", `mkdir scripts dist && cp "$0/plugin.yaml" . && cp "$0/scripts/install.sh" scripts/ &&
		ln bin/helm-tenant "dist/helm-tenant-wrapper-$1" && ln bin/helm-tenant-full "dist/helm-tenant-$1" && (cd dist && sha256sum *) >SHA256SUMS`, repository(t), system)
	pack.Dir = dir
	if out, err := pack.CombinedOutput(); err != nil {
		t.Fatalf("making the plugin's folder: %v\n%s", err, out)
	}
	return dir
}

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
	for _, entry := range env {
		if home, found := strings.CutPrefix(entry, "HELM_HOME="); found {
			if err := os.Symlink(w.plugin, filepath.Join(home, "plugins", "tenant")); err != nil {
				w.t.Fatal(err)
			}
		}
	}
	return &person{t: w.t, kubeconfig: kubeconfig, env: append(env, "KUBECONFIG="+kubeconfig)}
}

// personOf is a person with Helm 3 or 4, who installed the plugin as one does.
func (w *world) personOf(major int, kubeconfig string) *person {
	w.t.Helper()
	p := &person{t: w.t, kubeconfig: kubeconfig, env: append(helm3Home(w.t, w.cluster, major), "KUBECONFIG="+kubeconfig)}
	p.run("helm", "plugin", "install", w.plugin)
	return p
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

// user is a person that the cluster knows by that name and nothing else.
func (w *world) user(name string, groups ...string) *person {
	w.t.Helper()
	kubeconfig, err := w.cluster.Kubeconfig(name, groups...)
	if err != nil {
		w.t.Fatal(err)
	}
	return w.person(kubeconfig)
}

// said is what a command printed, and how it ended.
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
	cmd := exec.CommandContext(ctx, path, args[1:]...)
	cmd.Env = p.env
	cmd.Stdin = strings.NewReader(stdin)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		p.t.Fatalf("%s: %v", strings.Join(args, " "), err)
	}
	return said{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

// run runs a command that must succeed and returns its standard output.
func (p *person) run(args ...string) string {
	p.t.Helper()
	s := p.try(args...)
	if s.code != 0 {
		p.t.Fatalf("%s: exit code %d\n%s%s", strings.Join(args, " "), s.code, s.stdout, s.stderr)
	}
	return s.stdout
}

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
