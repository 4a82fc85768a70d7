package cli

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestReplaceFileSaysWhich: an error names the file that was asked for, and no temporary one.
func TestReplaceFileSaysWhich(t *testing.T) {
	folder := t.TempDir()
	for name, file := range map[string]string{
		"no folder": filepath.Join(folder, "gone", "t.yaml"),
		"a folder":  folder,
	} {
		err := replaceFile(file, 0o600, func(w *os.File) error {
			_, err := io.WriteString(w, "a: b\n")
			return err
		})
		if err == nil || !strings.HasPrefix(err.Error(), file+" can't be written: ") || strings.Contains(err.Error(), "/.") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if left, err := filepath.Glob(filepath.Join(filepath.Dir(folder), ".*")); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
