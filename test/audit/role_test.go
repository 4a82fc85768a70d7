package audit

import (
	"encoding/json"
	"path/filepath"
	"testing"
)

// TestDeployedRole: with the ClusterRole of deploy/audit, and no other right, an audit
// sees everything, releases in Secrets and ConfigMaps too.
func TestDeployedRole(t *testing.T) {
	w := start(t)
	w.clean(t)
	p := w.plant(t)
	for _, file := range []string{"namespace.yaml", "account.yaml", "clusterrole.yaml"} {
		path := filepath.Join("..", "..", "deploy", "audit", file)
		if r := w.command(w.Admin(), w.Bin("kubectl"), "apply", "-f", path); r.code != 0 {
			t.Fatal(r.stderr)
		}
		p.later(func() {
			if r := w.command(w.Admin(), w.Bin("kubectl"), "delete", "-f", path, "--wait"); r.code != 0 {
				t.Error(r.stderr)
			}
		})
	}
	p.release("alpha-tiller", "web", "alpha-a")
	w.settle(t)
	kubeconfig, err := w.Kubeconfig("system:serviceaccount:helm-tenant-audit:helm-tenant-audit")
	must(t, err)
	ignore := filepath.Join("..", "..", "deploy", "audit", "ignore.yaml")
	r := w.run(kubeconfig, "audit", "--ignore-file", ignore, "-o", "json")
	var got report
	if err := json.Unmarshal([]byte(r.stdout), &got); err != nil {
		t.Fatalf("exit code %d: %v\n%s", r.code, err, r.stderr)
	}
	if r.code != 0 || got.Result != "clean" || len(got.Unseen) > 0 {
		t.Errorf("exit code %d, %s, unseen %v\n%s", r.code, got.Result, got.Unseen, r.stdout)
	}
}
