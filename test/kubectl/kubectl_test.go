package kubectl

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestRuns(t *testing.T) {
	for _, c := range []struct {
		env  []string
		args string
		want bool
	}{
		{[]string{"KUBECONFIG=/a"}, "get pods", true},
		{[]string{"KUBECONFIG=/a"}, "--as=x -n get delete --all pods", true},
		{[]string{"KUBECONFIG=/a"}, "apply -f -", true},
		{[]string{"KUBECONFIG=/a:/b"}, "get pods", false},
		{[]string{"KUBECONFIG=/a", "KUBECONFIG="}, "get pods", false},
		{[]string{"KUBECONFIG=a"}, "get pods", false},
		{nil, "get pods", false},
		{[]string{"KUBECONFIG=/a", "KUBERC=/rc"}, "get pods", false},
		{[]string{"KUBECONFIG=/a"}, "exec -n get pod -- get", true},
		{[]string{"KUBECONFIG=/a"}, "exec -i pod -- cat", false},
		{[]string{"KUBECONFIG=/a"}, "port-forward -n get pod 80", false},
		{[]string{"KUBECONFIG=/a"}, "auth can-i get pods", false},
		{[]string{"KUBECONFIG=/a"}, "edit pods", false},
		{[]string{"KUBECONFIG=/a"}, "apply -k folder", false},
		{[]string{"KUBECONFIG=/a"}, "apply -f-", false},
		{[]string{"KUBECONFIG=/a"}, "-n a", false},
		{[]string{"KUBECONFIG=/a"}, "get --raw /version", true},
		{[]string{"KUBECONFIG=/a"}, "create --raw /x -f -", true},
	} {
		if got := Runs(c.env, strings.Fields(c.args)); got != c.want {
			t.Errorf("Runs(%q, %q) = %t", c.env, c.args, got)
		}
	}
}

// TestRun runs what needs no API server: output, errors, exit codes and changed files are
// kubectl's own, and the test's process goes on.
func TestRun(t *testing.T) {
	file := filepath.Join(t.TempDir(), "kubeconfig")
	text := `apiVersion: v1
kind: Config
clusters: [{name: c, cluster: {server: "https://127.0.0.1:1"}}]
users: [{name: u, user: {token: t}}]
contexts: [{name: one, context: {cluster: c, user: u}}]
current-context: one
`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	env := []string{"KUBECONFIG=" + file, "HOME=" + t.TempDir()}
	for _, c := range []struct {
		args   string
		code   int
		stdout string
		stderr string
	}{
		{"config current-context", 0, "one\n", ""},
		{"config set-context one --namespace=here", 0, "Context \"one\" modified.\n", ""},
		{"config rename-context one two", 0, "Context \"one\" renamed to \"two\".\n", ""},
		{"config view --minify -o jsonpath={.contexts[0].context.namespace}", 0, "here", ""},
		{"create --dry-run=client --validate=false -o name -f -", 1, "", "refused"},
		{"create namespace x --dry-run=client -o name", 0, "namespace/x\n", ""},
		{"--context two get pods", 1, "", "was refused"},
		{"--context none get pods", 1, "", "context was not found for specified context: none"},
		{"get pods --nonsense", 1, "", "unknown flag: --nonsense"},
		{"get", 1, "", "You must specify the type of resource"},
	} {
		r, err := Run(t.Context(), env, strings.NewReader("kind: ConfigMap\napiVersion: v1\nmetadata: {name: x}\n"), strings.Fields(c.args)...)
		if err != nil || r.Code != c.code || r.Stdout != c.stdout || !strings.Contains(r.Stderr, c.stderr) || c.stderr == "" && r.Stderr != "" {
			t.Errorf("kubectl %s: %v, exit code %d\n%s%s", c.args, err, r.Code, r.Stdout, r.Stderr)
		}
	}
}

// TestRaw sends requests for paths: the answer's body is the output, and the input is the
// request's body.
func TestRaw(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/none" {
			http.NotFound(w, r)
			return
		}
		fmt.Fprintf(w, "%s %s as %q: ", r.Method, r.URL.Path, r.Header.Get("Impersonate-User"))
		_, _ = io.Copy(w, r.Body) // a cut answer fails the test
	}))
	defer server.Close()
	file := filepath.Join(t.TempDir(), "kubeconfig")
	text := "apiVersion: v1\nkind: Config\nclusters: [{name: c, cluster: {server: \"" + server.URL + "\"}}]\ncontexts: [{name: c, context: {cluster: c}}]\ncurrent-context: c\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args           string
		code           int
		stdout, stderr string
	}{
		{"get --raw /version", 0, `GET /version as "": `, ""},
		{"get --raw /version --as=me", 0, `GET /version as "me": `, ""},
		{"create --raw /pods -f -", 0, `POST /pods as "": {"a": 1}`, ""},
		{"get --raw /none", 1, "", "Error from server (NotFound)"},
		{"get --raw /version -o yaml", 1, "", "mutually exclusive"},
	} {
		args := strings.Fields(c.args)
		env := []string{"KUBECONFIG=" + file, "HOME=" + t.TempDir()}
		if !Runs(env, args) {
			t.Errorf("%s does not run", c.args)
			continue
		}
		r, err := Run(t.Context(), env, strings.NewReader(`{"a": 1}`), args...)
		if err != nil || r.Code != c.code || r.Stdout != c.stdout || !strings.Contains(r.Stderr, c.stderr) || c.stderr == "" && r.Stderr != "" {
			t.Errorf("kubectl %s: %v, exit code %d\n%s%s", c.args, err, r.Code, r.Stdout, r.Stderr)
		}
	}
}
