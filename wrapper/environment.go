// Package wrapper runs helm's own commands for the caller's tenant. It decides from the
// arguments, the environment and the kubeconfig alone where a call goes. Questions to the
// API server are left to its caller, so that a program with this package starts fast.
package wrapper

import (
	"io"
	"os"
	"runtime/debug"
	"time"

	"helm-tenant/envvar"
	"helm-tenant/helm"
)

// Environment is everything that a run knows of its process.
type Environment struct {
	// Args are the arguments without the program's name.
	Args    []string
	Environ envvar.Environment
	Stdin   io.Reader
	Stdout  io.Writer
	Stderr  io.Writer
	// Executable is our own binary.
	Executable string
	// Wrapper is the version of the wrapper that started this program; empty for none.
	Wrapper string
	// PID is our own process id, ParentPID that of our parent.
	PID, ParentPID int
	// CommandLine returns the argv of a process.
	CommandLine func(pid int) ([]string, error)
	Now         func() time.Time
	// Exec starts the wrapped helm and returns its exit code, if it returns.
	Exec func(helm.Invocation) (int, error)
}

// Process returns the environment of the running process.
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
		// A process started by this one may start another helm-tenant, of another
		// release.
		_ = os.Unsetenv(envvar.Wrapper) // fails for names without a letter only
	}
	return env
}

// Lookup returns the value of a variable and whether it is set.
func (e Environment) Lookup(name string) (string, bool) { return e.Environ.Lookup(name) }

// Get returns the value of a variable, empty if it is not set.
func (e Environment) Get(name string) string { return e.Environ.Get(name) }

// buildVersion is set by the Makefile; `go install` leaves it empty.
var buildVersion string

// Version returns the version of helm-tenant, "devel" for a build without one.
func Version() string {
	if buildVersion != "" {
		return buildVersion
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "devel"
}
