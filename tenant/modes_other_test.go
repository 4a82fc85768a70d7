//go:build !linux

package tenant

import (
	"os"
	"testing"
)

// heldByModes runs do where file modes bind it.
func heldByModes(t *testing.T, do func()) {
	t.Helper()
	if os.Geteuid() <= 0 { // root, or a system that has no such modes
		missing(t, "a user whom file modes bind")
		return
	}
	do()
}
