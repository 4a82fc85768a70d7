package tenant

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// write puts a file into a folder of the test's and returns its path.
func write(t *testing.T, name, content string, mode os.FileMode) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(file, mode); err != nil {
		t.Fatal(err)
	}
	return file
}

func read(t *testing.T, file string) string {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// kubeconfigOf returns a kubeconfig of contexts that are named like their clusters.
func kubeconfigOf(contexts ...string) string {
	var b strings.Builder
	b.WriteString("contexts:\n")
	for _, name := range contexts {
		fmt.Fprintf(&b, "- context:\n    cluster: %[1]s\n  name: %[1]s\n", name)
	}
	b.WriteString("clusters:\n")
	for _, name := range contexts {
		fmt.Fprintf(&b, "- cluster:\n    server: https://%[1]s.example\n  name: %[1]s\n", name)
	}
	fmt.Fprintf(&b, "current-context: %s\n", contexts[0])
	return b.String()
}

func load(t *testing.T, file, context string) *Kubeconfig {
	t.Helper()
	k, err := LoadKubeconfig(os.Environ(), file, context)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestUse(t *testing.T) {
	file := write(t, "config", kubeconfigOf("main", "other"), 0o640)
	want := (*Extension)(nil).with(teamA)
	if _, err := load(t, file, "other").Use(teamA); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, load(t, file, "other").Extension); diff != "" {
		t.Errorf("the context, -want +got:\n%s", diff)
	}
	if e := load(t, file, "main").Extension; e != nil {
		t.Errorf("the other context got one too: %+v", e)
	}
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	if mode := info.Mode().Perm(); mode != 0o640 {
		t.Errorf("the file's mode is %o, and was 640", mode)
	}
	entries, err := os.ReadDir(filepath.Dir(file))
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 1 {
		t.Errorf("something is left beside it: %v", entries)
	}
}

func TestUseWritesTheFileOfTheContext(t *testing.T) {
	first, second := write(t, "first", kubeconfigOf("main"), 0o600), write(t, "second", kubeconfigOf("other"), 0o600)
	missing := filepath.Join(t.TempDir(), "missing")
	t.Setenv("KUBECONFIG", strings.Join([]string{missing, first, second}, string(os.PathListSeparator)))
	if _, err := load(t, "", "other").Use(teamA); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(kubeconfigOf("main"), read(t, first)); diff != "" {
		t.Errorf("the first file changed:\n%s", diff)
	}
	if !strings.Contains(read(t, second), "name: helm-tenant") {
		t.Errorf("the second has no extension:\n%s", read(t, second))
	}
	if _, err := os.Stat(missing); err == nil {
		t.Error("the missing file was made")
	}
}

func TestUseKeepsLinks(t *testing.T) {
	file := write(t, "dotfile", kubeconfigOf("main"), 0o600)
	link := filepath.Join(t.TempDir(), "config")
	if err := os.Symlink(file, link); err != nil {
		missing(t, fmt.Sprintf("symlinks (%v)", err))
	}
	if _, err := load(t, link, "").Use(teamA); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link is a file now: %v, %v", info, err)
	}
	if !strings.Contains(read(t, file), "name: helm-tenant") {
		t.Error("what it points to has no extension")
	}
}

func TestUseRefuses(t *testing.T) {
	for _, test := range []struct {
		name string
		// prepare returns what the error must say.
		prepare func(t *testing.T, file string) string
	}{
		// The mode bit counts for root too, whom the system would let through.
		{"a read-only file", func(t *testing.T, file string) string {
			if err := os.Chmod(file, 0o400); err != nil {
				t.Fatal(err)
			}
			return "kubeconfig " + file + " is read-only: make it writable, or name the tenant by HELM_TENANT or --tenant"
		}},
		{"a file that is gone", func(t *testing.T, file string) string {
			if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
			return "kubeconfig " + file + " can't be written: no such file or directory"
		}},
		{"a context that is gone", func(t *testing.T, file string) string {
			if err := os.WriteFile(file, []byte(kubeconfigOf("new")), 0o600); err != nil {
				t.Fatal(err)
			}
			return "kubeconfig " + file + `: context "main" is not defined in it`
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			file := write(t, "config", kubeconfigOf("main"), 0o600)
			k := load(t, file, "")
			want := test.prepare(t, file)
			before, _ := os.ReadFile(file) // it may be gone
			_, err := k.Use(teamA)
			if diff := cmp.Diff(want, errorText(err)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			after, _ := os.ReadFile(file)
			if diff := cmp.Diff(string(before), string(after)); diff != "" {
				t.Errorf("the file changed:\n%s", diff)
			}
			if _, err := os.Stat(file + ".lock"); err == nil {
				t.Error("the lock is still there")
			}
		})
	}
}

func TestUseIntoReadOnlyFolder(t *testing.T) {
	file := write(t, "config", kubeconfigOf("main"), 0o644)
	k := load(t, file, "")
	folder := filepath.Dir(file)
	// The test's folder is its owner's only; the one in it must be reached.
	if err := os.Chmod(filepath.Dir(folder), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(folder, 0o555); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Chmod(folder, 0o755) }) // or it could not be removed
	before := read(t, file)
	var err error
	heldByModes(t, func() { _, err = k.Use(teamA) })
	want := "kubeconfig " + file + " can't be written: open " + file + ".lock: permission denied; name the tenant by HELM_TENANT or --tenant instead"
	if diff := cmp.Diff(want, errorText(err)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if diff := cmp.Diff(before, read(t, file)); diff != "" {
		t.Errorf("the file changed:\n%s", diff)
	}
}

func TestLock(t *testing.T) {
	file := write(t, "config", "", 0o600)
	unlock, err := lock(file, 0, "")
	if err != nil {
		t.Fatal(err)
	}
	_, err = lock(file, 0, "")
	want := fmt.Sprintf("kubeconfig %s is locked by another program; if none runs, remove %s.lock", file, file)
	if diff := cmp.Diff(want, errorText(err)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	unlock()
	if unlock, err = lock(file, 0, ""); err != nil {
		t.Fatalf("after it was given back: %v", err)
	}
	unlock()
}
