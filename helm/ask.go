package helm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"

	"helm-tenant/envvar"
	"helm-tenant/visible"
)

// Capture runs helm and returns its output, without debugging output. The error is helm's
// message, which may be an ErrReleaseNotFound or ErrForbidden.
func Capture(ctx context.Context, inv Invocation, timeout time.Duration) (string, error) {
	answer, _, err := CaptureWithWarnings(ctx, inv, timeout)
	return answer, err
}

// CaptureWithWarnings is Capture that also returns what helm wrote to standard error
// although it succeeded, without surrounding white space.
func CaptureWithWarnings(ctx context.Context, inv Invocation, timeout time.Duration) (answer, warnings string, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("helm has not answered for %s", timeout))
	defer cancel()
	cmd := exec.CommandContext(ctx, inv.Path, inv.Args...)
	cmd.Env = withoutDebug(inv.Env)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil && ctx.Err() != nil { // it was killed
		return "", "", context.Cause(ctx)
	}
	if err != nil {
		message := strings.TrimPrefix(visible.OneLine(stderr.String()), "Error: ")
		if message == "" {
			message = endOf(err)
		}
		return "", "", messageError(message)
	}
	return strings.TrimSpace(string(out)), strings.TrimSpace(stderr.String()), nil
}

// endOf describes how a process ended that said nothing.
func endOf(err error) string {
	exit, ended := errors.AsType[*exec.ExitError](err)
	if !ended {
		return err.Error()
	}
	if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() && status.Signal() == syscall.SIGKILL {
		return "it was killed"
	}
	return err.Error()
}

// Output is the output of a helm that has ended.
type Output struct {
	Stdout []byte
	Stderr string
	// Code is its exit code.
	Code int
}

// Run runs helm without debugging output and returns its output and exit code. The error
// reports that helm could not be started, or printed more than limit bytes.
func Run(ctx context.Context, inv Invocation, limit int) (Output, error) {
	cmd := exec.CommandContext(ctx, inv.Path, inv.Args...)
	cmd.Env = withoutDebug(inv.Env)
	cmd.WaitDelay = 5 * time.Second // a plugin may have started other processes
	stdout, stderr := &bounded{limit: limit}, &bounded{limit: 1 << 20}
	cmd.Stdout, cmd.Stderr = stdout, stderr
	err := cmd.Run()
	if ctx.Err() != nil {
		return Output{}, context.Cause(ctx)
	}
	if stdout.over {
		return Output{}, fmt.Errorf("helm printed more than %d bytes", limit)
	}
	out := Output{stdout.text, string(stderr.text), 0}
	if exit, ended := errors.AsType[*exec.ExitError](err); ended {
		out.Code = max(exit.ExitCode(), 1)
		return out, nil
	}
	return out, err
}

// bounded keeps the first bytes that are written to it.
type bounded struct {
	text  []byte
	limit int
	over  bool
}

func (b *bounded) Write(p []byte) (int, error) {
	room := b.limit - len(b.text)
	b.text = append(b.text, p[:min(room, len(p))]...)
	b.over = b.over || len(p) > room
	return len(p), nil
}

// withoutDebug returns the environment without HELM_DEBUG, which mixes debugging output
// into helm's answer.
func withoutDebug(environ []string) []string {
	return slices.DeleteFunc(slices.Clone(environ), func(entry string) bool { return strings.HasPrefix(entry, envvar.Debug+"=") })
}

// AskTiller returns the command that asks Tiller for its version.
func AskTiller() Line {
	return Line{Globals: []string{"--tiller-connection-timeout=10"}, Command: "version",
		Args: []string{"--server", "--template", "{{.Server.SemVer}}"}}
}

// unknownRelease is the name of a release that nobody uses.
const unknownRelease = "helm-tenant-whoami-asks"

// AskRecords returns a command for which Tiller searches its release records with its own
// account: the history of a release that does not exist. The error is an ErrReleaseNotFound if
// Tiller could search.
func AskRecords() Line {
	return Line{Globals: []string{"--tiller-connection-timeout=10"}, Command: "history", Args: []string{unknownRelease}}
}

// What helm's message says. Helm has the exit code 1 for every failure, so that only its message
// tells them apart.
var (
	// ErrReleaseNotFound reports that helm found no release of that name.
	ErrReleaseNotFound = errors.New("release not found")
	// ErrForbidden reports that the API server refused a request of helm's.
	ErrForbidden = errors.New("forbidden")
)

type messageError string

func (m messageError) Error() string { return string(m) }

// Is compares the message with those of k8s.io/helm/pkg/storage/errors (Helm 2, with the release's
// name), helm.sh/helm/v3/pkg/storage/driver (Helm 3 and 4), and NewForbidden of
// k8s.io/apimachinery/pkg/api/errors.
func (m messageError) Is(target error) bool {
	switch target {
	case ErrReleaseNotFound:
		_, rest, found := strings.Cut(string(m), `release: "`)
		return strings.HasSuffix(string(m), "release: not found") || found && strings.HasSuffix(rest, `" not found`)
	case ErrForbidden:
		return strings.Contains(string(m), " is forbidden: ")
	}
	return false
}
