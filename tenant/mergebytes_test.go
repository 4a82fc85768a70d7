package tenant

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

const commented = `# my clusters

apiVersion: v1
kind:   Config            # odd spaces
preferences: {}


clusters:
# the only one
- name: one

  cluster:
    server: "https://one"   # at work
    certificate-authority-data: 'TFMw'
contexts:

- name: main     # before its context
  context: { cluster: one,
             user: alice }

# an old one, kept for later:
# - name: old
#   context: {cluster: gone, user: alice}
current-context:  'main'
users:
- name: alice

  # who I am
  user:
    exec:
      apiVersion: client.authentication.k8s.io/v1
      command: sh
      interactiveMode: Never
      args:
      - -c
      - |
        # no comment, but a script
        echo {}

# the end
`

// Merge adds lines and changes none, and Unmerge removes these lines: the result is the
// original file byte for byte, whatever its comments, blank lines, quotes, line ends and mode.
func TestMergeKeepsEveryByte(t *testing.T) {
	const head = "clusters:\n- cluster: {server: https://one}\n  name: one\n"
	const main = "contexts:\n- context: {cluster: one, user: alice}\n  name: main\ncurrent-context: main\n"
	const alice = "users:\n- {name: alice, user: {token: t}}\n"
	for _, test := range []struct{ name, text string }{
		{"comments and blank lines", commented},
		{"line ends of Windows", strings.ReplaceAll(commented, "\n", "\r\n")},
		{"no line end at the end", strings.TrimRight(head+main+alice, "\n")},
		{"the same with line ends of Windows", strings.ReplaceAll(strings.TrimRight(head+main+alice, "\n"), "\n", "\r\n")},
		{"indented lists", "clusters:\n    - cluster: {server: https://one}\n      name: one\ncontexts:\n    - context:\n        cluster: one\n        user: alice\n      name: main\ncurrent-context: main\nusers:\n  -   name: alice\n      user: {token: t}\n"},
		{"lists of two indents", "clusters:\n- cluster: {server: https://one}\n  name: one\ncontexts:\n    -   name: main\n        context: {cluster: one, user: alice}\ncurrent-context: main\nusers:\n-\n  name: alice\n  user: {token: t}\n"},
		{"a document's marks", "%YAML 1.1\n---\n" + head + main + alice + "...\n# after it\n"},
		{"--- at both ends", "---\n" + head + alice + main + "---\n# nothing more\n"},
		{"an anchor, and an alias of it", head + "contexts:\n- context: &c {cluster: one, user: alice}\n  name: main\n- context: *c\n  name: other\ncurrent-context: main\nusers:\n- name: alice\n  user: &u\n    token: t\n- name: bob\n  user:\n    <<: *u\n"},
		{"text over several lines", head + main + "users:\n- name: alice\n  user:\n    token: \"t\n\n      u\"\n    tokenFile: >-\n      a\n      b\n\n\n# x\n"},
		{"an indented document", strings.TrimRight("  "+strings.ReplaceAll(head+main+alice, "\n", "\n  "), " ")},
		{"the last list first", alice + "\n\n" + head + main + "# end\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, mode := range []os.FileMode{0o600, 0o640} {
				real := write(t, "config", test.text, mode)
				file := filepath.Join(t.TempDir(), "link")
				if err := os.Symlink(real, file); err != nil {
					t.Fatal(err)
				}
				if _, err := load(t, file, "").Merge(impersonated, Derivation{EachNamespace: true}, false); err != nil {
					t.Fatal(err)
				}
				added(t, test.text, read(t, real))
				if k := load(t, file, "team-a/b"); k.Namespace != "b" {
					t.Errorf("the context is %+v", k)
				}
				// Changed, and merged again, it is still that alone which goes.
				moved := impersonated
				moved.Namespaces = []string{"a", "c"}
				if _, err := load(t, file, "").Merge(moved, Derivation{EachNamespace: true}, false); err != nil {
					t.Fatal(err)
				}
				if _, err := Unmerge(os.Environ(), file, "team-a", "", false); err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(test.text, read(t, real)); diff != "" {
					t.Errorf("-before +after:\n%s", diff)
				}
				info, err := os.Stat(real)
				link, linkErr := os.Lstat(file)
				if err != nil || info.Mode().Perm() != mode || linkErr != nil || link.Mode()&os.ModeSymlink == 0 {
					t.Errorf("the file is %v, %v, the link %v, %v", info, err, link, linkErr)
				}
			}
		})
	}
}

// added fails the test where a text is not another one with lines put into it.
func added(t *testing.T, before, after string) {
	t.Helper()
	left := strings.Split(strings.ReplaceAll(after, "\r\n", "\n"), "\n")
	for line := range strings.SplitSeq(strings.ReplaceAll(before, "\r\n", "\n"), "\n") {
		index := slices.Index(left, line)
		if index < 0 {
			t.Errorf("the line %q is missing in:\n%s", line, after)
			return
		}
		left = left[index+1:]
	}
}

// Only one of several files may have users; a list that is empty or missing there is so again
// after Unmerge.
func TestMergeIntoEmptyLists(t *testing.T) {
	contexts := "clusters:\n- cluster: {server: https://one}\n  name: one\ncontexts:\n- context: {cluster: one, user: alice}\n  name: main\ncurrent-context: main\n"
	for _, users := range []string{"", "users: []\n", "users: null\n", "users:   ~", "users:\n", "users:\n\n# none\n"} {
		// The lists before the current context, or after it.
		for _, text := range []string{contexts + users, strings.TrimRight(users, "\n") + "\n" + contexts} {
			first := write(t, "first", "users:\n- name: alice\n  user: {token: t}\n", 0o600)
			second := write(t, "second", text, 0o600)
			t.Setenv("KUBECONFIG", strings.Join([]string{first, second}, string(os.PathListSeparator)))
			if merged, err := load(t, "", "").Merge(impersonated, Derivation{}, false); err != nil || merged.Into != second {
				t.Fatalf("merged into %s: %v", merged.Into, err)
			}
			if k := load(t, "", "team-a"); k.Namespace != "a" {
				t.Errorf("%q: the context is %+v:\n%s", users, k, read(t, second))
			}
			if _, err := Unmerge(os.Environ(), "", "team-a", "", false); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(text, read(t, second)); diff != "" {
				t.Errorf("%q: -before +after:\n%s", users, diff)
			}
		}
	}
}

// FuzzEntries: for any file, inserted entries are read, and after their removal client-go reads
// what it read before.
func FuzzEntries(f *testing.F) {
	for _, seed := range []string{commented, twoClusters, "users: []\ncontexts: # x\n", "contexts:\n- name: a\r  context: {}\n", "users:\n- &a {name: team-a}\n- *a\n", "{}", "- a\n",
		"null", "~\n", "&00", "---\n", "--- # nothing\n", "# nothing\n---\n# more\n"} {
		f.Add(seed)
	}
	put := clientcmdapi.NewConfig()
	put.AuthInfos["team-a/alice"] = &clientcmdapi.AuthInfo{Token: "t", Impersonate: "x"}
	put.Contexts["team-a"] = &clientcmdapi.Context{Cluster: "one", AuthInfo: "team-a/alice"}
	f.Fuzz(func(t *testing.T, text string) {
		after, err := withEntries([]byte(text), put)
		if err != nil {
			return
		}
		current, err := clientcmd.Load(after)
		if err != nil || current.AuthInfos["team-a/alice"] == nil || current.Contexts["team-a"] == nil {
			t.Fatalf("%v:\n%s", err, after)
		}
		second, err := withoutEntries(after, []string{"team-a"}, []string{"team-a/alice"})
		if err != nil {
			return
		}
		if err := sameButEntries([]byte(text), second, []string{"team-a"}, []string{"team-a/alice"}); err != nil {
			t.Errorf("%v:\n%s", err, second)
		}
	})
}

// A line of a text that looks like a comment stays the text's, in fields too that client-go
// does not know.
func TestMergeBesideTexts(t *testing.T) {
	const head = "clusters:\n- cluster: {server: https://one}\n  name: one\ncontexts:\n- context: {cluster: one, user: alice}\n  name: main\ncurrent-context: main\n"
	for _, text := range []string{
		head + "users:\n- name: alice\n  user: {token: t}\n  notes: |\n    script\n    # kept\n",
		head + "users:\n- name: alice\n  user: {token: t}\nnotes: |\n  script\n  # kept\n",
		"notes: |\n  script\n  # kept\n" + head + "users:\n- name: alice\n  user: {token: t}\n",
	} {
		file := write(t, "config", text, 0o600)
		if _, err := load(t, file, "").Merge(impersonated, Derivation{EachNamespace: true}, false); err != nil {
			t.Fatal(err)
		}
		merged := read(t, file)
		if !strings.Contains(merged, "script") || !strings.Contains(merged, "team-a") {
			t.Fatalf("merged is:\n%s", merged)
		}
		if _, err := Unmerge(os.Environ(), file, "team-a", "", false); err != nil {
			t.Fatal(err)
		}
		for _, now := range []string{merged, read(t, file)} {
			if !sameElsewhere([]byte(text), []byte(now), []string{"team-a", "team-a/a", "team-a/b"}, []string{"team-a/alice"}) || !strings.Contains(now, "# kept") {
				t.Errorf("of\n%s\nit makes\n%s", text, now)
			}
		}
	}
}
