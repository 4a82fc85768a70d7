package apitest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// TestNamespaceSelector: apply adds the namespaces that match, and removes those that no longer
// match; the audit reports matches since the last apply.
func TestNamespaceSelector(t *testing.T) {
	t.Parallel()
	w, team, other := start(t), newTeam(), newTeam()
	admin := w.admin(t)
	w.makeTenant(t, other, "--engine", "impersonation", "--home-namespace", other.home)
	w.makeTenant(t, team, "--engine", "impersonation", "--home-namespace", team.home)
	admin.must(t, "init", team.name, "--namespaces", team.a, "--prune")
	label := func(ns, value string) {
		t.Helper()
		_, err := w.root.CoreV1().Namespaces().Patch(t.Context(), ns, types.MergePatchType, []byte(`{"metadata":{"labels":{"example.com/of":`+value+`}}}`), metav1.PatchOptions{})
		must(t, err)
	}
	file := filepath.Join(t.TempDir(), "tenants.yaml")
	must(t, os.WriteFile(file, []byte("apiVersion: helm-tenant/v1\ntenants:\n- name: "+team.name+"\n  namespaces: ["+team.a+"]\n  namespaceSelector: {matchLabels: {example.com/of: "+team.name+"}}\n"+
		"  engine: impersonation\n  homeNamespace: "+team.home+"\n"), 0o600))
	admin.must(t, "apply", "-f", file)
	drifted := func() string { return admin.run(t, "audit", team.name, "-f", file, "-o", "json").Stdout }
	if text := drifted(); strings.Contains(text, "HT043") {
		t.Errorf("after an apply: %s", text)
	}

	_, err := w.root.RbacV1().RoleBindings(team.b).Create(t.Context(), &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "prepared"},
		Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: team.b, Name: "default"}}, RoleRef: rbacv1.RoleRef{APIGroup: rbacGroup, Kind: "ClusterRole", Name: "edit"}}, metav1.CreateOptions{})
	must(t, err)
	for _, ns := range []string{team.b, other.a, team.home} {
		label(ns, `"`+team.name+`"`)
	}
	if text := drifted(); !strings.Contains(text, "namespace "+team.b+" matches the namespaceSelector") || strings.Contains(text, "namespace "+other.a+" matches") {
		t.Errorf("one more matches: %s", text)
	}
	if r := admin.must(t, "init", team.name, "--dry-run", "-o", "name"); r.Stdout != "" {
		t.Errorf("an init resolves it: %v", r)
	}
	r := admin.must(t, "apply", "-f", file, "--dry-run")
	for _, want := range []string{`namespace "` + other.a + `" matches the namespaceSelector and is left out: it belongs to tenant "` + other.name + `"`, `namespace "` + team.home + `" matches the namespaceSelector and is left out: it is a home namespace`} {
		if !strings.Contains(r.Stdout+r.Stderr, want) {
			t.Errorf("%q is not said: %v", want, r)
		}
	}
	if r := admin.must(t, "apply", "-f", file); !strings.Contains(r.Stderr, `namespace "`+team.b+`" becomes the tenant's by its labels; others can act in it: RoleBinding prepared`) {
		t.Errorf("who can act in the namespace is not said: %v", r)
	}
	has := func(ns string, want bool) {
		t.Helper()
		bindings, err := w.root.RbacV1().RoleBindings(ns).List(t.Context(), metav1.ListOptions{LabelSelector: "helm-tenant/tenant=" + team.name})
		if err != nil || (len(bindings.Items) > 0) != want {
			t.Errorf("in %s: %d bindings, %v", ns, len(bindings.Items), err)
		}
	}
	has(team.b, true)
	has(other.a, false)
	if r := admin.must(t, "apply", "-f", file); !strings.Contains(r.Stdout, "1 tenant unchanged") {
		t.Errorf("a second apply: %v", r)
	}
	if r := admin.must(t, "export", team.name); !strings.Contains(r.Stdout, "namespaces: ["+team.a+"]\n") || !strings.Contains(r.Stdout, "namespaceSelector:") {
		t.Errorf("the export: %v", r)
	}
	label(team.b, "null")
	if r := admin.must(t, "apply", "-f", file); !strings.Contains(r.Stdout+r.Stderr, `namespace "`+team.b+`" is taken from the tenant`) {
		t.Errorf("one matches no more: %v", r)
	}
	has(team.b, false)
	admin.fails(t, 1, []string{"can't be resolved without listing the cluster's namespaces"}, "apply", "-f", file, "--no-cluster-reads")
	admin.fails(t, 1, []string{"apply the file to one"}, "apply", "-f", file, "--dry-run=client")
}
