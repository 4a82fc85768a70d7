package helm

import (
	"bytes"
	"context"
	"errors"
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
