package helm

import (
	"bytes"
	"context"
	"errors"
	"os/exec"
	"strings"
	"time"
)

// TillerVersion asks a Tiller for its version in the way that every helm call
// reaches it. inv is what Wrap made of AskTiller.
func TillerVersion(ctx context.Context, inv Invocation) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
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
func AskTiller(globals []string) Line {
	return Line{Globals: append([]string{"--tiller-connection-timeout=10"}, globals...), Command: "version",
		Args: []string{"--server", "--template", "{{.Server.SemVer}}"}}
}
