package envvar_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// constants returns the names in this package, prefixes of names and values left out.
func constants(t *testing.T) []string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "envvar.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Values) != 1 {
			return true
		}
		name, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
		if err != nil {
			t.Fatal(err)
		}
		if name == strings.ToUpper(name) && !strings.HasSuffix(spec.Names[0].Name, "Prefix") {
			names = append(names, name)
		}
		return true
	})
	slices.Sort(names)
	return names
}

// TestDocumented compares docs/environment.md with the code.
func TestDocumented(t *testing.T) {
	text, err := os.ReadFile("../docs/environment.md")
	if err != nil {
		t.Fatal(err)
	}
	var documented []string
	for _, row := range regexp.MustCompile("(?m)^\\| `([A-Z_0-9]+)` \\|").FindAllStringSubmatch(string(text), -1) {
		documented = append(documented, row[1])
	}
	slices.Sort(documented)
	want := append(constants(t), scripts...)
	slices.Sort(want)
	if diff := cmp.Diff(want, documented); diff != "" {
		t.Errorf("docs/environment.md, -code +docs:\n%s", diff)
	}
}

// scripts are variables that no Go code reads.
var scripts = []string{"HELM_TENANT_URL", "HELM_TENANT_CACHE"}

// TestOnePlace: only this package contains these names.
func TestOnePlace(t *testing.T) {
	names := constants(t)
	for _, room := range []string{"../cli", "../helm", "../tenant"} {
		err := filepath.WalkDir(room, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
			if err != nil {
				return err
			}
			ast.Inspect(file, func(n ast.Node) bool {
				literal, ok := n.(*ast.BasicLit)
				if !ok || literal.Kind != token.STRING {
					return true
				}
				if text, err := strconv.Unquote(literal.Value); err == nil && slices.Contains(names, strings.TrimSuffix(text, "=")) && text != "HOME" && text != "PATH" {
					t.Errorf("%s: %s is a constant of package envvar", path, literal.Value)
				}
				return true
			})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}
