package tenant

import (
	"io/fs"
	"os"
)

// keepOwner does nothing: on Windows a new file's owner follows its folder.
func keepOwner(*os.File, fs.FileInfo) error { return nil }

// isOurs is true: a user's folders on Windows are not open to others.
func isOurs(fs.FileInfo) bool { return true }

// isBusy is false: on Windows a file is no mount point.
func isBusy(error) bool { return false }
