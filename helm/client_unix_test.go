//go:build unix

package helm

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// program writes an executable shell script and returns its path.
func program(t *testing.T, folder, name, script string) string {
	t.Helper()
	path := filepath.Join(folder, name)
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestFind(t *testing.T) {
	root := t.TempDir()
	in := func(parts ...string) string { return filepath.Join(append([]string{root}, parts...)...) }
	self := program(t, in("self"), "helm-tenant", "")
	program(t, in("one"), "helm", "")
	program(t, in("two"), "helm", "")
	program(t, in("two"), "helm2", "")
	for _, folder := range []string{"linked", "hard", "notes", "folder/helm"} {
		if err := os.MkdirAll(in(folder), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(self, in("linked", "helm")); err != nil {
		t.Fatal(err)
	}
	if err := os.Link(self, in("hard", "helm")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(in("notes", "helm"), []byte("how to steer"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(in("one", "helm"), in("notes", "link")); err != nil {
		t.Fatal(err)
	}
	const none = "no helm was found: install Helm 2.17, 3 or 4, or set HELM_BIN to its path"
	for _, test := range []struct {
		name, bin  string
		path       []string
		want, fail string
	}{
		{"the first in PATH", "", []string{in("one"), in("two")}, in("one", "helm"), ""},
		{"empty entries are not the current folder", "", []string{"", in("two")}, in("two", "helm"), ""},
		{"a symlink to ourselves is skipped", "", []string{in("linked"), in("one")}, in("one", "helm"), ""},
		{"a hard link of ourselves is skipped", "", []string{in("hard"), in("one")}, in("one", "helm"), ""},
		{"what can't be run is skipped", "", []string{in("notes"), in("folder"), in("gone"), in("one")}, in("one", "helm"), ""},
		{"only ourselves", "", []string{in("linked"), in("hard")}, "", none},
		{"no PATH", "", nil, "", none},
		{"HELM_BIN is a name", "helm2", []string{in("one"), in("two")}, in("two", "helm2"), ""},
		{"HELM_BIN is a name, and the first is ourselves", "helm", []string{in("hard"), in("two")}, in("two", "helm"), ""},
		{"HELM_BIN is a name that is nowhere", "helm4", []string{in("one")}, "", none},
		{"HELM_BIN is a path", in("two", "helm2"), []string{in("one")}, in("two", "helm2"), ""},
		{"HELM_BIN is a symlink to another helm", in("notes", "link"), nil, in("notes", "link"), ""},
		{"HELM_BIN is ourselves", self, []string{in("one")}, "", "HELM_BIN is " + self + ", which is helm-tenant itself: set it to helm's path"},
		{"HELM_BIN is a symlink to ourselves", in("linked", "helm"), []string{in("one")}, "", "HELM_BIN is " + in("linked", "helm") + ", which is helm-tenant itself: set it to helm's path"},
		{"HELM_BIN is not there", in("gone", "helm"), []string{in("one")}, "", "HELM_BIN is " + in("gone", "helm") + ", which can't be run: no such file or directory"},
		{"HELM_BIN is a file that is no program", in("notes", "helm"), []string{in("one")}, "", "HELM_BIN is " + in("notes", "helm") + ", which can't be run: permission denied"},
		{"HELM_BIN is a folder", in("folder"), []string{in("one")}, "", "HELM_BIN is " + in("folder") + ", which can't be run: is a directory"},
	} {
		t.Run(test.name, func(t *testing.T) {
			env := map[string]string{"PATH": strings.Join(test.path, ":")}
			if test.bin != "" {
				env["HELM_BIN"] = test.bin
			}
			got, err := Find(environ(env), self)
			if diff := cmp.Diff(test.fail, errorText(err)); diff != "" {
				t.Errorf("error, -want +got:\n%s", diff)
			}
			if got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
		})
	}
}

// cacheIn makes the user's cache folder one of the test's.
func cacheIn(t *testing.T, folder string) {
	t.Helper()
	t.Setenv("HOME", folder) // where macOS looks
	t.Setenv("XDG_CACHE_HOME", folder)
}

func TestIdentify(t *testing.T) {
	for _, test := range []struct {
		name, script string
		want         Client // its path is left out
		fail         string // PATH stands for the program
	}{
		{"Helm 2", `[ "$*" = "version --client --short" ] && echo 'Client: v2.17.0+ga690bad'`, Client{Version: "v2.17.0", Major: 2}, ""},
		{"Helm 2 that was built by hand", `[ "$2" = --client ] && echo 'Client: &version.Version{SemVer:"v2.17.0", GitCommit:"", GitTreeState:""}'`, Client{Version: "v2.17.0", Major: 2}, ""},
		{"Helm 3", `echo v3.22.0+g380d84c`, Client{Version: "v3.22.0", Major: 3}, ""},
		{"Helm 3 that warns", `echo 'WARNING: v1 of the config is readable by others' >&2; echo v3.22.0`, Client{Version: "v3.22.0", Major: 3}, ""},
		{"Helm 4", `[ "$*" = "version --short" ] || { echo 'Error: unknown flag: --client' >&2; exit 1; }; echo v4.3.1+g5228500`, Client{Version: "v4.3.1", Major: 4}, ""},
		{"a release candidate", `echo v4.0.0-rc.1+g1234567`, Client{Version: "v4.0.0-rc.1", Major: 4}, ""},
		{"no plugins are loaded", `[ "$HELM_NO_PLUGINS" = 1 ] && echo v3.22.0`, Client{Version: "v3.22.0", Major: 3}, ""},
		{"it is told that it is only asked", `[ "$HELM_TENANT_STARTER" = version ] && echo v3.22.0`, Client{Version: "v3.22.0", Major: 3}, ""},
		{"something else", `echo hello; echo world >&2`, Client{}, `PATH does not tell its version as helm does; it said: "hello world"`},
		{"a version, but it fails", `echo v2.17.0; exit 1`, Client{}, `PATH does not tell its version as helm does; it said: "v2.17.0"`},
		{"silence", `exit 3`, Client{}, `PATH does not tell its version as helm does; it said: ""`},
	} {
		t.Run(test.name, func(t *testing.T) {
			cacheIn(t, t.TempDir())
			path := program(t, t.TempDir(), "helm", test.script)
			got, err := Identify(t.Context(), os.Environ(), path)
			if diff := cmp.Diff(strings.ReplaceAll(test.fail, "PATH", path), errorText(err)); diff != "" {
				t.Errorf("error, -want +got:\n%s", diff)
			}
			if test.fail == "" {
				test.want.Path = path
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestIdentifyCantRun(t *testing.T) {
	cacheIn(t, t.TempDir())
	path := filepath.Join(t.TempDir(), "helm")
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	_, err := Identify(t.Context(), os.Environ(), path)
	if diff := cmp.Diff("helm at "+path+" can't be run: permission denied", errorText(err)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestIdentifyRemembers(t *testing.T) {
	cache := t.TempDir()
	cacheIn(t, cache)
	folder := t.TempDir()
	calls := filepath.Join(folder, "calls")
	path := program(t, folder, "helm", "echo x >>"+calls+"; echo v2.17.0")
	identify := func(want Client) {
		t.Helper()
		got, err := Identify(t.Context(), os.Environ(), path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	}
	called := func(want int) {
		t.Helper()
		text, err := os.ReadFile(calls)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Count(string(text), "x"); got != want {
			t.Errorf("helm was asked %d times, want %d", got, want)
		}
	}
	two := Client{path, "v2.17.0", 2}
	identify(two)
	identify(two)
	called(1)

	later := time.Now().Add(time.Hour)
	if err := os.Chtimes(path, later, later); err != nil {
		t.Fatal(err)
	}
	identify(two)
	identify(two)
	called(2)

	program(t, folder, "helm", "echo x >>"+calls+"; echo v3.22.0-longer")
	if err := os.Chtimes(path, later, later); err != nil { // only the size tells
		t.Fatal(err)
	}
	three := Client{path, "v3.22.0-longer", 3}
	identify(three)
	identify(three)
	called(3)

	// A cache that is broken, or can't be written, is no cache.
	for _, spoil := range []func() error{
		func() error { return os.WriteFile(cacheFile(os.Environ(), path), []byte("{"), 0o600) },
		func() error {
			return os.WriteFile(cacheFile(os.Environ(), path), []byte(`{"path":"/other","version":"v2.17.0"}`), 0o600)
		},
		func() error { return os.RemoveAll(filepath.Dir(cacheFile(os.Environ(), path))) },
	} {
		if err := spoil(); err != nil {
			t.Fatal(err)
		}
		identify(three)
		identify(three)
	}
	called(6)

	// Another helm beside it is remembered beside it.
	other := program(t, t.TempDir(), "helm", "echo x >>"+calls+"; echo v4.3.1")
	for range 2 {
		identify(three)
		if got, err := Identify(t.Context(), os.Environ(), other); err != nil || got.Major != 4 {
			t.Errorf("the other helm: got %+v, %v", got, err)
		}
	}
	called(7)
	if err := os.RemoveAll(filepath.Dir(cacheFile(os.Environ(), path))); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Dir(cacheFile(os.Environ(), path)), nil, 0o600); err != nil { // a file where the folder should be
		t.Fatal(err)
	}
	identify(three)
	identify(three)
	called(9)
}

func TestTillerVersion(t *testing.T) {
	for _, test := range []struct{ name, script, want, fail string }{
		{"it answers", `echo v2.17.0`, "v2.17.0", ""},
		{"it gets the arguments and the environment", `echo "$* $TILLER_NAMESPACE"`, "version --server home", ""},
		{"it says why not", "echo 'Error: could not find tiller' >&2; exit 1", "", "could not find tiller"},
		{"it says why not in lines", "printf 'Error: a\\n  b\\n' >&2; exit 1", "", "a b"},
		{"it fails silently", "exit 7", "", "exit status 7"},
	} {
		t.Run(test.name, func(t *testing.T) {
			path := program(t, t.TempDir(), "helm", test.script)
			got, err := Capture(t.Context(), Invocation{Path: path, Args: []string{"version", "--server"}, Env: []string{"TILLER_NAMESPACE=home"}}, time.Minute)
			if diff := cmp.Diff(test.fail, errorText(err)); diff != "" {
				t.Errorf("error, -want +got:\n%s", diff)
			}
			if got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
