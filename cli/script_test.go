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
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"helm-tenant/cli"
	"helm-tenant/wrapper"
)

var update = flag.Bool("update", false, "write what the scripts print into their golden files, and docs/flags.md")

func TestMain(m *testing.M) {
	switch strings.TrimSuffix(filepath.Base(os.Args[0]), ".exe") {
	case "helm-tenant":
		// As installed: the wrapper first, and the whole program for everything else.
		ctx, env := context.Background(), wrapper.Process()
		if code, done := wrapper.Run(ctx, env); done {
			os.Exit(code)
		}
		os.Exit(cli.Run(ctx, env))
	}
	os.Exit(m.Run())
}

// TestScripts runs testdata/script with the real program, in a process of its
// own, and a helm that tells what it was started with (testdata/fakehelm). In a script
//
//   - exits CODE COMMAND... is exec for a command that ends with that code,
//   - KUBECONFIG is the file config, a copy of testdata/kubeconfig, whose API
//     server does not answer,
//   - $CACHE is the name of the variable that says where caches are,
//   - $NOFILE, $NOPROGRAM and $ISFOLDER are the system's words for a file and a
//     program that do not exist, and for a folder that is read as a file,
//   - $FAKE is the folder of the fake helm, $SELF that of helm-tenant; both are
//     on PATH.
func TestScripts(t *testing.T) {
	folder, err := os.MkdirTemp("", "helm-tenant-scripts")
	if err != nil {
		t.Fatal(err)
	}
	// Wine before version 9 can't remove a tree as Go does, so this is no failure.
	t.Cleanup(func() {
		if err := os.RemoveAll(folder); err != nil {
			t.Log(err)
		}
	})
	self, fake := filepath.Join(folder, "self"), filepath.Join(folder, "fake")
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	copyProgram(t, executable, filepath.Join(self, "helm-tenant"))
	copyProgram(t, fakeHelm(t, folder), filepath.Join(fake, "helm"))
	kubeconfig, err := os.ReadFile("testdata/kubeconfig")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		WorkdirRoot:         folder,
		UpdateScripts:       *update,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			list := string(filepath.ListSeparator)
			for name, value := range map[string]string{
				"SELF": self, "FAKE": fake, "PATH": fake + list + self + list + env.Getenv("PATH"),
				"HOME": filepath.Join(env.WorkDir, "home"), "XDG_CACHE_HOME": filepath.Join(env.WorkDir, "cache"),
				"LOCALAPPDATA": filepath.Join(env.WorkDir, "cache"), "CACHE": cacheVariable(),
				"KUBECONFIG": "config",
				"NOFILE":     systemsWords(os.ReadFile("missing")), "ISFOLDER": systemsWords(os.ReadFile(folder)),
				"NOPROGRAM": systemsWords(exec.LookPath(filepath.Join(folder, "missing"))),
			} {
				env.Setenv(name, value)
			}
			return os.WriteFile(filepath.Join(env.WorkDir, "config"), kubeconfig, 0o600)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": exits},
	})
}

// cacheVariable returns the variable that os.UserCacheDir reads.
func cacheVariable() string {
	if runtime.GOOS == "windows" {
		return "LOCALAPPDATA"
	}
	return "XDG_CACHE_HOME"
}

// systemsWords returns the innermost error's text, which every system words in its
// own way.
func systemsWords[T any](_ T, err error) string {
	for inner := errors.Unwrap(err); inner != nil; inner = errors.Unwrap(err) {
		err = inner
	}
	return err.Error()
}

// exits runs a command and checks its exit code.
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

// fakeHelm builds testdata/fakehelm and returns its file. FAKE_HELM_PROGRAM names it where there
// is no compiler, under Wine. It is a small program, since the scripts start it a thousand times,
// and it has no race detector, since it is not what is tested.
func fakeHelm(t *testing.T, folder string) string {
	t.Helper()
	if built := os.Getenv("FAKE_HELM_PROGRAM"); built != "" {
		return built
	}
	program := filepath.Join(folder, "fakehelm")
	cmd := exec.Command("go", "build", "-o", program, "./testdata/fakehelm")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, out)
	}
	return program
}

// copyProgram copies a program to a file of that name.
func copyProgram(t *testing.T, program, to string) {
	t.Helper()
	if runtime.GOOS == "windows" {
		to += ".exe"
	}
	from, err := os.Open(program)
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
