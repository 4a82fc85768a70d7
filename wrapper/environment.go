// Package wrapper runs helm's own commands for the caller's tenant: it decides from the
// arguments, the environment and the kubeconfig alone where a call goes. What that takes of
// the API server it asks of whoever calls it, so that a program of this package starts fast.
package wrapper

import (
	"io"
	"os"
	"time"

	"helm-tenant/envvar"
	"helm-tenant/helm"
)

// Environment is all that a run sees of the process that it is in.
type Environment struct {
	// Args are the arguments, the program's name left out.
	Args    []string
	Environ envvar.Environment
	Stdin   io.Reader
	Stdout  io.Writer
	Stderr  io.Writer
	// Executable is our own binary.
	Executable string
	// Wrapper is the version of the wrapper that started this program; empty for none.
	Wrapper string
	// PID is our own process id, ParentPID that of who started us.
	PID, ParentPID int
	// CommandLine is the argv of a process.
	CommandLine func(pid int) ([]string, error)
	Now         func() time.Time
	// Exec starts the wrapped helm and returns its exit code, if it returns.
	Exec func(helm.Invocation) (int, error)
}

// Process is the environment of the running process.
func Process() Environment {
	executable, err := os.Executable()
	if err != nil {
		executable = os.Args[0]
	}
	env := Environment{
		Args: os.Args[1:], Environ: os.Environ(),
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
		Executable: executable, PID: os.Getpid(), ParentPID: os.Getppid(),
		CommandLine: helm.CommandLine, Now: time.Now, Exec: helm.Exec,
	}.handedOver()
	if env.Wrapper != "" {
		// What this process starts may start another helm-tenant, of another release.
		_ = os.Unsetenv(envvar.Wrapper) // which fails for names without a letter only
	}
	return env
}

// Lookup returns the value of a variable and whether it is set.
func (e Environment) Lookup(name string) (string, bool) { return e.Environ.Lookup(name) }

// Get is the value of a variable, empty where it is not set.
func (e Environment) Get(name string) string { return e.Environ.Get(name) }
