//go:build unix

package wrapper

import (
	"fmt"
	"slices"
	"syscall"

	"helm-tenant/envvar"
)

// HandOver becomes the whole program, with the same arguments. It returns only where that
// can't be started.
func HandOver(env Environment) error {
	path := whole(env)
	err := syscall.Exec(path, slices.Concat([]string{Program}, env.Args), append(slices.Clone(env.Environ), envvar.Wrapper+"="+Version()))
	return fmt.Errorf("%s, which belongs beside %s, can't be started: %w: install helm-tenant again", path, Program, err)
}
