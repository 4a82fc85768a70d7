package kubectl

import (
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
