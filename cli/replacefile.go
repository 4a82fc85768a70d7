package cli

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
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

// replaceFile writes a file beside the old one and puts it in its place in one step: nobody
// reads half of it, and a run that fails leaves the old one as it was. A symbolic link stays
// one. The file gets the mode. An error names the file.
func replaceFile(file string, mode fs.FileMode, write func(io.Writer) error) error {
	if err := replace(file, mode, write); err != nil {
		return fmt.Errorf("%s can't be written: %w", file, withoutPath(err))
	}
	return nil
}

// withoutPath returns the system's message without the temporary file's name.
func withoutPath(err error) error {
	if atPath, ok := errors.AsType[*fs.PathError](err); ok {
		return atPath.Err
	}
	if renamed, ok := errors.AsType[*os.LinkError](err); ok {
		return renamed.Err
	}
	return err
}

func replace(file string, mode fs.FileMode, write func(io.Writer) error) (err error) {
	if target, linkErr := filepath.EvalSymlinks(file); linkErr == nil {
		file = target
	}
	temp, err := os.CreateTemp(filepath.Dir(file), ".helm-tenant-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(temp.Name()))
		}
	}()
	err = write(temp)
	if err == nil {
		err = temp.Chmod(mode)
	}
	if err == nil {
		err = temp.Sync()
	}
	if closeErr := temp.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(temp.Name(), file)
	}
	return err
}
