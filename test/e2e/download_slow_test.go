package e2e

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"helm-tenant/test/harness"
)

// TestDownloadFromSlowServer: install.sh gives up, with curl and with wget, if the server stays
// silent, sends a few bytes now and then, or sends without end. The previous program stays.
func TestDownloadFromSlowServer(t *testing.T) {
	t.Parallel()
	for _, client := range []struct{ name, other string }{{"curl", "wget"}, {"wget", "curl"}} {
		for _, server := range []struct {
			name string
			// serve sends a file until the client has gone.
			serve func(w io.Writer, removed <-chan struct{})
		}{
			{"silent", func(_ io.Writer, removed <-chan struct{}) { <-removed }},
			{"silent after some bytes", func(w io.Writer, removed <-chan struct{}) {
				_, _ = io.WriteString(w, "0123") // the client has gone if it fails
				<-removed
			}},
			{"slow", func(w io.Writer, removed <-chan struct{}) {
				for {
					select {
					case <-removed:
						return
					case <-time.After(50 * time.Millisecond):
						_, _ = io.WriteString(w, "0")
					}
				}
			}},
			{"endless", func(w io.Writer, _ <-chan struct{}) {
				block := strings.Repeat("0", 64<<10)
				for {
					if _, err := io.WriteString(w, block); err != nil {
						return
					}
				}
			}},
		} {
			for _, file := range []string{"SHA256SUMS", "the program"} {
				t.Run(client.name+", "+server.name+", "+file, func(t *testing.T) {
					t.Parallel()
					harness.Program(t, client.name)
					i := newInstalling(t)
					script := filepath.Join(i.dir, "scripts", "install.sh")
					edit(t, script, "patience=60 ", "patience=5 ")
					edit(t, script, "largest=1048576 ", "largest=8192 ") // 4 MiB
					address := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
						asked := filepath.Base(r.URL.Path)
						if file == "SHA256SUMS" && asked != file || file != "SHA256SUMS" && asked != i.program {
							i.serve(w, r, func(w http.ResponseWriter) { _, _ = w.Write(i.content) })
							return
						}
						server.serve(flushing{w}, r.Context().Done())
					}))
					defer address.Close()
					cmd := i.command(address.URL, "PATH="+programs(t, client.other))
					ended := time.AfterFunc(harness.Patience, func() { _ = cmd.Process.Kill() })
					out, err := cmd.CombinedOutput()
					if !ended.Stop() {
						t.Fatalf("install.sh still waits after %s:\n%s", harness.Patience, out)
					}
					name := file
					if file != "SHA256SUMS" {
						name = i.program
					}
					if want := "helm-tenant: " + name + " can't be downloaded from " + address.URL + "\n"; err == nil || !strings.HasSuffix(string(out), want) {
						t.Errorf("%v, it says\n%swanted\n%s", err, out, want)
					}
					i.has(t, "before")
					if _, err := os.Stat(filepath.Join(i.dir, "bin", "helm-tenant-full")); err == nil {
						t.Error("a program was installed")
					}
				})
			}
		}
	}
}

// flushing sends what is written at once.
type flushing struct{ w http.ResponseWriter }

func (f flushing) Write(p []byte) (int, error) {
	n, err := f.w.Write(p)
	f.w.(http.Flusher).Flush()
	return n, err
}
