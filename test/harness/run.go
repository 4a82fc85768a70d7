package harness

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"time"

	"helm-tenant/cli"
	"helm-tenant/helm"
)

// Result has the exit code of a run of helm-tenant, and its output.
type Result struct {
	Code           int
	Stdout, Stderr string
}

// Run runs helm-tenant with that environment and input in the test's own process, which takes a
// third of the processor time of another process. A wrapped helm is started. Relative paths are
// relative to the test's own working folder.
//
// It is for tests of what a verb reads, decides and writes. Tests of signals, kills, a
// terminal, the working folder or the start of the program run Binary. The error says that the
// context ended first.
func Run(ctx context.Context, environ []string, stdin io.Reader, args ...string) (Result, error) {
	binary, err := Binary()
	if err != nil {
		return Result{}, err
	}
	var stdout, stderr bytes.Buffer
	code := cli.Run(ctx, cli.Environment{
		Args: args, Environ: environ, Stdin: stdin, Stdout: &stdout, Stderr: &stderr,
		Executable: binary, PID: os.Getpid(), ParentPID: os.Getppid(), Now: time.Now,
		CommandLine: helm.CommandLine,
		Exec: func(call helm.Invocation) (int, error) {
			cmd := exec.CommandContext(ctx, call.Path, call.Args...)
			cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = call.Env, stdin, &stdout, &stderr
			return exitCode(cmd)
		},
	})
	return Result{code, stdout.String(), stderr.String()}, ctx.Err()
}

// exitCode runs a command; the error is that it can't be started.
func exitCode(cmd *exec.Cmd) (int, error) {
	err := cmd.Run()
	if _, exited := errors.AsType[*exec.ExitError](err); exited {
		err = nil
	}
	return cmd.ProcessState.ExitCode(), err
}
