package testcluster

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"helm-tenant/test/harness"
	"helm-tenant/test/testcluster/engine"
)

// Set, it makes this test binary a process that starts a cluster of that size
// and waits to be killed.
const starterEnv = "TESTCLUSTER_TEST_STARTER"

func TestMain(m *testing.M) {
	if size := os.Getenv(starterEnv); size != "" {
		starter(Size(size))
	}
	dir, err := os.MkdirTemp("", "testcluster-test-")
	if err != nil {
		panic(err)
	}
	code := Main(m, Options{Size: API, AuditLog: filepath.Join(dir, "audit.log")})
	os.RemoveAll(dir)
	os.Exit(code)
}

func starter(size Size) {
	c, err := Start(context.Background(), Options{Size: size})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	json.NewEncoder(os.Stdout).Encode(c.Info)
	select {}
}

func client(t *testing.T, c *Cluster, user string, groups ...string) *kubernetes.Clientset {
	t.Helper()
	config := c.Config(t, user, groups...)
	return kubernetes.NewForConfigOrDie(config)
}

func TestUserOfCertificate(t *testing.T) {
	c := Get(t)
	path, err := c.Kubeconfig("alice", "devs", "ops")
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("the kubeconfig with alice's key has mode %v", info.Mode())
	}
	config, err := clientcmd.BuildConfigFromFlags("", path)
	if err != nil {
		t.Fatal(err)
	}
	review, err := kubernetes.NewForConfigOrDie(config).AuthenticationV1().SelfSubjectReviews().
		Create(t.Context(), &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	who := review.Status.UserInfo
	slices.Sort(who.Groups) // a certificate holds a set of them
	if who.Username != "alice" || !slices.Equal(who.Groups, []string{"devs", "ops", "system:authenticated"}) {
		t.Errorf("the API server takes her for %s in %v", who.Username, who.Groups)
	}
}

func TestRBACIsEnforced(t *testing.T) {
	c := Get(t)
	_, err := client(t, c, "alice").CoreV1().Namespaces().List(t.Context(), metav1.ListOptions{})
	if !apierrors.IsForbidden(err) {
		t.Errorf("a user without rights lists namespaces: %v", err)
	}
	if _, err := client(t, c, "root", "system:masters").CoreV1().Namespaces().List(t.Context(), metav1.ListOptions{}); err != nil {
		t.Errorf("a member of system:masters does not: %v", err)
	}
}

func TestAuditLogTellsOfARequestOnceItIsAnswered(t *testing.T) {
	c := Get(t)
	if _, err := client(t, c, "audited").CoreV1().Secrets("kube-system").List(t.Context(), metav1.ListOptions{}); err == nil {
		t.Fatal("a user without rights lists secrets")
	}
	f, err := os.Open(shared.options.AuditLog)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	found := 0
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var event struct {
			Verb string
			User struct{ Username string }
		}
		if err := json.Unmarshal(lines.Bytes(), &event); err != nil {
			continue // longer than the scanner's buffer, or still being written
		}
		if event.Verb == "list" && event.User.Username == "audited" {
			found++
		}
	}
	if found != 1 {
		t.Errorf("the audit log tells of %d requests of the user audited, who made 1", found)
	}
}

func TestSideBySide(t *testing.T) {
	one := Get(t)
	two, err := Start(t.Context(), Options{Size: API})
	if err != nil {
		t.Fatal(err)
	}
	defer two.Stop()
	if one.Server == two.Server {
		t.Errorf("both answer at %s", one.Server)
	}
	// The first one's users are nobody to the second.
	config := one.RootConfig(t)
	config.Host = two.Server
	config.CAData = two.pki.CACert
	_, err = kubernetes.NewForConfigOrDie(config).CoreV1().Namespaces().List(t.Context(), metav1.ListOptions{})
	if !apierrors.IsUnauthorized(err) {
		t.Errorf("the second cluster knows the first one's administrator: %v", err)
	}
	left := watch(t, two.Info)
	if err := two.Stop(); err != nil {
		t.Fatal(err)
	}
	left.none(t)
	if err := two.Stop(); err != nil {
		t.Errorf("stopping it again: %v", err)
	}
}

func TestFailedStartReportsReason(t *testing.T) {
	Require(t, API)
	dir := t.TempDir()
	_, err := Start(t.Context(), Options{Size: API, Dir: dir, Log: io.Discard, APIServerArgs: []string{"--no-such-flag"}})
	if err == nil {
		t.Fatal("it started")
	}
	for _, want := range []string{"unknown flag: --no-such-flag", filepath.Join(dir, "logs", "kube-apiserver.log")} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not hold %q:\n%v", want, err)
		}
	}
}

// Whatever is killed, with a signal that nobody can catch, nothing must stay.
func TestKilled(t *testing.T) {
	for _, size := range []Size{API, Full} {
		t.Run("starter of "+string(size), func(t *testing.T) {
			Require(t, size)
			starter, info := startStarter(t, size)
			left := watch(t, info)
			starter.Kill()
			left.none(t)
		})
	}
	t.Run("keeper", func(t *testing.T) {
		c, err := Start(t.Context(), Options{Size: API, Dir: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		left := watch(t, c.Info)
		if err := c.Info.Keeper.Signal(syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		left.dir = "" // nobody was left to remove it
		left.none(t)
		<-c.Died()
	})
}

// startStarter starts a process that starts a cluster.
func startStarter(t *testing.T, size Size) (*os.Process, engine.Info) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), starterEnv+"="+string(size))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	var info engine.Info
	if err := json.NewDecoder(out).Decode(&info); err != nil {
		t.Fatalf("the starter did not start a cluster: %v", err)
	}
	return cmd.Process, info
}

// leftovers is what must be gone when a cluster has ended.
type leftovers struct {
	processes []engine.Process
	iface     string
	cgroups   string
	dir       string
}

// watch records the processes and mounts of a running cluster.
func watch(t *testing.T, info engine.Info) *leftovers {
	t.Helper()
	l := &leftovers{iface: info.Network.Interface, dir: info.Dir}
	l.cgroups = fmt.Sprintf("helm-tenant-test-%d-%s", info.Keeper.PID, info.Keeper.Start)
	l.processes = processes(t, info)
	least := 4 // the keeper, etcd, the API server, the controller manager
	if info.Size == Full {
		least = 10
	}
	if len(l.processes) < least {
		t.Fatalf("the %s cluster is only %d processes", info.Size, len(l.processes))
	}
	return l
}

// processes returns the keeper, its descendants, and all that share a namespace
// with the inside.
func processes(t *testing.T, info engine.Info) []engine.Process {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil || len(stats) == 0 {
		// The cluster runs on Linux alone, where this is: without it nothing is tested.
		t.Fatalf("there is no /proc to see processes in: %v", err)
	}
	inside := ""
	if info.Inside != 0 {
		inside, _ = os.Readlink(fmt.Sprintf("/proc/%d/ns/pid", info.Inside))
	}
	parents := map[int]int{}
	starts := map[int]string{}
	member := map[int]bool{info.Keeper.PID: true}
	for _, stat := range stats {
		data, err := os.ReadFile(stat)
		if err != nil {
			continue
		}
		var pid int
		fmt.Sscan(string(data), &pid)
		fields := strings.Fields(string(data[strings.LastIndexByte(string(data), ')')+1:]))
		var parent int
		fmt.Sscan(fields[1], &parent)
		parents[pid], starts[pid] = parent, fields[19]
		if ns, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/pid", pid)); err == nil && inside != "" && ns == inside {
			member[pid] = true
		}
	}
	var all []engine.Process
	for pid := range parents {
		for p := pid; p > 1; p = parents[p] {
			if member[p] {
				all = append(all, engine.Process{PID: pid, Start: starts[pid]})
				break
			}
		}
	}
	return all
}

// none fails the test unless all of it disappears within some seconds.
func (l *leftovers) none(t *testing.T) {
	t.Helper()
	var left []string
	for deadline := time.Now().Add(harness.Patience); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		left = nil
		for _, p := range l.processes {
			if p.Alive() {
				name, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", p.PID))
				left = append(left, fmt.Sprintf("process %d: %.100s", p.PID, strings.ReplaceAll(string(name), "\x00", " ")))
			}
		}
		if l.iface != "" {
			if _, err := os.Stat("/sys/class/net/" + l.iface); err == nil {
				left = append(left, "interface "+l.iface)
			}
		}
		filepath.WalkDir("/sys/fs/cgroup", func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.Name() == l.cgroups {
				left = append(left, "cgroup "+path)
			}
			return nil
		})
		if l.dir != "" {
			if _, err := os.Stat(l.dir); err == nil {
				left = append(left, l.dir)
			}
		}
		if left == nil {
			return
		}
	}
	t.Errorf("the cluster left:\n%s", strings.Join(left, "\n"))
}
