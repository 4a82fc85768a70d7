package helm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"time"

	"helm-tenant/envvar"
)

// Capture runs helm and returns what it printed, without debugging output. Its error
// is what helm said.
func Capture(ctx context.Context, inv Invocation, timeout time.Duration) (string, error) {
	answer, _, err := CaptureWithWarnings(ctx, inv, timeout)
	return answer, err
}

// CaptureWithWarnings is Capture that also returns what helm wrote to standard error
// although it succeeded, without surrounding white space.
func CaptureWithWarnings(ctx context.Context, inv Invocation, timeout time.Duration) (answer, warnings string, err error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, inv.Path, inv.Args...)
	cmd.Env = withoutDebug(inv.Env)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		said := strings.TrimPrefix(strings.Join(strings.Fields(stderr.String()), " "), "Error: ")
		if said == "" {
			said = err.Error()
		}
		return "", "", errors.New(said)
	}
	return strings.TrimSpace(string(out)), strings.TrimSpace(stderr.String()), nil
}

// Output is what a helm printed that ended.
type Output struct {
	Stdout []byte
	Stderr string
	// Code is its exit code.
	Code int
}

// Run runs helm, without debugging output, and returns what it printed and how it ended.
// The error says that it could not be started, or that it printed more than most bytes.
func Run(ctx context.Context, inv Invocation, most int) (Output, error) {
	cmd := exec.CommandContext(ctx, inv.Path, inv.Args...)
	cmd.Env = withoutDebug(inv.Env)
	cmd.WaitDelay = 5 * time.Second // a plugin of helm's may have started others
	stdout, stderr := &bounded{most: most}, &bounded{most: 1 << 20}
	cmd.Stdout, cmd.Stderr = stdout, stderr
	err := cmd.Run()
	if ctx.Err() != nil {
		return Output{}, context.Cause(ctx)
	}
	if stdout.over {
		return Output{}, fmt.Errorf("helm printed more than %d bytes", most)
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
	text []byte
	most int
	over bool
}

func (b *bounded) Write(p []byte) (int, error) {
	room := b.most - len(b.text)
	b.text = append(b.text, p[:min(room, len(p))]...)
	b.over = b.over || len(p) > room
	return len(p), nil
}

// withoutDebug returns the environment without HELM_DEBUG, with which helm prints
// debugging output among its answer.
func withoutDebug(environ []string) []string {
	return slices.DeleteFunc(slices.Clone(environ), func(entry string) bool { return strings.HasPrefix(entry, envvar.Debug+"=") })
}

// AskTiller is the command whose answer is the version of the Tiller.
func AskTiller() Line {
	return Line{Globals: []string{"--tiller-connection-timeout=10"}, Command: "version",
		Args: []string{"--server", "--template", "{{.Server.SemVer}}"}}
}

// AskRecords is a command for which Tiller looks among its release records, with its own
// account: the history of a release of a name that nobody gives one. Its error says "not
// found" where Tiller could look.
func AskRecords() Line {
	return Line{Globals: []string{"--tiller-connection-timeout=10"}, Command: "history", Args: []string{"helm-tenant-whoami-asks"}}
}
