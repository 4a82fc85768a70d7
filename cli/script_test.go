package cli_test

import (
	"context"
	"errors"
	"flag"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"helm-tenant/cli"
)

var update = flag.Bool("update", false, "write what the scripts print into their golden files, and docs/flags.md")

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"helm-tenant": func() { os.Exit(cli.Run(context.Background(), cli.Process())) },
		"helm":        func() { os.Exit(fakeHelm(os.Args[1:])) },
	})
}

// TestScripts runs testdata/script with the real program, in a process of its
// own, and a helm that tells what it was started with (fakeHelm). In a script
//
//   - exits CODE COMMAND... is exec for a command that ends with that code,
//   - KUBECONFIG is the file config, a copy of testdata/kubeconfig, whose API
//     server does not answer,
//   - $FAKE is the folder of the fake helm, $SELF that of helm-tenant; both are
//     on PATH.
func TestScripts(t *testing.T) {
	folder := t.TempDir()
	self, fake := filepath.Join(folder, "self"), filepath.Join(folder, "fake")
	// testscript.Main makes hard links of one file, and helm-tenant never starts
	// a helm that is the same file as itself.
	copyProgram(t, filepath.Join(self, "helm-tenant"))
	copyProgram(t, filepath.Join(fake, "helm"))
	kubeconfig, err := os.ReadFile("testdata/kubeconfig")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		UpdateScripts:       *update,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			list := string(filepath.ListSeparator)
			for name, value := range map[string]string{
				"SELF": self, "FAKE": fake, "PATH": fake + list + self + list + env.Getenv("PATH"),
				"HOME": filepath.Join(env.WorkDir, "home"), "XDG_CACHE_HOME": filepath.Join(env.WorkDir, "cache"),
				"KUBECONFIG": "config",
			} {
				env.Setenv(name, value)
			}
			return os.WriteFile(filepath.Join(env.WorkDir, "config"), kubeconfig, 0o600)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": exits},
	})
}

// exits runs a command and holds its exit code to the one that is named.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND [ARGUMENT...]")
	}
	code := 0
	err := ts.Exec(args[1], args[2:]...)
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		code = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if strconv.Itoa(code) != args[0] {
		ts.Fatalf("exit code %d, want %s", code, args[0])
	}
}

// copyProgram copies the running test program.
func copyProgram(t *testing.T, to string) {
	t.Helper()
	if runtime.GOOS == "windows" {
		to += ".exe"
	}
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	from, err := os.Open(executable)
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		t.Fatal(err)
	}
	into, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.Copy(into, from)
	if closeErr := into.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		t.Fatal(err)
	}
}
