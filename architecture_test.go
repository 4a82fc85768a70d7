package main

import (
	"flag"
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "draw the picture in docs/architecture.md anew")

const (
	architecture = "docs/architecture.md"
	pictureBegin = "<!-- The picture is drawn by `make picture`. -->\n```mermaid\n"
	pictureEnd   = "```\n"
	modulePrefix = "helm-tenant/"
)

// TestPicture holds the picture in docs/architecture.md to the imports of the code,
// and draws it with -update.
func TestPicture(t *testing.T) {
	imports, err := packageImports(".")
	if err != nil {
		t.Fatal(err)
	}
	if len(imports["cli"]) == 0 || len(imports["main"]) == 0 {
		t.Fatalf("the imports of main and cli were not read: %v", imports)
	}
	text, err := os.ReadFile(architecture)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(text), pictureBegin)
	old, after, ended := strings.Cut(rest, pictureEnd)
	if !found || !ended {
		t.Fatalf("%s has no place for the picture: %q", architecture, pictureBegin)
	}
	picture := draw(imports)
	if old == picture {
		return
	}
	if !*update {
		t.Fatalf("the picture in %s is not that of the imports: run make picture", architecture)
	}
	if err := os.WriteFile(architecture, []byte(before+pictureBegin+picture+pictureEnd+after), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestDraw(t *testing.T) {
	imports := map[string][]string{"main": {"cli"}, "cli": {"admin", "audit/view", "tenant"}, "admin": {"tenant"}, "audit/view": {"tenant"}}
	want := "flowchart TD\n  admin --> tenant\n  audit_view[audit/view] --> tenant\n  cli --> admin\n  cli --> audit_view[audit/view]\n  main --> cli\n"
	if got := draw(imports); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// packageImports returns, for each package of the module under root, the packages of
// the module that its files import, tests left out. The module's own package is
// "main". Modules within the module are no part of it.
func packageImports(root string) (map[string][]string, error) {
	imports := map[string][]string{}
	err := filepath.WalkDir(root, func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			_, err := os.Stat(filepath.Join(file, "go.mod"))
			if file != root && (err == nil || strings.HasPrefix(entry.Name(), ".") || entry.Name() == "testdata") {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(file, ".go") || strings.HasSuffix(file, "_test.go") {
			return nil
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		name := filepath.ToSlash(filepath.Dir(file))
		if name == "." {
			name = "main"
		}
		for _, spec := range parsed.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			if own, isOwn := strings.CutPrefix(imported, modulePrefix); isOwn && !slices.Contains(imports[name], own) {
				imports[name] = append(imports[name], own)
			}
		}
		return nil
	})
	return imports, err
}

// draw returns a Mermaid flowchart of imports. An import that leads where others lead
// as well is left out, so that the picture shows the layers.
func draw(imports map[string][]string) string {
	var lines strings.Builder
	lines.WriteString("flowchart TD\n")
	for _, from := range slices.Sorted(maps.Keys(imports)) {
		if path.Base(from) != from && strings.HasSuffix(from, "test") {
			continue // a package for tests alone
		}
		for _, to := range slices.Sorted(slices.Values(imports[from])) {
			indirect := slices.ContainsFunc(imports[from], func(by string) bool { return by != to && reaches(imports, by, to) })
			if !indirect {
				fmt.Fprintf(&lines, "  %s --> %s\n", node(from), node(to))
			}
		}
	}
	return lines.String()
}

// reaches reports whether imports lead from one package to another. Go allows no
// cycle of imports.
func reaches(imports map[string][]string, from, to string) bool {
	return slices.ContainsFunc(imports[from], func(next string) bool { return next == to || reaches(imports, next, to) })
}

// node returns a package's node of the flowchart: a name of a node has no slash.
func node(name string) string {
	if id := strings.ReplaceAll(name, "/", "_"); id != name {
		return id + "[" + name + "]"
	}
	return name
}
