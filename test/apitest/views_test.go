package apitest

import (
	"encoding/json"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestDescribeWithoutTheComparison shows all else where the objects can't be compared
// with the record.
func TestDescribeWithoutTheComparison(t *testing.T) {
	t.Parallel()
	w := start(t)
	for _, c := range []struct {
		name, why string
		make      func(t *testing.T, made team, role string)
	}{
		{"no role", "does not exist", func(t *testing.T, _ team, role string) {
			must(t, w.root.RbacV1().ClusterRoles().Delete(t.Context(), role, metav1.DeleteOptions{}))
		}},
		{"a namespace that goes", "is being deleted", func(t *testing.T, made team, _ string) {
			held := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "held", Finalizers: []string{"example.com/held"}}}
			_, err := w.root.CoreV1().ConfigMaps(made.b).Create(t.Context(), held, metav1.CreateOptions{})
			must(t, err)
			must(t, w.root.CoreV1().Namespaces().Delete(t.Context(), made.b, metav1.DeleteOptions{}))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			team := newTeam()
			role := team.name + "-role"
			w.role(t, "", role, rule("apps", "deployments", "*"))
			admin := w.makeTenant(t, team, "--role", role, "--user", "alice")
			c.make(t, team, role)
			r := admin.must(t, "describe", team.name)
			for _, word := range []string{"user alice", team.a, "Drift unknown: ", c.why} {
				if !strings.Contains(r.Stdout, word) {
					t.Errorf("%q is not shown: %v", word, r)
				}
			}
			var description struct{ Uncompared string }
			must(t, json.Unmarshal([]byte(admin.must(t, "describe", team.name, "-o", "json").Stdout), &description))
			if !strings.Contains(description.Uncompared, c.why) {
				t.Errorf("as JSON it says %q", description.Uncompared)
			}
		})
	}
}

// TestTenantsOfAllNamespacesAndMigrations: what describe shows of them, the list of all
// shows, too.
func TestTenantsOfAllNamespacesAndMigrations(t *testing.T) {
	t.Parallel()
	w, team, moving := start(t), newTeam(), newTeam()
	w.namespace(t, team.a)
	w.helm3(t, "install", team.name, hello(), "--namespace", team.a)
	admin := w.admin(t)
	admin.must(t, "init", team.name, "--all-namespaces", "--engine", "impersonation", "--accept-risk=cluster-wide")
	w.makeTenant(t, moving)
	w.patch(t, "configmaps", moving.home, "helm-tenant", `{"metadata":{"annotations":{"helm-tenant/migration":"{\"phase\":\"frozen\",\"since\":\"2024-01-02T03:04:05Z\",\"engine\":\"tiller\",\"storage\":\"secret\",\"replicas\":1}"}}}`)
	var list struct {
		Items []struct {
			Name      string
			Releases  map[string]int
			Migration *struct{ Phase string }
		}
	}
	must(t, json.Unmarshal([]byte(admin.must(t, "tenants", "-o", "json").Stdout), &list))
	for _, item := range list.Items {
		switch {
		case item.Name == team.name && item.Releases["DEPLOYED"] == 0:
			t.Errorf("the tenant of all namespaces has %v", item.Releases)
		case item.Name == moving.name && (item.Migration == nil || item.Migration.Phase != "frozen"):
			t.Errorf("the migration is %v", item.Migration)
		}
	}
	for line := range strings.Lines(admin.must(t, "tenants").Stdout) {
		if strings.HasPrefix(line, moving.name+" ") && !strings.Contains(line, "(migrating: frozen)") {
			t.Errorf("the migration is not shown: %s", line)
		}
	}
}
