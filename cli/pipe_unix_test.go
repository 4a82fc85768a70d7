//go:build unix

package cli_test

import (
	"errors"
	"path/filepath"
	"syscall"
	"testing"
)

var errInterrupted = errors.New("interrupt signal received")

// silentPipe returns the name of a pipe that nobody writes to.
func silentPipe(t *testing.T) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "pipe.yaml")
	if err := syscall.Mkfifo(name, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

// TestKubeconfigPipe: helm would read a pipe that is read already, and a pipe that nobody
// writes to would block.
func TestKubeconfigPipe(t *testing.T) {
	a := newAdministrator(t)
	a.kubeconfig = silentPipe(t)
	for _, line := range [][]string{{"tenants"}, {"use", "t"}, {"kubeconfig", "t", "--unmerge"}} {
		want := "Error: kubeconfig " + a.kubeconfig + " is a pipe, which can be read only once: write it into a file\n"
		if got := a.tries("", line...); got.code != exitFailed || got.stderr != want {
			t.Errorf("%q: exit code %d: %s", line, got.code, got.stderr)
		}
	}
}
