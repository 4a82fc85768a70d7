package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"helm-tenant/audit"
	"helm-tenant/audit/view"
	"helm-tenant/wrapper"
)

// checkMetrics refuses a file for metrics that can't be replaced, before anything is
// read: it exists and is not a regular file, or its folder does not exist.
func checkMetrics(file string) error {
	info, err := os.Stat(file)
	switch {
	case err == nil && !info.Mode().IsRegular():
		return fmt.Errorf("--metrics: %s is not a regular file", file)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("--metrics: %w", err)
	}
	if folder, err := os.Stat(filepath.Dir(file)); err != nil || !folder.IsDir() {
		return fmt.Errorf("--metrics: the folder %s does not exist", filepath.Dir(file))
	}
	return nil
}

// writeMetrics replaces the file in one step, so that a collector never reads half of it:
// the node exporter reads files whose names end in .prom, and the temporary file's name
// does not. Everybody may read the file: the collector is another user, and the file has
// only numbers and names of tenants.
func (s *session) writeMetrics(file string, report *audit.Report) (err error) {
	// A symbolic link in the collector's folder is kept.
	if target, linkErr := filepath.EvalSymlinks(file); linkErr == nil {
		file = target
	}
	temp, err := os.CreateTemp(filepath.Dir(file), ".helm-tenant-metrics-*")
	if err != nil {
		return fmt.Errorf("the metrics can't be written: %w", err)
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("the metrics can't be written: %w", errors.Join(err, os.Remove(temp.Name())))
		}
	}()
	err = view.Prometheus(temp, report, wrapper.Version(), s.Env.Now())
	if err == nil {
		err = temp.Chmod(0o644)
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
