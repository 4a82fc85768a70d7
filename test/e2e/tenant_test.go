package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"helm-tenant/test/harness"
)

// TestMainJob is the whole of it: two tenants, their members, what helm does
// for them, and a revoke.
func TestMainJob(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	alice, bob := w.user("alice"), w.user("bob", "team-b-devs")
	w.admin.run("helm", "tenant", "init", "job-a", "--namespaces", "job-a1,job-a2", "--create-namespaces", "--user", "alice")
	w.admin.run("helm", "tenant", "init", "job-b", "--namespaces", "job-b1", "--create-namespaces", "--group", "team-b-devs")

	alice.run("helm", "tenant", "use", "job-a")
	bob.run("helm", "tenant", "use", "job-b")

	t.Run("whoami", func(t *testing.T) {
		var who struct {
			Tenant, HomeNamespace, Rule, Context, User, UserName, Namespace string
			Tiller                                                          struct {
				Ready, Pods     int
				Version, Answer string
				Answers         bool
			}
		}
		if err := json.Unmarshal([]byte(alice.run("helm", "tenant", "whoami", "-o", "json")), &who); err != nil {
			t.Fatal(err)
		}
		got := fmt.Sprintf("%+v", who)
		want := "{Tenant:job-a HomeNamespace:job-a-tiller Rule:kubeconfig context Context:test User:alice UserName:alice Namespace:job-a1 Tiller:{Ready:1 Pods:1 Version:v2.17.0 Answer:v2.17.0 Answers:true}}"
		if got != want {
			t.Errorf("whoami:\n got %s\nwant %s", got, want)
		}
	})

	// A release's life, every command that talks to Tiller among it.
	alice.run("helm", "tenant", "install", chart(t), "--name", "web", "--wait")
	contains(t, alice.run("helm", "tenant", "list"), "web", "DEPLOYED", "job-a1")
	contains(t, alice.run("helm", "tenant", "upgrade", "web", chart(t), "--set", "greeting=again"), "STATUS: DEPLOYED")
	contains(t, alice.run("helm", "tenant", "get", "values", "web"), "greeting: again")
	contains(t, alice.run("helm", "tenant", "history", "web"), "SUPERSEDED", "DEPLOYED")
	alice.run("helm", "tenant", "rollback", "web", "1")
	contains(t, alice.run("helm", "tenant", "status", "web"), "NAMESPACE: job-a1")
	contains(t, alice.run("helm", "tenant", "version"), "Server:", "v2.17.0")
	// The second namespace when it is asked for.
	alice.run("helm", "tenant", "install", chart(t), "--name", "other", "--namespace", "job-a2")
	// By itself, without helm around it.
	contains(t, alice.run(w.binary(), "ls", "--short"), "web", "other")

	t.Run("the other tenant", func(t *testing.T) {
		if out := bob.run("helm", "tenant", "list"); strings.TrimSpace(out) != "" {
			t.Errorf("bob sees releases: %s", out)
		}
		bob.fails(1, "forbidden", "helm", "tenant", "install", chart(t), "--name", "intruder", "--namespace", "job-a1")
		bob.fails(1, "forbidden", "helm", "--tiller-namespace", "job-a-tiller", "list")
		bob.fails(1, "forbidden", "helm", "tenant", "--tenant", "job-a", "list")
	})

	t.Run("standard input reaches helm", func(t *testing.T) {
		s := alice.tryWith("greeting: from-stdin\n", "helm", "tenant", "install", chart(t), "--name", "piped", "-f", "-")
		if s.code != 0 {
			t.Fatalf("install -f -: %d\n%s", s.code, s.stderr)
		}
		contains(t, alice.run("helm", "tenant", "get", "values", "piped"), "from-stdin")
	})

	w.admin.run("helm", "tenant", "revoke", "job-a", "--user", "alice")
	alice.fails(1, "forbidden", "helm", "tenant", "list")
	w.admin.run("helm", "tenant", "grant", "job-a", "--user", "alice")
	alice.run("helm", "tenant", "delete", "--purge", "web", "other", "piped")
}

// TestContext: helm-tenant uses the context that was typed to helm, though Helm 2 does not pass
// it to plugins.
func TestContext(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, name := range []string{"ctx-one", "ctx-two"} {
		w.admin.tenant("init", name, "--namespaces", name, "--create-namespaces", "--user", "carol")
	}
	carol := w.user("carol")
	// One file, two contexts of the same user; each knows another tenant.
	carol.run("kubectl", "config", "rename-context", "test", "one")
	carol.run("kubectl", "config", "set-context", "two", "--cluster=test", "--user=carol")
	carol.run("helm", "tenant", "--context", "one", "use", "ctx-one")
	carol.run("helm", "tenant", "--context", "two", "use", "ctx-two")
	carol.run("helm", "tenant", "install", chart(t), "--name", "in-one")
	carol.run("helm", "--kube-context", "two", "tenant", "install", chart(t), "--name", "in-two")

	for _, c := range []struct {
		name string
		args []string
		want string
	}{
		{"the current one", []string{"helm", "tenant", "ls", "-q"}, "in-one"},
		{"before the plugin", []string{"helm", "--kube-context", "two", "tenant", "ls", "-q"}, "in-two"},
		{"before, joined", []string{"helm", "--kube-context=two", "tenant", "ls", "-q"}, "in-two"},
		{"after the command", []string{"helm", "tenant", "ls", "-q", "--kube-context", "two"}, "in-two"},
		{"after, joined", []string{"helm", "tenant", "ls", "--kube-context=two", "-q"}, "in-two"},
		{"between", []string{"helm", "tenant", "--kube-context", "two", "ls", "-q"}, "in-two"},
		{"behind a double dash", []string{"helm", "tenant", "ls", "-q", "--", "--kube-context", "two"}, "in-two"},
		{"ours", []string{"helm", "tenant", "--context", "two", "ls", "-q"}, "in-two"},
		{"standing alone", []string{w.binary(), "ls", "-q", "--kube-context", "two"}, "in-two"},
		{"standing alone, before", []string{w.binary(), "--kube-context=two", "ls", "-q"}, "in-two"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := strings.TrimSpace(carol.run(c.args...)); got != c.want {
				t.Errorf("%s\n got %q\nwant %q", strings.Join(c.args, " "), got, c.want)
			}
		})
	}

	t.Run("a verb of ours", func(t *testing.T) {
		contains(t, carol.run("helm", "tenant", "whoami", "--kube-context", "two"), "ctx-two")
	})
	t.Run("two that differ", func(_ *testing.T) {
		carol.fails(1, "two contexts are named", "helm", "--kube-context", "one", "tenant", "--context", "two", "ls")
	})
	t.Run("one that can not be known is refused", func(t *testing.T) {
		// As Helm 2 starts a plugin, but it is not helm that does.
		dir := filepath.Dir(filepath.Dir(w.binary()))
		hidden := *carol
		hidden.env = append(hidden.env, "HELM_BIN=helm", "HELM_PLUGIN_NAME=tenant", "HELM_PLUGIN_DIR="+dir, "TILLER_NAMESPACE=kube-system", "HELM_PATH_CACHE=/nowhere")
		hidden.fails(1, "--kube-context", "sh", "-c", w.binary()+" ls; exit $?")
		if got := strings.TrimSpace(hidden.run("sh", "-c", w.binary()+" --context two ls -q; exit $?")); got != "in-two" {
			t.Errorf("with --context it should work: %q", got)
		}
	})
}

// TestReplaced shows that the wrapper's process becomes helm's: same id, so
// that signals, terminal and exit code are helm's own.
func TestReplaced(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.admin.tenant("init", "replaced", "--namespaces", "replaced", "--create-namespaces", "--user", "dave")
	dave := w.user("dave")
	dave.tenant("use", "replaced")

	cmd := exec.Command(w.binary(), "install", chart(t), "--name", "never", "--set", "image=127.0.0.1:10256/none:1", "--wait", "--timeout", "1200")
	cmd.Env = dave.env
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	helm, err := filepath.EvalSymlinks(w.cluster.Bin("helm2"))
	if err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(harness.Patience)
	for {
		exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", cmd.Process.Pid))
		if err == nil && exe == helm {
			break
		}
		if time.Now().After(deadline) {
			cmd.Process.Kill()
			t.Fatalf("process %d runs %q, not helm %q", cmd.Process.Pid, exe, helm)
		}
		time.Sleep(20 * time.Millisecond)
	}
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	err = cmd.Wait()
	status := cmd.ProcessState.Sys().(syscall.WaitStatus)
	if !status.Signaled() || status.Signal() != syscall.SIGINT {
		t.Errorf("helm ended with %v, not by the signal that was sent", err)
	}

	// helm 2.17's own code for a chart that fails lint is 1, for a plugin that
	// fails the plugin's own.
	if s := dave.try(w.binary(), "status", "nothing-of-that-name"); s.code != 1 {
		t.Errorf("exit code %d, helm's is 1", s.code)
	}
}
