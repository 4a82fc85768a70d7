package parts

import (
	"context"
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// openAPI is the source of a package that replaces one which old versions of Kubernetes
// generate during the build, and without which their API server does not compile. Go can't
// replace a single package of another module, so the API server's main package is built from a
// copy that imports this one.
//
//go:embed _openapi/openapi.go
var openAPI []byte

// withOpenAPI writes a module into dir with the pins of the part's folder, the package
// openapi, and the part's main package with its package app. It returns the main package's
// path below dir.
func (b *builder) withOpenAPI(ctx context.Context, p Part, dir string) (string, error) {
	list := b.gocmd(ctx, p, "list", "-mod=readonly", "-find", "-f", "{{.Dir}}", p.Package)
	out, err := list.Output()
	if err != nil {
		return "", fmt.Errorf("finding the sources of %s: %w", p.Package, err)
	}
	folder, source, main := filepath.Join(b.source, p.Folder), strings.TrimSpace(string(out)), filepath.Join(dir, "main")
	for _, copied := range []struct{ pattern, to string }{
		{filepath.Join(folder, "go.*"), dir},
		{filepath.Join(source, "*.go"), main},
		{filepath.Join(source, "app", "*.go"), filepath.Join(main, "app")},
	} {
		if err := copyOwn(copied.pattern, copied.to, strings.NewReplacer(
			`"`+p.Package+`/app"`, `"helm-tenant/test/parts/`+p.Folder+`/main/app"`,
			`"k8s.io/kubernetes/pkg/generated/openapi"`, `"helm-tenant/test/parts/`+p.Folder+`/openapi"`,
		)); err != nil {
			return "", err
		}
	}
	generated := filepath.Join(dir, "openapi")
	if err := os.Mkdir(generated, 0o755); err != nil {
		return "", err
	}
	return "./main", os.WriteFile(filepath.Join(generated, "openapi.go"), openAPI, 0o644)
}

// copyOwn copies the files of a pattern, but for tests, with their imports replaced.
func copyOwn(pattern, folder string, imports *strings.Replacer) error {
	files, err := filepath.Glob(pattern)
	if err != nil {
		return err
	}
	if len(files) == 0 {
		return fmt.Errorf("there are no files %s", pattern)
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(folder, filepath.Base(file)), []byte(imports.Replace(string(text))), 0o644); err != nil {
			return err
		}
	}
	return nil
}
