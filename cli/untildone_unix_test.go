//go:build unix

package cli_test

import (
	"bytes"
	"context"
	"io"
	"os"
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
		ctx, cancel := context.WithCancelCause(t.Context())
		reader, writer := io.Pipe() // a terminal on which nobody types
		t.Cleanup(func() { _ = writer.Close() })
		var stderr bytes.Buffer
		ended := make(chan int, 1)
		go func() {
			ended <- cli.Run(ctx, cli.Environment{Args: strings.Fields(line), Stdin: reader, Stdout: io.Discard, Stderr: &stderr, Executable: os.Args[0], PID: 1, Now: time.Now,
				CommandLine: func(int) ([]string, error) { return nil, nil }})
		}()
		cancel(errInterrupted)
		select {
		case code := <-ended:
			if code != exitFailed || !strings.Contains(stderr.String(), errInterrupted.Error()) {
				t.Errorf("%s: exit code %d: %s", line, code, stderr.String())
			}
		case <-time.After(time.Minute):
			t.Fatalf("%s does not end", line)
		}
	}
}
