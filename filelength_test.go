package main

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestFileLengths: no file of the programs has more than 350 lines, so that each can be read
// in one go.
func TestFileLengths(t *testing.T) {
	const limit = 350
	count := 0
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (path == "test" || entry.Name() == "testdata" || len(path) > 1 && strings.HasPrefix(entry.Name(), ".")):
			return filepath.SkipDir
		case entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go"):
			return nil
		}
		text, err := os.ReadFile(path)
		if lines := bytes.Count(text, []byte("\n")); lines > limit {
			t.Errorf("%s has %d lines, and the limit is %d: move one of its subjects to a file of its own", path, lines, limit)
		}
		count++
		return err
	})
	if err != nil || count < 100 {
		t.Errorf("%d files were read: %v", count, err)
	}
}
