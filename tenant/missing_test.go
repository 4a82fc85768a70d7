package tenant

import (
	"os"
	"testing"
)

// missing skips a test for which the system lacks something; under CI the test fails instead,
// so that no test is skipped unnoticed.
func missing(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatalf("this system lacks %s", what)
	}
	t.Skipf("this system lacks %s", what)
}
