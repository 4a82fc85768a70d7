//go:build unix

package wrapper

import (
	"fmt"
	"slices"
	"syscall"

	"helm-tenant/envvar"
)

// HandOver replaces the process by the whole program with the same arguments. It returns
// only if that fails.
func HandOver(env Environment) error {
	path := whole(env)
	err := syscall.Exec(path, slices.Concat([]string{Program}, env.Args), append(slices.Clone(env.Environ), envvar.Wrapper+"="+Version()))
	return fmt.Errorf("%s, which belongs beside %s, can't be started: %w: install helm-tenant again", path, Program, err)
}
