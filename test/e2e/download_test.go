package e2e

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"helm-tenant/test/harness"
)

// installing is a plugin's folder without a program, and an address that has one.
type installing struct {
	dir, program string
	content      []byte
	env          []string
	// signature is what the release has as the checksums' signature; nil for none.
	signature []byte
}

// newInstalling creates the plugin's folder, in a path with spaces, quotes and characters that
// a shell expands, with an older program and the checksums of the plugin.
func newInstalling(t *testing.T) *installing {
	t.Helper()
	i := &installing{dir: filepath.Join(t.TempDir(), "a folder", `it's "the" $(plugin) of *`, "tenant"), program: "helm-tenant-" + runtime.GOOS + "-" + runtime.GOARCH}
	i.content = append([]byte("#!/bin/sh\necho helm-tenant 9.9.9\nexit\n"), bytes.Repeat([]byte("#"), 1<<20)...)
	for name, content := range map[string][]byte{
		"bin/helm-tenant":    []byte("#!/bin/sh\necho before\n"),
		"SHA256SUMS":         fmt.Appendf(nil, "%x  %s\n", sha256.Sum256(i.content), i.program),
		"scripts/install.sh": nil,
	} {
		file := filepath.Join(i.dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if name == "scripts/install.sh" {
			copyFile(t, filepath.Join(repository(t), "scripts", "install.sh"), file)
		} else if err := os.WriteFile(file, content, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, entry := range os.Environ() {
		if name, _, _ := strings.Cut(entry, "="); !strings.HasSuffix(strings.ToLower(name), "_proxy") {
			i.env = append(i.env, entry)
		}
	}
	i.env = append(i.env, "HELM_PLUGIN_DIR="+i.dir, "HOME="+t.TempDir())
	return i
}

func (i *installing) command(url string, more ...string) *exec.Cmd {
	cmd := exec.Command("sh", filepath.Join(i.dir, "scripts", "install.sh"))
	cmd.Env = append(append(i.env, "HELM_TENANT_URL="+url), more...)
	return cmd
}

// has checks which program is there, and that nothing else was left.
func (i *installing) has(t *testing.T, version string) {
	t.Helper()
	out, err := exec.Command(filepath.Join(i.dir, "bin", "helm-tenant"), "--version").Output()
	if err != nil || strings.TrimSpace(string(out)) != version {
		t.Errorf("the program says %q, %v", out, err)
	}
	if left, _ := filepath.Glob(filepath.Join(i.dir, "bin", "*install*")); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
	if left, _ := filepath.Glob(filepath.Join(i.dir, "bin", ".*")); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

// serve answers with the program as whole says, and with the checksums.
func (i *installing) serve(w http.ResponseWriter, r *http.Request, program func(http.ResponseWriter)) {
	switch {
	case strings.HasSuffix(r.URL.Path, "/"+i.program):
		program(w)
	case strings.HasSuffix(r.URL.Path, "/SHA256SUMS"):
		fmt.Fprintf(w, "%x  %s\n", sha256.Sum256(i.content), i.program)
	case strings.HasSuffix(r.URL.Path, "/SHA256SUMS.asc") && i.signature != nil:
		w.Write(i.signature)
	default:
		http.NotFound(w, r)
	}
}

func TestDownloadByProxy(t *testing.T) {
	t.Parallel()
	i := newInstalling(t)
	var asked atomic.Int32
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Host == "release.invalid" {
			asked.Add(1)
			i.serve(w, r, func(w http.ResponseWriter) { w.Write(i.content) })
			return
		}
		http.NotFound(w, r)
	}))
	defer proxy.Close()
	const address = "http://release.invalid/v9"
	if out, err := i.command(address).CombinedOutput(); err == nil {
		t.Errorf("without the proxy:\n%s", out)
	}
	i.has(t, "before")
	if out, err := i.command(address, "http_proxy="+proxy.URL).CombinedOutput(); err != nil || asked.Load() < 2 {
		t.Errorf("%v, the proxy was asked %d times\n%s", err, asked.Load(), out)
	}
	i.has(t, "helm-tenant 9.9.9")
}

// TestDownloadHalf: what came half is not used and not gone on with.
func TestDownloadHalf(t *testing.T) {
	t.Parallel()
	i := newInstalling(t)
	var ranges atomic.Int32
	half, hang := true, make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Range") != "" {
			ranges.Add(1)
		}
		i.serve(w, r, func(w http.ResponseWriter) {
			w.Header().Set("Content-Length", fmt.Sprint(len(i.content)))
			if half {
				w.Write(i.content[:len(i.content)/2])
				w.(http.Flusher).Flush()
				<-hang
				panic(http.ErrAbortHandler) // the connection ends in the middle
			}
			w.Write(i.content)
		})
	}))
	defer server.Close()

	// Killed while it downloads.
	cmd := i.command(server.URL)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	part := func() bool {
		parts, _ := filepath.Glob(filepath.Join(i.dir, "bin", ".install.*", "new"))
		return len(parts) > 0
	}
	for deadline := time.Now().Add(harness.Patience); !part() && time.Now().Before(deadline); {
		time.Sleep(20 * time.Millisecond)
	}
	if !part() {
		t.Error("no half of a download is there")
	}
	if err := syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
	if out, err := exec.Command(filepath.Join(i.dir, "bin", "helm-tenant"), "--version").Output(); err != nil || string(out) != "before\n" {
		t.Errorf("the program that was there says %q, %v", out, err)
	}

	// The connection ends in the middle.
	close(hang)
	if out, err := i.command(server.URL).CombinedOutput(); err == nil {
		t.Errorf("half a program is taken:\n%s", out)
	}
	i.has(t, "before")

	half = false
	if out, err := i.command(server.URL).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	i.has(t, "helm-tenant 9.9.9")
	if ranges.Load() > 0 {
		t.Error("it asked for the rest of what it had")
	}
}

func TestDownloadIntoReadOnlyFolder(t *testing.T) {
	t.Parallel()
	i := newInstalling(t)
	if err := os.RemoveAll(filepath.Join(i.dir, "bin")); err != nil {
		t.Fatal(err)
	}
	// A user who may not write there; root may.
	cmd := i.command("http://127.0.0.1:1")
	if os.Geteuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
		for dir := i.dir; strings.HasPrefix(dir, os.TempDir()+"/"); dir = filepath.Dir(dir) {
			if err := os.Chmod(dir, 0o755); err != nil {
				t.Fatal(err)
			}
		}
	} else if err := os.Chmod(i.dir, 0o555); err != nil {
		t.Fatal(err)
	}
	out, err := cmd.CombinedOutput()
	want := "helm-tenant: the plugin's folder can't be written: " + i.dir + "; install the plugin as a user who owns it, or set HELM_PLUGINS to a folder of your own\n"
	if err == nil || string(out) != want {
		t.Errorf("%v, it says\n%swanted\n%s", err, out, want)
	}
}

// TestDownloadWithoutRoom: a disk that is full when a program arrives is said, by whatever
// downloads or copies it, and so is what wget does not say.
func TestDownloadWithoutRoom(t *testing.T) {
	t.Parallel()
	full := "cp: error copying: No space left on device"
	for _, test := range []struct {
		name, url string
		bundled   bool
		without   string
		copies    string // an error of cp
		want      string
	}{
		{"curl", "http://127.0.0.1:1", false, "wget", full, "helm-tenant: there is no room for the plugin's programs in DIR: No space left on device\n"},
		{"wget", "http://127.0.0.1:1", false, "curl", full, "helm-tenant: there is no room for the plugin's programs in DIR: No space left on device\n"},
		{"an archive", "", true, "", full, "helm-tenant: there is no room for the plugin's programs in DIR: No space left on device\n"},
		{"an archive that can't be read", "", true, "", "cp: Permission denied", "helm-tenant: DIR/dist/PROGRAM can't be copied: cp: Permission denied\n"},
		{"wget, and nobody answers", "http://127.0.0.1:1", false, "curl", "", "helm-tenant: wget: no connection, or no answer in time\nhelm-tenant: SHA256SUMS can't be downloaded from http://127.0.0.1:1\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			if test.without == "curl" {
				harness.Program(t, "wget")
			}
			i := newInstalling(t)
			if test.bundled {
				file := filepath.Join(i.dir, "dist", i.program)
				if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(file, i.content, 0o755); err != nil {
					t.Fatal(err)
				}
			}
			path := programs(t, test.without)
			if test.copies != "" {
				path = fake(t, "cp", "echo '"+test.copies+"' >&2; exit 1") + string(os.PathListSeparator) + path
			}
			out, err := i.command(test.url, "PATH="+path).CombinedOutput()
			want := strings.NewReplacer("DIR", i.dir, "PROGRAM", i.program).Replace(test.want)
			if err == nil || !strings.HasSuffix(string(out), want) || test.bundled && string(out) != want {
				t.Errorf("%v, it says\n%swanted\n%s", err, out, want)
			}
			i.has(t, "before")
		})
	}
}

// TestInstallUnvouched: programs of an archive without its checksums are not taken for missing.
func TestInstallUnvouched(t *testing.T) {
	t.Parallel()
	i := newInstalling(t)
	file := filepath.Join(i.dir, "dist", i.program)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(i.dir, "SHA256SUMS"), file); err != nil {
		t.Fatal(err)
	}
	out, err := i.command("").CombinedOutput()
	want := "helm-tenant: SHA256SUMS, which vouches for the programs in dist/, is missing from " + i.dir + "; unpack the release archive again\n"
	if err == nil || string(out) != want {
		t.Errorf("%v, it says\n%swanted\n%s", err, out, want)
	}
}

// TestInstallWithoutRoom: a full disk is told from a folder that the user may not write.
func TestInstallWithoutRoom(t *testing.T) {
	t.Parallel()
	for _, reason := range []string{"No space left on device", "Disk quota exceeded"} {
		i, programs := newInstalling(t), t.TempDir()
		script := "#!/bin/sh\necho \"mktemp: failed to create directory via template '$2': " + reason + "\" >&2\nexit 1\n"
		if err := os.WriteFile(filepath.Join(programs, "mktemp"), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
		out, err := i.command("http://127.0.0.1:1", "PATH="+programs+string(os.PathListSeparator)+os.Getenv("PATH")).CombinedOutput()
		if want := "helm-tenant: there is no room for the plugin's programs in " + i.dir + ": " + reason + "\n"; err == nil || string(out) != want {
			t.Errorf("%v, it says\n%swanted\n%s", err, out, want)
		}
	}
}
