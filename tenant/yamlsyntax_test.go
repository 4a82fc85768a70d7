package tenant

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestSyntaxProblem: what is no YAML is told with the line to look at. The tenants begin in line 3.
func TestSyntaxProblem(t *testing.T) {
	for _, test := range []struct{ name, text, want string }{
		{"a tab before a field", "- name: team-c\n\tnamespaces: [e]\n", "f:4: a tab where YAML takes spaces only"},
		{"a tab after a dash", "-\tname: team-c\n  namespaces: [e]\n", "f:3: a tab where YAML takes spaces only"},
		{"a tab before a dash", "- name: team-c\n  namespaces:\n\t- e\n", "f:5: a tab where YAML takes spaces only"},
		{"a tab before a later item", "- name: team-c\n  members:\n    users:\n    - alice\n\t  - bob\n", "f:7: a tab where YAML takes spaces only"},
		{"an open list", "- name: team-c\n  namespaces: [e\n  role: admin\n", "f:4: a list or map in brackets that begins here is not closed"},
		{"an open map", "- name: team-c\n  namespaces: [e]\n  members: {users: [x]\n  role: admin\n", "f:5: a list or map in brackets that begins here is not closed"},
		{"an open quote", "- name: \"team-c\n  namespaces: [e]\n  role: admin\n", "f:3: a quote that begins here does not end"},
		{"a field too far right", "- name: team-c\n   namespaces: [e]\n", "f:4: a colon in a value, or an indentation that does not fit: put a value with a colon in quotes"},
		{"a field too far left", "- name: team-c\n namespaces: [e]\n", "f:4: did not find expected key; look at the indentation and quotes"},
		{"text behind a quote", "- name: team-c\n  namespaces: [e]\n  role: 'ad'min'\n", "f:5: did not find expected key; look at the indentation and quotes"},
		{"no colon", "- name: team-c\n  namespaces [e]\n  role: admin\n", "f:4: could not find expected ':'"},
		{"a value with @", "- name: team-c\n  role: @admin\n", "f:4: a value begins with a character that means something in YAML: put the value in quotes"},
		{"a value with a wildcard", "- name: team-c\n  namespaces: [e]\n  hosts: [*.example.com]\n", "f:5: a value begins with a character that means something in YAML: put the value in quotes"},
		{"a value that looks like an alias", "- name: team-c\n  namespaces: [e, *admin]\n", "f:4: *admin is an alias in YAML, and there is no anchor &admin: put the value in quotes"},
		{"a value with a colon", "- name: team-c\n  contact: ask: bob\n", "f:4: a colon in a value, or an indentation that does not fit: put a value with a colon in quotes"},
		{"a conflict of git", "- name: team-c\n<<<<<<< HEAD\n  role: admin\n", "f:4: could not find expected ':'"},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, problems := ParseFile("f", []byte("apiVersion: helm-tenant/v1\ntenants:\n"+test.text))
			var got []string
			for _, problem := range problems {
				got = append(got, problem.Error())
			}
			if diff := cmp.Diff(test.want, strings.Join(got, "\n")); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// TestMeantField: a field that is near to a known one of the same map is suggested.
func TestMeantField(t *testing.T) {
	for _, test := range []struct{ name, text, want string }{
		{"of a tenant", "- {name: a, namespaces: [a], membres: {users: [x]}}", `f:3: unknown field "membres", did you mean members?`},
		{"of its members", "- {name: a, namespaces: [a], members: {user: [x]}}", `f:3: unknown field "user", did you mean users?`},
		{"of its guard rails", "- {name: a, namespaces: [a], podsecurity: baseline}", `f:3: unknown field "podsecurity", did you mean podSecurity?`},
		{"of its Tiller", "- {name: a, namespaces: [a], tiller: {historymax: 1}}", `f:3: unknown field "historymax", did you mean historyMax?`},
		{"of the file", "- {name: a, namespaces: [a]}\ndefault: {guard: off}", `f:4: unknown field "default", did you mean defaults?`},
		{"of another map", "- {name: a, namespaces: [a], historyMax: 1}", `f:3: unknown field "historyMax"`},
		{"near to nothing", "- {name: a, namespaces: [a], sidecar: true}", `f:3: unknown field "sidecar"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, problems := ParseFile("f", []byte("apiVersion: helm-tenant/v1\ntenants:\n"+test.text+"\n"))
			if len(problems) != 1 || problems[0].Error() != test.want {
				t.Errorf("got %q, want %q", problems, test.want)
			}
		})
	}
}
