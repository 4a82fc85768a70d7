package main

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestInterrupted: the tests and their cleanups end when another process or a terminal ends the
// program.
func TestInterrupted(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("go.mod", "module x\n\ngo 1.26\n")
	write("x_test.go", `package x

import (
	"os"
	"os/signal"
	"testing"
)

func TestMain(m *testing.M) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt)
	if err := os.WriteFile("begun", nil, 0o600); err != nil {
		panic(err)
	}
	<-signals
	if err := os.WriteFile("ended", nil, 0o600); err != nil {
		panic(err)
	}
	os.Exit(1)
}
`)
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		fifo := filepath.Join(dir, "begun")
		_ = os.Remove(fifo)
		if err := syscall.Mkfifo(fifo, 0o600); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(os.Args[0])
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "RUNTESTS=./...", "CGO_ENABLED=0")
		var out strings.Builder
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		begun, err := os.Open(fifo) // waits for the writer
		if err != nil {
			t.Fatal(err)
		}
		_, _ = bufio.NewReader(begun).ReadByte() // the end of an empty file
		if err := cmd.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
		if _ = cmd.Wait(); cmd.ProcessState.ExitCode() != 130 {
			t.Errorf("%v: exit code %d: %s", sig, cmd.ProcessState.ExitCode(), out.String())
		}
		ended := filepath.Join(dir, "ended")
		if err := os.Remove(ended); err != nil {
			t.Errorf("%v did not reach the test: %v", sig, err)
		}
	}
}

func TestMain(m *testing.M) {
	if arg := os.Getenv("RUNTESTS"); arg != "" {
		os.Args = append(os.Args[:1], arg)
		main()
	}
	os.Exit(m.Run())
}
