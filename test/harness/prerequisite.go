package harness

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// Program returns the path of the first of these programs that is on PATH. Where there is
// none the test is skipped, and fails under CI: nothing goes untested unseen.
func Program(t testing.TB, names ...string) string {
	t.Helper()
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	lacks := "there is no " + strings.Join(names, " or ") + " here: scripts/test-prerequisites.sh installs it"
	if os.Getenv("CI") != "" {
		t.Fatal(lacks)
	}
	t.Skip(lacks)
	return ""
}
