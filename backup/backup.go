// Package backup keeps release records in files before they are removed.
package backup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"helm-tenant/cluster"
)

// Backups are the backup files of one tenant's release records.
type Backups struct {
	Tenant string
	// Whose says whose records these are, if they are not the tenant's alone; Tenant is
	// then only a part of the file's name.
	Whose string
	// Part distinguishes these records from others of the tenant in a file's name; empty
	// if there are no others.
	Part string
	// Now returns the time for the name of a new file.
	Now func() time.Time
	// Say is called with a sentence for each file.
	Say func(format string, args ...any)
	// Read reads the records; see cluster.Client.EachRecord.
	Read func(context.Context, []cluster.Stored, func(cluster.Record) error) error
}

// Backup is a file with records.
type Backup struct {
	// File is empty if there were no records.
	File string
	// versions are the resource versions of its records, by their UIDs.
	versions map[types.UID]string
}

// Holds reports whether the file has these versions of all records.
func (b Backup) Holds(records []cluster.Stored) bool {
	return !slices.ContainsFunc(records, func(s cluster.Stored) bool { return b.versions[s.UID] != s.ResourceVersion })
}

// Check refuses a file that can't become a backup, before anything is done: it exists and
// is not a regular file, or its folder does not exist. An empty name is not checked,
// since a new file gets a name later.
func Check(file string) error {
	if file == "" {
		return nil
	}
	problem := checkFile(file)
	if folder, err := os.Stat(filepath.Dir(file)); problem == nil && err != nil {
		problem = renamed(err, file)
	} else if problem == nil && !folder.IsDir() {
		problem = fmt.Errorf("%s is not a folder", filepath.Dir(file))
	}
	if problem != nil {
		return fmt.Errorf("--backup: %w; nothing was done", problem)
	}
	return nil
}

// checkFile refuses a file that exists and is not regular: a pipe would wait for its
// reader, and a device stores nothing.
func checkFile(file string) error {
	info, err := os.Lstat(file)
	if err == nil && info.Mode()&fs.ModeSymlink != 0 {
		info, err = os.Stat(file)
		if errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s is a symbolic link to nothing", file)
		}
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode().IsRegular():
		return nil
	}
	return fmt.Errorf("%s is not a regular file", file)
}

// SecondError reports that records were written after the backup, and that a second
// backup failed.
type SecondError struct{ Err error }

func (e *SecondError) Error() string {
	return fmt.Sprintf("what was done so far stays done, and no record is removed: some were written since the backup, and the second one can't be written: %v", e.Err)
}

func (e *SecondError) Unwrap() error { return e.Err }

// Save writes the records to a file and returns the backup; file is its name, empty for a
// new one in the current folder. earlier is the file of an earlier run, which is used if
// nobody named another file and it has the records; it may be empty. Without records
// there is no file.
//
// An existing file is never overwritten. If it has the records already, it is the backup.
// If it has older records of the same tenant, it was written by an interrupted run, or
// was requested earlier, and a helm has written since: then the next free name is used,
// FILE-2, FILE-3 and so on. Any other file is refused if somebody named it, since it is
// not a backup of ours.
func (b Backups) Save(ctx context.Context, file, earlier string, records []cluster.Stored) (Backup, error) {
	if len(records) == 0 {
		return Backup{}, nil
	}
	draft := b.Draft(file)
	defer draft.Discard()
	err := b.Read(ctx, records, draft.Add)
	if err != nil {
		return Backup{}, unwritten(err)
	}
	return draft.Save(earlier)
}

// unwritten returns the error of a backup that can't be written.
func unwritten(err error) error {
	if _, already := errors.AsType[*unwrittenError](err); already || err == nil {
		return err
	}
	return &unwrittenError{err}
}

type unwrittenError struct{ err error }

func (e *unwrittenError) Error() string {
	return fmt.Sprintf("the backup can't be written, and nothing is removed without it: %v", e.err)
}

func (e *unwrittenError) Unwrap() error { return e.err }

// SaveAgain writes the records to a second file unless the first has them, since they may
// have been written in the meantime. The second's name is the first's with suffix, or the
// next free one: the user did not choose it, and the first backup exists already.
func (b Backups) SaveAgain(ctx context.Context, first Backup, suffix string, records []cluster.Stored) (Backup, error) {
	if first.Holds(records) {
		return first, nil
	}
	file := ""
	if first.File != "" {
		file = suffixed(first.File, suffix)
	}
	if len(records) == 0 {
		return Backup{}, nil
	}
	draft := b.draft(file, false)
	defer draft.Discard()
	err := b.Read(ctx, records, draft.add)
	if err == nil {
		var second Backup
		if second, err = draft.save(""); err == nil {
			return second, nil
		}
	}
	return first, &SecondError{err}
}

// FileOf returns the name for the backup of one of several tenants, derived from the file
// that was named for all of them; empty if none was named.
func FileOf(file, tenant string) string {
	if file == "" {
		return ""
	}
	return suffixed(file, "-"+tenant)
}

// suffixed inserts a suffix before a file name's extension.
func suffixed(file, suffix string) string {
	ending := filepath.Ext(file)
	return strings.TrimSuffix(file, ending) + suffix + ending
}

// renamed changes an error about a temporary file into one about the final file.
func renamed(err error, file string) error {
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		return &fs.PathError{Op: path.Op, Path: file, Err: path.Err}
	}
	return err
}

// publish gives a complete file its name, if nothing has that name. If the file system
// has no hard links, the file is copied.
func publish(whole, file string) error {
	err := os.Link(whole, file)
	link, ok := errors.AsType[*os.LinkError](err)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrExist):
		return &fs.PathError{Op: "open", Path: file, Err: link.Err}
	case !ok:
		return err
	}
	return copyFile(whole, file)
}
