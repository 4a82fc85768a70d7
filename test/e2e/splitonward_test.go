package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// wide has a cluster-scoped object in addition to one in its namespace.
func wide(t testing.TB) string {
	return writeChart(t, "wide", map[string]string{
		"values.yaml": "greeting: hello\n",
		"templates/all.yaml": settings + `---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: {{ .Release.Name }}-{{ .Release.Namespace }}
  annotations: {greeting: {{ .Values.greeting | quote }}}
rules: [{apiGroups: [""], resources: [nodes], verbs: [get]}]
`,
	})
}

// TestSplitOnward splits a cluster-admin's Tiller: one tenant, and one of all namespaces, move
// to Helm 3 and 4 in the same run; another keeps a Tiller; and the old Tiller becomes a
// narrowed tenant. Afterwards each helm upgrades, rolls back and uninstalls its releases, and
// no object of them is left.
func TestSplitOnward(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	admin2, admin3 := w.admin, w.under(w.admin, "helm3")
	for _, ns := range []string{"onward-old", "onward-a", "onward-b", "onward-c", "onward-infra", "onward-rest"} {
		admin2.run("kubectl", "create", "namespace", ns)
	}
	admin2.run("kubectl", "create", "serviceaccount", "tiller", "--namespace", "onward-old")
	admin2.run("kubectl", "create", "clusterrolebinding", "onward-old", "--clusterrole=cluster-admin", "--serviceaccount=onward-old:tiller")
	admin2.run("helm", "init", "--tiller-namespace", "onward-old", "--service-account", "tiller", "--skip-refresh", "--wait")
	old := []string{"helm", "--tiller-namespace", "onward-old"}
	charts := map[string]string{"web": chart(t), "data": stateful(t), "kept": chart(t), "infra": wide(t), "rest": chart(t), "restwide": wide(t)}
	for name, ns := range map[string]string{"web": "onward-a", "data": "onward-b", "kept": "onward-c", "infra": "onward-infra", "rest": "onward-rest", "restwide": "onward-rest"} {
		admin2.run(append(old, "install", charts[name], "--name", name, "--namespace", ns)...)
	}
	for _, name := range []string{"web", "data", "infra"} {
		admin2.run(append(old, "upgrade", name, charts[name], "--set", "greeting=second")...)
	}

	local, file := t.TempDir(), filepath.Join(t.TempDir(), "tenants.yaml")
	text := `apiVersion: helm-tenant/v1
tenants:
- {name: onward-one, namespaces: [onward-a, onward-b], engine: impersonation, members: {users: [ona]}}
- {name: onward-two, namespaces: [onward-c]}
- {name: onward-ops, allNamespaces: true, role: cluster-admin, engine: impersonation, members: {users: [opa]}}
`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	split := []string{"split", "-f", file, "--from", "onward-old", "--leave", "rest,restwide", "--accept-risk", "cluster-wide", "--backup", "all.yaml"}
	contains(t, admin2.must(admin2.tenantIn(local, append(split, "--dry-run")...)).stdout, "onward-ops", "Helm 3")
	contains(t, admin2.try(append([]string{"helm", "tenant"}, split...)...).stderr, "HELM_BIN") // under Helm 2 nothing can verify
	s := admin3.must(admin3.tenantIn(local, split...))
	contains(t, s.stdout, "gave 4 releases, 7 revisions, to tenants", "moved to Helm 3 and 4: onward-one, onward-ops")

	for _, name := range []string{"all.yaml", "all-onward-one.yaml", "all-onward-ops.yaml"} {
		if _, err := os.Stat(filepath.Join(local, name)); err != nil {
			t.Errorf("a backup is missing: %v", err)
		}
	}

	ona3, ona4 := w.userOf(3, "ona"), w.userOf(4, "ona")
	opa4 := w.userOf(4, "opa")
	for _, p := range []*person{ona3, ona4} {
		p.tenant("use", "onward-one", "--home-namespace", "onward-one-tiller")
	}
	opa4.tenant("use", "onward-ops", "--home-namespace", "onward-ops-tiller")
	contains(t, ona3.run("helm", "tenant", "list", "--namespace", "onward-a"), "web")
	contains(t, opa4.run("helm", "tenant", "list", "--namespace", "onward-infra"), "infra")
	contains(t, admin2.run("helm", "tenant", "--tenant", "onward-two", "list"), "kept")

	finish := []string{"split", "--finish", "--narrow", "onward-rest", "--yes", "--from", "onward-old"}
	refused := admin3.tenantIn(local, finish...)
	contains(t, refused.stderr, "ClusterRole restwide-onward-rest of release restwide", "--accept-risk=cluster-objects")
	if refused.code != 1 {
		t.Fatalf("exit code %d", refused.code)
	}
	contains(t, admin2.jsonpath("{.data}", "configmap", "helm-tenant-split", "--namespace", "onward-old"), "verified")
	s = admin3.must(admin3.tenantIn(local, append(finish, "--accept-risk", "cluster-objects")...))
	contains(t, s.stderr, "It is tenant onward-rest now", "its Tiller can't manage these objects of its releases: ClusterRole restwide-onward-rest")
	admin2.gone("clusterrolebinding", "onward-old")
	admin2.gone("deployments", "--namespace", "onward-one-tiller")

	// Each release with the helm that has it now: up, back to the first revision, and away.
	says := func(name, ns string) string {
		object := map[string]string{"web": "web", "data": "data-stateful", "kept": "kept", "infra": "infra-wide", "rest": "rest"}[name]
		return admin2.jsonpath("{.data.greeting}", "configmap", object, "--namespace", ns)
	}
	for _, r := range []struct {
		name, namespace string
		person          *person
	}{{"web", "onward-a", ona4}, {"data", "onward-b", ona3}, {"infra", "onward-infra", opa4}} {
		p := r.person
		p.run("helm", "tenant", "upgrade", r.name, charts[r.name], "--namespace", r.namespace, "--set", "greeting=third")
		if got := says(r.name, r.namespace); got != "third" {
			t.Errorf("after the upgrade release %s says %q", r.name, got)
		}
		p.run("helm", "tenant", "rollback", r.name, "1", "--namespace", r.namespace)
		if got := says(r.name, r.namespace); got != "hello" {
			t.Errorf("after the rollback release %s says %q", r.name, got)
		}
		p.run("helm", "tenant", "uninstall", r.name, "--namespace", r.namespace)
	}
	admin2.gone("clusterrole", "infra-onward-infra")
	for namespace, keeps := range map[string]string{"onward-a": "", "onward-b": "secret/data", "onward-infra": ""} {
		var left []string
		for _, name := range strings.Fields(admin2.run("kubectl", "get", "configmaps,secrets,services,deployments,statefulsets,ingresses,cronjobs,poddisruptionbudgets,serviceaccounts,roles,rolebindings", "--namespace", namespace, "-o", "name")) {
			if _, object, _ := strings.Cut(name, "/"); object != "kube-root-ca.crt" && object != "default" && !strings.HasPrefix(object, "helm-tenant") {
				left = append(left, name)
			}
		}
		if strings.Join(left, " ") != keeps { // the chart says helm.sh/resource-policy: keep of that one
			t.Errorf("in namespace %s there is still %q", namespace, left)
		}
	}
	admin2.tenant("grant", "onward-two", "--user", "ona")
	admin2.tenant("grant", "onward-rest", "--user", "rita")
	ona2, rita2 := w.user("ona"), w.user("rita")
	ona2.tenant("use", "onward-two")
	rita2.tenant("use", "onward-rest", "--home-namespace", "onward-old")
	for _, r := range []struct {
		name, namespace string
		person          *person
	}{{"kept", "onward-c", ona2}, {"rest", "onward-rest", rita2}} {
		r.person.run("helm", "tenant", "upgrade", r.name, charts[r.name], "--set", "greeting=third")
		r.person.run("helm", "tenant", "rollback", r.name, "1")
		if got := says(r.name, r.namespace); got != "hello" {
			t.Errorf("after the rollback release %s says %q", r.name, got)
		}
		r.person.run("helm", "tenant", "delete", "--purge", r.name)
		admin2.gone("configmap", r.name, "--namespace", r.namespace)
	}
	admin2.tenant("revoke", "onward-two", "--user", "ona")
	contains(t, admin3.must(admin3.tenantIn(local, "apply", "-f", file, "--accept-risk", "cluster-wide", "--dry-run")).stdout, "unchanged")
}
