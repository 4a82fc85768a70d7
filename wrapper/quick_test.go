package wrapper

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"helm-tenant/helm"
)

func TestWraps(t *testing.T) {
	for line, want := range map[string]bool{
		"": false, "--help": false, "--version": false, "help": false, "help grant": false, "__complete li": false, "completion bash": false,
		"tenants": false, "whoami": false, "init": false, "--tenant t whoami": false, "use t": false,
		"list": true, "--tenant t list": true, "help install": true, "version": true, "tennants": true, "diff upgrade": true,
	} {
		c, err := New(Environment{Args: strings.Fields(line)})
		if err != nil {
			t.Fatal(err)
		}
		if got := c.Wraps(); got != want {
			t.Errorf("%q is wrapped: %v", line, got)
		}
	}
}

const kubeconfig = `{kind: Config, apiVersion: v1, current-context: known, clusters: [{name: c, cluster: {server: "https://127.0.0.1:1"}}],
users: [{name: u, user: {token: t}}], contexts: [{name: adrift, context: {cluster: gone, user: u, extensions: [
  {name: helm-tenant, extension: {apiVersion: helm-tenant/v1, current: t, tenants: [{name: t, homeNamespace: t-helm, engine: impersonation, namespaces: [a]}]}}]}}, {name: unknown, context: {cluster: c, user: u, namespace: other}}, {name: known, context: {cluster: c, user: u, extensions: [
  {name: helm-tenant, extension: {apiVersion: helm-tenant/v1, current: t, tenants: [{name: t, homeNamespace: t-helm, engine: impersonation, namespaces: [a]}]}}]}}]}`

// What the files say is done; what they do not say, and each error, is left without a word.
func TestRun(t *testing.T) {
	dir := t.TempDir()
	config := filepath.Join(dir, "config")
	program := filepath.Join(dir, "helm")
	for file, text := range map[string]string{config: kubeconfig, program: "#!/bin/sh\necho v3.22.0\n"} {
		if err := os.WriteFile(file, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("KUBECONFIG", config)
	t.Setenv("XDG_CACHE_HOME", dir)
	t.Setenv("LOCALAPPDATA", dir)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		line, started, output string
	}{
		{line: "list -q", started: "list -q"},
		{line: "--tenant t list", started: "list"},
		{line: "--context known upgrade web .", started: "upgrade web ."},
		{line: "delete t", started: "delete t", output: "helm-tenant: delete is helm's command: it removes the release t; the tenant is removed with: helm tenant destroy t\n"},
		{line: "create x", started: "create x", output: "helm-tenant: create is helm's command: it makes a chart; a tenant is made with: helm tenant init x\n"},
		{line: "--context adrift list"},          // helm would act on localhost:8080
		{line: "--context unknown list"},         // the namespace's label says the tenant
		{line: "--tenant other list"},            // only named: two homes may have its record
		{line: "--tenant other install web ."},   // only named: its namespaces are not known
		{line: "--context none list"},            // an error
		{line: "--tenant t --kube-as-user x ls"}, // an error
		{line: "tennants"},                       // an error
		{line: "tenants"},                        // a verb
	} {
		var stderr bytes.Buffer
		var started []string
		env := Environment{
			Args: strings.Fields(test.line), Environ: append(os.Environ(), "HELM_BIN="+program), Stderr: &stderr, Executable: self,
			PID: os.Getpid(), ParentPID: os.Getppid(), CommandLine: func(int) ([]string, error) { return nil, errors.New("hidden") },
			Exec: func(inv helm.Invocation) (int, error) { started = inv.Args; return 3, nil },
		}
		code, done := Run(t.Context(), env)
		if done != (test.started != "") || done && code != 3 {
			t.Errorf("%q: done %v, code %d", test.line, done, code)
		}
		if line := strings.Join(started, " "); !strings.Contains(line, test.started) || (line == "") != (test.started == "") {
			t.Errorf("%q starts %q", test.line, line)
		}
		if stderr.String() != test.output {
			t.Errorf("%q says %q", test.line, stderr.String())
		}
		// Where helm can't be started the whole program tries, and says why.
		env.Exec = func(helm.Invocation) (int, error) { return 0, fmt.Errorf("no") }
		if _, done := Run(t.Context(), env); done {
			t.Errorf("%q is done without helm", test.line)
		}
	}
}
