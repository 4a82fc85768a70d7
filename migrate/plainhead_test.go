package migrate

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

// TestPlainHead: which heads are read without a YAML library, and that it finds the same.
func TestPlainHead(t *testing.T) {
	for name, c := range map[string]struct {
		head  string
		plain bool
	}{
		"as templates write it":      {"# Source: x\napiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: a-b.c\n  namespace: x\n", true},
		"quoted":                     {"kind: \"ConfigMap\"\nmetadata:\n  name: \"1\"\n", true},
		"labels":                     {"kind: ConfigMap\nmetadata:\n  labels:\n    app.kubernetes.io/name: a\n    chart: \"b-1.0\"\n  name: a\n", true},
		"annotations":                {"kind: ConfigMap\nmetadata:\n    annotations:\n      a/b: c\n\n    name: a\n", true},
		"trailing spaces":            {"kind: ConfigMap  \nmetadata: \n  name: a\n", true},
		"no metadata":                {"kind: ConfigMap\n", true},
		"a policy":                   {"kind: ConfigMap\nmetadata:\n  annotations:\n    helm.sh/resource-policy: keep\n  name: a\n", false},
		"a comment behind a name":    {"kind: ConfigMap\nmetadata:\n  name: a # b\n", false},
		"a name on two lines":        {"kind: ConfigMap\nmetadata:\n  name: a\n    b\n", false},
		"a name that is deeper":      {"kind: ConfigMap\nmetadata:\n  name:\n    a\n", false},
		"a number":                   {"kind: ConfigMap\nmetadata:\n  name: a\n  namespace: 1\n", false},
		"a boolean":                  {"kind: ConfigMap\nmetadata:\n  name: a\n  labels:\n    x: yes\n", false},
		"an escape":                  {"kind: ConfigMap\nmetadata:\n  name: \"\\x61\"\n", false},
		"single quotes":              {"kind: ConfigMap\nmetadata:\n  name: 'a'\n", false},
		"an anchor":                  {"kind: ConfigMap\nmetadata:\n  name: &n a\n", false},
		"a key twice":                {"kind: ConfigMap\nmetadata:\n  name: a\n  name: b\n", false},
		"another case":               {"kind: ConfigMap\nmetadata:\n  Name: a\n", false},
		"another case, of a kind":    {"Kind: ConfigMap\nmetadata:\n  name: a\n", false},
		"a list":                     {"kind: List\nitems:\n- kind: ConfigMap\n  metadata:\n    name: a\n", false},
		"flow":                       {"kind: ConfigMap\nmetadata: {name: a}\n", false},
		"a block of text":            {"kind: ConfigMap\nmetadata:\n  annotations:\n    a: |\n      name: b\n  name: a\n", false},
		"a text block as a kind":     {"kind: |\n  ConfigMap\nmetadata:\n  name: a\n", false},
		"a level more":               {"kind: ConfigMap\nmetadata:\n  name: a\n  labels:\n    x:\n      name: b\n", false},
		"empty metadata":             {"metadata:\nkind: ConfigMap\n", true},
		"labels without any":         {"kind: ConfigMap\nmetadata:\n  labels:\n  name: a\n", true},
		"a namespace without a name": {"kind: ConfigMap\nmetadata:\n  name:\n  namespace: b\n", false},
		"Windows lines":              {"kind: ConfigMap\r\nmetadata:\r\n  name: a\r\n", false},
	} {
		t.Run(name, func(t *testing.T) {
			got, plain := plainHead(c.head)
			if plain != c.plain {
				t.Fatalf("plain: %v", plain)
			}
			var want manifestObject
			if err := yaml.Unmarshal([]byte(c.head), &want); plain && err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want.appendTo(nil), got.appendTo(nil)); plain && diff != "" {
				t.Errorf("-library +plain:\n%s", diff)
			}
		})
	}
}
