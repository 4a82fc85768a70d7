package audit

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// deployed gives the account of a folder of deploy/ what its manifests give it, and
// returns a kubeconfig of that account.
func (p *plant) deployed(job string) (kubeconfig string) {
	p.Helper()
	for _, file := range []string{"namespace.yaml", "account.yaml", "clusterrole.yaml"} {
		path := filepath.Join("..", "..", "deploy", job, file)
		if r := p.w.carryOut([]string{"kubectl", "apply", "-f", path}); r.Code != 0 {
			p.Fatal(r.Stderr)
		}
		p.later(func() {
			if r := p.w.carryOut([]string{"kubectl", "delete", "-f", path, "--wait"}); r.Code != 0 {
				p.Error(r.Stderr)
			}
		})
	}
	kubeconfig, err := p.w.Kubeconfig("system:serviceaccount:helm-tenant-" + job + ":helm-tenant-" + job)
	must(p.T, err)
	p.w.settle(p.T)
	return kubeconfig
}

// TestDeployedRole: with the ClusterRole of deploy/audit, and no other right, an audit
// sees everything, releases too.
func TestDeployedRole(t *testing.T) {
	w := start(t)
	w.clean(t)
	p := w.plant(t)
	p.release("alpha-tiller", "web", "alpha-a")
	kubeconfig := p.deployed("audit")
	ignore := filepath.Join("..", "..", "deploy", "audit", "ignore.yaml")
	r := w.run(kubeconfig, "audit", "--ignore-file", ignore, "-o", "json")
	var got report
	if err := json.Unmarshal([]byte(r.Stdout), &got); err != nil {
		t.Fatalf("exit code %d: %v\n%s", r.Code, err, r.Stderr)
	}
	if r.Code != 0 || got.Result != "clean" || len(got.Unseen) > 0 {
		t.Errorf("exit code %d, %s, unseen %v\n%s", r.Code, got.Result, got.Unseen, r.Stdout)
	}
}

// TestDeployedRevoke: with the ClusterRole of deploy/revoke, and no other right, those are
// taken out whose time is over.
func TestDeployedRevoke(t *testing.T) {
	w := start(t)
	w.clean(t)
	p := w.plant(t)
	kubeconfig := p.deployed("revoke")
	p.helmTenant("grant", "alpha", "--user", "oncall", "--for", "1s", "--reason", "INC-12")
	time.Sleep(2 * time.Second) // the API server's clock has seconds
	r := w.run(kubeconfig, "revoke", "--expired", "--all")
	if r.Code != 0 || !strings.Contains(r.Stdout, "user oncall can no longer use tenant alpha") {
		t.Errorf("exit code %d\n%s%s", r.Code, r.Stdout, r.Stderr)
	}
	for _, args := range [][]string{{"grant", "alpha", "--user", "zoe", "--owner"}, {"init", "alpha", "--namespaces", "alpha-a,alpha-b,outside"}, {"destroy", "alpha", "--yes", "--keep-releases"}} {
		if r := w.run(kubeconfig, args...); r.Code == 0 {
			t.Errorf("%q is allowed:\n%s", args, r.Stdout)
		}
	}
}

// TestDeployedApply: with the ClusterRole of deploy/apply, and no other right, any tenants
// file is applied, changed and pruned.
func TestDeployedApply(t *testing.T) {
	w := start(t)
	w.clean(t)
	p := w.plant(t)
	kubeconfig := p.deployed("apply")
	file := filepath.Join(t.TempDir(), "tenants.yaml")
	apply := func(words, tenants string, more ...string) {
		t.Helper()
		must(t, os.WriteFile(file, []byte("apiVersion: helm-tenant/v1\ntenants:\n"+tenants), 0o600))
		args := append([]string{"apply", "-f", file, "--create-namespaces", "--accept-risk=cluster-wide,no-guard"}, more...)
		if r := w.run(kubeconfig, args...); r.Code != 0 || !strings.Contains(r.Stdout+r.Stderr, words) {
			t.Errorf("apply: exit code %d, wanted %q\n%s%s", r.Code, words, r.Stdout, r.Stderr)
		}
	}
	p.later(func() {
		for _, name := range []string{"delta", "omega"} {
			w.run(w.Admin(), "destroy", name, "--yes", "--keep-releases", "--delete-namespaces")
		}
	})
	delta := "- {name: delta, namespaces: [delta-a, delta-b], engine: both, members: {users: [dora]}, role: helm-tenant-admin, podSecurity: restricted, guard: enforce, quota: {pods: '9'}, limits: {default: {memory: 64Mi}}, network: isolated, hosts: [delta.example.com], labels: {cost: '7'}}\n"
	apply("delta", delta+"- {name: omega, allNamespaces: true, engine: impersonation, members: {groups: [omega]}}\n")
	apply("", delta+"- {name: omega, allNamespaces: true, engine: impersonation, members: {groups: [omega]}}\n", "--detailed-exitcode")
	apply("dora", "- {name: delta, homeNamespace: delta-tiller, namespaces: [delta-a], engine: both, members: {users: [dan]}, podSecurity: baseline, guard: 'off', network: open}\n")
	tenants := w.run(w.Admin(), "tenants", "-o", "name")
	if names := strings.Fields(tenants.Stdout); !slices.Contains(names, "tenant/delta") || !slices.Contains(names, "tenant/omega") {
		t.Errorf("there are %q", names)
	}
}
