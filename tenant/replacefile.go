package tenant

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// ReplaceFile writes a file beside the old one and puts it in its place in one step: nobody
// reads half of it, and a run that fails leaves the old one as it was. An error names no file.
func ReplaceFile(file string, mode fs.FileMode, write func(*os.File) error) (err error) {
	temp, err := os.CreateTemp(filepath.Dir(file), "."+filepath.Base(file)+".*")
	if err != nil {
		return reason(err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(reason(err), os.Remove(temp.Name()))
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
