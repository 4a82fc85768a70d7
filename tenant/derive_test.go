package tenant

import (
	"path/filepath"
	"strings"
	"testing"
)

// TestReplaceDerivedSaysWhich: an error names the file that was asked for, and no temporary one.
func TestReplaceDerivedSaysWhich(t *testing.T) {
	folder := t.TempDir()
	for _, file := range []string{folder, filepath.Join(folder, "gone", "config")} {
		err := replaceDerived(file, []byte("a: b\n"))
		if err == nil || !strings.HasPrefix(err.Error(), file+" can't be written: ") || strings.Contains(err.Error(), ".kubeconfig-") {
			t.Errorf("%s: %v", file, err)
		}
	}
}
