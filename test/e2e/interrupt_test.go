package e2e

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"helm-tenant/test/harness"
)

// TestInterrupt: Ctrl-C in the terminal of an interactive shell while helm waits for a
// Deployment that never becomes ready, and will roll back. With the plugin, the outer helm ends
// at once and the wrapped one continues in the background; helm-tenant ends when helm does.
// docs/everyday.md describes this.
func TestInterrupt(t *testing.T) {
	t.Parallel()
	majors(t, func(t *testing.T, w *world, major int) {
		team := fmt.Sprintf("break%d", major)
		undo := "--atomic"
		if major == 4 {
			undo = "--rollback-on-failure"
		}
		member := w.userOf(major, "ines").with("PS1="+prompt, "ENV=")
		w.admin.run("helm", "tenant", "init", team, "--namespaces", team+"-1", "--create-namespaces", "--engine", "impersonation", "--user", "ines")
		member.run("helm", "tenant", "use", team)
		chart := unready(t)
		for _, test := range []struct {
			name, program string
			whole         bool // the prompt comes back when the release is undone
		}{{"plugin", "helm tenant", false}, {"alone", w.binary(), true}} {
			t.Run(test.name, func(t *testing.T) {
				await := func(what string, condition func() bool) {
					t.Helper()
					if err := harness.Await(t.Context(), what, func(context.Context) (bool, error) { return condition(), nil }); err != nil {
						t.Fatal(err)
					}
				}
				isThere := func() bool {
					return w.admin.in(t).jsonpath("{.items[*].metadata.name}", "secrets", "--namespace", team+"-1", "--selector", "owner=helm,name="+test.name) != ""
				}
				s := member.in(t).onTerminal(t, "/bin/sh", "-i")
				s.await(prompt)
				s.types(fmt.Sprintf("%s install %s %s --wait %s --timeout 5m\n", test.program, test.name, chart, undo))
				await("the release", isThere)
				s.types("\x03")
				s.await("has been uninstalled")
				await("the prompt", func() bool { return strings.Count(s.shown(), prompt) == 2 })
				if shown := s.shown(); test.whole && strings.LastIndex(shown, prompt) < strings.Index(shown, "has been uninstalled") {
					t.Errorf("helm-tenant ended before helm did:\n%s", shown)
				}
				await("the end of the release", func() bool { return !isThere() })
				s.types("exit\n")
				s.end()
			})
		}
	})
}

// TestInterruptHelm2: helm ends at Ctrl-C however it was started, and Tiller continues: here it
// waits until its timeout, and records that the install failed.
func TestInterruptHelm2(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	member := w.user("ivo").with("PS1="+prompt, "ENV=")
	w.admin.run("helm", "tenant", "init", "break2", "--namespaces", "break2-1", "--create-namespaces", "--user", "ivo")
	member.run("helm", "tenant", "use", "break2")
	chart := unready(t)
	for name, program := range map[string]string{"plugin": "helm tenant", "alone": w.binary()} {
		t.Run(name, func(t *testing.T) {
			// Of its record, which is cheaper to look at again and again than helm is to start.
			status := func() string {
				return w.admin.in(t).jsonpath("{.items[*].metadata.labels.STATUS}", "secrets", "--namespace", "break2-tiller", "--selector", "OWNER=TILLER,NAME="+name)
			}
			await := func(what string, condition func() bool) {
				t.Helper()
				if err := harness.Await(t.Context(), what, func(context.Context) (bool, error) { return condition(), nil }); err != nil {
					t.Fatal(err)
				}
			}
			s := member.in(t).onTerminal(t, "/bin/sh", "-i")
			s.await(prompt)
			s.types(fmt.Sprintf("%s install --name %s %s --wait --timeout 15\n", program, name, chart))
			await("the release", func() bool { return strings.Contains(status(), "PENDING_INSTALL") })
			s.types("\x03")
			await("the prompt", func() bool { return strings.Count(s.shown(), prompt) == 2 })
			if got := status(); !strings.Contains(got, "PENDING_INSTALL") {
				t.Errorf("helm did not end at once: %s\n%s", got, s.shown())
			}
			await("the end of what Tiller does", func() bool { return strings.Contains(status(), "FAILED") })
			contains(t, member.in(t).try("helm", "tenant", "status", name).stdout, "FAILED")
			s.types("exit\n")
			s.end()
		})
	}
}

// prompt is that of the shell on the terminal.
const prompt = "prompt:"

// unready returns a chart with a Deployment that never gets ready.
func unready(t *testing.T) string {
	t.Helper()
	folder := filepath.Join(t.TempDir(), "unready")
	if err := os.MkdirAll(filepath.Join(folder, "templates"), 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, folder, "Chart.yaml", "apiVersion: v1\nname: unready\nversion: 0.1.0\n")
	write(t, folder, "templates/all.yaml", `apiVersion: apps/v1
kind: Deployment
metadata: {name: {{ .Release.Name }}}
spec:
  selector: {matchLabels: {release: {{ .Release.Name }}}}
  template:
    metadata: {labels: {release: {{ .Release.Name }}}}
    spec: {terminationGracePeriodSeconds: 1, containers: [{name: main, image: "127.0.0.1:10256/none:1"}]}
`)
	return folder
}
