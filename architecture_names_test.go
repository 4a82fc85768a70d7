package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	linkPattern = regexp.MustCompile(`\]\(([^)#:]+)[)#]`)
	filePattern = regexp.MustCompile(`\b[a-z]+(?:/[a-zA-Z_]+)*/\w+\.go\b`)
	codePattern = regexp.MustCompile("`([^`\n]+)`")
	// A name of Go's that is no word of English: pkg.Name, Type.Method, camelCase.
	namePattern = regexp.MustCompile(`^(\w+)\.(\w+)$|^[a-z]+[A-Z]\w*$`)
)

// TestArchitectureNames: the files, packages and declarations that docs/architecture.md
// names exist.
func TestArchitectureNames(t *testing.T) {
	text, err := os.ReadFile(architecture)
	if err != nil {
		t.Fatal(err)
	}
	declared, err := declarations(".")
	if err != nil {
		t.Fatal(err)
	}
	links, files, names := 0, 0, 0
	for _, link := range linkPattern.FindAllStringSubmatch(string(text), -1) {
		links++
		if _, err := os.Stat(filepath.Join("docs", link[1])); err != nil {
			t.Errorf("%s links to %s, which does not exist", architecture, link[1])
		}
	}
	for _, file := range filePattern.FindAllString(string(text), -1) {
		files++
		if _, err := os.Stat(file); err != nil && !strings.HasPrefix(file, "go.yaml.in/") {
			t.Errorf("%s names %s, which does not exist", architecture, file)
		}
	}
	for _, code := range codePattern.FindAllStringSubmatch(string(text), -1) {
		if name := namePattern.FindStringSubmatch(code[1]); name != nil && (name[1] == "" || declared[name[1]]) {
			names++
			if !declared[code[1]] {
				t.Errorf("%s names %s, which is not declared", architecture, code[1])
			}
		}
	}
	if links < 30 || files < 20 || names < 30 {
		t.Errorf("%s names too little to be read rightly: %d links, %d files, %d declarations", architecture, links, files, names)
	}
}

// declarations returns what the module under root declares: packages, types, functions,
// variables, constants and fields by their names, and what belongs to a package or a type
// as pkg.Name and Type.Name as well.
func declarations(root string) (map[string]bool, error) {
	declared := map[string]bool{}
	err := filepath.WalkDir(root, func(file string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && file != root && (strings.HasPrefix(entry.Name(), ".") || entry.Name() == "testdata"):
			return fs.SkipDir
		case entry.IsDir() || !strings.HasSuffix(file, ".go"):
			return nil
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		add := func(owner string, names ...*ast.Ident) {
			declared[owner] = true
			for _, name := range names {
				declared[name.Name], declared[owner+"."+name.Name] = true, true
			}
		}
		for _, declaration := range parsed.Decls {
			switch d := declaration.(type) {
			case *ast.FuncDecl:
				add(parsed.Name.Name, d.Name)
				if d.Recv != nil {
					add(receiver(d.Recv.List[0].Type), d.Name)
				}
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					switch s := spec.(type) {
					case *ast.ValueSpec:
						add(parsed.Name.Name, s.Names...)
					case *ast.TypeSpec:
						add(parsed.Name.Name, s.Name)
						if structure, ok := s.Type.(*ast.StructType); ok {
							for _, field := range structure.Fields.List {
								add(s.Name.Name, field.Names...)
							}
						}
					}
				}
			}
		}
		return nil
	})
	return declared, err
}

// receiver returns the name of the type of a method's receiver.
func receiver(expression ast.Expr) string {
	if pointer, ok := expression.(*ast.StarExpr); ok {
		expression = pointer.X
	}
	if generic, ok := expression.(*ast.IndexExpr); ok {
		expression = generic.X
	}
	name, _ := expression.(*ast.Ident)
	if name == nil {
		return ""
	}
	return name.Name
}
