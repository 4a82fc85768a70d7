//go:build unix

package wrapper

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestHandOver starts the real wrapper beside a program that says how it was started.
func TestHandOver(t *testing.T) {
	bin := t.TempDir()
	program := filepath.Join(bin, Program)
	build := exec.Command("go", "build", "-ldflags", "-X helm-tenant/wrapper.buildVersion=9.8.7", "-o", program, "../cmd/wrapper")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	link := filepath.Join(t.TempDir(), "elsewhere")
	if err := os.Symlink(program, link); err != nil {
		t.Fatal(err)
	}
	run := func(path string, args ...string) (string, error) {
		cmd := exec.Command(path, args...)
		cmd.Env = []string{"PATH=" + bin, "HOME=" + bin, "HELM_BIN=/none"}
		out, err := cmd.CombinedOutput()
		return strings.TrimSpace(string(out)), err
	}
	if out, err := run(program, "tenants"); err == nil || !strings.HasPrefix(out, "Error: ") || !strings.Contains(out, filepath.Join(bin, Whole)) || !strings.Contains(out, "install helm-tenant again") {
		t.Errorf("without %s: %v\n%s", Whole, err, out)
	}
	if err := os.WriteFile(filepath.Join(bin, Whole), []byte("#!/bin/sh\necho \"$HELM_TENANT_WRAPPER\" \"$#\" \"$@\"\nexit 7\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{program, link} {
		// A verb, help, and a command of helm's that can't be started.
		for _, args := range [][]string{{"tenants", "", "a b"}, {}, {"--help"}, {"list", "-q"}, {"--tenant"}, {"__complete", ""}} {
			want := strings.TrimSpace("9.8.7 " + string(rune('0'+len(args))) + " " + strings.Join(args, " "))
			out, err := run(path, args...)
			exit, ok := errors.AsType[*exec.ExitError](err)
			if out != want || !ok || exit.ExitCode() != 7 {
				t.Errorf("%s %q: %v\n%s\nwant %s", path, args, err, out, want)
			}
		}
	}
}

func TestHandedOver(t *testing.T) {
	bin := t.TempDir()
	for _, name := range []string{Program, Whole} {
		if err := os.WriteFile(filepath.Join(bin, name), nil, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	whole := filepath.Join(bin, Whole)
	alone := Environment{Executable: whole, Environ: []string{"A=1"}}.handedOver()
	if alone.Wrapper != "" || alone.Executable != whole || alone.CheckWrapper() != nil {
		t.Errorf("started alone it is %+v", alone)
	}
	handed := Environment{Executable: whole, Environ: []string{"A=1", "HELM_TENANT_WRAPPER=0.0.1", "B=2"}}.handedOver()
	if handed.Wrapper != "0.0.1" || handed.Executable != filepath.Join(bin, Program) || !slices.Equal(handed.Environ, []string{"A=1", "B=2"}) {
		t.Errorf("handed over it is %+v", handed)
	}
	if _, ok := errors.AsType[*versionError](handed.CheckWrapper()); !ok {
		t.Errorf("a wrapper of another release: %v", handed.CheckWrapper())
	}
	t.Setenv("HELM_TENANT_WRAPPER", "0.0.1")
	if env := Process(); env.Wrapper != "0.0.1" || env.Get("HELM_TENANT_WRAPPER") != "" || os.Getenv("HELM_TENANT_WRAPPER") != "" {
		t.Errorf("what this process starts gets HELM_TENANT_WRAPPER=%q", os.Getenv("HELM_TENANT_WRAPPER"))
	}
	handed.Wrapper = Version()
	if err := handed.CheckWrapper(); err != nil {
		t.Error(err)
	}
}
