package backup

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"k8s.io/apimachinery/pkg/types"

	"helm-tenant/cluster"
)

// Draft is a backup without its final name. Code that reads the records for another
// purpose adds them, so that they are read once. Discard must be called at the end.
type Draft struct {
	backups Backups
	file    string
	// named reports whether somebody named the file.
	named bool
	// whole is nil before the first record.
	whole *wholeBackup
}

// Draft begins a backup for that file, as Save does; nothing is written before the first
// record.
func (b Backups) Draft(file string) *Draft { return b.draft(file, file != "") }

func (b Backups) draft(file string, named bool) *Draft {
	return &Draft{backups: b, file: file, named: named}
}

// Add writes a record into the draft, a temporary file in the folder of the final one.
func (d *Draft) Add(record cluster.Record) error { return unwritten(d.add(record)) }

func (d *Draft) add(record cluster.Record) error {
	if d.whole == nil {
		if d.file == "" {
			d.file = fmt.Sprintf("helm-tenant-%s%s-%s.yaml", d.backups.Tenant, d.backups.Part, d.backups.Now().UTC().Format("20060102-150405"))
		}
		if err := checkFile(d.file); err != nil {
			return err
		}
		f, err := os.CreateTemp(filepath.Dir(d.file), ".helm-tenant-backup-*")
		if err != nil {
			return renamed(err, d.file)
		}
		d.whole = &wholeBackup{name: f.Name(), file: f, w: bufio.NewWriterSize(f, 1<<16), items: map[hash]hash{}, versions: map[types.UID]string{}, namespaces: map[string]bool{}}
	}
	return renamed(d.whole.add(record), d.file)
}

// Save gives the draft the name of the file, or the next free one, and returns the
// backup; see Backups.Save. Without records there is no file.
func (d *Draft) Save(earlier string) (Backup, error) {
	saved, err := d.save(earlier)
	return saved, unwritten(err)
}

func (d *Draft) save(earlier string) (Backup, error) {
	if d.whole == nil {
		return Backup{}, nil
	}
	whole, file := d.whole, d.file
	if err := whole.close(); err != nil {
		return Backup{}, renamed(err, file)
	}
	finish := func(free string) (Backup, error) {
		count := fmt.Sprintf("%d release records", len(whole.versions))
		if len(whole.versions) == 1 {
			count = "1 release record"
		}
		d.backups.Say("%s of %s backed up in %s", count, cmp.Or(d.backups.Whose, "tenant "+d.backups.Tenant), free)
		return Backup{free, whole.versions}, nil
	}
	// The name may come from the cluster: a device or a pipe must not be opened.
	if !d.named && earlier != "" && checkFile(earlier) == nil && whole.isIn(earlier) {
		return finish(earlier)
	}
	free := file
	for number := 2; ; number++ {
		err := publish(whole.name, free)
		taken := errors.Is(err, fs.ErrExist)
		switch {
		case err == nil, taken && whole.isIn(free): // written by an interrupted run
			if free != file {
				d.backups.Say("%s already exists, and is not changed", file)
			}
			return finish(free)
		case !taken, d.named && free == file && !whole.isOlder(file):
			return Backup{}, err
		}
		free = suffixed(file, fmt.Sprintf("-%d", number))
	}
}

// Discard removes the temporary file. A saved backup stays.
func (d *Draft) Discard() {
	if d.whole != nil {
		_ = d.whole.file.Close()    // closed already if it was saved
		_ = os.Remove(d.whole.name) // whoever may write in the folder may have removed it
		d.whole = nil
	}
}
