//go:build unix

package tenant

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// keepOwner gives a new file the owner and group of the file that it replaces: root,
// through sudo, must not take over a user's kubeconfig.
func keepOwner(file *os.File, was fs.FileInfo) error {
	owner, known := was.Sys().(*syscall.Stat_t)
	if !known || os.Geteuid() != 0 {
		return nil // other users own what they can replace, or may not change the owner
	}
	return file.Chown(int(owner.Uid), int(owner.Gid))
}

// isOurs reports whether a file belongs to the user of this process.
func isOurs(info fs.FileInfo) bool {
	owner, known := info.Sys().(*syscall.Stat_t)
	return known && int(owner.Uid) == os.Geteuid()
}

// isBusy reports whether a file could not be replaced because it is a mount point.
func isBusy(err error) bool { return errors.Is(err, syscall.EBUSY) }
