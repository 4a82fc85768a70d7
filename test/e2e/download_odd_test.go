package e2e

import (
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"helm-tenant/test/harness"
)

// TestDownloadByTunnel: a release's address with TLS is reached through the proxy that
// HTTPS_PROXY names, in capitals.
func TestDownloadByTunnel(t *testing.T) {
	t.Parallel()
	i := newInstalling(t)
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		i.serve(w, r, func(w http.ResponseWriter) { w.Write(i.content) })
	}))
	defer server.Close()
	var asked atomic.Int32
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodConnect || r.Host != "example.com:443" {
			http.NotFound(w, r)
			return
		}
		asked.Add(1)
		tunnel(t, w, server.Listener.Addr().String())
	}))
	defer proxy.Close()
	authority := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(authority, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o644); err != nil {
		t.Fatal(err)
	}
	// The server's certificate is one for example.com.
	out, err := i.command("https://example.com/v9", "HTTPS_PROXY="+proxy.URL, "CURL_CA_BUNDLE="+authority).CombinedOutput()
	if err != nil || asked.Load() == 0 {
		t.Errorf("%v, the proxy was asked %d times\n%s", err, asked.Load(), out)
	}
	i.has(t, "helm-tenant 9.9.9")
}

// tunnel joins a proxy's connection with one to an address.
func tunnel(t *testing.T, w http.ResponseWriter, address string) {
	to, err := net.Dial("tcp", address)
	if err != nil {
		t.Error(err)
		return
	}
	defer to.Close()
	from, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		t.Error(err)
		return
	}
	defer from.Close()
	if _, err := io.WriteString(from, "HTTP/1.1 200 OK\r\n\r\n"); err != nil {
		return // the client has gone
	}
	go func() { _, _ = io.Copy(to, from); to.Close() }()
	_, _ = io.Copy(from, to) // until either end closes
}

// TestDownloadOddly runs install.sh where something is missing or is not as usual.
func TestDownloadOddly(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		// change modifies the plugin's folder; env is added to the environment.
		change func(t *testing.T, i *installing) (env []string)
		want   string
		fails  bool
	}{
		{"no gpg, and checksums of the plugin's", func(t *testing.T, _ *installing) []string {
			return []string{"PATH=" + programs(t, "gpg")}
		}, "downloaded and checked", false},
		{"no gpg, and no checksums of the plugin's", func(t *testing.T, i *installing) []string {
			if err := os.Remove(filepath.Join(i.dir, "SHA256SUMS")); err != nil {
				t.Fatal(err)
			}
			i.signature = []byte("signed by somebody")
			return []string{"PATH=" + programs(t, "gpg")}
		}, "install gpg, which checks its signature", true},
		{"no gpg, no checksums of the plugin's, and no signature", func(t *testing.T, i *installing) []string {
			if err := os.Remove(filepath.Join(i.dir, "SHA256SUMS")); err != nil {
				t.Fatal(err)
			}
			return []string{"PATH=" + programs(t, "gpg")}
		}, "its signature, SHA256SUMS.asc, can't be downloaded; unpack a release archive instead", true},
		{"neither curl nor wget", func(t *testing.T, _ *installing) []string {
			return []string{"PATH=" + programs(t, "curl", "wget")}
		}, "neither curl nor wget is installed", true},
		{"an unknown system", func(t *testing.T, _ *installing) []string {
			return []string{"PATH=" + fake(t, "uname", "echo Plan9") + ":" + os.Getenv("PATH")}
		}, "there is no build for Plan9", true},
		{"an unknown processor", func(t *testing.T, _ *installing) []string {
			return []string{"PATH=" + fake(t, "uname", `case $1 in -s) echo Linux ;; *) echo riscv64 ;; esac`) + ":" + os.Getenv("PATH")}
		}, "there is no build for riscv64", true},
		{"a relative folder", func(_ *testing.T, i *installing) []string {
			return []string{"HELM_PLUGIN_DIR=" + filepath.Base(i.dir), "CDPATH=" + filepath.Dir(filepath.Dir(i.dir))}
		}, "downloaded and checked", false},
		{"a relative folder that is not there", func(*testing.T, *installing) []string {
			return []string{"HELM_PLUGIN_DIR=nowhere"}
		}, "HELM_PLUGIN_DIR is no folder: nowhere", true},
		{"a relative folder that is a flag", func(t *testing.T, i *installing) []string {
			to := filepath.Join(filepath.Dir(i.dir), "-P")
			if err := os.Rename(i.dir, to); err != nil {
				t.Fatal(err)
			}
			i.dir = to
			return []string{"HELM_PLUGIN_DIR=-P"}
		}, "downloaded and checked", false},
		{"a folder with backslashes", func(t *testing.T, i *installing) []string {
			to := filepath.Join(filepath.Dir(i.dir), `C:\Users\it`)
			if err := os.Rename(i.dir, to); err != nil {
				t.Fatal(err)
			}
			i.dir = to
			return []string{"HELM_PLUGIN_DIR=" + to}
		}, "downloaded and checked", false},
		{"shasum alone", func(t *testing.T, _ *installing) []string {
			return []string{"PATH=" + fake(t, "shasum", `[ "$*" = "-a 256" ] && exec `+harness.Program(t, "sha256sum")) + ":" + programs(t, "sha256sum", "shasum")}
		}, "downloaded and checked", false},
		{"nothing that makes checksums", func(t *testing.T, _ *installing) []string {
			return []string{"PATH=" + programs(t, "sha256sum", "shasum")}
		}, "neither sha256sum nor shasum is installed", true},
		{"wget, and a proxy that is not for the host", func(t *testing.T, _ *installing) []string {
			return []string{"PATH=" + programs(t, "curl"), "http_proxy=http://127.0.0.1:1", "NO_PROXY=127.0.0.1"}
		}, "downloaded and checked", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			i := newInstalling(t)
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				i.serve(w, r, func(w http.ResponseWriter) { w.Write(i.content) })
			}))
			defer server.Close()
			env := test.change(t, i)
			cmd := i.command(server.URL, env...)
			cmd.Dir = filepath.Dir(i.dir)
			out, err := cmd.CombinedOutput()
			if (err != nil) != test.fails || !strings.Contains(string(out), test.want) {
				t.Errorf("%v\n%s\nwanted %q", err, out, test.want)
			}
			want := "helm-tenant 9.9.9"
			if test.fails {
				want = "before"
			}
			i.has(t, want)
		})
	}
}

// TestDownloadWarnsOfSpaces: Helm 2 can't run a plugin whose path has a space, which says nothing
// to somebody who installs it with Helm 3 or 4.
func TestDownloadWarnsOfSpaces(t *testing.T) {
	t.Parallel()
	for _, newer := range []bool{false, true} {
		i := newInstalling(t)
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			i.serve(w, r, func(w http.ResponseWriter) { w.Write(i.content) })
		}))
		defer server.Close()
		cmd := i.command(server.URL)
		cmd.Env = slices.DeleteFunc(cmd.Env, func(entry string) bool { return strings.HasPrefix(entry, "HELM_PLUGINS=") })
		if newer {
			cmd.Env = append(cmd.Env, "HELM_PLUGINS="+filepath.Dir(i.dir))
		}
		out, err := cmd.CombinedOutput()
		if err != nil || strings.Contains(string(out), "Helm 2 can't run a plugin") == newer {
			t.Errorf("with Helm 3 or 4 %v: %v\n%s", newer, err, out)
		}
	}
}

// programs returns a folder with all programs that install.sh may call, but for some.
func programs(t *testing.T, without ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"awk", "cat", "chmod", "cp", "curl", "cut", "dirname", "gpg", "grep", "mkdir", "mktemp", "mv", "rm", "sed", "sh", "sha256sum", "shasum", "sleep", "uname", "wc", "wget"} {
		path, err := exec.LookPath(name)
		if err != nil {
			continue // of two that do the same one is enough
		}
		if err := os.Symlink(path, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range without {
		_ = os.Remove(filepath.Join(dir, name)) // it may not be installed
	}
	return dir
}

// fake returns a folder with a program that is a shell script.
func fake(t *testing.T, name, script string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}
