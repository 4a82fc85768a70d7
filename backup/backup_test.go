package backup

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"helm-tenant/cluster"
	"helm-tenant/release"
)

// stored are records of web's revisions up to a newest one, in a namespace.
func stored(namespace, owner string, newest int) []cluster.Stored {
	var records []cluster.Stored
	for revision := 1; revision <= newest; revision++ {
		name := fmt.Sprintf("web.v%d", revision)
		records = append(records, cluster.Stored{Key: cluster.Key{Kind: "Secret", Namespace: namespace, Name: name},
			Revision: release.Revision{Release: owner}, UID: types.UID(namespace + "/" + name), ResourceVersion: "1"})
	}
	return records
}

// read reads such records.
func read(_ context.Context, records []cluster.Stored, do func(cluster.Record) error) error {
	for _, s := range records {
		key, value, _ := strings.Cut(s.Release, "=")
		err := do(cluster.Record{Stored: s, Object: &corev1.Secret{
			TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
			ObjectMeta: metav1.ObjectMeta{Name: s.Key.Name, Namespace: s.Key.Namespace, Labels: map[string]string{key: value}, Annotations: map[string]string{"note": "\x7f\u0085\u2028\ufeff \" # {"}},
			Data:       map[string][]byte{"release": []byte("AAAA")},
		}})
		if err != nil {
			return err
		}
	}
	return nil
}

// newBackups returns the Backups of the tenant team, and the notes that they print.
func newBackups() (Backups, *[]string) {
	var lines []string
	return Backups{Tenant: "team", Read: read,
		Now: func() time.Time { return time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC) },
		Say: func(format string, args ...any) { lines = append(lines, fmt.Sprintf(format, args...)) }}, &lines
}

// saved returns the items in a backup file, none if it is another file.
func saved(file string) []string {
	var items []string
	if err := eachSaved(file, func(item savedItem) { items = append(items, string(item.text)) }); err != nil {
		return nil
	}
	return items
}

// TestBackup: which file is written, named, or refused if files exist.
func TestBackup(t *testing.T) {
	const home, tiller = "team-tiller", "OWNER=TILLER"
	type do func(b Backups, file string) (string, error)
	save := func(newest int) do {
		return func(b Backups, file string) (string, error) {
			saved, err := b.Save(t.Context(), file, "", stored(home, tiller, newest))
			return saved.File, err
		}
	}
	unnamed := func(newest int) do {
		return func(b Backups, _ string) (string, error) { return save(newest)(b, "") }
	}
	resumed := func(newest int) do {
		return func(b Backups, file string) (string, error) {
			saved, err := b.Save(t.Context(), "", file, stored(home, tiller, newest))
			return saved.File, err
		}
	}
	anew := func(newest int) do {
		return func(b Backups, file string) (string, error) {
			first := Backup{File: file, versions: map[types.UID]string{}}
			for _, s := range stored(home, tiller, 2) {
				if file != "" {
					first.versions[s.UID] = s.ResourceVersion
				}
			}
			_, err := b.SaveAgain(t.Context(), first, "-later", stored(home, tiller, newest))
			return "", err
		}
	}
	text := func(text string) do {
		return func(_ Backups, file string) (string, error) { return file, os.WriteFile(file, []byte(text), 0o600) }
	}
	backupOf := func(namespace, owner string, newest int) do {
		return func(b Backups, file string) (string, error) {
			saved, err := b.Save(t.Context(), file, "", stored(namespace, owner, newest))
			return saved.File, err
		}
	}
	const refused = "the backup can't be written, and nothing is removed without it: open b.yaml: "
	for _, test := range []struct {
		name   string
		before []do
		do     do
		file   string
		err    string // without the system's own message
		lines  []string
		files  map[string]int // number of records in each, -1 for a file that is no backup
	}{
		{name: "nothing is there", do: save(2), file: "b.yaml",
			lines: []string{"2 release records of tenant team backed up in b.yaml"}, files: map[string]int{"b.yaml": 2}},
		{name: "no records", do: save(0)},
		{name: "the same", before: []do{save(2)}, do: save(2), file: "b.yaml",
			lines: []string{"2 release records of tenant team backed up in b.yaml"}, files: map[string]int{"b.yaml": 2}},
		{name: "written since", before: []do{save(2)}, do: save(3), file: "b-2.yaml",
			lines: []string{"b.yaml already exists, and is not changed", "3 release records of tenant team backed up in b-2.yaml"}, files: map[string]int{"b.yaml": 2, "b-2.yaml": 3}},
		{name: "written since, twice", before: []do{save(2), save(3)}, do: save(4), file: "b-3.yaml",
			lines: []string{"b.yaml already exists, and is not changed", "4 release records of tenant team backed up in b-3.yaml"}, files: map[string]int{"b.yaml": 2, "b-2.yaml": 3, "b-3.yaml": 4}},
		{name: "written since, and saved", before: []do{save(2), save(3)}, do: save(3), file: "b-2.yaml",
			lines: []string{"b.yaml already exists, and is not changed", "3 release records of tenant team backed up in b-2.yaml"}, files: map[string]int{"b.yaml": 2, "b-2.yaml": 3}},
		{name: "another file", before: []do{text("mine")}, do: save(2), err: refused, files: map[string]int{"b.yaml": -1}},
		{name: "an empty one", before: []do{text("")}, do: save(2), err: refused, files: map[string]int{"b.yaml": -1}},
		{name: "a list of something else", before: []do{text("items: [1, {metadata: 1}, {metadata: {namespace: team-tiller}}, null]")}, do: save(2), err: refused, files: map[string]int{"b.yaml": 4}},
		{name: "another tenant's", before: []do{backupOf("other-tiller", tiller, 2)}, do: save(2), err: refused, files: map[string]int{"b.yaml": 2}},
		{name: "of Helm 3", before: []do{backupOf(home, "owner=helm", 2)}, do: backupOf(home, "owner=helm", 3), file: "b-2.yaml",
			lines: []string{"b.yaml already exists, and is not changed", "3 release records of tenant team backed up in b-2.yaml"}, files: map[string]int{"b.yaml": 2, "b-2.yaml": 3}},
		{name: "nobody named it", before: []do{unnamed(2)}, do: unnamed(3), file: "helm-tenant-team-20261123-120000-2.yaml",
			lines: []string{"helm-tenant-team-20261123-120000.yaml already exists, and is not changed", "3 release records of tenant team backed up in helm-tenant-team-20261123-120000-2.yaml"},
			files: map[string]int{"helm-tenant-team-20261123-120000.yaml": 2, "helm-tenant-team-20261123-120000-2.yaml": 3}},
		{name: "by a run before this one", before: []do{save(2)}, do: resumed(2), file: "b.yaml",
			lines: []string{"2 release records of tenant team backed up in b.yaml"}, files: map[string]int{"b.yaml": 2}},
		{name: "by a run before this one, and written since", before: []do{save(2)}, do: resumed(3), file: "helm-tenant-team-20261123-120000.yaml",
			lines: []string{"3 release records of tenant team backed up in helm-tenant-team-20261123-120000.yaml"}, files: map[string]int{"b.yaml": 2, "helm-tenant-team-20261123-120000.yaml": 3}},
		{name: "in the form of kubectl, and of earlier versions", before: []do{save(2), inYAML}, do: save(2), file: "b.yaml",
			lines: []string{"2 release records of tenant team backed up in b.yaml"}, files: map[string]int{"b.yaml": 2}},
		{name: "cut in its midst", before: []do{save(2), cutOff}, do: save(2), file: "b-2.yaml",
			lines: []string{"b.yaml already exists, and is not changed", "2 release records of tenant team backed up in b-2.yaml"}, files: map[string]int{"b.yaml": 1, "b-2.yaml": 2}},
		{name: "a second one that is not needed", before: []do{save(2)}, do: anew(2), files: map[string]int{"b.yaml": 2}},
		{name: "a second one", before: []do{save(2)}, do: anew(3),
			lines: []string{"3 release records of tenant team backed up in b-later.yaml"}, files: map[string]int{"b.yaml": 2, "b-later.yaml": 3}},
		{name: "a second one, and one by a run before", before: []do{save(2), anew(3)}, do: anew(4),
			lines: []string{"b-later.yaml already exists, and is not changed", "4 release records of tenant team backed up in b-later-2.yaml"}, files: map[string]int{"b.yaml": 2, "b-later.yaml": 3, "b-later-2.yaml": 4}},
		{name: "a second one, and there is no first", do: func(b Backups, _ string) (string, error) { return anew(2)(b, "") },
			lines: []string{"2 release records of tenant team backed up in helm-tenant-team-20261123-120000.yaml"}, files: map[string]int{"helm-tenant-team-20261123-120000.yaml": 2}},
		{name: "it can't be written", do: func(b Backups, _ string) (string, error) { return save(2)(b, "none/b.yaml") },
			err: "the backup can't be written, and nothing is removed without it: open none/b.yaml: "},
		{name: "a second one that can't be written", do: func(b Backups, _ string) (string, error) { return anew(3)(b, "none/b.yaml") },
			err: "what was done so far stays done, and no record is removed: some were written since the backup, and the second one can't be written: open none/b-later.yaml: "},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			for _, before := range test.before {
				b, _ := newBackups()
				if _, err := before(b, "b.yaml"); err != nil {
					t.Fatal(err)
				}
			}
			b, lines := newBackups()
			file, err := test.do(b, "b.yaml")
			var output string
			if err != nil {
				output = err.Error()
			}
			if file != test.file || !strings.HasPrefix(output, test.err) || (err == nil) != (test.err == "") {
				t.Errorf("it returned %q, %q, not %q, %q", file, output, test.file, test.err)
			}
			if diff := cmp.Diff(test.lines, *lines); diff != "" {
				t.Errorf("told: -want +got:\n%s", diff)
			}
			var files map[string]int
			err = filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
				if err != nil || entry.IsDir() {
					return err
				}
				if files == nil {
					files = map[string]int{}
				}
				if files[path] = len(saved(path)); files[path] == 0 {
					files[path] = -1
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.files, files); diff != "" {
				t.Errorf("files: -want +got:\n%s", diff)
			}
		})
	}
}

// inYAML reads a backup file as kubectl does, and writes it in another form.
func inYAML(_ Backups, file string) (string, error) {
	text, err := os.ReadFile(file)
	var list map[string]any
	if err == nil {
		err = yaml.UnmarshalStrict(text, &list) // kubectl takes it
	}
	if err == nil {
		text, err = json.MarshalIndent(list, "", "  ") // as kubectl get -o json
	}
	if err == nil {
		err = os.WriteFile(file, text, 0o600)
	}
	return file, err
}

// cutOff takes the end off.
func cutOff(_ Backups, file string) (string, error) {
	text, err := os.ReadFile(file)
	if err == nil {
		err = os.WriteFile(file, text[:len(text)-len(backupTail)], 0o600)
	}
	return file, err
}

// TestBackupRefused: a path that can't become a backup is refused before anything is read, and
// nothing waits for a pipe.
func TestBackupRefused(t *testing.T) {
	for _, test := range []struct {
		name, file, want string
		make             func() error
	}{
		{"a folder", "b", "--backup: b is not a regular file; nothing was done", func() error { return os.Mkdir("b", 0o700) }},
		{"a pipe", "b", "--backup: b is not a regular file; nothing was done", func() error { return makePipe("b") }},
		{"a link to a pipe", "b", "--backup: b is not a regular file; nothing was done", func() error { return errors.Join(makePipe("p"), os.Symlink("p", "b")) }},
		{"a link to nothing", "b", "--backup: b is a symbolic link to nothing; nothing was done", func() error { return os.Symlink("p", "b") }},
		{"a device", os.DevNull, "--backup: " + os.DevNull + " is not a regular file; nothing was done", func() error { return nil }},
		{"no folder", "none/b", "--backup: stat none/b: no such file or directory; nothing was done", func() error { return nil }},
		{"in a file", "f/b", "--backup: lstat f/b: not a directory; nothing was done", func() error { return os.WriteFile("f", nil, 0o600) }},
		{"a file", "f", "", func() error { return os.WriteFile("f", nil, 0o600) }},
		{"nothing yet", "f", "", func() error { return nil }},
		{"no name", "", "", func() error { return nil }},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Chdir(t.TempDir())
			if err := test.make(); err != nil {
				t.Fatal(err)
			}
			got := ""
			if err := Check(test.file); err != nil {
				got = err.Error()
			}
			if got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
			if test.want == "" {
				return
			}
			b, _ := newBackups()
			if _, err := b.Save(t.Context(), test.file, "", stored("a", "OWNER=TILLER", 1)); err == nil {
				t.Error("it was written")
			}
			if _, err := b.Save(t.Context(), "", test.file, stored("a", "OWNER=TILLER", 1)); err != nil {
				t.Errorf("the file of an earlier run: %v", err)
			}
		})
	}
}

// TestBackupStops: where the records can't all be read, no file is left behind.
func TestBackupStops(t *testing.T) {
	t.Chdir(t.TempDir())
	b, _ := newBackups()
	b.Read = func(ctx context.Context, records []cluster.Stored, do func(cluster.Record) error) error {
		return errors.Join(read(ctx, records[:1], do), errors.New("the cluster is gone"))
	}
	_, err := b.Save(t.Context(), "b.yaml", "", stored("a", "OWNER=TILLER", 2))
	if err == nil || err.Error() != "the backup can't be written, and nothing is removed without it: the cluster is gone" {
		t.Errorf("it says %v", err)
	}
	if left, err := os.ReadDir("."); err != nil || len(left) > 0 {
		t.Errorf("it left %v, %v", left, err)
	}
}

// TestBackupFormats: a run finds the records in the backup that a released version wrote,
// and writes no second file.
func TestBackupFormats(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("testdata", "formats", "backup-1.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	if err := os.WriteFile("b.yaml", text, 0o600); err != nil {
		t.Fatal(err)
	}
	b, _ := newBackups()
	got, err := b.Save(t.Context(), "b.yaml", "", stored("a", "OWNER=TILLER", 2))
	if err != nil || got.File != "b.yaml" {
		t.Errorf("got %q, %v", got.File, err)
	}
	if files, err := os.ReadDir("."); err != nil || len(files) != 1 {
		t.Errorf("there are %v, %v", files, err)
	}
}

func TestFileOf(t *testing.T) {
	for file, want := range map[string]string{"": "", "all.yaml": "all-team-a.yaml", "d/all.yaml": "d/all-team-a.yaml", "all": "all-team-a"} {
		if got := FileOf(file, "team-a"); got != want {
			t.Errorf("%q beside %q, not %q", got, file, want)
		}
	}
}
