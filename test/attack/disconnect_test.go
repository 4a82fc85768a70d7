package attack

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"helm-tenant/test/harness"
)

// TestDisconnectWaits: with a pending release, Tiller restarts only when it ends; the next run
// finishes a revoke or an apply that is killed during the wait.
func TestDisconnectWaits(t *testing.T) {
	p := newProver(t)
	const home = "parting-tiller"
	if _, err := p.helmTenant(t.Context(), "init", "parting", "--engine", "tiller", "--namespaces", "parting1", "--create-namespaces", "--user", "alice,bob,carol"); err != nil {
		t.Fatal(err)
	}
	records := p.root.CoreV1().Secrets(home)
	status := func(word string) {
		t.Helper()
		patch := fmt.Appendf(nil, `{"metadata":{"labels":{"STATUS":%q}}}`, word)
		if _, err := records.Patch(t.Context(), "slow.v1", types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	record := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "slow.v1", Labels: map[string]string{"OWNER": "TILLER", "NAME": "slow", "VERSION": "1", "STATUS": "PENDING_INSTALL"}},
		Data: map[string][]byte{"release": []byte("x")}}
	if _, err := records.Create(t.Context(), record, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	const file = "apiVersion: helm-tenant/v1\ntenants:\n- {name: parting, namespaces: [parting1], members: {users: [carol]}}\n"
	for _, step := range []struct {
		args  []string
		input string
		kill  bool
	}{
		{[]string{"revoke", "parting", "--user", "alice", "--disconnect"}, "", true},
		{[]string{"revoke", "parting", "--user", "alice", "--disconnect"}, "", false},
		{[]string{"apply", "-f", "-", "--disconnect"}, file, true},
		{[]string{"apply", "-f", "-"}, file, false}, // it finishes the interrupted run
	} {
		status("PENDING_UPGRADE")
		before := p.tillerPod(t, home, "")
		output := &safeBuffer{}
		cmd, err := p.command(t.Context(), step.args...)
		if err != nil {
			t.Fatal(err)
		}
		cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(step.input), output, output
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if err := harness.Await(t.Context(), "it to wait for the release", func(context.Context) (bool, error) {
			return strings.Contains(output.String(), "waiting for pending releases: slow"), nil
		}); err != nil {
			t.Fatalf("%v: %v\n%s", step.args, err, output.String())
		}
		if now := p.tillerPod(t, home, ""); now != before {
			t.Errorf("%v: Tiller was restarted while a release was pending", step.args)
		}
		if step.kill {
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait() // it was killed
			continue
		}
		status("DEPLOYED")
		if err := cmd.Wait(); err != nil {
			t.Fatalf("%v: %v\n%s", step.args, err, output.String())
		}
		if earlier := strings.Contains(output.String(), "an earlier run with --disconnect was stopped"); earlier != (step.input != "") {
			t.Errorf("%v says:\n%s", step.args, output.String())
		}
		if strings.Contains(output.String(), "while these releases were pending") {
			t.Errorf("%v says:\n%s", step.args, output.String())
		}
		p.tillerPod(t, home, before)
	}
	// One that stays pending is named, and interrupted.
	status("PENDING_ROLLBACK")
	before := p.tillerPod(t, home, "")
	cmd, err := p.command(t.Context(), "revoke", "parting", "--user", "carol", "--disconnect", "--timeout", "20s")
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.CombinedOutput()
	if !strings.Contains(string(out), "slow") {
		t.Errorf("a release that stays pending is not named: %v\n%s", err, out)
	}
	p.tillerPod(t, home, before)
}

// tillerPod returns the UID of the Tiller pod that is ready and is not the one before.
func (p *prover) tillerPod(t *testing.T, home string, before types.UID) types.UID {
	t.Helper()
	var found types.UID
	if err := harness.Await(t.Context(), "another Tiller in "+home, func(ctx context.Context) (bool, error) {
		pods, err := p.root.CoreV1().Pods(home).List(ctx, metav1.ListOptions{LabelSelector: "app=helm,name=tiller"})
		if err != nil {
			return false, err
		}
		for _, pod := range pods.Items {
			if pod.UID != before && pod.DeletionTimestamp == nil && pod.Status.Phase == corev1.PodRunning {
				found = pod.UID
			}
		}
		return found != "", nil
	}); err != nil {
		t.Fatal(err)
	}
	return found
}

// safeBuffer is read while a command writes into it.
type safeBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
