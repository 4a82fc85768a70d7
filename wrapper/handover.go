package wrapper

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"helm-tenant/envvar"
)

// These are the names of the two programs in a plugin's folder on Unix.
const (
	Program = "helm-tenant"
	Whole   = "helm-tenant-full"
)

// versionError reports that the wrapper and the whole program are of two releases.
type versionError struct{ Wrapper, Whole string }

func (e *versionError) Error() string {
	return fmt.Sprintf("%s is version %s, and %s beside it is %s: install helm-tenant again", Program, e.Wrapper, Whole, e.Whole)
}

// whole returns the path of the whole program, in the folder of the wrapper.
func whole(env Environment) string {
	path, err := filepath.EvalSymlinks(env.Executable)
	if err != nil {
		path = env.Executable
	}
	return filepath.Join(filepath.Dir(path), Whole)
}

// handedOver completes the environment of a whole program that a wrapper started: its
// version, which no other program should see, and its path, which must never be taken for
// helm.
func (e Environment) handedOver() Environment {
	version, found := e.Lookup(envvar.Wrapper)
	if !found {
		return e
	}
	e.Wrapper = version
	e.Environ = slices.DeleteFunc(slices.Clone(e.Environ), func(entry string) bool { return strings.HasPrefix(entry, envvar.Wrapper+"=") })
	beside := filepath.Join(filepath.Dir(e.Executable), Program)
	if _, err := os.Stat(beside); err == nil && filepath.Base(e.Executable) == Whole {
		e.Executable = beside
	}
	return e
}

// CheckWrapper returns a *versionError if the wrapper that started this program is of
// another release.
func (e Environment) CheckWrapper() error {
	if e.Wrapper == "" || e.Wrapper == Version() {
		return nil
	}
	return &versionError{e.Wrapper, Version()}
}
