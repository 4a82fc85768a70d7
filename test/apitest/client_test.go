package apitest

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"

	"helm-tenant/test/harness"
)

// fakeHelm returns a program that says that it is a helm of that version, and for any
// other command prints what it was started with and ends with code 7. Asked for
// the version of its Tiller, it says v2.17.0.
func fakeHelm(t *testing.T, version string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "helm")
	script := `#!/bin/sh
case "$1 $2" in
"version --client") echo "Client: ` + version + `+g0000000"; exit 0;;
"version --short") echo "` + version + `+g0000000"; exit 0;;
esac
case "$*" in
*"version --server"*) echo v2.17.0; exit 0;;
*"history helm-tenant-whoami-asks"*) echo 'Error: release: "helm-tenant-whoami-asks" not found' >&2; exit 1;;
esac
for arg; do echo "arg $arg"; done
echo "TILLER_NAMESPACE $TILLER_NAMESPACE"
echo "HELM_TENANT $HELM_TENANT"
exit 7
`
	must(t, os.WriteFile(path, []byte(script), 0o755))
	return path
}

// edit replaces a piece of the user's kubeconfig.
func (u *user) edit(t *testing.T, old, new string) {
	t.Helper()
	text, err := os.ReadFile(u.kubeconfig)
	must(t, err)
	if !strings.Contains(string(text), old) {
		t.Fatalf("the kubeconfig does not hold %q", old)
	}
	must(t, os.WriteFile(u.kubeconfig, []byte(strings.Replace(string(text), old, new, 1)), 0o600))
}

// inNamespace makes it the one of the user's context.
func (u *user) inNamespace(t *testing.T, namespace string) {
	t.Helper()
	config, err := clientcmd.LoadFromFile(u.kubeconfig)
	must(t, err)
	config.Contexts["test"].Namespace = namespace
	must(t, clientcmd.WriteToFile(*config, u.kubeconfig))
}

// closedPort returns an address at which nobody listens.
func closedPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	must(t, l.Close())
	return l.Addr().String()
}

// wrapped is what the fake helm printed: its arguments and its tenant.
func wrapped(t *testing.T, r harness.Result) (args []string, home, tenant string) {
	t.Helper()
	if r.Code != 7 || r.Stderr != "" {
		t.Fatalf("helm was not started, or its exit code is lost: %v", r)
	}
	for line := range strings.Lines(r.Stdout) {
		line = strings.TrimSuffix(line, "\n")
		if arg, found := strings.CutPrefix(line, "arg "); found {
			args = append(args, arg)
		}
		if value, found := strings.CutPrefix(line, "TILLER_NAMESPACE "); found {
			home = value
		}
		if value, found := strings.CutPrefix(line, "HELM_TENANT "); found {
			tenant = value
		}
	}
	return args, home, tenant
}

func TestAfterUseNobodyIsAsked(t *testing.T) {
	t.Parallel()
	w, team, second := start(t), newTeam(), newTeam()
	alice := w.newUser(t, "alice")
	alice.env = []string{"HELM_BIN=" + fakeHelm(t, "v2.17.0")}
	w.makeTenant(t, team, "--user", alice.name)
	w.makeTenant(t, second, "--user", alice.name, "--home-namespace", second.c, "--adopt")
	alice.requests(t)
	r := alice.must(t, "use", team.name)
	if want := fmt.Sprintf("context %q now uses tenant %s\n", "test", team.name); r.Stdout != want || r.Stderr != "" {
		t.Errorf("use says: %v", r)
	}
	same(t, "what use asks for", []string{
		"get configmaps " + team.name + "-helm/helm-tenant", "get configmaps " + team.home + "/helm-tenant",
		"get namespaces default", "get namespaces " + team.a, "get namespaces " + team.b, // whether they name another home
	}, texted(alice.requests(t)))
	// kubectl still reads what use wrote, and writes the file without losing it.
	config, err := clientcmd.LoadFromFile(alice.kubeconfig)
	must(t, err)
	if _, has := config.Contexts["test"].Extensions["helm-tenant"]; !has {
		t.Errorf("the context has the extensions %v", config.Contexts["test"].Extensions)
	}
	must(t, clientcmd.WriteToFile(*config, alice.kubeconfig))

	check := func() {
		t.Helper()
		for _, c := range []struct {
			typed, args []string
			home        string
		}{
			{[]string{"list"}, []string{"--tiller-namespace=" + team.home, "--kube-context=test", "list"}, team.home},
			{[]string{"install", "./chart", "--name", "x"}, []string{"--tiller-namespace=" + team.home, "--kube-context=test", "--namespace=" + team.a, "install", "./chart", "--name", "x"}, team.home},
			{[]string{"upgrade", "x", "./chart", "--install", "--namespace", team.b}, []string{"--tiller-namespace=" + team.home, "--kube-context=test", "upgrade", "x", "./chart", "--install", "--namespace", team.b}, team.home},
			{[]string{"diff", "upgrade", "x"}, []string{"--tiller-namespace=" + team.home, "--kube-context=test", "diff", "upgrade", "x"}, team.home},
		} {
			args, home, tenant := wrapped(t, alice.run(t, c.typed...))
			same(t, fmt.Sprintf("%q: helm's arguments", c.typed), c.args, args)
			if home != c.home || tenant != team.name {
				t.Errorf("%q: TILLER_NAMESPACE is %q, HELM_TENANT %q", c.typed, home, tenant)
			}
		}
	}
	check()
	if asked := texted(alice.requests(t)); len(asked) > 0 {
		t.Errorf("after use it asks for %q", asked)
	}
	// A second tenant, whose home must be named once; the first is still known.
	alice.must(t, "use", second.name, "--home-namespace", second.c)
	// And when the API server is gone, nothing of that changes.
	alice.edit(t, w.Server, "https://"+closedPort(t))
	args, home, _ := wrapped(t, alice.run(t, "list"))
	same(t, "for the tenant used last, helm's arguments", []string{"--tiller-namespace=" + second.c, "--kube-context=test", "list"}, args)
	if home != second.c {
		t.Errorf("TILLER_NAMESPACE is %q", home)
	}
	if _, home, _ := wrapped(t, alice.run(t, "--tenant", team.name, "list")); home != team.home {
		t.Errorf("for --tenant %s TILLER_NAMESPACE is %q", team.name, home)
	}
	alice.env = append(alice.env, "HELM_TENANT="+team.name)
	check()
}

func texted(requests []request) []string {
	out := []string{}
	for _, r := range requests {
		out = append(out, r.String())
	}
	slices.Sort(out)
	return out
}

func TestUseThatCanNotBe(t *testing.T) {
	t.Parallel()
	w, team := start(t), newTeam()
	w.makeTenant(t, team)
	bob := w.newUser(t, "bob")
	before, err := os.ReadFile(bob.kubeconfig)
	must(t, err)
	bob.fails(t, 1, []string{team.home, `context "test"`, "helm tenant grant"}, "use", team.name)
	bob.fails(t, 1, []string{"forbidden", "none-tiller"}, "use", "none")
	admin := w.admin(t)
	admin.fails(t, 1, []string{`no tenant has its home in namespace "none-tiller"`, `context "test"`, "--home-namespace"}, "use", "none")
	admin.fails(t, 1, []string{team.home, team.name, "other"}, "use", "other", "--home-namespace", team.home)
	admin.fails(t, 1, []string{"no tenant", "default"}, "use")
	// A record that somebody broke.
	w.patch(t, "configmaps", team.home, "helm-tenant", `{"data":{"tenant.yaml":"name: [1"}}`)
	admin.fails(t, 1, []string{team.home, "tenant.yaml"}, "use", team.name)
	w.patch(t, "configmaps", team.home, "helm-tenant", `{"data":{"tenant.yaml":"recordVersion: 9\nname: `+team.name+`\n"}}`)
	admin.fails(t, 1, []string{team.home, "recordVersion 9"}, "use", team.name)
	after, err := os.ReadFile(bob.kubeconfig)
	must(t, err)
	if string(before) != string(after) {
		t.Error("a use that failed wrote into the kubeconfig")
	}
}

// TestTheNamespaceTells is the rule for those who never typed `use`: the label
// of the context's namespace.
func TestTheNamespaceTells(t *testing.T) {
	t.Parallel()
	w, team, plain := start(t), newTeam(), newTeam()
	helm := "HELM_BIN=" + fakeHelm(t, "v2.17.0")
	w.makeTenant(t, team, "--home-namespace", team.c, "--adopt")
	w.namespace(t, plain.a)
	reader := w.newUser(t, "reader")
	reader.env = []string{helm}
	for _, ns := range []string{team.a, team.c, plain.a} {
		w.allow(t, reader, ns, rule("", "namespaces", "get"))
	}
	w.lastGrant(t, reader, team.name)

	reader.inNamespace(t, team.a)
	reader.requests(t)
	args, home, tenant := wrapped(t, reader.run(t, "install", "./chart"))
	same(t, "helm's arguments", []string{"--tiller-namespace=" + team.c, "--kube-context=test", "install", "./chart"}, args)
	if home != team.c || tenant != team.name {
		t.Errorf("TILLER_NAMESPACE is %q, HELM_TENANT %q", home, tenant)
	}
	same(t, "what is asked for", []string{"get namespaces " + team.a}, texted(reader.requests(t)))

	reader.inNamespace(t, team.c) // the home itself
	if _, home, tenant := wrapped(t, reader.run(t, "list")); home != team.c || tenant != team.name {
		t.Errorf("in the home namespace TILLER_NAMESPACE is %q, HELM_TENANT %q", home, tenant)
	}

	reader.inNamespace(t, plain.a)
	reader.fails(t, 1, []string{`no tenant is known for context "test", namespace "` + plain.a + `"`, "helm-tenant/tenant", "helm tenant use TENANT"}, "list")

	nobody := w.newUser(t, "nobody")
	nobody.env = []string{helm}
	nobody.inNamespace(t, team.a)
	nobody.fails(t, 1, []string{`no tenant is known for context "test", namespace "` + team.a + `"`, "forbidden", nobody.name, "helm tenant use TENANT", "--tenant"}, "list")
	nobody.fails(t, 1, []string{team.a, "forbidden"}, "whoami")
	// What needs no tenant runs without one.
	wrapped(t, nobody.run(t, "lint", "./chart"))
	for _, r := range nobody.requests(t) {
		if r.String() != "get namespaces "+team.a {
			t.Errorf("it asks for %v", r)
		}
	}
}

func TestWhoami(t *testing.T) {
	t.Parallel()
	w, team := start(t), newTeam()
	alice := w.newUser(t, "alice")
	alice.env = []string{"HELM_BIN=" + fakeHelm(t, "v2.17.0")}
	// An image may say both, and the version is the tag.
	w.makeTenant(t, team, "--user", alice.name, "--tiller-image", "ghcr.io/helm/tiller:v2.17.0@sha256:"+strings.Repeat("0", 64))
	alice.must(t, "use", team.name)
	w.tillerPod(t, team)

	whoami := func(wantCode int) map[string]any {
		t.Helper()
		r := alice.run(t, "whoami", "-o", "json")
		if r.Code != wantCode {
			t.Errorf("exit code %d: %v", r.Code, r)
		}
		if wantCode != 0 && !strings.Contains(r.Stderr, team.home) {
			t.Errorf("the error does not name the namespace: %v", r)
		}
		var who map[string]any
		if err := json.Unmarshal([]byte(r.Stdout), &who); err != nil {
			t.Fatalf("%v: %v", err, r)
		}
		return who
	}
	want := map[string]any{
		"apiVersion": "helm-tenant/v1", "kind": "Whoami", "tenant": team.name, "homeNamespace": team.home, "rule": "kubeconfig context",
		"context": "test", "cluster": "test", "server": w.Server, "user": alice.name, "userName": alice.name,
		"namespace": team.a, "namespaces": []any{team.a, team.b},
		"tiller": map[string]any{"pods": 1.0, "ready": 0.0, "version": "v2.17.0", "answers": true, "answer": "v2.17.0", "ignoredSettings": []any{}},
	}
	// This server reports no pod as ready.
	same(t, "whoami, no pod ready", want, whoami(0))
	w.makeReady(t, team)
	want["tiller"].(map[string]any)["ready"] = 1.0
	same(t, "whoami, a pod ready", want, whoami(0))
	// By another way: the environment.
	alice.env = append(alice.env, "HELM_TENANT="+team.name)
	want["rule"] = "HELM_TENANT"
	same(t, "whoami by HELM_TENANT", want, whoami(0))

	// A helm that gets no answer: the real one, at a pod that does not run.
	alice.env = nil
	got := whoami(1)
	tiller := got["tiller"].(map[string]any)
	if tiller["answers"] != false || tiller["problem"] == "" || tiller["problem"] == nil {
		t.Errorf("of a Tiller that does not answer whoami says %v", tiller)
	}
	// And no pod at all.
	w.patch(t, "deployments", team.home, "tiller-deploy", `{"spec":{"replicas":0}}`)
	eventually(t, "no pod", func() error {
		pods, err := w.root.CoreV1().Pods(team.home).List(t.Context(), metav1.ListOptions{})
		if err != nil || len(pods.Items) > 0 {
			return fmt.Errorf("%d pods, %v", len(pods.Items), err)
		}
		return nil
	})
	tiller = whoami(1)["tiller"].(map[string]any)
	same(t, "a Tiller without a pod", map[string]any{"pods": 0.0, "ready": 0.0, "answers": false, "problem": "it has no pod; an admin sees the reason with: helm tenant describe " + team.name, "ignoredSettings": []any{}}, tiller)
}

// tillerPod returns the pod that the controllers made; nothing runs it.
func (w *world) tillerPod(t *testing.T, team team) *corev1.Pod {
	t.Helper()
	var pod *corev1.Pod
	eventually(t, "Tiller's pod", func() error {
		pods, err := w.root.CoreV1().Pods(team.home).List(t.Context(), metav1.ListOptions{LabelSelector: "app=helm,name=tiller"})
		if err == nil && len(pods.Items) != 1 {
			err = fmt.Errorf("%d pods", len(pods.Items))
		}
		if err == nil {
			pod = &pods.Items[0]
		}
		return err
	})
	return pod
}

// makeReady writes that Tiller's pod is ready. No kubelet is there to do so.
func (w *world) makeReady(t *testing.T, team team) {
	t.Helper()
	eventually(t, "the status of Tiller's pod to be written", func() error { // controllers write to it too
		pod := w.tillerPod(t, team)
		pod.Status.Phase = corev1.PodRunning
		pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
		_, err := w.root.CoreV1().Pods(team.home).UpdateStatus(t.Context(), pod, metav1.UpdateOptions{})
		return err
	})
}
