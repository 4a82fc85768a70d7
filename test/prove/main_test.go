// Package prove tests `helm tenant prove` against a real API server: that it writes nothing,
// that its report is true, and how many requests it makes.
package prove

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"

	"helm-tenant/prove"
	"helm-tenant/test/harness"
	"helm-tenant/test/testcluster"
)

// dir holds the audit log and is the home of all users.
var dir string

func TestMain(m *testing.M) {
	var err error
	if dir, err = os.MkdirTemp("", "prove-"); err != nil {
		panic(err)
	}
	code := testcluster.Main(m, testcluster.Options{AuditLog: auditLog()})
	os.RemoveAll(dir)
	os.Exit(code)
}

func auditLog() string { return filepath.Join(dir, "audit.log") }

// world is a cluster and its administrator.
type world struct {
	*testcluster.Cluster
	root *kubernetes.Clientset
	meta metadata.Interface
}

func start(t *testing.T) *world {
	t.Helper()
	w := &world{Cluster: testcluster.Get(t)}
	config := w.RootConfig(t)
	w.root, w.meta = kubernetes.NewForConfigOrDie(config), metadata.NewForConfigOrDie(config)
	return w
}

// run runs helm-tenant as that user.
func (w *world) run(t *testing.T, user string, groups []string, args ...string) harness.Result {
	t.Helper()
	kubeconfig, err := w.Kubeconfig(user, groups...)
	if err != nil {
		t.Fatal(err)
	}
	environ := []string{"PATH=/none", "HOME=" + dir, "KUBECONFIG=" + kubeconfig, "HELM_BIN=" + w.Bin("helm2")}
	ran, err := harness.Run(t.Context(), environ, strings.NewReader(""), args...)
	if err != nil {
		t.Fatal(err)
	}
	return ran
}

// admin runs helm-tenant as an administrator of the cluster.
func (w *world) admin(t *testing.T, args ...string) harness.Result {
	t.Helper()
	return w.run(t, "admin", []string{"system:masters"}, args...)
}

// must runs a command that has to succeed.
func (w *world) must(t *testing.T, args ...string) {
	t.Helper()
	if r := w.admin(t, args...); r.Code != 0 {
		t.Fatal(r)
	}
}

// proves runs prove and returns its rows, which its exit code must fit.
func (w *world) proves(t *testing.T, args ...string) []prove.Row {
	t.Helper()
	r := w.admin(t, append([]string{"prove", "-o", "json"}, args...)...)
	var report prove.Report
	if err := json.Unmarshal([]byte(r.Stdout), &report); err != nil {
		t.Fatalf("%v: %v", err, r)
	}
	code, counts := 0, map[prove.Result]int{}
	for _, row := range report.Rows {
		counts[row.Result]++
	}
	if counts[prove.Untried] > 0 {
		code = 5
	}
	if counts[prove.Allowed] > 0 {
		code = 4
	}
	if r.Code != code {
		t.Fatalf("exit code %d, not %d, with %v", r.Code, code, counts)
	}
	return report.Rows
}

// provesAt runs prove until nothing is allowed: policies come into force a moment
// after the first tenant was made. What still is allowed in the end is returned.
func (w *world) provesAt(t *testing.T, args ...string) []prove.Row {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), harness.Patience)
	defer cancel()
	var rows []prove.Row
	harness.Await(ctx, "everything to be refused", func(context.Context) (bool, error) {
		rows = w.proves(t, args...)
		return !slices.ContainsFunc(rows, func(r prove.Row) bool { return r.Result == prove.Allowed }), nil
	})
	return rows
}

// everything returns the identity and version of every object of every kind, Leases
// and Events apart, once nothing moves any more.
func (w *world) everything(t *testing.T) map[string]string {
	t.Helper()
	lists, err := w.root.Discovery().ServerPreferredResources()
	if err != nil {
		t.Fatal(err)
	}
	resources, err := discovery.GroupVersionResources(discovery.FilteredBy(discovery.SupportsAllVerbs{Verbs: []string{"list", "get"}}, lists))
	if err != nil {
		t.Fatal(err)
	}
	now := func() map[string]string {
		found := map[string]string{}
		for resource := range resources {
			if resource.Resource == "leases" || resource.Resource == "events" || resource.Resource == "componentstatuses" {
				continue
			}
			list, err := w.meta.Resource(resource).List(t.Context(), metav1.ListOptions{})
			if err != nil {
				t.Fatalf("listing %v: %v", resource, err)
			}
			for _, o := range list.Items {
				found[fmt.Sprintf("%s %s/%s", resource.Resource, o.Namespace, o.Name)] = fmt.Sprintf("%s at %s", o.UID, o.ResourceVersion)
			}
		}
		return found
	}
	var last map[string]string
	for deadline := time.Now().Add(harness.Patience); time.Now().Before(deadline); {
		next := now()
		if last != nil && cmp.Equal(last, next) {
			return next
		}
		last = next
		time.Sleep(200 * time.Millisecond)
	}
	t.Fatal("the cluster never comes to rest")
	return nil
}

// impersonated counts the requests that were made as somebody else since the audit
// log had that size, by who and where.
func (w *world) impersonated(t *testing.T, since int64) int {
	t.Helper()
	file, err := os.Open(auditLog())
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if _, err := file.Seek(since, 0); err != nil {
		t.Fatal(err)
	}
	count := 0
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var event struct {
			ImpersonatedUser *struct{ Username string }
		}
		if err := json.Unmarshal(lines.Bytes(), &event); err != nil {
			t.Fatal(err)
		}
		if event.ImpersonatedUser != nil {
			count++
		}
	}
	return count
}

func logSize(t *testing.T) int64 {
	t.Helper()
	info, err := os.Stat(auditLog())
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// label puts labels on a namespace, as its administrator.
func (w *world) label(t *testing.T, namespace string, labels map[string]string) {
	t.Helper()
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"labels": labels}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.root.CoreV1().Namespaces().Patch(t.Context(), namespace, "application/merge-patch+json", patch, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
}

func writeFile(path, text string) error { return os.WriteFile(path, []byte(text), 0o644) }

// settle waits until the API server's authorizer knows what was written.
func (w *world) settle(t *testing.T, namespace string) {
	t.Helper()
	if err := harness.Settle(t.Context(), w.root, namespace); err != nil {
		t.Fatal(err)
	}
}
