// Package preflight tests `helm tenant preflight` against a real API server: it compares the
// findings about charts with the result of helm's own install.
package preflight

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"k8s.io/client-go/kubernetes"

	"helm-tenant/preflight"
	"helm-tenant/test/harness"
	"helm-tenant/test/testcluster"
)

func TestMain(m *testing.M) { os.Exit(testcluster.Main(m, testcluster.Options{})) }

// world is a cluster and its administrator.
type world struct {
	*testcluster.Cluster
	root *kubernetes.Clientset
}

func start(t *testing.T) *world {
	t.Helper()
	w := &world{Cluster: testcluster.Get(t)}
	config := w.RootConfig(t)
	w.root = kubernetes.NewForConfigOrDie(config)
	w.ready(t)
	return w
}

var once sync.Once

// ready makes what all tests need: two roles that lack much, and the tenant OTHER.
func (w *world) ready(t *testing.T) {
	t.Helper()
	once.Do(func() {
		w.kubectl(t, `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: thin}
rules: [{apiGroups: [""], resources: [secrets, configmaps], verbs: ["*"]}, {apiGroups: [""], resources: [resourcequotas], verbs: [list]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: no-patch}
rules:
- {apiGroups: [""], resources: [secrets, configmaps], verbs: ["*"]}
- {apiGroups: [""], resources: [services, serviceaccounts], verbs: [get, list, create, update, delete]}
- {apiGroups: [""], resources: [resourcequotas], verbs: [list]}
`)
		w.must(t, "init", "other", "--namespaces", "other-a", "--create-namespaces", "--engine", "impersonation")
	})
}

// kubectl applies objects as an administrator.
func (w *world) kubectl(t *testing.T, text string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), w.Bin("kubectl"), append([]string{"apply", "--filename=-"}, args...)...)
	cmd.Env = []string{"PATH=/none", "HOME=" + t.TempDir(), "KUBECONFIG=" + w.Admin()}
	cmd.Stdin = strings.NewReader(text)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("kubectl apply: %v\n%s", err, out)
	}
}

// member is a user with a helm and a kubeconfig of their own.
type member struct {
	w          *world
	kubeconfig string
	helm       string
	home       string
}

func (w *world) member(t *testing.T, major, user string, groups ...string) *member {
	t.Helper()
	kubeconfig, err := w.Kubeconfig(user, groups...)
	if err != nil {
		t.Fatal(err)
	}
	return &member{w, kubeconfig, w.Bin("helm" + major), t.TempDir()}
}

func (m *member) run(t *testing.T, args ...string) harness.Result {
	t.Helper()
	return m.runWith(t, "", args...)
}

// runWith is run with a standard input.
func (m *member) runWith(t *testing.T, stdin string, args ...string) harness.Result {
	t.Helper()
	// In a cache that all share, each helm is asked for its version once.
	environ := []string{"PATH=/none", "HOME=" + m.home, "XDG_CACHE_HOME=" + filepath.Join(m.w.Dir, "cache"), "KUBECONFIG=" + m.kubeconfig, "HELM_BIN=" + m.helm, harness.Collector()}
	r, err := harness.Run(t.Context(), environ, strings.NewReader(stdin), args...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// must runs a command of an administrator's that has to succeed.
func (w *world) must(t *testing.T, args ...string) {
	t.Helper()
	if r := w.member(t, "3", "admin", "system:masters").run(t, args...); r.Code != 0 {
		t.Fatal(r)
	}
}

// report runs a preflight and reads its report.
func (m *member) report(t *testing.T, args ...string) (preflight.Report, harness.Result) {
	t.Helper()
	r := m.run(t, append([]string{"preflight", "-o", "json"}, args...)...)
	var report preflight.Report
	if err := json.Unmarshal([]byte(r.Stdout), &report); err != nil {
		t.Fatalf("%v: %v", err, r)
	}
	return report, r
}

// chart writes a chart: the text is a template, or several files with a FILE line before
// each.
func chart(t *testing.T, text, namespace string) string {
	t.Helper()
	folder := filepath.Join(t.TempDir(), "chart")
	write := func(name, content string) {
		name = filepath.Join(folder, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("Chart.yaml", "apiVersion: v2\nname: chart\nversion: 1.0.0\n")
	write("values.yaml", "where: kube-system\n")
	for i, part := range strings.Split(text, "FILE ") {
		name, content := "templates/all.yaml", part
		if i > 0 {
			name, content, _ = strings.Cut(part, "\n")
		}
		if strings.HasPrefix(name, "crds/") || strings.Contains(name, "/crds/") {
			content = placeholder.ReplaceAllString(content, "crds")
		}
		if strings.HasPrefix(name, "templates/") || strings.Contains(name, "/templates/") {
			content = placeholder.ReplaceAllString(content, "{{ .Release.Name }}")
			content = strings.NewReplacer(" NS", " "+namespace, "OTHER", "other-a").Replace(content)
		}
		write(name, content)
	}
	return folder
}

// has finds findings of a kind that refuse.
func has(id string) func(preflight.Finding) bool {
	return func(f preflight.Finding) bool { return string(f.ID) == id && f.Result == preflight.Refused }
}
