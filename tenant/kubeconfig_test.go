package tenant

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"helm-tenant/envvar"
)

func TestLoadKubeconfig(t *testing.T) {
	file := write(t, "config", `
contexts:
- context: {cluster: one, user: alice, namespace: a}
  name: main
- context: {cluster: gone, user: bob}
  name: bare
clusters:
- cluster: {server: https://one.example}
  name: one
current-context: main
`, 0o600)
	type facts struct{ Context, Cluster, User, Server, Namespace, File, Where string }
	for _, test := range []struct {
		context string
		want    facts
	}{
		{"", facts{"main", "one", "alice", "https://one.example", "a", file, `context "main"`}},
		{"main", facts{"main", "one", "alice", "https://one.example", "a", file, `context "main"`}},
		{"bare", facts{"bare", "gone", "bob", "", "default", file, `context "bare"`}},
	} {
		k := load(t, file, test.context)
		got := facts{k.Context, k.Cluster, k.User, k.Server, k.Namespace, k.file(), k.Where()}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("context %q, -want +got:\n%s", test.context, diff)
		}
	}
	config, err := load(t, file, "main").RESTConfig()
	if err != nil || config.Host != "https://one.example" {
		t.Errorf("client config: got %+v, %v", config, err)
	}
	// client-go would take localhost:8080 for it.
	if config, err := load(t, file, "bare").RESTConfig(); err == nil || err.Error() != `the kubeconfig has no cluster "gone"` {
		t.Errorf("a cluster that is not there: got %+v, %v", config, err)
	}
}

func TestLoadKubeconfigRefuses(t *testing.T) {
	for _, test := range []struct {
		name, text, context string
		// want is the error; FILE stands for the file.
		want string
	}{
		{"empty", "", "", "no kubeconfig with a context was found in FILE; set KUBECONFIG or give --kubeconfig"},
		{"empty, and a context is named", "", "main", `context "main" is not in kubeconfig FILE, which has no contexts`},
		{"no YAML", "contexts: [", "", "kubeconfig FILE can't be understood: line 1: did not find expected node content"},
		{"a tab", "contexts:\n\t- a", "", "kubeconfig FILE can't be understood: line 2: found character that cannot start any token"},
		{"a field of another shape", "contexts:\n- context: 5\n  name: main\n", "", "kubeconfig FILE can't be understood: contexts.context can't be a number"},
		{"a list", "- a\n", "", "kubeconfig FILE is not one: it does not hold a Config of apiVersion v1"},
		{"text", "hello\n", "", "kubeconfig FILE is not one: it does not hold a Config of apiVersion v1"},
		{"something else of Kubernetes'", "apiVersion: apps/v1\nkind: Deployment\n", "", "kubeconfig FILE is not one: it does not hold a Config of apiVersion v1"},
		{"of another version", "apiVersion: v2\nkind: Config\n", "", "kubeconfig FILE is not one: it does not hold a Config of apiVersion v1"},
		{"no current context", "contexts:\n- {name: b, context: {}}\n- {name: a, context: {}}\n", "", "kubeconfig FILE has no current context; give --context with one of: a, b"},
		{"a current context that is gone", "current-context: gone\ncontexts:\n- {name: a, context: {}}\n", "", `the current context "gone" is not in kubeconfig FILE; give --context with one of: a`},
		{"a named context that is not there", kubeconfigOf("a", "b", "c"), "d", `context "d" is not in kubeconfig FILE, which has: a, b, c`},
		{"many contexts", kubeconfigOf(strings.Fields("a b c d e f g h i j k l")...), "z", `context "z" is not in kubeconfig FILE, which has: a, b, c, d, e, f, g, h, i, j, and 2 more`},
	} {
		t.Run(test.name, func(t *testing.T) {
			file := write(t, "config", test.text, 0o600)
			_, err := LoadKubeconfig(os.Environ(), file, test.context)
			if diff := cmp.Diff(strings.ReplaceAll(test.want, "FILE", file), errorText(err)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// firstOf returns the first text that is not empty.
func firstOf(texts ...string) string {
	for _, text := range texts {
		if text != "" {
			return text
		}
	}
	return ""
}

// A broken extension must keep nobody from `use`, which writes it again, and
// must never be taken for none.
func TestBrokenExtension(t *testing.T) {
	const text = "current-context: a\ncontexts:\n- name: a\n  context:\n    extensions:\n    - {name: helm-tenant, extension: team-a}\n"
	file := write(t, "config", text, 0o600)
	k := load(t, file, "")
	want := `context "a" in kubeconfig ` + file + `: extension "helm-tenant" has the wrong shape: a string where a map of fields is wanted`
	if diff := cmp.Diff(want, errorText(k.Broken)); diff != "" {
		t.Errorf("Broken, -want +got:\n%s", diff)
	}
	for _, asked := range []Asked{{}, {Flag: "team-b"}, {Environment: "team-b"}, {TypedTillerNamespace: "x"}} {
		name := firstOf(asked.Flag, asked.Environment, "TENANT")
		_, err := k.Resolve(t.Context(), asked, nil)
		if diff := cmp.Diff(want+"; write it again with: helm tenant use "+name, errorText(err)); diff != "" {
			t.Errorf("%+v, -want +got:\n%s", asked, diff)
		}
	}
	if _, err := k.Use(teamA); err != nil {
		t.Fatal(err)
	}
	if k := load(t, file, ""); k.Broken != nil {
		t.Errorf("after it was written anew: %v", k.Broken)
	}
}

func TestLoadKubeconfigNamesTheFile(t *testing.T) {
	good, bad := write(t, "good", kubeconfigOf("main"), 0o600), write(t, "bad", "contexts: [", 0o600)
	folder := t.TempDir()
	removed := filepath.Join(folder, "gone")
	separator := string(os.PathListSeparator)
	for _, test := range []struct{ name, explicit, list, want string }{
		{"a named file that is not there", removed, good, "kubeconfig " + removed + " does not exist"},
		{"none of several is there", "", removed + separator + removed + "2", "no kubeconfig with a context was found in " + removed + ", " + removed + "2; set KUBECONFIG or give --kubeconfig"},
		{"empty names only", "", separator + separator, "no kubeconfig with a context was found in KUBECONFIG, which names no file; set KUBECONFIG or give --kubeconfig"},
		{"one of several is not there", "", removed + separator + good, ""},
		{"one of several can't be understood", "", good + separator + bad, "kubeconfig " + bad + " can't be understood: line 1: did not find expected node content"},
		{"a folder", folder, "", "kubeconfig " + folder + " can't be read: is a directory"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Setenv("KUBECONFIG", test.list)
			_, err := LoadKubeconfig(os.Environ(), test.explicit, "")
			if diff := cmp.Diff(test.want, errorText(err)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestLoadKubeconfigUnreadable(t *testing.T) {
	file := write(t, "config", kubeconfigOf("main"), 0)
	if err := os.Chmod(filepath.Dir(filepath.Dir(file)), 0o755); err != nil { // see TestUseIntoReadOnlyFolder
		t.Fatal(err)
	}
	var err error
	heldByModes(t, func() { _, err = LoadKubeconfig(os.Environ(), file, "") })
	if diff := cmp.Diff(fmt.Sprintf("kubeconfig %s can't be read: permission denied", file), errorText(err)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestLoadKubeconfigInPod(t *testing.T) {
	t.Setenv("KUBECONFIG", filepath.Join(t.TempDir(), "none"))
	t.Setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
	k := load(t, "", "")
	if k.Context != "" || k.file() != "" || k.Where() != "the cluster of this pod" {
		t.Errorf("got context %q of file %q, %s", k.Context, k.file(), k.Where())
	}
	if _, err := k.Use(teamA); errorText(err) != "there is no kubeconfig to write to: name the tenant by HELM_TENANT or --tenant instead" {
		t.Errorf("Use: got %v", err)
	}
	if _, err := LoadKubeconfig(os.Environ(), "", "main"); err == nil {
		t.Error("a context that was named is not the pod's own cluster")
	}
}

// TestTwoEntries: the error for two entries of one name has that name, and nothing of the entries.
func TestTwoEntries(t *testing.T) {
	const head = "apiVersion: v1\nkind: Config\n"
	for text, want := range map[string]string{
		"users: [{name: u, user: {token: hidden, password: hidden}}, {name: u, user: {token: hidden}}]\n": `two users are called "u"`,
		"clusters: [{name: c, cluster: {certificate-authority-data: aGlkZGVu}}, {name: c}]\n":             `two clusters are called "c"`,
		"contexts: [{name: a b, context: {cluster: hidden}}, {name: a b}]\n":                              `two contexts are called "a b"`,
		"users: [{name: ' in list: ', user: {token: hidden}}, {name: ' in list: '}]\n":                    `two users are called "`,
		"extensions: [{name: x, extension: {a: hidden}}, {name: x, extension: {a: hidden}}]\n":            `two extensions are called "x"`,
	} {
		file := filepath.Join(t.TempDir(), "config")
		if err := os.WriteFile(file, []byte(head+text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := LoadKubeconfig(envvar.Environment{"KUBECONFIG=" + file}, "", "")
		if got := "kubeconfig " + file + " can't be understood: " + want; errorText(err) != got || strings.Contains(errorText(err), "hidden") {
			t.Errorf("%s%v\nwant %s", text, err, got)
		}
	}
}
