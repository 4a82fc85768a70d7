package apitest

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestManifestsAppliedByKubectl: what apply --dry-run=client prints, applied by kubectl in
// either way, is what apply makes of the file, and the other way round.
func TestManifestsAppliedByKubectl(t *testing.T) {
	t.Parallel()
	w := start(t)
	for _, way := range [][]string{{"apply", "-f"}, {"apply", "--server-side", "-f"}} {
		team := newTeam()
		admin := w.admin(t)
		file := filepath.Join(t.TempDir(), "tenants.yaml")
		must(t, os.WriteFile(file, []byte("apiVersion: helm-tenant/v1\ntenants:\n- name: "+team.name+"\n  namespaces: ["+team.a+", "+team.b+"]\n  engine: both\n"+
			"  members: {users: [alice], groups: [devs], serviceAccounts: ['"+team.a+":ci']}\n  quota: {pods: '20'}\n  limits: {default: {cpu: 500m}}\n  network: isolated\n"+
			"  hosts: ['*.example.com']\n  labels: {cost-center: '42'}\n  contact: '#ops'\n"), 0o600))
		offline := *admin
		offline.kubeconfig = filepath.Join(t.TempDir(), "none")
		r := offline.must(t, "apply", "-f", file, "--dry-run=client", "-o", "yaml")
		manifests := filepath.Join(t.TempDir(), "manifests.yaml")
		// The policies are all tenants': those of other tests would change.
		own := slices.DeleteFunc(strings.Split(r.Stdout, "---\n"), func(object string) bool { return strings.Contains(object, "\nkind: ValidatingAdmissionPolicy") })
		if len(own) < 10 || len(own) == strings.Count(r.Stdout, "---\n")+1 {
			t.Fatalf("the manifests are:\n%s", r.Stdout)
		}
		must(t, os.WriteFile(manifests, []byte(strings.Join(own, "---\n")), 0o600))
		args := append(way, manifests)
		if out, err := w.with(t, admin.kubeconfig, "kubectl", args...); err != nil {
			t.Fatalf("kubectl %q: %v\n%s", args, err, out)
		}
		for _, c := range []struct {
			args []string
			want string
		}{
			{[]string{"init", team.name, "--dry-run", "-o", "name"}, ""},
			{[]string{"apply", "-f", file}, "1 tenant unchanged"},
			{[]string{"apply", "-f", file, "--dry-run"}, "1 tenant unchanged"},
		} {
			r := admin.must(t, c.args...)
			if !strings.Contains(r.Stdout, c.want) || strings.Contains(r.Stdout, team.name) {
				t.Errorf("after kubectl %q, %q: %v", way, c.args, r)
			}
		}
		if r := admin.run(t, "audit", team.name, "-f", file, "-o", "json"); strings.Contains(r.Stdout, "HT042") || strings.Contains(r.Stdout, "HT043") {
			t.Errorf("after kubectl %q, the audit: %v", way, r)
		}
		out, err := w.with(t, admin.kubeconfig, "kubectl", "diff", "-f", manifests)
		if err != nil && strings.Contains(out, team.name) {
			t.Errorf("after an apply kubectl diff finds: %v\n%s", err, out)
		}
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--dry-run=cluster"}, "--dry-run=cluster is not one of"},
		{[]string{"--dry-run=client", "--prune"}, "--prune needs a cluster"},
		{[]string{"--dry-run=client", "--wait"}, "--wait needs a cluster"},
		{[]string{"--kube-version", "1.29"}, "--kube-version is for --dry-run=client"},
	} {
		if r := w.admin(t).run(t, append([]string{"apply", "-f", "none.yaml"}, c.args...)...); r.Code != 2 || !strings.Contains(r.Stderr, c.want) {
			t.Errorf("wanted %q: %v", c.want, r)
		}
	}
}
