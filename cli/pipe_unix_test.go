//go:build unix

package cli_test

import (
	"errors"
	"os"
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

// TestKubeconfigPipe: a kubeconfig from a process substitution can be read once. That is enough
// for a verb that starts no helm and leaves the file as it is.
func TestKubeconfigPipe(t *testing.T) {
	a := newAdministrator(t)
	text, err := os.ReadFile(a.kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	a.runs("init", "t", "--namespaces=t", "--create-namespaces", "--engine=impersonation")
	a.kubeconfig = silentPipe(t)
	refusal := "Error: kubeconfig " + a.kubeconfig + " is a pipe, which can be read only once: write it into a file\n"
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"tenants"}, ""},
		{[]string{"use", "t"}, refusal},
		{[]string{"kubeconfig", "t", "--unmerge"}, refusal},
	} {
		written := make(chan error, 1)
		go func() { written <- os.WriteFile(a.kubeconfig, text, 0o600) }()
		got := a.tries("", test.args...)
		if got.stderr != test.want || (got.code != 0) != (test.want != "") {
			t.Errorf("%q: exit code %d: %s", test.args, got.code, got.stderr)
		}
		if err := <-written; err != nil {
			t.Error(err)
		}
	}
}
