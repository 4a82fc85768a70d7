package helm

import (
	"bytes"
	"context"
	"errors"
	"os/exec"
	"strings"
	"time"
)

// Capture runs helm and returns what it printed. Its error is what helm said.
func Capture(ctx context.Context, inv Invocation, timeout time.Duration) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, inv.Path, inv.Args...)
	cmd.Env = inv.Env
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		said := strings.TrimPrefix(strings.Join(strings.Fields(stderr.String()), " "), "Error: ")
		if said == "" {
			said = err.Error()
		}
		return "", errors.New(said)
	}
	return strings.TrimSpace(string(out)), nil
}

// AskTiller is the command whose answer is the version of the Tiller.
func AskTiller() Line {
	return Line{Globals: []string{"--tiller-connection-timeout=10"}, Command: "version",
		Args: []string{"--server", "--template", "{{.Server.SemVer}}"}}
}
