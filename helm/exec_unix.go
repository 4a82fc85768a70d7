//go:build unix

package helm

import (
	"fmt"
	"os"
	"strconv"
	"syscall"
)

// Exec replaces this process by helm: its standard streams, terminal, signals
// and exit code are helm's from then on. It returns only when that fails.
func Exec(inv Invocation) (int, error) {
	env := append(inv.Env, VarStarter+"="+strconv.Itoa(os.Getpid()))
	err := syscall.Exec(inv.Path, append([]string{inv.Path}, inv.Args...), env)
	return 1, fmt.Errorf("helm at %s can't be started: %w", inv.Path, err)
}
