// Package faults kills, disturbs and races helm-tenant against a real API server. The real
// program talks to it through a proxy in the test, which holds requests back, answers instead
// of the server, or drops connections.
//
// The requirements: nobody ever has more access than before or after, the same command again
// finishes an interrupted run, and nothing is lost or duplicated.
package faults

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"helm-tenant/test/harness"
	"helm-tenant/test/testcluster"
)

// dir has the folders in which commands run; TestMain creates and removes it.
var dir string

func TestMain(m *testing.M) {
	var err error
	if dir, err = os.MkdirTemp("", "faults-"); err != nil {
		panic(err)
	}
	code := testcluster.Main(m, testcluster.Options{})
	os.RemoveAll(dir)
	os.Exit(code)
}

// world is what all tests share.
type world struct {
	*testcluster.Cluster
	binary string
	// direct is an admin's kubeconfig that leads past all proxies.
	direct string
	// transport has the same admin's credentials.
	transport http.RoundTripper

	root    *kubernetes.Clientset
	dynamic dynamic.Interface
	// oracle answers what somebody may do.
	oracle *harness.Oracle

	folders atomic.Int64
}

var shared struct {
	once sync.Once
	w    *world
	err  error
}

// start returns the shared world. One tenant is there already, so that only
// tests which take the cluster's admission policy away have it written.
func start(t *testing.T) *world {
	t.Helper()
	cluster := testcluster.Get(t)
	shared.once.Do(func() { shared.w, shared.err = prepare(cluster) })
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.w
}

func prepare(cluster *testcluster.Cluster) (*world, error) {
	binary, err := harness.Binary()
	if err != nil {
		return nil, err
	}
	w := &world{Cluster: cluster, binary: binary}
	config, err := cluster.RESTConfig("root", "system:masters")
	if err != nil {
		return nil, err
	}
	if w.transport, err = rest.TransportFor(config); err != nil {
		return nil, err
	}
	quick := rest.CopyConfig(config)
	quick.ContentType = "application/vnd.kubernetes.protobuf"
	w.root = kubernetes.NewForConfigOrDie(quick)
	w.dynamic = dynamic.NewForConfigOrDie(config)
	if w.direct, err = cluster.Kubeconfig("root", "system:masters"); err != nil {
		return nil, err
	}
	if w.oracle, err = harness.NewOracle(); err != nil {
		return nil, err
	}
	if err := w.prepareAccess(); err != nil {
		return nil, err
	}
	return w, w.must(w.run(w.direct, w.folder(), "", "init", "first", "--namespaces", "first-a", "--create-namespaces", "--wait=false"))
}

// Two roles, neither of which includes the other.
const roleOne, roleTwo = "faults-one", "faults-two"

func (w *world) prepareAccess() error {
	ctx := context.Background()
	for name, resource := range map[string]string{roleOne: "configmaps", roleTwo: "services"} {
		role := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: name}, Rules: []rbacv1.PolicyRule{
			{APIGroups: []string{""}, Resources: []string{"pods"}, Verbs: []string{"get", "list"}},
			{APIGroups: []string{""}, Resources: []string{resource}, Verbs: []string{"get", "list", "update", "delete"}},
		}}
		if _, err := w.root.RbacV1().ClusterRoles().Create(ctx, role, metav1.CreateOptions{}); err != nil {
			return err
		}
	}
	return nil
}

// folder makes a folder for one command to run in.
func (w *world) folder() string {
	name := filepath.Join(dir, fmt.Sprintf("run%d", w.folders.Add(1)))
	if err := os.Mkdir(name, 0o700); err != nil {
		panic(err)
	}
	return name
}

// patience is how long a command may take before it counts as hanging.
const patience = harness.Patience

// process is a command that runs.
type process struct {
	cmd            *exec.Cmd
	stdout, stderr bytes.Buffer
	ended          chan struct{}
	cancel         context.CancelFunc
	hung           error // valid when ended is closed
}

// launch starts `helm-tenant ARGS...` in a folder; input is its standard input.
func (w *world) launch(kubeconfig, folder, input string, args ...string) (*process, error) {
	var env []string
	if args[0] == "migrate" || args[0] == "split" || slices.Contains(args, "--delete-releases") {
		env = append(env, "HELM_BIN="+w.Bin("helm3")) // it verifies with that, or uninstalls
	}
	return w.launchWith(env, kubeconfig, folder, input, args...)
}

// launchWith is launch with more in the environment.
func (w *world) launchWith(env []string, kubeconfig, folder, input string, args ...string) (*process, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	p := &process{cmd: exec.CommandContext(ctx, w.binary, args...), ended: make(chan struct{}), cancel: cancel}
	p.cmd.Env = append(environ(kubeconfig), env...)
	p.cmd.Dir, p.cmd.Stdin = folder, strings.NewReader(input)
	p.cmd.Stdout, p.cmd.Stderr = &p.stdout, &p.stderr
	if err := p.cmd.Start(); err != nil {
		cancel()
		return nil, err
	}
	go func() {
		_ = p.cmd.Wait() // the exit code tells
		p.hung = ctx.Err()
		cancel()
		close(p.ended)
	}()
	return p, nil
}

// filesApart are the verbs that neither read nor write files of the working folder.
var filesApart = []string{"init", "grant", "revoke", "freeze", "thaw", "tenants", "describe", "export", "apply", "releases", "whoami"}

// environ returns the environment of commands: nothing of the machine's own, no helm, no cache,
// no kubeconfig.
func environ(kubeconfig string) []string {
	return []string{
		"PATH=" + filepath.Join(dir, "no-programs"),
		"HOME=" + filepath.Join(dir, "home"),
		"XDG_CACHE_HOME=" + filepath.Join(dir, "cache"),
		"KUBECONFIG=" + kubeconfig,
		harness.Collector(),
	}
}

// result waits for the end of the process.
func (p *process) result() (harness.Result, error) {
	<-p.ended
	r := harness.Result{Args: p.cmd.Args[1:], Code: p.cmd.ProcessState.ExitCode(), Stdout: p.stdout.String(), Stderr: p.stderr.String()}
	if errors.Is(p.hung, context.DeadlineExceeded) {
		return r, fmt.Errorf("it hung: %v", r)
	}
	return r, nil
}

// run runs `helm-tenant ARGS...` to its end: in a process of its own if it reads or writes
// files in its working folder.
func (w *world) run(kubeconfig, folder, input string, args ...string) (harness.Result, error) {
	if slices.Contains(filesApart, args[0]) && !slices.Contains(args, "--prune") {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		r, err := harness.Run(ctx, environ(kubeconfig), strings.NewReader(input), args...)
		if err != nil {
			return harness.Result{}, fmt.Errorf("helm-tenant %s hung: %w", strings.Join(args, " "), err)
		}
		return r, nil
	}
	p, err := w.launch(kubeconfig, folder, input, args...)
	if err != nil {
		return harness.Result{}, err
	}
	return p.result()
}

// runWith runs a command that calls that helm.
func (w *world) runWith(helm, kubeconfig, folder string, args ...string) (harness.Result, error) {
	p, err := w.launchWith([]string{"HELM_BIN=" + w.Bin(helm)}, kubeconfig, folder, "", args...)
	if err != nil {
		return harness.Result{}, err
	}
	return p.result()
}

// must is for a run that has to succeed.
func (w *world) must(r harness.Result, err error) error {
	if err == nil && r.Code != 0 {
		err = fmt.Errorf("it failed: %v", r)
	}
	return err
}
