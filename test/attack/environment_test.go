package attack

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"helm-tenant/test/harness"
	"helm-tenant/test/kubectl"
	"helm-tenant/test/testcluster"
)

// Images for the attackers' pods, and for a tenant's workload. Each contains one program.
const (
	pauseImage   = "registry.k8s.io/pause:3.10"
	helmImage    = "attack.example/helm:v2.17.0"
	kubectlImage = "attack.example/kubectl:v1"
)

// commandTime bounds one command of an attack. One that takes longer could not
// run: a timeout is no defence.
const commandTime = harness.Patience

// markers is the namespace for harness.Settle.
const markers = "attack-markers"

// environment is what all worlds share: a cluster, the programs, and people.
type environment struct {
	cluster *testcluster.Cluster
	dir     string
	// tenantTool is the helm-tenant under test; helm and kubectl are the real ones.
	tenantTool, helm, kubectl string

	// root may do everything. It sets the worlds up, looks at what came of each
	// attack, and is the attacker in the control.
	root, alice, bob, carol, mallory *person

	node string

	// major is helm's version.
	major int

	// lanes keep those apart who plant objects of the same name in a namespace.
	lanes *sync.Map
}

// under returns the same environment with another helm.
func (st *environment) under(major int) *environment {
	other := *st
	other.major, other.helm = major, st.cluster.Bin(fmt.Sprintf("helm%d", major))
	return &other
}

// lane is locked while a test uses a namespace for objects of which only one can exist.
func (st *environment) lane(namespace string) *sync.Mutex {
	mutex, _ := st.lanes.LoadOrStore(namespace, &sync.Mutex{})
	return mutex.(*sync.Mutex)
}

// person is somebody with a kubeconfig and a home folder.
type person struct {
	name       string
	kubeconfig string
	// as is the service account that kubectl is told to act as, if any.
	as      string
	home    string
	config  *rest.Config
	client  *kubernetes.Clientset
	dynamic dynamic.Interface
}

func newEnvironment(t *testing.T) *environment {
	t.Helper()
	c := testcluster.Get(t)
	var err error
	st := &environment{cluster: c, dir: t.TempDir(), helm: c.Bin("helm2"), major: 2, kubectl: c.Bin("kubectl"), lanes: &sync.Map{}}
	if st.tenantTool, err = harness.Installed(); err != nil {
		t.Fatal(err)
	}
	st.root = st.person(t, "root", "system:masters")
	if err := st.apply(t.Context(), "apiVersion: v1\nkind: Namespace\nmetadata: {name: "+markers+"}\n"); err != nil {
		t.Fatal(err)
	}
	if st.node, err = st.nodeName(t.Context()); err != nil {
		t.Fatal(err)
	}
	st.alice, st.bob = st.person(t, "alice"), st.person(t, "bob")
	st.carol, st.mallory = st.person(t, "carol"), st.person(t, "mallory")
	for image, binary := range map[string][2]string{helmImage: {st.helm, "/helm"}, kubectlImage: {st.kubectl, "/kubectl"}} {
		if err := c.LoadImage(t.Context(), image, binary[0], binary[1], "65534"); err != nil {
			t.Fatal(err)
		}
	}
	return st
}

func (st *environment) person(t *testing.T, name string, groups ...string) *person {
	t.Helper()
	kubeconfig, err := st.cluster.Kubeconfig(name, groups...)
	if err != nil {
		t.Fatal(err)
	}
	config := st.cluster.Config(t, name, groups...)
	p := &person{name: name, kubeconfig: kubeconfig, config: config, home: filepath.Join(st.dir, "home-"+name)}
	if p.client, err = kubernetes.NewForConfig(config); err != nil {
		t.Fatal(err)
	}
	if p.dynamic, err = dynamic.NewForConfig(config); err != nil {
		t.Fatal(err)
	}
	// helm init writes into it, and asks for no repository.
	if err := os.MkdirAll(filepath.Join(p.home, ".helm", "plugins"), 0o755); err != nil {
		t.Fatal(err)
	}
	return p
}

// call is one command that a person types.
type call struct {
	actor     *person
	env       []string
	inNetwork bool // on the cluster's network, where pods' addresses can be reached
	stdin     string
	program   string
	args      []string
	// again changes the arguments for another try, after a conflict.
	again func(args []string) []string
}

// errTimeout says that a command was ended because it took too long.
var errTimeout = errors.New("it did not end in time")

// conflict is the API server's answer to an update that was based on an older
// version of the object than the stored one: another client, for example a
// controller, was faster. Or Helm 2 chose a free port, and another process listened on it
// sooner. It is neither a refusal nor an effect.
var conflict = regexp.MustCompile(`the object has been modified; please apply your changes to the latest version|unable to listen on any of the requested ports`)

// run returns the command's output on both streams, also in the error, since the reason of a
// refusal is in it. A command that met a conflict runs again, as a person would repeat it.
func (st *environment) run(ctx context.Context, c call) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, commandTime)
	defer cancel()
	for pause := 100 * time.Millisecond; ; pause = min(2*pause, 2*time.Second) {
		out, err := st.runOnce(ctx, c)
		if err == nil || !conflict.MatchString(err.Error()) {
			return out, err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return out, err
		}
		if c.again != nil {
			c.args, c.again = c.again(c.args), nil
		}
	}
}

func (st *environment) runOnce(ctx context.Context, c call) (string, error) {
	if c.actor.as != "" && c.program == st.kubectl {
		c.args = append([]string{"--as=" + c.actor.as}, c.args...)
	}
	env := append([]string{
		harness.Collector(),
		"PATH=" + filepath.Dir(st.helm), "HOME=" + c.actor.home, "HELM_HOME=" + filepath.Join(c.actor.home, ".helm"), "KUBECONFIG=" + c.actor.kubeconfig,
	}, c.env...)
	if !c.inNetwork && !harness.Soak() {
		var r harness.Result
		var err error
		switch {
		case c.program == st.kubectl && kubectl.Runs(env, c.args):
			r, err = kubectl.Run(ctx, env, strings.NewReader(c.stdin), c.args...)
			return c.ended(r, err)
		case c.program == st.tenantTool && c.actor == st.root: // an administrator, who attacks nobody
			r, err = harness.Run(ctx, env, strings.NewReader(c.stdin), c.args...)
			return c.ended(r, err)
		}
	}
	cmd := exec.CommandContext(ctx, c.program, c.args...)
	if c.inNetwork {
		st.cluster.InNetwork(cmd)
	}
	cmd.Env = env
	cmd.Stdin = strings.NewReader(c.stdin)
	cmd.WaitDelay = 5 * time.Second
	out, err := cmd.CombinedOutput()
	text := strings.TrimSpace(string(out))
	if err == nil {
		return text, nil
	}
	if ctx.Err() != nil {
		err = errTimeout
	}
	return text, fmt.Errorf("%s %s: %w: %s", filepath.Base(c.program), strings.Join(c.args, " "), err, text)
}

// ended is what a command came to that ran in the test's process.
func (c call) ended(r harness.Result, err error) (string, error) {
	text := strings.TrimSpace(r.Stdout + r.Stderr)
	switch {
	case err != nil:
		err = errTimeout
	case r.Code == 0:
		return text, nil
	default:
		err = exitStatus(r.Code)
	}
	return text, fmt.Errorf("%s %s: %w: %s", filepath.Base(c.program), strings.Join(c.args, " "), err, text)
}

// exitStatus is how a command failed that ran in the test's process.
type exitStatus int

func (e exitStatus) Error() string { return fmt.Sprintf("exit status %d", int(e)) }

func (e exitStatus) ExitCode() int { return int(e) }

func (st *environment) runHelm(ctx context.Context, actor *person, args ...string) (string, error) {
	return st.run(ctx, st.helmCall(actor, args...))
}

// helmCall returns a call of the environment's helm. Helm 2 waits up to a minute for a Tiller's
// answer, so known unreachable addresses are dialled before.
func (st *environment) helmCall(actor *person, args ...string) call {
	if st.major == 2 {
		args = append([]string{"--tiller-connection-timeout=60"}, args...)
	}
	return call{actor: actor, program: st.helm, args: args}
}

func (st *environment) runKubectl(ctx context.Context, actor *person, args ...string) (string, error) {
	return st.run(ctx, call{actor: actor, program: st.kubectl, args: args})
}

func (st *environment) runTenant(ctx context.Context, actor *person, args ...string) (string, error) {
	return st.run(ctx, call{actor: actor, program: st.tenantTool, args: args})
}

// apply makes objects as root, for setting a world up.
func (st *environment) apply(ctx context.Context, manifest string) error {
	_, err := st.run(ctx, call{actor: st.root, program: st.kubectl, args: []string{"apply", "--server-side", "--validate=false", "-f", "-"}, stdin: manifest})
	return err
}

// eventually calls look until it sees something, for at most harness.Patience.
// An error is a reason to look again. Nothing seen in time is no error.
func eventually(ctx context.Context, look func(context.Context) (string, error)) (seen string, err error) {
	var last error
	err = harness.Await(ctx, "what is looked for", func(ctx context.Context) (bool, error) {
		seen, last = look(ctx)
		return seen != "", last
	})
	if err != nil && last == nil && ctx.Err() == nil {
		return "", nil
	}
	return seen, err
}
