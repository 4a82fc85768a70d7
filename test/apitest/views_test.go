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
		make      func(t *testing.T, of team, role string)
	}{
		{"no role", "does not exist", func(t *testing.T, of team, role string) {
			must(t, w.root.RbacV1().ClusterRoles().Delete(t.Context(), role, metav1.DeleteOptions{}))
		}},
		{"a namespace that goes", "is being deleted", func(t *testing.T, of team, _ string) {
			held := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "held", Finalizers: []string{"example.com/held"}}}
			_, err := w.root.CoreV1().ConfigMaps(of.b).Create(t.Context(), held, metav1.CreateOptions{})
			must(t, err)
			must(t, w.root.CoreV1().Namespaces().Delete(t.Context(), of.b, metav1.DeleteOptions{}))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			of := newTeam()
			role := of.name + "-role"
			w.role(t, "", role, rule("apps", "deployments", "*"))
			admin := w.makeTenant(t, of, "--role", role, "--user", "alice")
			c.make(t, of, role)
			r := admin.must(t, "describe", of.name)
			for _, word := range []string{"user alice", of.a, "Not shown is where it differs from the record: ", c.why} {
				if !strings.Contains(r.stdout, word) {
					t.Errorf("%q is not shown: %v", word, r)
				}
			}
			var description struct{ Uncompared string }
			must(t, json.Unmarshal([]byte(admin.must(t, "describe", of.name, "-o", "json").stdout), &description))
			if !strings.Contains(description.Uncompared, c.why) {
				t.Errorf("as JSON it says %q", description.Uncompared)
			}
		})
	}
}
