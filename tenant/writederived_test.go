package tenant

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestWriteDerived: over what a derived kubeconfig is written, and how.
func TestWriteDerived(t *testing.T) {
	const text = "apiVersion: v1\nkind: Config\ncontexts:\n- {name: team-a, context: {}}\n"
	folder := t.TempDir()
	in := func(name string) string { return filepath.Join(folder, name) }
	file := func(name, text string) {
		if err := os.WriteFile(in(name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	file("empty", "")
	file("same", text)
	file("other", strings.ReplaceAll(text, "team-a", "prod"))
	file("notes", "remember the milk\n")
	file("target", text)
	if err := os.Mkdir(in("folder"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("target", in("link")); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ name, want string }{
		{"new", ""},
		{"empty", ""},
		{"same", ""},
		{"link", ""},
		{"other", `holds the context "prod", which is not this tenant's`},
		{"notes", "exists and is no kubeconfig of this tenant"},
		{"folder", "is a folder; name a file"},
		{"absent/new", "no such file or directory"},
		{"notes/new", "not a directory"},
	} {
		t.Run(test.name, func(t *testing.T) {
			before, _ := os.ReadFile(in(test.name))
			err := WriteDerived(in(test.name), []byte(text+"# new\n"), []string{"team-a"})
			after, _ := os.ReadFile(in(test.name))
			if test.want != "" {
				if err == nil || !strings.Contains(err.Error(), test.want) || string(after) != string(before) {
					t.Errorf("got the error %v, want %q; the file holds %q", err, test.want, after)
				}
				return
			}
			info, failed := os.Stat(in(test.name))
			if err != nil || failed != nil || !strings.HasSuffix(string(after), "# new\n") || info.Mode().Perm() != 0o600 {
				t.Errorf("errors %v and %v, mode %v, holds %q", err, failed, info.Mode(), after)
			}
		})
	}
	if to, err := os.Readlink(in("link")); err != nil || to != "target" {
		t.Errorf("the link leads to %q: %v", to, err)
	}
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	if err := WriteDerived(fmt.Sprintf("/dev/fd/%d", write.Fd()), []byte(text), []string{"team-a"}); err != nil {
		t.Error(err)
	}
	write.Close()
	if got, err := os.ReadFile(fmt.Sprintf("/dev/fd/%d", read.Fd())); err != nil || string(got) != text {
		t.Errorf("the pipe got %q: %v", got, err)
	}
}
