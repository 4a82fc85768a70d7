package preflight

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// names returns the objects as FILE KIND/NAME, hooks with a star.
func names(objects []Object) []string {
	var all []string
	for _, o := range objects {
		name := fmt.Sprintf("%s %s/%s", o.File, o.GetKind(), o.GetName())
		if o.Hook {
			name += "*"
		}
		all = append(all, name)
	}
	return all
}

func TestParse(t *testing.T) {
	for _, c := range []struct {
		name, text string
		want       []string
		broken     []string
	}{
		{name: "nothing", text: "\n---\n# Source: c/templates/a.yaml\n# only a comment\n---\n"},
		{name: "files", text: "---\n# Source: c/templates/a.yaml\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n---\n# Source: c/templates/b.yaml\napiVersion: v1\nkind: Secret\nmetadata: {name: b}\n---\napiVersion: v1\nkind: Secret\nmetadata: {name: c}\n",
			want: []string{"c/templates/a.yaml ConfigMap/a", "c/templates/b.yaml Secret/b", "c/templates/b.yaml Secret/c"}},
		{name: "three dashes inside", text: "---\n# Source: c/templates/a.yaml\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n  x: |\n    ---\n    # Source: evil\n    kind: Secret\n",
			want: []string{"c/templates/a.yaml ConfigMap/a"}},
		{name: "windows lines", text: "---\r\n# Source: c/templates/a.yaml\r\napiVersion: v1\r\nkind: ConfigMap\r\nmetadata: {name: a}\r\n",
			want: []string{"c/templates/a.yaml ConfigMap/a"}},
		{name: "lists in lists", text: "---\n# Source: l\napiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: ConfigMapList, items: [{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}]}\n- 3\n",
			want: []string{"l ConfigMap/a"}, broken: []string{"the document holds an item that is no object"}},
		{name: "hooks", text: "---\n# Source: h\napiVersion: v1\nkind: Pod\nmetadata: {name: a, annotations: {helm.sh/hook: pre-install}}\n", want: []string{"h Pod/a*"}},
		{name: "broken", text: "---\n# Source: b\na: [\n---\n# Source: c\nmetadata: {name: x}\n---\n# Source: d\nkind: Pod\n---\n# Source: e\n- 1\n---\n# Source: f\nkind: 3\n",
			broken: []string{"is no YAML object", "has no apiVersion or no kind", "has no apiVersion or no kind", "is no YAML object", "no "}},
	} {
		r, err := ParseTemplate(2, []byte(c.text))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if diff := cmp.Diff(c.want, names(r.Objects)); diff != "" {
			t.Errorf("%s: -want +got:\n%s", c.name, diff)
		}
		if len(r.Broken) != len(c.broken) {
			t.Errorf("%s: broken are %v", c.name, r.Broken)
			continue
		}
		for i, f := range r.Broken {
			if !strings.Contains(f.Why, c.broken[i]) || f.Result != Refused {
				t.Errorf("%s: %+v, wanted %s", c.name, f, c.broken[i])
			}
		}
	}
}

// TestParseBounds: charts are untrusted, and may be made to use much memory.
func TestParseBounds(t *testing.T) {
	if _, err := ParseTemplate(2, []byte(strings.Repeat("---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n", maxObjects+1))); err == nil {
		t.Error("more objects than are judged are no error")
	}
	bomb := "a: &a [x,x,x,x,x,x,x,x,x]\n"
	for i := 'b'; i < 'k'; i++ {
		bomb += fmt.Sprintf("%c: &%c [*%c,*%c,*%c,*%c,*%c,*%c,*%c,*%c,*%c]\n", i, i, i-1, i-1, i-1, i-1, i-1, i-1, i-1, i-1, i-1)
	}
	if r, err := ParseTemplate(2, []byte(bomb)); err != nil || len(r.Broken) != 1 {
		t.Errorf("aliases that explode: %v, %v", r.Broken, err)
	}
}

// TestJudged: which objects the command makes.
func TestJudged(t *testing.T) {
	text := ""
	for file, event := range map[string]string{"pre-install": "pre-install", "test": "test", "both": "post-install,post-upgrade", "crd": "crd-install"} {
		text += "---\n# Source: " + file + "\napiVersion: v1\nkind: Pod\nmetadata: {name: " + file + ", annotations: {helm.sh/hook: '" + event + "'}}\n"
	}
	text = "---\n# Source: c/crds/a.yaml\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: in-crds}\n---\n# Source: c/charts/s/crds/a.yaml\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: in-subchart}\n---\n# Source: c/templates/crds/a.yaml\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: own}\n" + text
	r, err := ParseTemplate(3, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		q    Question
		want string
	}{
		{Question{Major: 3}, "both in-crds in-subchart own pre-install"},
		{Question{Major: 3, SkipCRDs: true}, "both own pre-install"},
		{Question{Major: 4, Upgrade: true}, "both own"},
		{Question{Major: 3, NoHooks: true}, "in-crds in-subchart own"},
		{Question{Major: 2}, "both crd in-crds in-subchart own pre-install"},
	} {
		var got []string
		for _, o := range r.Judged(c.q) {
			got = append(got, o.GetName())
		}
		if diff := cmp.Diff(c.want, sorted(got)); diff != "" {
			t.Errorf("%+v: -want +got:\n%s", c.q, diff)
		}
	}
}

// TestForgedWords: a template that prints helm's own comments can make its objects neither part
// of the crds folder, which an upgrade ignores, nor hooks, some of which never run.
func TestForgedWords(t *testing.T) {
	const role = "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: evil, annotations: {helm.sh/hook: post-delete}}\n"
	const list = "apiVersion: v1\nkind: List\nitems: [{apiVersion: v1, kind: Namespace, metadata: {name: evil, annotations: {helm.sh/hook: test}}}]\n"
	plain := strings.Replace(role, ", annotations: {helm.sh/hook: post-delete}", "", 1)
	for _, c := range []struct {
		name string
		read func() (Rendered, error)
	}{
		{"a comment in a release", func() (Rendered, error) {
			return parseStream([]byte("---\n# Source: c/crds/a.yaml\n"+plain), stream{})
		}},
		{"a hook among what is none", func() (Rendered, error) {
			return parseStream([]byte("---\n# Source: c/templates/a.yaml\n"+role), stream{})
		}},
		{"a file with a line break", func() (Rendered, error) {
			return ParseTemplate(3, []byte("---\n# Source: c/templates/a\n---\n# Source: c/crds/b.yaml\n"+plain))
		}},
		{"Helm 2", func() (Rendered, error) { return ParseTemplate(2, []byte("---\n# Source: c/crds/b.yaml\n"+plain)) }},
		{"no comment at all", func() (Rendered, error) { return ParseTemplate(3, []byte(plain)) }},
		{"a hook in a List", func() (Rendered, error) { return ParseTemplate(3, []byte("---\n# Source: c/templates/a.yaml\n"+list)) }},
	} {
		r, err := c.read()
		if err != nil {
			t.Fatal(err)
		}
		q := question()
		q.Upgrade = true
		if judged := r.Judged(q); len(judged) != 1 || judged[0].GetName() != "evil" {
			t.Errorf("%s: judged are %v", c.name, judged)
		}
	}
	hook := "apiVersion: v1\nkind: List\nmetadata: {annotations: {helm.sh/hook: test}}\nitems: [{apiVersion: v1, kind: Namespace, metadata: {name: x}}]\n"
	r, err := ParseTemplate(3, []byte(hook))
	if err != nil || len(r.Objects) != 1 || !r.Objects[0].Hook || len(r.Judged(question())) != 0 {
		t.Errorf("a List that is a hook: %v, %v", r, err)
	}
}

// FuzzParse: the output of a chart is untrusted.
func FuzzParse(f *testing.F) {
	f.Add([]byte("---\n# Source: c/templates/a.yaml\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, annotations: {helm.sh/hook: pre-install}}\n"))
	f.Add([]byte("kind: List\napiVersion: v1\nitems: [{kind: RoleBinding, apiVersion: rbac.authorization.k8s.io/v1, roleRef: 3}]\n"))
	f.Add([]byte("kind: StatefulSet\napiVersion: apps/v1\nspec: {volumeClaimTemplates: [3], template: {metadata: [], spec: {volumes: {}}}}\n"))
	f.Fuzz(func(_ *testing.T, text []byte) {
		r, err := ParseTemplate(2, text)
		if err != nil {
			return
		}
		q := question()
		plan := q.Judge(served(), r.Judged(q))
		for _, o := range plan.Try {
			plan.StandIn(o)
			plan.Pod(o)
			plan.Claims(o)
			q.Own(o)
			q.Over(nil, []Use{{Object: o, New: true}})
			q.ForAdmins([]Finding{refused(o, ClusterScoped, "", "", "")}, []Object{o})
		}
		q.JudgeStatically(served(), plan, nil)
		for _, o := range plan.Custom {
			q.JudgeCustom(plan, o, true)
		}
	})
}
