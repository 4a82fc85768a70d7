package tenant

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/client-go/tools/clientcmd"
)

var impersonated = Known{Name: "team-a", HomeNamespace: "team-a-helm", Engine: EngineImpersonation, Namespaces: []string{"a", "b"}}

const twoClusters = `# mine
apiVersion: v1
kind: Config
clusters:
- cluster: {server: https://one}
  name: one
- cluster: {server: https://two}
  name: two
contexts:
- context: {cluster: one, user: alice} # at work
  name: main
- context: {cluster: two, user: alice}
  name: second
current-context: main
users:
- name: alice # me
  user:
    client-certificate: alice.pem
    exec: {apiVersion: client.authentication.k8s.io/v1, command: ./login, interactiveMode: Never}
    colour: red
`

// client-go reads what Merge writes; Merge changes nothing else and is idempotent; Unmerge
// restores the original text.
func TestMergeAndUnmerge(t *testing.T) {
	for _, test := range []struct{ name, text string }{
		{"by hand", twoClusters},
		{"as kubectl writes it", "apiVersion: v1\nclusters:\n- cluster:\n    server: https://one\n  name: one\ncontexts:\n- context:\n    cluster: one\n    user: alice\n  name: main\ncurrent-context: main\nkind: Config\nusers:\n- name: alice\n  user:\n    token: t\n"},
		{"indented lists", "clusters:\n  - cluster: {server: https://one}\n    name: one\ncontexts:\n  - context:\n      cluster: one\n      user: alice\n    name: main\ncurrent-context: main\nusers:\n  - name: alice\n    user: {token: t}\n"},
		{"flow lists", "clusters: [{cluster: {server: https://one}, name: one}]\ncontexts: [{context: {cluster: one, user: alice}, name: main}]\ncurrent-context: main\nusers: [{name: alice, user: {token: t}}]\n"},
		{"JSON in one line", `{"clusters":[{"cluster":{"server":"https://one"},"name":"one"}],"contexts":[{"context":{"cluster":"one","user":"alice"},"name":"main"}],"current-context":"main","users":[{"name":"alice","user":{"token":"t"}}]}`},
		{"an alias for all contexts", "x-all: &all\n- context: {cluster: one, user: alice}\n  name: main\nclusters:\n- cluster: {server: https://one}\n  name: one\ncontexts: *all\ncurrent-context: main\nusers:\n- name: alice\n  user: {token: t}\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			file := write(t, "config", test.text, 0o640)
			want := Merged{Contexts: []string{"team-a/a", "team-a/b"}, Users: []string{"team-a/alice"}, Files: []string{file}, Into: file}
			for _, dryRun := range []bool{true, false} {
				done, err := load(t, file, "").Merge(impersonated, Derivation{EachNamespace: true}, dryRun)
				if diff := cmp.Diff(want, done); err != nil || diff != "" {
					t.Fatalf("dry run %v: %v, -want +got:\n%s", dryRun, err, diff)
				}
				if changed := read(t, file) != test.text; changed == dryRun {
					t.Fatalf("dry run %v: the file changed: %v", dryRun, changed)
				}
			}
			merged := read(t, file)
			k := load(t, file, "team-a/b")
			if as, _ := k.Impersonates(); as != "system:serviceaccount:team-a-helm:helm" || k.Namespace != "b" || k.Server != "https://one" {
				t.Errorf("the context is %+v, as %s", k, as)
			}
			if known, found := k.Extension.Find("team-a"); !found || !cmp.Equal(known, impersonated) {
				t.Errorf("the context knows %+v", k.Extension)
			}
			if k := load(t, file, ""); k.Context != "main" || k.Extension != nil {
				t.Errorf("the current context is %+v", k)
			}
			// On the context itself it is a refresh.
			if done, err := k.Merge(impersonated, Derivation{EachNamespace: true}, false); err != nil || len(done.Files) > 0 {
				t.Fatalf("a second time: %+v, %v", done, err)
			}
			if diff := cmp.Diff(merged, read(t, file)); diff != "" {
				t.Errorf("a second time it changed:\n%s", diff)
			}
			for _, dryRun := range []bool{true, false} {
				removed, err := Unmerge(os.Environ(), file, "team-a", "", dryRun)
				if diff := cmp.Diff(Unmerged{Contexts: want.Contexts, Users: want.Users, Files: want.Files}, removed); err != nil || diff != "" {
					t.Errorf("dry run %v: %v, -want +got:\n%s", dryRun, err, diff)
				}
				if changed := read(t, file) != merged; changed == dryRun {
					t.Errorf("dry run %v: the file changed: %v", dryRun, changed)
				}
			}
			if diff := cmp.Diff(config(t, test.text), config(t, read(t, file))); diff != "" {
				t.Errorf("-before +after:\n%s", diff)
			}
			if comments := strings.Count(read(t, file), "#"); comments != strings.Count(test.text, "#") {
				t.Errorf("%d comments are left:\n%s", comments, read(t, file))
			}
			if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o640 {
				t.Errorf("the file is %v, %v", info, err)
			}
		})
	}
}

// config is what client-go reads from a text, as it writes it.
func config(t *testing.T, text string) string {
	t.Helper()
	loaded, err := clientcmd.Load([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	out, err := clientcmd.Write(*loaded)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// Paths and commands are relative to their file; of two files with the same entry the first
// counts.
func TestMergeIntoOneOfTwoFiles(t *testing.T) {
	users := "users:\n- name: alice\n  user: {client-certificate: alice.pem, exec: {apiVersion: client.authentication.k8s.io/v1, command: ./login, interactiveMode: Never}}\n"
	first := write(t, "first", users, 0o600)
	second := write(t, "second", "clusters:\n- cluster: {server: https://one}\n  name: one\ncontexts:\n- context: {cluster: one, user: alice}\n  name: main\ncurrent-context: main\n", 0o600)
	t.Setenv("KUBECONFIG", strings.Join([]string{filepath.Join(t.TempDir(), "missing"), first, second}, string(os.PathListSeparator)))
	if merged, err := load(t, "", "").Merge(impersonated, Derivation{}, false); err != nil || merged.Into != second {
		t.Fatalf("merged into %s: %v", merged.Into, err)
	}
	user := load(t, "", "team-a").config.AuthInfos["team-a/alice"]
	if user == nil || user.ClientCertificate != filepath.Join(filepath.Dir(first), "alice.pem") || user.Exec.Command != filepath.Join(filepath.Dir(first), "login") {
		t.Errorf("the user is %+v", user)
	}
	if diff := cmp.Diff(users, read(t, first)); diff != "" {
		t.Errorf("the first file changed:\n%s", diff)
	}
	// Moved by hand into the first file, where it would win for ever.
	_, entries, _ := strings.Cut(read(t, second), "contexts:")
	if err := os.WriteFile(first, []byte("contexts:"+entries+strings.TrimPrefix(users, "users:\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	moved := impersonated
	moved.Namespaces = []string{"c"}
	if _, err := load(t, "", "main").Merge(moved, Derivation{}, false); err != nil {
		t.Fatal(err)
	}
	if k := load(t, "", "team-a"); k.Namespace != "c" {
		t.Errorf("the context's namespace is %q", k.Namespace)
	}
	if removed, err := Unmerge(os.Environ(), "", "team-a", "", false); err != nil || len(removed.Contexts) != 1 {
		t.Errorf("took out %+v, %v", removed, err)
	}
	if text := read(t, first) + read(t, second); strings.Contains(text, "team-a") {
		t.Errorf("left:\n%s", text)
	}
}

func TestMergeRefuses(t *testing.T) {
	own := strings.Replace(twoClusters, "name: second", "name: team-a", 1)
	user := strings.ReplaceAll(twoClusters, "users:\n", "users:\n- name: team-a/alice\n  user: {token: t}\n")
	acts := strings.Replace(twoClusters, "colour: red", "as: system:admin", 1)
	provider := strings.Replace(twoClusters, "colour: red", "auth-provider: {name: oidc}", 1)
	for _, test := range []struct{ name, text, want string }{
		{"a context of that name", own, `the kubeconfig has a context "team-a" of its own: give another name with --context-name`},
		{"a user of that name", user, `the kubeconfig has a user "team-a/alice" of its own: give another name with --context-name`},
		{"who acts as somebody else", acts, "impersonation does not chain"},
		{"an auth-provider", provider, "whose refresh token works once"},
	} {
		file := write(t, "config", test.text, 0o600)
		_, err := load(t, file, "main").Merge(impersonated, Derivation{}, false)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v", test.name, err)
		}
		if diff := cmp.Diff(test.text, read(t, file)); diff != "" {
			t.Errorf("%s: the file changed:\n%s", test.name, diff)
		}
	}
}

// A tenant of the same name on another cluster never takes a context's place.
func TestMergeForTwoClusters(t *testing.T) {
	file := write(t, "config", twoClusters, 0o600)
	merge := func(context, name string) error {
		_, err := load(t, file, context).Merge(impersonated, Derivation{ContextName: name}, false)
		return err
	}
	if err := merge("main", ""); err != nil {
		t.Fatal(err)
	}
	if err := merge("second", ""); err == nil || !strings.Contains(err.Error(), `is tenant "team-a" of the cluster "one", not of "two"`) {
		t.Errorf("got %v", err)
	}
	if err := merge("second", "two-a"); err != nil {
		t.Fatal(err)
	}
	if server := load(t, file, "team-a").Server; server != "https://one" {
		t.Errorf("team-a is on %s", server)
	}
	if _, err := Unmerge(os.Environ(), file, "team-a", "", false); err == nil || !strings.Contains(err.Error(), "on the clusters one and two: name one with --context-name: team-a, two-a") {
		t.Errorf("got %v", err)
	}
	if removed, err := Unmerge(os.Environ(), file, "team-a", "two-a", false); err != nil || !cmp.Equal(removed.Contexts, []string{"two-a"}) {
		t.Errorf("took out %+v, %v", removed, err)
	}
	if err := os.WriteFile(file, []byte(strings.Replace(read(t, file), "current-context: main", "current-context: team-a", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	if removed, err := Unmerge(os.Environ(), file, "team-a", "", false); err != nil || !removed.Current {
		t.Errorf("took out %+v, %v", removed, err)
	}
	if removed, err := Unmerge(os.Environ(), file, "team-a", "", false); err != nil || len(removed.Contexts) != 0 {
		t.Errorf("a second time: %+v, %v", removed, err)
	}
	if _, err := Unmerge(os.Environ(), filepath.Join(t.TempDir(), "missing"), "team-a", "", false); err == nil || errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
}

// TestMergeIntoReadOnly: what helps where a kubeconfig can't be written is a file of its own; the
// tenant's name in a variable would be no kubeconfig.
func TestMergeIntoReadOnly(t *testing.T) {
	file := write(t, "config", twoClusters, 0o400)
	k := load(t, file, "")
	_, err := k.Merge(impersonated, Derivation{}, false)
	if want := "kubeconfig " + file + " is read-only: make it writable, or write a file of its own with --output-file FILE"; errorText(err) != want {
		t.Errorf("a file: %v\nwant: %s", err, want)
	}
	if err := os.Chmod(file, 0o644); err != nil {
		t.Fatal(err)
	}
	folder := filepath.Dir(file)
	// The test's folder is its owner's only; the one in it must be reached.
	if err := os.Chmod(filepath.Dir(folder), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(folder, 0o555); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Chmod(folder, 0o755) }) // or it could not be removed
	heldByModes(t, func() { _, err = k.Merge(impersonated, Derivation{}, false) })
	if want := "kubeconfig " + file + " can't be written: open " + file + ".lock: permission denied; write a file of its own with --output-file FILE instead"; errorText(err) != want {
		t.Errorf("a folder: %v\nwant: %s", err, want)
	}
}

// A merge with other credentials leaves no token of the former behind.
func TestMergeReplacesCredentials(t *testing.T) {
	token := Derivation{Credentials: Credentials{Token: "secret-token", User: "a:ci"}}
	for _, test := range []struct {
		name          string
		first, second Derivation
		shared        bool // another context has the first one's user
		want          []string
	}{
		{"the caller's after a token", token, Derivation{}, false, []string{"alice", "team-a/alice"}},
		{"a token after the caller's", Derivation{}, token, false, []string{"alice", "team-a/a:ci"}},
		{"for each namespace", Derivation{EachNamespace: true, Credentials: token.Credentials}, Derivation{EachNamespace: true}, false, []string{"alice", "team-a/alice"}},
		{"used elsewhere", token, Derivation{}, true, []string{"alice", "team-a/a:ci", "team-a/alice"}},
		{"under two names", Derivation{ContextName: "other", Credentials: token.Credentials}, Derivation{}, false, []string{"alice", "other/a:ci", "team-a/alice"}},
		{"the same", token, token, false, []string{"alice", "team-a/a:ci"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			file := write(t, "config", twoClusters, 0o600)
			if _, err := load(t, file, "").Merge(impersonated, test.first, false); err != nil {
				t.Fatal(err)
			}
			if test.shared {
				text := strings.Replace(read(t, file), "contexts:\n", "contexts:\n- context: {cluster: one, user: team-a/a:ci}\n  name: mine\n", 1)
				if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := load(t, file, "").Merge(impersonated, test.second, false); err != nil {
				t.Fatal(err)
			}
			users := slices.Sorted(maps.Keys(load(t, file, "").config.AuthInfos))
			if diff := cmp.Diff(test.want, users); diff != "" {
				t.Errorf("users, -want +got:\n%s\n%s", diff, read(t, file))
			}
		})
	}
}
