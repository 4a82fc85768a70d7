// Package cli holds the verbs of helm-tenant, one file each: flags, text and
// output. All that is not a verb of ours goes to helm.
package cli

import (
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/term"

	"helm-tenant/helm"
)

// Environment is all that a run sees of the process that it is in.
type Environment struct {
	// Args are the arguments, the program's name left out.
	Args    []string
	Environ []string
	Stdin   io.Reader
	Stdout  io.Writer
	Stderr  io.Writer
	// Executable is our own binary.
	Executable string
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
	return Environment{
		Args: os.Args[1:], Environ: os.Environ(),
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
		Executable: executable, PID: os.Getpid(), ParentPID: os.Getppid(),
		CommandLine: helm.CommandLine, Now: time.Now, Exec: helm.Exec,
	}
}

// lookup finds a variable; the last entry of a name wins, as in a shell.
func (e Environment) lookup(name string) (string, bool) {
	for i := len(e.Environ) - 1; i >= 0; i-- {
		if value, found := strings.CutPrefix(e.Environ[i], name+"="); found {
			return value, true
		}
	}
	return "", false
}

func (e Environment) get(name string) string {
	value, _ := e.lookup(name)
	return value
}

// isTerminal says whether a stream is one that a person sits at.
func isTerminal(stream any) bool {
	file, isFile := stream.(*os.File)
	return isFile && term.IsTerminal(int(file.Fd()))
}
