package e2e

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"

	"helm-tenant/test/harness"
)

// screen is a command on a terminal of its own.
type screen struct {
	t        testing.TB
	cmd      *exec.Cmd
	terminal *os.File
	mutex    sync.Mutex
	text     bytes.Buffer
	drained  chan struct{}
}

func (p *person) onTerminal(t testing.TB, path string, args ...string) *screen {
	t.Helper()
	cmd := exec.Command(path, args...)
	cmd.Env = p.env
	terminal, err := pty.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	s := &screen{t: t, cmd: cmd, terminal: terminal, drained: make(chan struct{})}
	go func() {
		defer close(s.drained)
		buffer := make([]byte, 4096)
		for {
			n, err := terminal.Read(buffer)
			s.mutex.Lock()
			s.text.Write(buffer[:n])
			s.mutex.Unlock()
			if err != nil { // EIO is the end of a terminal
				if !errors.Is(err, syscall.EIO) && !errors.Is(err, io.EOF) && !errors.Is(err, os.ErrClosed) {
					t.Errorf("reading the terminal: %v", err)
				}
				return
			}
		}
	}()
	return s
}

func (s *screen) shown() string {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	return s.text.String()
}

func (s *screen) await(words string) {
	s.t.Helper()
	for deadline := time.Now().Add(harness.Patience); !strings.Contains(s.shown(), words); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			s.cmd.Process.Kill()
			s.t.Fatalf("%q does not appear:\n%s", words, s.shown())
		}
	}
}

// end waits for the command and returns its exit code and all that it showed.
func (s *screen) end() (int, string) {
	s.t.Helper()
	ended := make(chan struct{})
	go func() { s.cmd.Wait(); close(ended) }()
	select {
	case <-ended:
	case <-time.After(harness.Patience):
		s.cmd.Process.Kill()
		s.t.Fatalf("it does not end:\n%s", s.shown())
	}
	<-s.drained
	s.terminal.Close()
	return s.cmd.ProcessState.ExitCode(), s.shown()
}

func (s *screen) types(text string) {
	s.t.Helper()
	if _, err := s.terminal.WriteString(text); err != nil {
		s.t.Fatal(err)
	}
}

// TestDestroyOnTerminal has the tenant's name typed.
func TestDestroyOnTerminal(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.admin.run("helm", "tenant", "init", "typed", "--namespaces", "typed", "--create-namespaces", "--wait=false")
	before := w.admin.snapshot("typed")

	const prompt = `Type "typed" to destroy tenant typed of context `
	for _, c := range []struct{ name, typed, words string }{
		{"another name", "typo\n", `expected the name "typed"; nothing was done`},
		{"nothing", "\n", `expected the name "typed"; nothing was done`},
		{"the end of the input", "\x04", "nothing was typed; nothing was done"},
		{"an interrupt", "\x03", "interrupted; nothing was done"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := w.admin.onTerminal(t, w.binary(), "destroy", "typed")
			s.await(prompt)
			s.types(c.typed)
			code, shown := s.end()
			if code != 1 {
				t.Errorf("exit code %d", code)
			}
			contains(t, shown, c.words)
			if after := w.admin.in(t).snapshot("typed"); after != before {
				t.Errorf("something changed:\n%s\nbefore:\n%s", after, before)
			}
		})
	}
	t.Run("the name, through helm", func(t *testing.T) {
		s := w.admin.onTerminal(t, w.cluster.Bin("helm2"), "tenant", "destroy", "typed")
		s.await(prompt)
		s.types("typed\n")
		if code, shown := s.end(); code != 0 || !strings.Contains(shown, "tenant typed is gone") {
			t.Errorf("exit code %d:\n%s", code, shown)
		}
		w.admin.in(t).gone("namespace", "typed-tiller")
	})
}
