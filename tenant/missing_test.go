package tenant

import (
	"os"
	"testing"
)

// missing ends a test for which the system lacks something; where CI is set it
// fails, so that nothing goes untested unseen.
func missing(t *testing.T, what string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatalf("this system lacks %s", what)
	}
	t.Skipf("this system lacks %s", what)
}
