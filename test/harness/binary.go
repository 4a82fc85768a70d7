// Package harness has the common parts of the test packages that use a cluster: the program
// under test, waiting, and the authorizer's delay.
package harness

import (
	"context"
	"os"
	"path/filepath"
	"sync"

	"helm-tenant/test/parts"
	"helm-tenant/wrapper"
)

// Repository returns the project's root folder.
func Repository() (string, error) {
	source, err := parts.Source()
	if err != nil {
		return "", err
	}
	return filepath.Dir(filepath.Dir(source)), nil
}

// Binary returns the path of helm-tenant, built from the sources of this
// repository. All test packages share the file, so it is linked once and only
// when the sources changed; nobody may write to it.
var Binary = sync.OnceValues(func() (string, error) { return Command("", ".", "helm-tenant") })

// Installed returns the path of the helm-tenant of a plugin's folder on Unix: the wrapper,
// with the whole program beside it under the name wrapper.Whole.
var Installed = sync.OnceValues(func() (string, error) {
	if _, err := Command("", ".", filepath.Join("installed", wrapper.Whole)); err != nil {
		return "", err
	}
	return Command("", "./cmd/wrapper", filepath.Join("installed", wrapper.Program))
})

// RaceBinary is Binary, built with Go's race detector if HELM_TENANT_RACE is set: a command
// with a data race then ends with exit code 66 and reports it. It needs a C compiler, and takes
// twice as long.
func RaceBinary() (string, error) {
	if !Race() {
		return Binary()
	}
	return Command("", ".", "helm-tenant-race", "-race")
}

// Race reports whether the tests are to run what was built with the race detector.
func Race() bool { return os.Getenv("HELM_TENANT_RACE") != "" }

// Command builds a command of the module in that folder of the repository, under
// that name, and returns its path.
func Command(folder, pkg, name string, flags ...string) (string, error) {
	root, err := Repository()
	if err != nil {
		return "", err
	}
	cache, err := parts.CacheDir()
	if err != nil {
		return "", err
	}
	return parts.Command(context.Background(), filepath.Join(root, folder), pkg, name, filepath.Join(cache, "bin"), flags...)
}
