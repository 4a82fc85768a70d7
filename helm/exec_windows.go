package helm

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
)

// Exec runs helm with our standard streams and returns its exit code, since Windows can't
// replace a process. A Ctrl-C reaches every process of the console, including helm; here
// it is ignored so that helm ends first.
func Exec(inv Invocation) (int, error) {
	cmd := exec.Command(inv.Path, inv.Args...)
	cmd.Env = started(inv.Env, os.Getpid())
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	interrupts := make(chan os.Signal, 1)
	signal.Notify(interrupts, os.Interrupt)
	defer signal.Stop(interrupts)
	err := cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode(), nil
	}
	if err != nil {
		return 1, fmt.Errorf("helm at %s can't be started: %w", inv.Path, err)
	}
	return 0, nil
}
