package cli

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// stored are records of web's revisions up to a newest one, in a namespace.
func stored(namespace, owner string, newest int) []*unstructured.Unstructured {
	var records []*unstructured.Unstructured
	key, value, _ := strings.Cut(owner, "=")
	for revision := 1; revision <= newest; revision++ {
		records = append(records, &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "v1", "kind": "Secret", "data": map[string]any{"release": "AAAA"},
			"metadata": map[string]any{"name": fmt.Sprintf("web.v%d", revision), "namespace": namespace, "labels": map[string]any{key: value}},
		}})
	}
	return records
}

// newBackups are those of tenant team, and what they tell.
func newBackups() (backups, *[]string) {
	var told []string
	s := &session{}
	s.env.Now = func() time.Time { return time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC) }
	return backups{s, "team", "", func(format string, args ...any) { told = append(told, fmt.Sprintf(format, args...)) }}, &told
}

// TestBackup: which file is written, told of, or refused, where one is there.
func TestBackup(t *testing.T) {
	const home, tiller = "team-tiller", "OWNER=TILLER"
	type do func(b backups, file string) (string, error)
	save := func(newest int) do {
		return func(b backups, file string) (string, error) { return b.save(file, stored(home, tiller, newest)) }
	}
	unnamed := func(newest int) do {
		return func(b backups, _ string) (string, error) { return b.save("", stored(home, tiller, newest)) }
	}
	anew := func(newest int) do {
		return func(b backups, file string) (string, error) {
			return "", b.saveAnew(file, "-later", stored(home, tiller, newest))
		}
	}
	text := func(text string) do {
		return func(_ backups, file string) (string, error) { return file, os.WriteFile(file, []byte(text), 0o600) }
	}
	of := func(namespace, owner string, newest int) do {
		return func(b backups, file string) (string, error) { return b.save(file, stored(namespace, owner, newest)) }
	}
	const refused = "the backup can't be written, and nothing is removed without it: open b.yaml: "
	for _, test := range []struct {
		name   string
		before []do
		do     do
		file   string
		err    string // up to what the system says
		told   []string
		files  map[string]int // records in each, -1 where it is none of ours
	}{
		{name: "nothing is there", do: save(2), file: "b.yaml",
			told: []string{"2 release records of tenant team backed up in b.yaml"}, files: map[string]int{"b.yaml": 2}},
		{name: "no records", do: save(0)},
		{name: "the same", before: []do{save(2)}, do: save(2), file: "b.yaml",
			told: []string{"2 release records of tenant team backed up in b.yaml"}, files: map[string]int{"b.yaml": 2}},
		{name: "written since", before: []do{save(2)}, do: save(3), file: "b-2.yaml",
			told: []string{"b.yaml is there already, and stays as it is", "3 release records of tenant team backed up in b-2.yaml"}, files: map[string]int{"b.yaml": 2, "b-2.yaml": 3}},
		{name: "written since, twice", before: []do{save(2), save(3)}, do: save(4), file: "b-3.yaml",
			told: []string{"b.yaml is there already, and stays as it is", "4 release records of tenant team backed up in b-3.yaml"}, files: map[string]int{"b.yaml": 2, "b-2.yaml": 3, "b-3.yaml": 4}},
		{name: "written since, and saved", before: []do{save(2), save(3)}, do: save(3), file: "b-2.yaml",
			told: []string{"b.yaml is there already, and stays as it is", "3 release records of tenant team backed up in b-2.yaml"}, files: map[string]int{"b.yaml": 2, "b-2.yaml": 3}},
		{name: "another file", before: []do{text("mine")}, do: save(2), err: refused, files: map[string]int{"b.yaml": -1}},
		{name: "an empty one", before: []do{text("")}, do: save(2), err: refused, files: map[string]int{"b.yaml": -1}},
		{name: "a list of something else", before: []do{text("items: [1, {metadata: 1}, {metadata: {namespace: team-tiller}}, null]")}, do: save(2), err: refused, files: map[string]int{"b.yaml": 4}},
		{name: "another tenant's", before: []do{of("other-tiller", tiller, 2)}, do: save(2), err: refused, files: map[string]int{"b.yaml": 2}},
		{name: "of Helm 3", before: []do{of(home, "owner=helm", 2)}, do: of(home, "owner=helm", 3), file: "b-2.yaml",
			told: []string{"b.yaml is there already, and stays as it is", "3 release records of tenant team backed up in b-2.yaml"}, files: map[string]int{"b.yaml": 2, "b-2.yaml": 3}},
		{name: "nobody named it", before: []do{unnamed(2)}, do: unnamed(3), file: "helm-tenant-team-20261123-120000-2.yaml",
			told:  []string{"helm-tenant-team-20261123-120000.yaml is there already, and stays as it is", "3 release records of tenant team backed up in helm-tenant-team-20261123-120000-2.yaml"},
			files: map[string]int{"helm-tenant-team-20261123-120000.yaml": 2, "helm-tenant-team-20261123-120000-2.yaml": 3}},
		{name: "a second one that is not needed", before: []do{save(2)}, do: anew(2), files: map[string]int{"b.yaml": 2}},
		{name: "a second one", before: []do{save(2)}, do: anew(3),
			told: []string{"3 release records of tenant team backed up in b-later.yaml"}, files: map[string]int{"b.yaml": 2, "b-later.yaml": 3}},
		{name: "a second one, and one by a run before", before: []do{save(2), anew(3)}, do: anew(4),
			told: []string{"b-later.yaml is there already, and stays as it is", "4 release records of tenant team backed up in b-later-2.yaml"}, files: map[string]int{"b.yaml": 2, "b-later.yaml": 3, "b-later-2.yaml": 4}},
		{name: "a second one, and there is no first", do: func(b backups, _ string) (string, error) { return anew(2)(b, "") },
			told: []string{"2 release records of tenant team backed up in helm-tenant-team-20261123-120000.yaml"}, files: map[string]int{"helm-tenant-team-20261123-120000.yaml": 2}},
		{name: "it can't be written", do: func(b backups, _ string) (string, error) { return save(2)(b, "none/b.yaml") },
			err: "the backup can't be written, and nothing is removed without it: open none/b.yaml: "},
		{name: "a second one that can't be written", do: func(b backups, _ string) (string, error) { return anew(2)(b, "none/b.yaml") },
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
			b, told := newBackups()
			file, err := test.do(b, "b.yaml")
			var said string
			if err != nil {
				said = err.Error()
			}
			if file != test.file || !strings.HasPrefix(said, test.err) || (err == nil) != (test.err == "") {
				t.Errorf("it returned %q, %q, not %q, %q", file, said, test.file, test.err)
			}
			if diff := cmp.Diff(test.told, *told); diff != "" {
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
