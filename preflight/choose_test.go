package preflight

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

func TestRendering(t *testing.T) {
	const template = "---\n# Source: c/crds/a.yaml\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: crd}\n---\n# Source: c/templates/a.yaml\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n---\n# Source: c/templates/p.yaml\napiVersion: policy/v1beta1\nkind: PodSecurityPolicy\nmetadata: {name: psp}\n"
	dump, err := json.Marshal(Dump{Name: "web", Version: 3, Manifest: "---\n# Source: c/templates/a.yaml\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"})
	if err != nil {
		t.Fatal(err)
	}
	exact := &Attempt{Text: dump}
	plain := &Attempt{Text: []byte(template)}
	failed := func(output string) *Attempt { return &Attempt{Failed: true, Said: output} }
	for _, c := range []struct {
		name         string
		exact, plain *Attempt
		want         string // names of objects
		findings     string
		fails        string
	}{
		{name: "both", exact: exact, plain: plain, want: "a crd"},
		{name: "an upgrade", exact: exact, want: "a"},
		{name: "no template", exact: exact, plain: failed("Error: x"), want: "a", findings: "not-tried"},
		{name: "not served", exact: failed(`Error: INSTALLATION FAILED: unable to build kubernetes objects from release manifest: resource mapping not found for name: "psp" namespace: "" from "": no matches for kind "PodSecurityPolicy" in version "policy/v1beta1"`), plain: plain, want: "a crd psp"},
		{name: "another not served", exact: failed(`Error: unable to build kubernetes objects from release manifest: resource mapping not found for name: "y" from "": no matches for kind "Y" in version "x/v1"`), plain: plain, want: "a crd y"},
		{name: "two of a template that asks for APIs", exact: failed(`Error: UPGRADE FAILED: unable to build kubernetes objects from release manifest: [resource mapping not found for name: "z" namespace: "" from "": no matches for kind "Z" in version "x/v1"
ensure CRDs are installed first, resource mapping not found for name: "psp" namespace: "n" from "": no matches for kind "PodSecurityPolicy" in version "policy/v1beta1"]`), plain: plain, want: "a crd psp z"},
		{name: "a conflict", exact: failed(`Error: INSTALLATION FAILED: Unable to continue with install: ConfigMap "a" exists`), plain: plain, want: "a crd"},
		{name: "helm refuses", exact: failed("Error: UPGRADE FAILED: another operation is in progress"), plain: plain, want: "a crd psp", findings: "helm"},
		{name: "it does not render", exact: failed("Error: exact"), plain: failed("Error: plain"), fails: "Error: exact"},
		{name: "Helm 2", plain: plain, want: "a crd psp"},
		{name: "Helm 2 fails", plain: failed("Error: plain"), fails: "Error: plain"},
	} {
		var r Rendering
		var err error
		switch {
		case c.exact == nil:
			r, err = RenderingOfTemplate(c.plain)
		case c.exact.Failed:
			r, err = RenderingOfRefused(c.exact, c.plain)
		default:
			r, err = RenderingOfDryRun(c.exact, c.plain)
		}
		if failed, ok := errors.AsType[*RenderError](err); ok != (c.fails != "") || ok && failed.Said != c.fails {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		r.Prune(served())
		var got, found []string
		for _, o := range r.Objects {
			got = append(got, o.GetName())
		}
		for _, f := range r.Findings {
			found = append(found, string(f.ID))
		}
		if sorted(got) != c.want || sorted(found) != c.findings {
			t.Errorf("%s: %q, wanted %q; %q, wanted %q", c.name, got, c.want, found, c.findings)
		}
	}
	r, err := RenderingOfRefused(failed("Error: unable to build kubernetes objects from release manifest: something"), plain)
	if err != nil {
		t.Fatal(err)
	}
	if f := r.Unexplained(nil); len(f) != 1 || f[0].ID != Helm {
		t.Errorf("helm's refusal that nothing explains: %v", f)
	}
	if f := r.Unexplained([]Finding{{ID: Rights, Result: Refused}}); len(f) != 1 {
		t.Errorf("one that something explains: %v", f)
	}
}

func TestSettings(t *testing.T) {
	got := Settings([]byte("rbac: {create: true, name: x}\ncrds: {enabled: true}\nsub: {rbac: {create: true}, deep: {installCRDs: true}}\ninstallCRDs: nothing\nbad.key: {rbac: {create: true}}\n\"x;touch pwned;\": {rbac: {create: true}}\n$(id): {rbac: {create: true}}\n-x: {rbac: {create: true}}\n"), []string{"db.rbac.create=false", "rbac.create=false"}, 6)
	if diff := cmp.Diff([]string{"rbac.create=false", "sub.rbac.create=false", "sub.deep.installCRDs=false", "crds.enabled=false", "db.rbac.create=false"}, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	many := ""
	for _, one := range usual {
		if !strings.Contains(one.path, ".") {
			many += one.path + ": true\n"
		}
	}
	for renders, want := range map[int]int{6: 5, 3: 2, 1: 0, -1: 0} {
		if got := Settings([]byte(many), nil, renders); len(got) != want {
			t.Errorf("%d settings are tried with %d renders", len(got), renders)
		}
	}
}

// TestSubchartSettings: values of subcharts are guessed from the objects' templates.
func TestSubchartSettings(t *testing.T) {
	object := func(kind, file string) Object {
		return Object{Unstructured: &unstructured.Unstructured{Object: map[string]any{"apiVersion": "x/v1", "kind": kind, "metadata": map[string]any{"name": "x"}}}, File: file}
	}
	r := Rendered{Objects: []Object{
		object("ClusterRole", "web/templates/a.yaml"), object("ConfigMap", "web/charts/cache/templates/a.yaml"),
		object("ClusterRoleBinding", "web/charts/db/templates/a.yaml"), object("ClusterRole", "web/charts/db/templates/b.yaml"),
		object("CustomResourceDefinition", "web/charts/db/charts/metrics/templates/crds/a.yaml"),
		object("ClusterRole", "web/charts/$(id)/templates/a.yaml"), object("ClusterRole", "web/charts"),
	}}
	want := []string{"db.metrics.crds.enabled=false", "db.metrics.crds.install=false", "db.metrics.installCRDs=false", "db.rbac.create=false"}
	if diff := cmp.Diff(want, Question{}.SubchartSettings(nil, r)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestTrySettings counts renders: at most six.
func TestTrySettings(t *testing.T) {
	for _, c := range []struct {
		name    string
		left    map[string]int
		want    []Setting
		renders int
	}{
		{"one does", map[string]int{"a": 4, "b": 0}, []Setting{{"b", 0, 4}}, 2},
		{"none does", map[string]int{}, nil, 5},
		{"together", map[string]int{"a": 3, "c": 2, "a,c": 1}, []Setting{{"a,c", 1, 4}, {"c", 2, 4}, {"a", 3, 4}}, 6},
	} {
		renders := 0
		got, err := TrySettings(4, []string{"a", "b", "c", "d", "e"}, func(set ...string) (int, error) {
			renders++
			if n, found := c.left[strings.Join(set, ",")]; found {
				return n, nil
			}
			return 4, nil
		})
		if err != nil || renders != c.renders {
			t.Errorf("%s: %d renders, %v", c.name, renders, err)
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s: -want +got:\n%s", c.name, diff)
		}
	}
}

// TestForAdmins: objects that an admin must not create are refused, and the others are written
// from their parsed form.
func TestForAdmins(t *testing.T) {
	const rule = "rules: [{verbs: [get], apiGroups: [''], resources: [nodes]}]\n"
	role := func(rules string) string {
		return "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: x, labels: {a: b, helm-tenant/tenant: t}, annotations: {c: d}, ownerReferences: [{name: x}]}\n" + rules
	}
	binding := func(to, subject string) string {
		return "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRoleBinding\nmetadata: {name: x}\nroleRef: {kind: ClusterRole, name: " + to + "}\nsubjects: [" + subject + "]\n"
	}
	for _, c := range []struct{ name, text, refused, says string }{
		{"a role", role(rule), "", "get nodes"},
		{"a wildcard", role("rules: [{verbs: ['*'], apiGroups: [''], resources: [pods]}]\n"), "wildcard", ""},
		{"a wildcard of resources", role("rules: [{verbs: [get], apiGroups: [''], resources: ['pods/*']}]\n"), "wildcard", ""},
		{"all paths", role("rules: [{verbs: [get], nonResourceURLs: ['/*']}]\n"), "wildcard", ""},
		{"impersonation", role("rules: [{verbs: [impersonate], apiGroups: [''], resources: [users]}]\n"), "impersonate", ""},
		{"aggregation", role("aggregationRule: {clusterRoleSelectors: []}\n"), "labels", ""},
		{"a role of everybody", strings.Replace(role(rule), "a: b", "rbac.authorization.k8s.io/aggregate-to-admin: 'true'", 1), "everybody", ""},
		{"the cluster's own role", strings.Replace(role(rule), "name: x", "name: view", 1), "overwrite", ""},
		{"a binding", binding("view", "{kind: ServiceAccount, name: x, namespace: a}"), "", "ServiceAccount x in namespace a"},
		{"to the deployer", binding("view", "{kind: ServiceAccount, name: helm, namespace: team-helm}"), "deployer", ""},
		{"to the deployer by name", binding("view", "{kind: User, name: 'system:serviceaccount:team-helm:helm'}"), "deployer", ""},
		{"to its group", binding("view", "{kind: Group, name: 'system:serviceaccounts:team-helm'}"), "deployer", ""},
		{"to everybody", binding("view", "{kind: Group, name: 'system:authenticated'}"), "group system:authenticated", ""},
		{"to an outsider", binding("view", "{kind: User, name: mallory}"), "not of the tenant", ""},
		{"to another namespace", binding("view", "{kind: ServiceAccount, name: x, namespace: kube-system}"), "not of the tenant", ""},
		{"of everything", binding("cluster-admin", "{kind: ServiceAccount, name: x, namespace: a}"), "cluster-admin", ""},
		{"impersonation that is held to acts", role("rules: [{verbs: ['impersonate:arbitrary-node'], apiGroups: [authentication.k8s.io], resources: [nodes]}]\n"), "impersonate", ""},
		{"a controller's role", binding("'system:controller:clusterrole-aggregation-controller'", "{kind: ServiceAccount, name: x, namespace: a}"), "components", ""},
		{"the right to ask who calls", binding("'system:auth-delegator'", "{kind: ServiceAccount, name: x, namespace: a}"), "", "ServiceAccount x in namespace a"},
		{"a policy that changes objects", "apiVersion: admissionregistration.k8s.io/v1\nkind: MutatingAdmissionPolicy\nmetadata: {name: x}\n", "whole cluster", ""},
		{"a binding of a policy", "apiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingAdmissionPolicyBinding\nmetadata: {name: x}\n", "whole cluster", ""},
		{"a node's disk", "apiVersion: v1\nkind: PersistentVolume\nmetadata: {name: x}\nspec: {hostPath: {path: /}}\n", "node's disk", ""},
		{"a volume elsewhere", "apiVersion: v1\nkind: PersistentVolume\nmetadata: {name: x}\nspec: {nfs: {server: a, path: /}}\n", "", "judged by its text"},
		{"a webhook", "apiVersion: v1\nkind: MutatingWebhookConfiguration\nmetadata: {name: x}\n", "whole cluster", ""},
	} {
		o := parse(t, c.text).Objects[0]
		all := question().ForAdmins([]Finding{refused(o, ClusterScoped, "", "", "")}, []Object{o})
		if len(all) != 1 || (all[0].Object == nil) != (c.refused != "") || !strings.Contains(all[0].Refused, c.refused) {
			t.Errorf("%s: %+v", c.name, all)
			continue
		}
		if c.says != "" && !slices.ContainsFunc(all[0].Comments, func(line string) bool { return strings.Contains(line, c.says) }) {
			t.Errorf("%s: %q does not say %q", c.name, all[0].Comments, c.says)
		}
		if text, err := yaml.Marshal(all[0].Object); err != nil || strings.Contains(string(text), "helm-tenant/") || strings.Contains(string(text), "ownerReferences") || strings.Contains(string(text), "annotations") {
			t.Errorf("%s: written is %s, %v", c.name, text, err)
		}
	}
	o := parse(t, role(rule)).Objects[0]
	if all := question().ForAdmins([]Finding{refused(o, PodSecurity, "", "", "")}, []Object{o}); len(all) != 0 {
		t.Errorf("what no admin is needed for: %v", all)
	}
}

// TestRenderingAlone: the output of helm's template suffices only if helm's own dry run could
// refuse nothing that the API server's dry runs accept.
func TestRenderingAlone(t *testing.T) {
	const config = "---\n# Source: c/templates/a.yaml\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n"
	for _, c := range []struct {
		name, text, server string
		failed, simple     bool
	}{
		{name: "objects", text: config, server: "v1.37.2", simple: true},
		{name: "nothing", text: "\n", server: "v1.37.2", simple: true},
		{name: "empty documents", text: config + "---\n# Source: c/templates/b.yaml\n\n---\n", server: "v1.37.2", simple: true},
		{name: "a failure", text: config, server: "v1.37.2", failed: true},
		{name: "a document without a kind", text: config + "---\napiVersion: v1\n", server: "v1.37.2"},
		{name: "no YAML", text: config + "---\n{\n", server: "v1.37.2"},
		{name: "a generated name", text: config + "---\napiVersion: v1\nkind: Secret\nmetadata: {generateName: a}\n", server: "v1.37.2"},
		{name: "a name that is a number", text: config + "---\napiVersion: v1\nkind: Secret\nmetadata: {name: 1}\n", server: "v1.37.2"},
		{name: "a label that is a number", text: "apiVersion: v1\nkind: Secret\nmetadata: {name: a, labels: {b: 1}}\n", server: "v1.37.2"},
		{name: "an annotation that is a boolean", text: "apiVersion: v1\nkind: Secret\nmetadata: {name: a, annotations: {b: true}}\n", server: "v1.37.2"},
		{name: "a namespace that is a number", text: "apiVersion: v1\nkind: Secret\nmetadata: {name: a, namespace: 1}\n", server: "v1.37.2"},
		{name: "finalizers that are no list", text: "apiVersion: v1\nkind: Secret\nmetadata: {name: a, finalizers: b}\n", server: "v1.37.2"},
		{name: "a list", text: "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Secret, metadata: {name: a}}\n", server: "v1.37.2"},
		{name: "an API server that validates no fields", text: config, server: "v1.24.0"},
	} {
		if r, simple := RenderingAlone(&Attempt{Text: []byte(c.text), Failed: c.failed}, c.server); simple != c.simple {
			t.Errorf("%s: %t, %v", c.name, simple, r)
		}
	}
}
