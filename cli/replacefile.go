package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"helm-tenant/tenant"
)

// checkReplaceable refuses a file that replaceFile can't write, before anything is read: it
// exists and is not a regular file, or its folder does not exist. flag names it in the error.
func checkReplaceable(flag, file string) error {
	info, err := os.Stat(file)
	switch {
	case err == nil && !info.Mode().IsRegular():
		return fmt.Errorf("%s: %s is not a regular file", flag, file)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s: %w", flag, err)
	}
	if folder, err := os.Stat(filepath.Dir(file)); err != nil || !folder.IsDir() {
		return fmt.Errorf("%s: the folder %s does not exist", flag, filepath.Dir(file))
	}
	return nil
}

// replaceFile is tenant.ReplaceFile, except that a symbolic link stays one, and that an error
// names the file.
func replaceFile(file string, mode fs.FileMode, write func(*os.File) error) error {
	target := file
	if linked, err := filepath.EvalSymlinks(file); err == nil {
		target = linked
	}
	if err := tenant.ReplaceFile(target, mode, write); err != nil {
		return fmt.Errorf("%s can't be written: %w", file, err)
	}
	return nil
}
