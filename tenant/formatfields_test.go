package tenant

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"
)

// TestFormatsHaveEveryField: each field of a stored format occurs in a fixture of
// testdata/formats. A new field needs a new fixture, so that later versions are tested to
// read it.
func TestFormatsHaveEveryField(t *testing.T) {
	for _, format := range []struct {
		prefix, tag string
		stored      reflect.Type
		// absent are fields that this format never has, although its type has them.
		absent []string
	}{
		{"record", "yaml", reflect.TypeFor[storedRecord](), []string{"recordVersion", "members", "readers", "owners", "temporary"}},
		{"file", "yaml", reflect.TypeFor[File](), []string{"tenants.frozen.means"}},
		{"extension", "json", reflect.TypeFor[Extension](), nil},
		{"migration", "json", reflect.TypeFor[Migration](), nil},
		{"split", "json", reflect.TypeFor[Split](), nil},
		{"terms", "json", reflect.TypeFor[[]termForm](), []string{"as"}},
	} {
		t.Run(format.prefix, func(t *testing.T) {
			files, err := filepath.Glob("testdata/formats/" + format.prefix + "-*")
			if err != nil || len(files) == 0 {
				t.Fatal(files, err)
			}
			occurring := map[string]bool{}
			for _, file := range files {
				text, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				var document any
				if err := yaml.Unmarshal(text, &document); err != nil {
					t.Fatalf("%s: %v", file, err)
				}
				addPaths(occurring, "", document)
			}
			fields := fieldPaths(format.stored, format.tag, "")
			if len(fields) < 3 {
				t.Fatalf("the type has only the fields %q", fields)
			}
			for _, field := range fields {
				absent := slices.ContainsFunc(format.absent, func(path string) bool { return field == path || strings.HasPrefix(field, path+".") })
				if absent == occurring[field] {
					t.Errorf("field %s: in a fixture %s-*: %t, and wanted %t; see testdata/formats/README.md", field, format.prefix, occurring[field], !absent)
				}
			}
			for _, path := range format.absent {
				if !slices.Contains(fields, path) {
					t.Errorf("the type has no field %s that could be absent", path)
				}
			}
		})
	}
}

// addPaths adds the paths of all keys of a document, without the indexes of lists.
func addPaths(paths map[string]bool, above string, value any) {
	switch value := value.(type) {
	case map[string]any:
		for key, v := range value {
			paths[above+key] = true
			addPaths(paths, above+key+".", v)
		}
	case []any:
		for _, v := range value {
			addPaths(paths, above, v)
		}
	}
}

// fieldPaths returns the paths of a type's fields in the format of the tag. The keys of a map
// are data, not fields.
func fieldPaths(stored reflect.Type, tag, above string) []string {
	for stored.Kind() == reflect.Slice || stored.Kind() == reflect.Pointer {
		switch stored { // their formats are types of their own
		case reflect.TypeFor[Members]():
			stored = reflect.TypeFor[memberLists]()
		case reflect.TypeFor[Terms]():
			stored = reflect.TypeFor[termForm]()
		default:
			stored = stored.Elem()
		}
	}
	if stored.Kind() != reflect.Struct || stored == reflect.TypeFor[time.Time]() {
		return nil
	}
	var paths []string
	for _, field := range reflect.VisibleFields(stored) {
		name, options, _ := strings.Cut(field.Tag.Get(tag), ",")
		if name == "-" || options == "inline" || !field.IsExported() {
			continue
		}
		if name == "" {
			name = "no " + tag + " tag: " + field.Name
		}
		paths = append(paths, above+name)
		paths = append(paths, fieldPaths(field.Type, tag, above+name+".")...)
	}
	return paths
}
