package envvar

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// Environment is the environment of a process in the form of os.Environ: "NAME=value",
// the last entry of a name counts. Functions that read variables take one, so that a run
// can have another environment than its process. What Go's own packages read (proxies,
// and the environment of credential plugins) is still the process's.
type Environment []string

// Lookup returns the value of a variable and whether it is set. On Windows the case of a
// name does not matter.
func (e Environment) Lookup(name string) (string, bool) {
	for _, entry := range slices.Backward(e) {
		key, value, _ := strings.Cut(entry, "=")
		if key == name || runtime.GOOS == "windows" && strings.EqualFold(key, name) {
			return value, true
		}
	}
	return "", false
}

// Get returns the value of a variable, empty if it is not set.
func (e Environment) Get(name string) string {
	value, _ := e.Lookup(name)
	return value
}

// TempDir returns the folder for temporary files, as os.TempDir does.
func (e Environment) TempDir() string {
	if runtime.GOOS == "windows" {
		return os.TempDir()
	}
	if folder := e.Get(TempDir); folder != "" {
		return folder
	}
	return "/tmp"
}

// CacheDir returns the folder for the user's cached data, as os.UserCacheDir does. It is
// an error if neither that nor the user's home is set.
func (e Environment) CacheDir() (string, error) {
	switch runtime.GOOS {
	case "windows":
		return os.UserCacheDir()
	case "darwin":
		if home := e.Get(UserHome); home != "" {
			return filepath.Join(home, "Library", "Caches"), nil
		}
		return "", errors.New("HOME is not set")
	}
	folder := e.Get(CacheHome)
	switch {
	case folder == "" && e.Get(UserHome) == "":
		return "", errors.New("neither XDG_CACHE_HOME nor HOME is set")
	case folder == "":
		return filepath.Join(e.Get(UserHome), ".cache"), nil
	case !filepath.IsAbs(folder):
		return "", errors.New("XDG_CACHE_HOME is a relative path")
	}
	return folder, nil
}
