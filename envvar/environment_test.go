package envvar

import (
	"os"
	"runtime"
	"testing"
)

// TestEnvironment: the last entry of a name counts, and the folders are those that Go's own
// functions return for a process with these variables.
func TestEnvironment(t *testing.T) {
	e := Environment{"A=1", "AB=2", "A=3=4", "EMPTY="}
	for name, want := range map[string]string{"A": "3=4", "AB": "2", "EMPTY": "", "B": ""} {
		if got := e.Get(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if _, found := e.Lookup("EMPTY"); !found {
		t.Error("a variable with an empty value is not set")
	}
	if _, found := e.Lookup("a"); found != (runtime.GOOS == "windows") {
		t.Errorf("found by a name in another case: %t", found)
	}
	for _, folders := range []struct{ temp, cache, home string }{
		{"", "", "/home/x"}, {"/t", "/c", "/home/x"}, {"/t", "relative", "/home/x"}, {"", "", ""}, {"", "/c", ""},
	} {
		t.Setenv(TempDir, folders.temp)
		t.Setenv(CacheHome, folders.cache)
		t.Setenv(UserHome, folders.home)
		e := Environment(os.Environ())
		if got, want := e.TempDir(), os.TempDir(); got != want {
			t.Errorf("%+v: the folder for temporary files is %s, want %s", folders, got, want)
		}
		got, err := e.CacheDir()
		want, wantErr := os.UserCacheDir()
		if got != want || (err == nil) != (wantErr == nil) {
			t.Errorf("%+v: the folder for cached data is %q (%v), want %q (%v)", folders, got, err, want, wantErr)
		}
	}
}
