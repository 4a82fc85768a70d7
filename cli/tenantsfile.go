package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"helm-tenant/tenant"
)

// readTenants reads all files. The error has the problems of all of them; the tenants are
// returned as far as they can be read.
func (s *session) readTenants(ctx context.Context, files []string) ([]tenant.Located, error) {
	var all []tenant.Located
	var wrong problems
	read := func(name string, text []byte) {
		located, problems := tenant.ParseFile(name, text)
		all = append(all, located...)
		wrong = append(wrong, problems...)
	}
	for _, name := range files {
		if name == "-" {
			text, err := s.readStdin(ctx, longestFile)
			if err != nil {
				return nil, err
			}
			read("standard input", text)
			continue
		}
		names, err := yamlFiles(name)
		if err != nil {
			return nil, unreadable(err)
		}
		for _, name := range names {
			text, err := readFile(ctx, name, longestFile)
			if err != nil {
				return nil, unreadable(err)
			}
			read(name, text)
		}
	}
	first := map[string]tenant.Located{}
	for _, t := range all {
		if before, twice := first[t.Name]; twice && before.File != t.File {
			wrong = append(wrong, fmt.Errorf("%s:%d: tenant %q stands in %s:%d, too", t.File, t.Line, t.Name, before.File, before.Line))
		}
		first[t.Name] = t
	}
	if len(wrong) > 0 {
		return all, wrong
	}
	return all, nil
}

// unreadable returns the reason why a file can't be read, without the system call.
func unreadable(err error) error {
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		return fmt.Errorf("tenants file %s can't be read: %w", path.Path, path.Err)
	}
	return err
}

// yamlFiles returns the file, or the .yaml and .yml files of the folder, sorted.
func yamlFiles(name string) ([]string, error) {
	info, err := os.Stat(name)
	if err != nil || !info.IsDir() {
		return []string{name}, err
	}
	var names []string
	err = filepath.WalkDir(name, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
		case strings.HasPrefix(entry.Name(), ".") && path != name:
			// Skipped: files of an editor or version control, and the folder behind the
			// links in a mounted ConfigMap.
			if entry.IsDir() {
				return fs.SkipDir
			}
			return nil
		case !entry.IsDir() && slices.Contains([]string{".yaml", ".yml"}, filepath.Ext(path)):
			names = append(names, path)
		}
		return err
	})
	if err == nil && len(names) == 0 {
		err = fmt.Errorf("folder %s has no .yaml file in it", name)
	}
	return names, err
}
