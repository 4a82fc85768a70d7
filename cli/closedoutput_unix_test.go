//go:build unix

package cli_test

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"helm-tenant/cluster"
)

// TestClosedOutput: a verb that writes to the cluster does all of it when nobody reads its output
// ("| head -1", "2>&1 | head -1"); one that only reads may end, and prints no error.
func TestClosedOutput(t *testing.T) {
	a := newAdministrator(t)
	file := filepath.Join(t.TempDir(), "tenants.yaml")
	text := "apiVersion: helm-tenant/v1\ntenants:\n- {name: one, namespaces: [one], engine: impersonation}\n- {name: two, namespaces: [two], engine: impersonation}\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	known := func(text string) func() bool {
		return func() bool {
			config, err := os.ReadFile(a.kubeconfig)
			return err == nil && strings.Contains(string(config), text)
		}
	}
	present := func(kind, namespace, name string) func() bool {
		return func() bool {
			return a.server.Get(cluster.Key{Kind: kind, Namespace: namespace, Name: name}) != nil
		}
	}
	absent := func(kind, namespace, name string) func() bool {
		return func() bool { return !present(kind, namespace, name)() }
	}
	for _, test := range []struct {
		line string
		done func() bool
	}{
		{"init three --namespaces=three --create-namespaces --engine=impersonation", present("RoleBinding", "three", "helm-tenant.three.admin")},
		{"init three --namespaces=three,four --create-namespaces -o json", present("RoleBinding", "four", "helm-tenant.three.admin")},
		{"apply --create-namespaces -f " + file, present("RoleBinding", "two", "helm-tenant.two.admin")},
		{"apply --prune --yes -f " + file, absent("RoleBinding", "three", "helm-tenant.three.admin")},
		{"grant one --user=u", present("RoleBinding", "one-helm", "helm-tenant-member")},
		{"revoke one --user=u", func() bool { return true }},
		{"freeze one --reason=r", func() bool { return true }},
		{"thaw one", func() bool { return true }},
		{"use one", known("helm-tenant")},
		{"kubeconfig one --merge", known("system:serviceaccount:one-helm:helm")},
		{"destroy two --yes", absent("RoleBinding", "two", "helm-tenant.two.admin")},
		{"tenants", nil},
		{"describe one", nil},
		{"export", nil},
		{"releases --all", nil},
	} {
		reader, writer, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		reader.Close()
		var stderr bytes.Buffer
		cmd := exec.Command(os.Args[0])
		cmd.Args = append([]string{"helm-tenant"}, strings.Fields(test.line)...)
		cmd.Env, cmd.Dir = append(os.Environ(), "KUBECONFIG="+a.kubeconfig), t.TempDir()
		cmd.Stdout, cmd.Stderr = writer, &stderr
		if test.done != nil {
			cmd.Stderr = writer
		}
		err = cmd.Run()
		writer.Close()
		var exit *exec.ExitError
		if errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signal() == syscall.SIGPIPE && test.done == nil {
			err = nil
		}
		if err != nil || strings.Contains(stderr.String(), "Error") {
			t.Errorf("%s: %v\n%s", test.line, err, stderr.String())
		}
		if test.done != nil && !test.done() {
			t.Errorf("%s: not everything was written", test.line)
		}
	}
}
