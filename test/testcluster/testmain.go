package testcluster

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"testing"

	"k8s.io/client-go/rest"
)

// Missing says what a cluster of that size needs and this system lacks, and how to install it;
// nil if nothing is missing.
func Missing(s Size) error {
	if _, err := exec.LookPath("go"); err != nil {
		return fmt.Errorf("the test cluster is built from sources: %w; install Go, or add it to PATH", err)
	}
	if s != Full {
		return nil
	}
	if runtime.GOOS != "linux" {
		return fmt.Errorf("a full test cluster needs Linux, and this is %s", runtime.GOOS)
	}
	if os.Geteuid() != 0 {
		return fmt.Errorf("a full test cluster needs root, for its namespaces; run it with sudo")
	}
	var lacking []string
	for _, tool := range []string{"iptables", "ipset", "ip", "nsenter", "mount", "gcc", "pkg-config"} {
		if _, err := exec.LookPath(tool); err != nil {
			lacking = append(lacking, tool)
		}
	}
	if exec.Command("pkg-config", "--exists", "libseccomp").Run() != nil {
		lacking = append(lacking, "libseccomp's headers")
	}
	if len(lacking) > 0 {
		return fmt.Errorf("a full test cluster needs %s; install with: scripts/test-prerequisites.sh", strings.Join(lacking, ", "))
	}
	return nil
}

// Require skips the test, or fails it under CI, if this system lacks what a
// cluster of that size needs. CI must not pass by testing nothing.
func Require(t testing.TB, s Size) {
	t.Helper()
	err := Missing(s)
	switch {
	case err == nil:
	case os.Getenv("CI") != "":
		t.Fatal(err)
	default:
		t.Skip(err)
	}
}

// shared is the cluster of a test binary, started by the first test that asks.
var shared struct {
	mu      sync.Mutex
	armed   bool // Main runs, and will stop it
	options Options
	cluster *Cluster
	err     error
}

// Main runs a package's tests, and stops the cluster that they share. It is for
// TestMain:
//
//	func TestMain(m *testing.M) {
//		os.Exit(testcluster.Main(m, testcluster.Options{Size: testcluster.Full}))
//	}
//
// The cluster starts when the first test calls Get. If the test process is
// interrupted or killed, the cluster ends with it.
func Main(m *testing.M, o Options) int {
	shared.mu.Lock()
	shared.armed, shared.options = true, o
	shared.mu.Unlock()

	// The commands that run in this process get the same part of a busy processor as those that
	// are processes: with a thread for each core all of them together got that of two.
	runtime.GOMAXPROCS(max(8, runtime.GOMAXPROCS(0)))

	code := m.Run()

	shared.mu.Lock()
	defer shared.mu.Unlock()
	if shared.cluster != nil {
		if err := shared.cluster.Stop(); err != nil {
			fmt.Fprintf(os.Stderr, "stopping the test cluster: %v\n", err)
			if code == 0 {
				code = 1
			}
		}
	}
	return code
}

// Get returns the cluster that the package's tests share. If this system lacks
// what it needs, see Require.
func Get(t testing.TB) *Cluster {
	t.Helper()
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if !shared.armed {
		t.Fatal("testcluster.Get needs a TestMain that calls testcluster.Main")
	}
	size := shared.options.Size
	if size == "" {
		size = API
	}
	Require(t, size)
	if shared.cluster == nil && shared.err == nil {
		shared.cluster, shared.err = Start(context.Background(), shared.options)
	}
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.cluster
}

// Config is RESTConfig in a test, which fails if there is none.
func (c *Cluster) Config(t testing.TB, user string, groups ...string) *rest.Config {
	t.Helper()
	config, err := c.RESTConfig(user, groups...)
	if err != nil {
		t.Fatal(err)
	}
	return config
}

// RootConfig is Config for an administrator.
func (c *Cluster) RootConfig(t testing.TB) *rest.Config {
	t.Helper()
	return c.Config(t, "root", "system:masters")
}
