package release

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestClusterObjects: objects of kinds without namespaces are found in a manifest, however
// long its lines are, and no more of them are kept than anybody reads.
func TestClusterObjects(t *testing.T) {
	many := ""
	var twenty []string
	for i := range 30 {
		many += fmt.Sprintf("---\nkind: ClusterRole\nmetadata:\n  name: r%d\n", i)
		if i < 20 {
			twenty = append(twenty, fmt.Sprintf("ClusterRole r%d", i))
		}
	}
	for _, test := range []struct {
		name, manifest string
		want           []string
	}{
		{"nothing", "", nil},
		{"objects in namespaces", "---\nkind: ConfigMap\nmetadata:\n  name: web\n", nil},
		{"a ClusterRole", "---\n# Source: x\napiVersion: v1\nkind: ClusterRole\nmetadata:\n  labels: {a: b}\n  name: reader\n", []string{"ClusterRole reader"}},
		{"quoted, without an end of line", "kind: \"StorageClass\"\nmetadata:\n  name: 'fast'", []string{"StorageClass fast"}},
		{"several documents", "---\nkind: Namespace\nmetadata:\n  name: a\n---\nkind: Service\nmetadata:\n  name: b\n---\nkind: PersistentVolume\nmetadata:\n  name: c\n", []string{"Namespace a", "PersistentVolume c"}},
		{"names elsewhere", "kind: ClusterRole\nmetadata:\n  name: reader\nrules:\n  name: none\n", []string{"ClusterRole reader"}},
		{"a text that looks like one", "kind: ConfigMap\nmetadata:\n  name: web\ndata:\n  x: |\n    kind: ClusterRole\n    metadata:\n      name: none\n", nil},
		{"a long line before", "# " + strings.Repeat("x", 5000) + "\nkind: ClusterRole\nmetadata:\n  name: reader\n", []string{"ClusterRole reader"}},
		{"many", many, twenty},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, err := Helm2Summary(record(t, test.manifest), NewBudget())
			if err != nil || s.Name != "web" || s.Namespace != "a" {
				t.Fatalf("%v, %v", s, err)
			}
			if diff := cmp.Diff(test.want, s.ClusterObjects); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}
