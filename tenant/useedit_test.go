package tenant

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/client-go/tools/clientcmd"
)

// YAML that people write by hand: an alias stands for a context, a user or a list, and
// a file ends with "---". The context that is used gets the extension, no other does.
func TestWithExtensionOfWrittenByHand(t *testing.T) {
	for _, test := range []struct{ name, text string }{
		{"a context that another is an alias of", "contexts:\n- context: &c {user: u}\n  name: main\n- context: *c\n  name: other\n"},
		{"a context that is an alias of another", "contexts:\n- context: &c {user: u}\n  name: other\n- context: *c\n  name: main\n"},
		{"an entry that is an alias", "x-contexts: &m {name: main, context: {user: u}}\ncontexts:\n- *m\n- context: {user: u}\n  name: other\n"},
		{"all contexts an alias", "x-contexts: &all\n- context: {user: u}\n  name: main\n- context: {user: u}\n  name: other\ncontexts: *all\n"},
		{"a merged context", "x-base: &base {user: u, cluster: k}\ncontexts:\n- context: {<<: *base, namespace: ns}\n  name: main\n- context: {<<: *base}\n  name: other\n"},
		{"shared extensions", "contexts:\n- context: {user: u, extensions: &e [{name: x, extension: {a: 1}}]}\n  name: main\n- context: {user: u, extensions: *e}\n  name: other\n"},
		{"a bare --- at the end", "contexts:\n- context: {user: u}\n  name: main\n- context: {user: u}\n  name: other\n---\n"},
		{"--- at both ends", "---\ncontexts:\n- context: {user: u}\n  name: main\n- context: {user: u}\n  name: other\n---\n# nothing more\n"},
		{"... at the end", "contexts:\n- context: {user: u}\n  name: main\n- context: {user: u}\n  name: other\n...\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			after, err := withExtension([]byte(test.text), "main", (*Extension)(nil).with(teamA))
			if err != nil {
				t.Fatal(err)
			}
			config, err := clientcmd.Load(after)
			if err != nil {
				t.Fatalf("%v:\n%s", err, after)
			}
			got, err := readExtension(config.Contexts["main"])
			if diff := cmp.Diff((*Extension)(nil).with(teamA), got); diff != "" || err != nil {
				t.Errorf("%v, -want +got:\n%s", err, diff)
			}
			if other, err := readExtension(config.Contexts["other"]); other != nil || err != nil {
				t.Errorf("the other context got %v, %v", other, err)
			}
			second, err := withExtension(after, "main", (*Extension)(nil).with(ops))
			if err != nil {
				t.Fatalf("a second time: %v", err)
			}
			if e := extensionIn(second, "main"); e == nil || e.Current != "ops" {
				t.Errorf("a second time: %+v", e)
			}
		})
	}
}

func TestWriteInPlace(t *testing.T) {
	for _, content := range []string{"shorter", "something that is longer than what was there", ""} {
		file := write(t, "config", "what was there before", 0o640)
		before, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := writeInPlace(file, []byte(content)); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(file)
		if err != nil || string(text) != content {
			t.Errorf("got %q, %v", text, err)
		}
		after, err := os.Stat(file)
		if err != nil || !os.SameFile(before, after) {
			t.Errorf("it is another file now: %v", err)
		}
	}
	if err := writeInPlace(filepath.Join(t.TempDir(), "gone"), nil); err == nil {
		t.Error("a file that is not there was written")
	}
}
