// Package apitest tests the verbs of helm-tenant against a real API server. The real program
// runs, as users with certificates. The tests check the objects with client-go, and the
// requests in the API server's audit log. No pod runs.
package apitest

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"

	"helm-tenant/test/harness"
	"helm-tenant/test/testcluster"
)

// dir contains the audit log and the home folders of all users; TestMain creates and removes
// it.
var dir string

func TestMain(m *testing.M) {
	var err error
	if dir, err = os.MkdirTemp("", "apitest-"); err != nil {
		panic(err)
	}
	flag.Parse()
	if parallel := flag.Lookup("test.parallel"); parallel.Value.String() == parallel.DefValue {
		// Most of the time a test waits: for a server that hangs, for a pause to
		// end, for a controller.
		if err := parallel.Value.Set("8"); err != nil {
			panic(err)
		}
	}
	code := testcluster.Main(m, testcluster.Options{AuditLog: auditLog(), APIServerArgs: []string{
		// The guard judges the priority of groups of pods.
		"--feature-gates=GenericWorkload=true", "--runtime-config=scheduling.k8s.io/v1beta1=true",
	}})
	os.RemoveAll(dir)
	os.Exit(code)
}

func auditLog() string { return filepath.Join(dir, "audit.log") }

// world is what all tests share.
type world struct {
	*testcluster.Cluster
	binary string
	// helm is the Helm 2 of every user who has not another.
	helm string

	// root may do everything, beside whatever a test's users do.
	root     *kubernetes.Clientset
	dynamic  dynamic.Interface
	metadata metadata.Interface
	// namespaced are the kinds of objects that stand in namespaces.
	namespaced []schema.GroupVersionResource

	// firstWrites are the writes of the first init in this cluster, which include the shared
	// objects.
	firstWrites []string
}

var shared struct {
	once sync.Once
	w    *world
	err  error
}

// start returns the shared world, which has a tenant already: so no test's tenant is the one
// whose init creates the shared objects.
func start(t *testing.T) *world {
	t.Helper()
	cluster := testcluster.Get(t)
	shared.once.Do(func() { shared.w, shared.err = prepare(t, cluster) })
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.w
}

func prepare(t *testing.T, cluster *testcluster.Cluster) (*world, error) {
	binary, err := harness.RaceBinary()
	if err != nil {
		return nil, err
	}
	w := &world{Cluster: cluster, binary: binary, helm: cluster.Bin("helm2")}
	config, err := cluster.RESTConfig("root", "system:masters")
	if err != nil {
		return nil, err
	}
	w.root = kubernetes.NewForConfigOrDie(config)
	w.dynamic = dynamic.NewForConfigOrDie(config)
	w.metadata = metadata.NewForConfigOrDie(config)
	if w.namespaced, err = namespaced(w.root); err != nil {
		return nil, err
	}

	if err := w.classes(t.Context()); err != nil {
		return nil, err
	}
	admin := w.admin(t)
	first := admin.run(t, "init", "first", "--namespaces", "first-a", "--create-namespaces", "--wait=false")
	if first.Code != 0 {
		return nil, fmt.Errorf("the first tenant can't be made: %v", first)
	}
	w.firstWrites = writes(admin.requests(t))
	return w, nil
}
