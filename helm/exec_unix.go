//go:build unix

package helm

import (
	"fmt"
	"os"
	"syscall"
)

// Exec replaces this process by helm, which then has its standard streams, terminal,
// signals and exit code. It returns only if that fails.
func Exec(inv Invocation) (int, error) {
	err := syscall.Exec(inv.Path, append([]string{inv.Path}, inv.Args...), started(inv.Env, os.Getpid()))
	return 1, fmt.Errorf("helm at %s can't be started: %w", inv.Path, err)
}
