package tenant

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// labelled returns a namespace with labels, given as keys and values.
func labelled(name string, pairs ...string) LabelledNamespace {
	ns := LabelledNamespace{Name: name, Labels: map[string]string{}}
	for i := 0; i < len(pairs); i += 2 {
		ns.Labels[pairs[i]] = pairs[i+1]
	}
	return ns
}

// TestSelect: which namespaces a file's selectors choose, and which never.
func TestSelect(t *testing.T) {
	matches := func(pairs ...string) *NamespaceSelector {
		s := &NamespaceSelector{MatchLabels: map[string]string{}}
		for i := 0; i < len(pairs); i += 2 {
			s.MatchLabels[pairs[i]] = pairs[i+1]
		}
		return s
	}
	expression := func(key, operator string, values ...string) *NamespaceSelector {
		return &NamespaceSelector{MatchExpressions: []SelectorRequirement{{key, operator, values}}}
	}
	team := func(name string, s *NamespaceSelector, named ...string) Tenant {
		return Tenant{Name: name, Namespaces: named, Engine: EngineImpersonation, NamespaceSelector: s}
	}
	terminating := labelled("z", "team", "a")
	terminating.Terminating = true
	left := func(ns, why string) string {
		return fmt.Sprintf("namespace %q matches the namespaceSelector and is left out: %s", ns, why)
	}
	for _, test := range []struct {
		name    string
		file    []Tenant
		all     []LabelledNamespace
		want    string // of tenant a
		leftOut []string
		err     string
	}{
		{"none matches", []Tenant{team("a", matches("team", "a"), "x")}, []LabelledNamespace{labelled("x"), labelled("y", "team", "b")}, "x", nil, ""},
		{"one, and the first stays first", []Tenant{team("a", matches("team", "a"), "x")}, []LabelledNamespace{labelled("b", "team", "a"), labelled("x")}, "x b", nil, ""},
		{"one that is named matches, too", []Tenant{team("a", matches("team", "a"), "x")}, []LabelledNamespace{labelled("x", "team", "a")}, "x", nil, ""},
		{"one that is the tenant's", []Tenant{team("a", matches("team", "a"), "x")}, []LabelledNamespace{labelled("y", "team", "a", LabelTenant, "a")}, "x y", nil, ""},
		{"one that was the tenant's and lost the label", []Tenant{team("a", matches("team", "a"), "x")}, []LabelledNamespace{labelled("y", LabelTenant, "a")}, "x", nil, ""},
		{"In", []Tenant{team("a", expression("env", "In", "dev", "test"), "x")}, []LabelledNamespace{labelled("d", "env", "dev"), labelled("p", "env", "prod"), labelled("t", "env", "test")}, "x d t", nil, ""},
		{"NotIn matches what has no such label", []Tenant{team("a", expression("env", "NotIn", "prod"), "x")}, []LabelledNamespace{labelled("d"), labelled("p", "env", "prod")}, "x d", nil, ""},
		{"Exists", []Tenant{team("a", expression("env", "Exists"), "x")}, []LabelledNamespace{labelled("d", "env", ""), labelled("e")}, "x d", nil, ""},
		{"DoesNotExist", []Tenant{team("a", expression("env", "DoesNotExist"), "x")}, []LabelledNamespace{labelled("d", "env", ""), labelled("e")}, "x e", nil, ""},
		{"Kubernetes' own", []Tenant{team("a", matches("team", "a"), "x")}, []LabelledNamespace{labelled("kube-system", "team", "a"), labelled("kube-public", "team", "a")}, "x",
			[]string{left("kube-system", "it is Kubernetes' own"), left("kube-public", "it is Kubernetes' own")}, ""},
		{"its own home", []Tenant{team("a", matches("team", "a"), "x")}, []LabelledNamespace{labelled("a-helm", "team", "a", LabelTenant, "a", LabelHome, "true")}, "x", []string{left("a-helm", "it is a home namespace")}, ""},
		{"the home of a tenant of the file that is not made yet", []Tenant{team("a", matches("team", "a"), "x"), team("b", nil, "y")}, []LabelledNamespace{labelled("b-helm", "team", "a")}, "x", []string{left("b-helm", "it is a home namespace")}, ""},
		{"another's home", []Tenant{team("a", matches("team", "a"), "x")}, []LabelledNamespace{labelled("c-helm", "team", "a", LabelTenant, "c", LabelHome, "true")}, "x", []string{left("c-helm", "it is a home namespace")}, ""},
		{"another tenant's", []Tenant{team("a", matches("team", "a"), "x")}, []LabelledNamespace{labelled("y", "team", "a", LabelTenant, "c")}, "x", []string{left("y", `it belongs to tenant "c"`)}, ""},
		{"one that the file names for another", []Tenant{team("a", matches("team", "a"), "x"), team("b", nil, "y")}, []LabelledNamespace{labelled("y", "team", "a")}, "x", []string{left("y", `the file names it for tenant "b"`)}, ""},
		{"one that is being deleted", []Tenant{team("a", matches("team", "a"), "x")}, []LabelledNamespace{terminating}, "x", []string{left("z", "it is being deleted")}, ""},
		{"two selectors", []Tenant{team("a", matches("team", "a"), "x"), team("b", matches("env", "dev"), "y")}, []LabelledNamespace{labelled("z", "team", "a", "env", "dev")}, "x", nil,
			`namespace "z" matches the namespaceSelectors of the tenants a, b: let one of them match, or name it in its namespaces`},
		{"two selectors, and one has it", []Tenant{team("a", matches("team", "a"), "x"), team("b", matches("env", "dev"), "y")}, []LabelledNamespace{labelled("z", "team", "a", "env", "dev", LabelTenant, "a")}, "x z", nil, ""},
		{"an empty selector", []Tenant{team("a", &NamespaceSelector{}, "x")}, []LabelledNamespace{labelled("y")}, "x", nil, "namespaceSelector: it is empty, and would choose every namespace: give matchLabels or matchExpressions"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, leftOut, err := Select(test.file, test.all).Of(test.file[0])
			if diff := cmp.Diff(test.leftOut, leftOut); diff != "" || strings.Join(got.Namespaces, " ") != test.want || errorText(err) != test.err {
				t.Errorf("%q, %v, left out -want +got:\n%s", got.Namespaces, err, diff)
			}
			// Of what was resolved before nothing else comes.
			second, _, _ := Select([]Tenant{got}, nil).Of(got)
			if diff := cmp.Diff(got.Namespaces[:1], second.Namespaces); diff != "" {
				t.Errorf("the named ones, -want +got:\n%s", diff)
			}
		})
	}
}

// TestSelectorFields: what is wrong with a selector is said, and where.
func TestSelectorFields(t *testing.T) {
	const head = "apiVersion: helm-tenant/v1\ntenants:\n- name: a\n"
	for text, want := range map[string]string{
		"  namespaces: [x]\n  namespaceSelector: {matchLabels: {team: a}}\n":                                             "",
		"  namespaces: [x]\n  namespaceSelector:\n    matchExpressions:\n    - {key: team, operator: In, values: [a]}\n": "",
		"  namespaces: [x]\n  namespaceSelector: {}\n":                                                                   `f:5: tenant "a": namespaceSelector: it is empty, and would choose every namespace: give matchLabels or matchExpressions`,
		"  namespaceSelector: {matchLabels: {team: a}}\n":                                                                `f:3: tenant "a": namespaces: at least one is needed`,
		"  namespaces: [x]\n  namespaceSelector: {matchLabel: {team: a}}\n":                                              `f:5: unknown field "matchLabel"`,
		"  namespaces: [x]\n  namespaceSelector: {matchExpressions: [{key: team, operator: Is}]}\n":                      `f:5: tenant "a": namespaceSelector: "Is" is not a valid label selector operator`,
		"  namespaces: [x]\n  namespaceSelector: {matchExpressions: [{key: team, operator: In}]}\n":                      `f:5: tenant "a": namespaceSelector: values: Invalid value: `,
		"  namespaces: [x]\n  namespaceSelector: {matchLabels: {'a b': c}}\n":                                            `f:5: tenant "a": namespaceSelector: key: Invalid value: "a b"`,
		"  namespaces: [x]\n  selectedNamespaces: [y]\n":                                                                 `f:5: unknown field "selectedNamespaces"`,
		"  allNamespaces: true\n  namespaceSelector: {matchLabels: {team: a}}\n":                                         `f:5: tenant "a": namespaceSelector: the tenant has all namespaces already`,
	} {
		_, problems := ParseFile("f", []byte(head+text))
		var got []string
		for _, problem := range problems {
			got = append(got, problem.Error())
		}
		if joined := strings.Join(got, "; "); (joined == "") != (want == "") || !strings.HasPrefix(joined, want) {
			t.Errorf("%q:\ngot  %s\nwant %s", text, joined, want)
		}
	}
	// A record says which namespaces were chosen; a file names the others.
	team, err := ReadRecord("name: a\nnamespaces: [x, y]\nnamespaceSelector: {matchLabels: {team: a}}\nselectedNamespaces: [y]\n")
	if err != nil {
		t.Fatal(err)
	}
	text, err := FormatFile([]Tenant{team})
	if err != nil || !strings.Contains(text, "namespaces: [x]\n") || strings.Contains(text, "selectedNamespaces") {
		t.Errorf("%v\n%s", err, text)
	}
	for text, want := range map[string]string{
		"name: a\nnamespaces: [x]\nselectedNamespaces: [x]\n":                                                        "there is no namespaceSelector",
		"name: a\nnamespaces: [x]\nnamespaceSelector: {matchLabels: {team: a}}\nselectedNamespaces: [kube-system]\n": "is not one of the tenant's namespaces",
		"name: a\nnamespaces: [x]\nnamespaceSelector: {matchLabels: {team: a}}\nselectedNamespaces: [x]\n":           "at least one is needed",
	} {
		if _, err := ReadRecord(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
}
