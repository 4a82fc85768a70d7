package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"helm-tenant/test/harness"
)

// runNow runs a CronJob's Job at once, waits for its end, and returns what its pod
// printed and its exit code.
func (p *person) runNow(namespace, cronJob, name string) (log, exitCode string) {
	p.t.Helper()
	p.run("kubectl", "-n", namespace, "create", "job", name, "--from=cronjob/"+cronJob)
	const state = `jsonpath={.items[*].status.containerStatuses[*].state.terminated.exitCode}`
	for deadline := time.Now().Add(2 * harness.Patience); ; time.Sleep(time.Second) {
		code := p.run("kubectl", "-n", namespace, "get", "pods", "-l", "batch.kubernetes.io/job-name="+name, "-o", state)
		if code != "" {
			return p.run("kubectl", "-n", namespace, "logs", "-l", "batch.kubernetes.io/job-name="+name, "--tail=-1"), code
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("Job %s has not ended:\n%s", name, p.run("kubectl", "-n", namespace, "describe", "pods"))
		}
	}
}

// TestUnattended runs the CronJobs of deploy/ with the container image of a release, as
// they are but for the tenants file.
func TestUnattended(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	dist, _ := hostRelease(t)
	if err := w.cluster.LoadLayout(t.Context(), filepath.Join(dist, "helm-tenant-image-0.1.0.oci.tar"), "registry.example.com/helm-tenant"); err != nil {
		t.Fatal(err)
	}
	deploy := filepath.Join(t.TempDir(), "deploy")
	copyTree(t, filepath.Join(repository(t), "deploy"), deploy)
	tenants := func(members string) {
		t.Helper()
		text := fmt.Sprintf(`apiVersion: helm-tenant/v1
tenants:
- name: nightly
  namespaces: [nightly-a, nightly-b]
  members: {users: [%s]}
  podSecurity: restricted
  quota: {pods: "10"}
  limits: {default: {memory: 64Mi}}
  network: isolated
- name: nightly-3
  namespaces: [nightly-c]
  engine: impersonation
  role: helm-tenant-edit
  members: {groups: [nightly]}
`, members)
		if err := os.WriteFile(filepath.Join(deploy, "apply", "tenants.yaml"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		w.admin.run("kubectl", "apply", "-k", filepath.Join(deploy, "apply"))
	}
	const applying = "helm-tenant-apply"

	tenants("alice, bob")
	if log, code := w.admin.runNow(applying, applying, "first"); code != "0" {
		t.Fatalf("apply ended with %s:\n%s", code, log)
	}
	w.admin.run("kubectl", "-n", "nightly-tiller", "rollout", "status", "deployment/tiller-deploy", "--timeout=300s")
	contains(t, w.admin.tenant("describe", "nightly"), "user alice", "user bob", "nightly-b")
	tenants("alice")
	if log, code := w.admin.runNow(applying, applying, "second"); code != "0" || !strings.Contains(log, "bob") {
		t.Errorf("apply ended with %s:\n%s", code, log)
	}
	if described := w.admin.tenant("describe", "nightly"); strings.Contains(described, "user bob") {
		t.Errorf("bob is still a member:\n%s", described)
	}

	w.admin.run("kubectl", "apply", "-k", filepath.Join(deploy, "audit"))
	log, code := w.admin.runNow("helm-tenant-audit", "helm-tenant-audit", "now")
	// Other tests make what an audit finds.
	if code != "0" && code != "4" || strings.Contains(log, "you may not read everything") {
		t.Errorf("the audit ended with %s:\n%s", code, log)
	}
	// Its own account is ignored by the file, apply's is not.
	for account, found := range map[string]bool{"helm-tenant-apply:helm-tenant-apply": true, "helm-tenant-audit:helm-tenant-audit reaches": false} {
		findings, _, _ := strings.Cut(log, "\nIgnored:")
		if strings.Contains(findings, account) != found {
			t.Errorf("%s is found: %t\n%s", account, !found, log)
		}
	}

	w.admin.tenant("grant", "nightly", "--user", "carol", "--for", "1s")
	contains(t, w.admin.tenant("describe", "nightly"), "user carol")
	time.Sleep(time.Second) // the grant ends
	w.admin.run("kubectl", "apply", "-k", filepath.Join(deploy, "revoke"))
	if log, code := w.admin.runNow("helm-tenant-revoke", "helm-tenant-revoke", "now"); code != "0" {
		t.Errorf("the revoke ended with %s:\n%s", code, log)
	}
	if described := w.admin.tenant("describe", "nightly"); strings.Contains(described, "user carol") || !strings.Contains(described, "user alice") {
		t.Errorf("carol is still a member, or alice is none any more:\n%s", described)
	}
	for _, job := range []string{"apply", "audit", "revoke"} {
		w.admin.run("kubectl", "delete", "-k", filepath.Join(deploy, job), "--wait=false")
	}
}
