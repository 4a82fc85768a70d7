package migrate

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

func TestObjects(t *testing.T) {
	configMap := func(name, namespace string, kept bool) Object {
		return Object{Resource{"v1", "ConfigMap", name}, namespace, kept}
	}
	for name, c := range map[string]struct {
		manifest string
		want     []Object
	}{
		"nothing":                   {"", nil},
		"comments":                  {"---\n# Source: x\n---\n", nil},
		"one":                       {"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n", []Object{configMap("a", "", false)}},
		"its own namespace":         {"\n---\n# Source: x\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: b}\n", []Object{configMap("a", "b", false)}},
		"a separator in a text":     {"---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n  text: |\n    ---\n    kind: Secret\n", []Object{configMap("a", "", false)}},
		"kept":                      {"---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, annotations: {helm.sh/resource-policy: ' Keep'}}\n", []Object{configMap("a", "", true)}},
		"another policy":            {"---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, annotations: {helm.sh/resource-policy: delete, n: 1}}\n", []Object{configMap("a", "", false)}},
		"a list":                    {"---\napiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: ConfigMap, metadata: {name: a}}\n- {apiVersion: v1, kind: ConfigMap, metadata: {name: b}}\n", []Object{configMap("a", "", false), configMap("b", "", false)}},
		"a kind that ends in List":  {"---\napiVersion: example.com/v1\nkind: AllowList\nmetadata: {name: a}\n", []Object{{Resource{"example.com/v1", "AllowList", "a"}, "", false}}},
		"what is no YAML, then one": {"---\n\t:\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n", []Object{configMap("a", "", false)}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, Objects(c.manifest)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// TestObjectsInFull: the parts of a document that headOf omits do not change which objects are
// found; if headOf can't tell, the whole document is parsed.
func TestObjectsInFull(t *testing.T) {
	for name, c := range map[string]struct {
		document string
		short    bool
	}{
		"as templates write it":             {"\n# Source: x\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n\n  annotations:\n    helm.sh/resource-policy: keep\ndata:\n  text: |\n    kind: Secret\n", true},
		"with labels":                       {"\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n  labels:\n    app: a\n    version: \"1.0\"\n  namespace: b\n", true},
		"a name that is a number":           {"kind: ConfigMap\nmetadata:\n  name: 0x10\n", true},
		"a name that YAML reads as a truth": {"kind: ConfigMap\nmetadata:\n  name: 'a'\n  namespace: Yes\n", true},
		"a name that goes on":               {"kind: ConfigMap\nmetadata:\n  name: a\n    b\n", true},
		"a name twice":                      {"kind: ConfigMap\nmetadata:\n  name: a\n  name: b\n", true},
		"with a comment":                    {"kind: ConfigMap\nmetadata:\n  name: a # b\n", true},
		"metadata of a label's":             {"kind: ConfigMap\nmetadata:\n  labels:\n    name: b\n  name: a\n", true},
		"a list at the margin":              {"rules:\n- apiGroups: []\nkind: Role\nmetadata: {name: a}\napiVersion: v1\n", true},
		"items at the margin":               {"kind: List\napiVersion: v1\nitems:\n- kind: ConfigMap\n  metadata:\n    name: a\n", true},
		"a comment behind ---":              {" # x\nkind: ConfigMap\nmetadata: {name: a}\n", true},
		"ends of Windows lines":             {"\r\nkind: ConfigMap\r\nmetadata:\r\n  name: a\r\ndata: {}\r\n", true},
		"flow":                              {" {kind: ConfigMap, metadata: {name: a}}\n", false},
		"quoted keys":                       {"\"kind\": ConfigMap\nmetadata: {name: a}\n", false},
		"indented":                          {"\n  kind: ConfigMap\n  metadata:\n    name: a\n", false},
		"a key twice":                       {"kind: Secret\nmetadata: {name: a}\nkind: ConfigMap\n", false},
		"a text that goes on at the margin": {"data:\n  text: \"x\nkind: Secret\"\nkind: ConfigMap\nmetadata: {name: a}\n", false},
		"a key without a space":             {"kind:\tConfigMap\nmetadata: {name: a}\n", false},
		"an alias":                          {"data: &d {name: a}\nkind: ConfigMap\nmetadata: *d\n", false},
		"another line break":                {"kind: ConfigMap\nmetadata: {name: a, namespace: x}\nspec: x\rmetadata: {name: a, namespace: y}\n", false},
		"one of Unicode's line breaks":      {"kind: ConfigMap\nmetadata: {name: a, namespace: x}\nspec: x\u2028metadata: {name: a, namespace: y}\n", false},
		"a quote that goes on":              {"kind: ConfigMap\nmetadata:\n  name: a\n  annotations: {x: \"\ndata: \"}\n  namespace: y\n", false},
		"a bracket that goes on":            {"kind: ConfigMap\nmetadata: {name: a,\ndata: x,\n namespace: y}\n", false},
		"a text with an apostrophe":         {"kind: ConfigMap\nmetadata:\n  name: a\ndata:\n  text: it isn't\n", true},
		"an end":                            {"kind: ConfigMap\nmetadata: {name: a}\n...\n", false},
	} {
		t.Run(name, func(t *testing.T) {
			if _, short := headOf(c.document); short != c.short {
				t.Errorf("short: %v", short)
			}
			var whole manifestObject
			if err := yaml.Unmarshal([]byte(c.document), &whole); err != nil {
				t.Fatal(err)
			}
			want := whole.appendTo(nil)
			if diff := cmp.Diff(want, Objects("---"+c.document)); diff != "" || len(want) != 1 {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestOwnership(t *testing.T) {
	helm, tiller := map[string]string{"app.kubernetes.io/managed-by": "Helm"}, map[string]string{"app.kubernetes.io/managed-by": "Tiller"}
	names := func(name, namespace string) map[string]string {
		return map[string]string{"meta.helm.sh/release-name": name, "meta.helm.sh/release-namespace": namespace}
	}
	web := Owner{"web", "a"}
	for name, c := range map[string]struct {
		labels, annotations map[string]string
		want                Ownership
	}{
		"bare":                           {nil, nil, Unowned},
		"Tiller's":                       {tiller, nil, Unowned},
		"only the label":                 {helm, nil, Unowned},
		"only the annotations":           {tiller, names("web", "a"), Unowned},
		"only the name":                  {helm, map[string]string{"meta.helm.sh/release-name": "web"}, Unowned},
		"its own":                        {helm, names("web", "a"), Owned},
		"another's":                      {helm, names("db", "a"), OwnedByOther},
		"one of that name elsewhere":     {helm, names("web", "b"), OwnedByOther},
		"another's, without the label":   {nil, names("db", "a"), OwnedByOther},
		"another's, without a namespace": {nil, map[string]string{"meta.helm.sh/release-name": "db"}, OwnedByOther},
	} {
		t.Run(name, func(t *testing.T) {
			if got := web.Ownership(c.labels, c.annotations); got != c.want {
				t.Errorf("%v, not %v", got, c.want)
			}
		})
	}
	if labels, annotations := web.Metadata(); web.Ownership(labels, annotations) != Owned {
		t.Errorf("what the release sets does not make it the owner: %v %v", labels, annotations)
	}
}

// FuzzObjects: the head of any document gives the same objects as a YAML library finds in the
// whole document.
func FuzzObjects(f *testing.F) {
	for _, seed := range []string{
		"apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n  namespace: b\n  annotations:\n    helm.sh/resource-policy: keep\ndata:\n  text: |\n    kind: Secret\n",
		"kind: List\nitems:\n- kind: ConfigMap\n  metadata:\n    name: a\n- kind: Secret\n  metadata: {name: b}\nx: [y]\n",
		"kind: ConfigMap\nmetadata: {name: a, namespace: x}\nspec: x\rmetadata: {name: a, namespace: y}\n",
		"kind: ConfigMap\nmetadata:\n  name: a\n  annotations: {x: 'a\"b', y: \"c\ndata: \"}\n  namespace: y\n",
		"kind: ConfigMap\nmetadata: {name: a,\ndata: x,\n namespace: y}\n",
		"data: &d {name: a}\nkind: ConfigMap\nmetadata:\n  <<: *d\n",
		"kind: >-\n  ConfigMap\nmetadata:\n  name: a\n# x\nspec: !!str x\n",
		"# Source: x\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: \"a\"\n  labels:\n    app: a\n    version: \"1.2\"\n  namespace: b\n",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, document string) {
		short, ok := headOf(document)
		var whole, head manifestObject
		if !ok || yaml.Unmarshal([]byte(document), &whole) != nil || yaml.Unmarshal([]byte(short), &head) != nil {
			return
		}
		if diff := cmp.Diff(whole.appendTo(nil), head.appendTo(nil)); diff != "" {
			t.Errorf("-whole +head:\n%s", diff)
		}
	})
}
