//go:build unix

package cli_test

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"helm-tenant/cli"
)

// TestInterruptedInput: a verb that waits for input ends with Ctrl-C, although the input never
// does.
func TestInterruptedInput(t *testing.T) {
	for _, line := range []string{
		"apply -f -", "apply -f FIFO", "apply -f FIFO --dry-run=client", "split -f -", "audit -f FIFO", "audit --baseline FIFO", "audit --ignore-file FIFO",
	} {
		if strings.Contains(line, "FIFO") {
			line = strings.ReplaceAll(line, "FIFO", silentPipe(t))
		}
		endsInterrupted(t, strings.Fields(line)...)
	}
}

// TestInterruptedOutput: a kubeconfig for a pipe that nobody reads ends with Ctrl-C as well. One
// that acts as the deployer is derived again without a request, which would end first.
func TestInterruptedOutput(t *testing.T) {
	a := newAdministrator(t)
	a.runs("init", "t", "--namespaces=t", "--create-namespaces", "--engine=impersonation")
	derived := filepath.Join(t.TempDir(), "derived")
	a.runs("kubeconfig", "t", "--output-file="+derived)
	endsInterrupted(t, "kubeconfig", "t", "--kubeconfig="+derived, "--output-file="+silentPipe(t))
}

// endsInterrupted runs a verb that is interrupted at once, with a terminal on which nobody types.
func endsInterrupted(t *testing.T, args ...string) {
	t.Helper()
	ctx, cancel := context.WithCancelCause(t.Context())
	reader, writer := io.Pipe()
	t.Cleanup(func() { _ = writer.Close() })
	var stderr bytes.Buffer
	ended := make(chan int, 1)
	go func() {
		ended <- cli.Run(ctx, cli.Environment{Args: args, Stdin: reader, Stdout: io.Discard, Stderr: &stderr, Executable: os.Args[0], PID: 1, Now: time.Now,
			CommandLine: func(int) ([]string, error) { return nil, nil }})
	}()
	cancel(errInterrupted)
	select {
	case code := <-ended:
		if code != exitFailed || !strings.Contains(stderr.String(), errInterrupted.Error()) {
			t.Errorf("%q: exit code %d: %s", args, code, stderr.String())
		}
	case <-time.After(time.Minute):
		t.Fatalf("%q does not end", args)
	}
}
