package harness

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"

	"helm-tenant/cli"
	"helm-tenant/helm"
)

// Result is a run of helm-tenant, or of another program, that has ended.
type Result struct {
	Args           []string
	Code           int
	Stdout, Stderr string
	Took           time.Duration
}

func (r Result) String() string {
	return fmt.Sprintf("helm-tenant %s\nexit code %d\nstdout:\n%s\nstderr:\n%s", strings.Join(r.Args, " "), r.Code, r.Stdout, r.Stderr)
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
	began := time.Now()
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
	return Result{args, code, stdout.String(), stderr.String(), time.Since(began)}, ctx.Err()
}

// Exec runs a program to its end, as a process of its own. The error says that it can't be
// started.
func Exec(ctx context.Context, environ []string, stdin io.Reader, program string, args ...string) (Result, error) {
	cmd := exec.CommandContext(ctx, program, args...)
	var stdout, stderr bytes.Buffer
	cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = environ, stdin, &stdout, &stderr
	began := time.Now()
	code, err := exitCode(cmd)
	return Result{args, code, stdout.String(), stderr.String(), time.Since(began)}, err
}

// exitCode runs a command; the error is that it can't be started.
func exitCode(cmd *exec.Cmd) (int, error) {
	err := cmd.Run()
	if _, exited := errors.AsType[*exec.ExitError](err); exited {
		err = nil
	}
	return cmd.ProcessState.ExitCode(), err
}
