package tenant

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"gopkg.in/yaml.v2"
	rbacv1 "k8s.io/api/rbac/v1"
)

// equateEmpty makes an empty list the same as none.
var equateEmpty = cmpopts.EquateEmpty()

// written are members as a file has them, which may be wrong.
func written(users, groups, accounts []string) Members {
	return (&memberLists{users, groups, accounts}).members()
}

func TestMembersValidate(t *testing.T) {
	for _, test := range []struct {
		name    string
		members Members
		want    []string
	}{
		{"nobody", nil, nil},
		{"one of each", Members{User("alice"), Group("devs"), Account("ci", "deployer")}, nil},
		{"names as certificates and OIDC make them", written([]string{"CN=alice,O=devs", "https://issuer#alice", "alice@example.com"}, []string{"oidc:devs"}, nil), nil},
		{"empty ones", written([]string{""}, []string{"\t"}, []string{""}), []string{
			"user: an empty name", "group: an empty name", "service-account: an empty name"}},
		{"an account without namespace", written(nil, nil, []string{"deployer"}), []string{`service-account: "deployer" is not NAMESPACE:NAME`}},
		{"an account with an empty namespace", written(nil, nil, []string{":deployer"}), []string{`service-account: ":deployer" is not NAMESPACE:NAME`}},
		{"an account without name", written(nil, nil, []string{"ci:"}), []string{`service-account: "ci:" is not NAMESPACE:NAME`}},
		{"an account with a slash", written(nil, nil, []string{"ci/deployer"}), []string{`service-account: "ci/deployer" is not NAMESPACE:NAME`}},
		{"an account with a bad namespace", written(nil, nil, []string{"C_I:deployer"}), []string{`service-account: "C_I:deployer" is not NAMESPACE:NAME`}},
		{"an account with a bad name", written(nil, nil, []string{"ci:a:b"}), []string{`service-account: "ci:a:b" is not NAMESPACE:NAME`}},
		{"an account as a user", written([]string{"system:serviceaccount:ci:deployer"}, nil, nil), []string{
			`user: "system:serviceaccount:ci:deployer" is a service account: give it as --service-account ci:deployer`}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, lines(test.members.Validate())); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestOpenMembers(t *testing.T) {
	m := written([]string{"alice", "system:anonymous", "system:node:n1", "system:bootstrap:abcdef", "system:nodes"},
		[]string{"system:nodes", "system:node:n1", "system:bootstrappers", "system:bootstrappers:x", "system:bootstrappersx", "system:authenticated:oauth", "devs", "system:authenticated", "system:unauthenticated", "system:serviceaccounts", "system:serviceaccounts:ci", "system:serviceaccountsx", "system:masters"}, nil)
	want := Members{User("system:anonymous"), User("system:node:n1"), User("system:bootstrap:abcdef"), Group("system:nodes"), Group("system:bootstrappers"), Group("system:bootstrappers:x"), Group("system:authenticated:oauth"), Group("system:authenticated"), Group("system:unauthenticated"), Group("system:serviceaccounts"), Group("system:serviceaccounts:ci")}
	if diff := cmp.Diff(want, m.Open()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if open := (Members{User("alice"), Group("devs"), Account("ci", "deployer")}).Open(); len(open) > 0 {
		t.Errorf("closed groups: got %v", open)
	}
}

func TestSubjects(t *testing.T) {
	m := Members{User("alice"), Group("devs"), Account("ci", "deployer")}
	subjects := []rbacv1.Subject{
		{Kind: "User", APIGroup: "rbac.authorization.k8s.io", Name: "alice"},
		{Kind: "Group", APIGroup: "rbac.authorization.k8s.io", Name: "devs"},
		{Kind: "ServiceAccount", Namespace: "ci", Name: "deployer"},
	}
	if diff := cmp.Diff(subjects, m.Subjects()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if diff := cmp.Diff(m, MembersOf(subjects, "home")); diff != "" {
		t.Errorf("there and back, -want +got:\n%s", diff)
	}
}

// TestSubjectOf: whom the API server takes the subject of a binding for.
func TestSubjectOf(t *testing.T) {
	for _, test := range []struct {
		name      string
		subject   rbacv1.Subject
		namespace string
		want      Subject
	}{
		{"a user", rbacv1.Subject{Kind: "User", Name: "alice"}, "n", Subject{"User", "", "alice"}},
		{"a user of an account's name", rbacv1.Subject{Kind: "User", Name: "system:serviceaccount:ci:deployer"}, "n", Subject{"ServiceAccount", "ci", "deployer"}},
		{"a user of half an account's name", rbacv1.Subject{Kind: "User", Name: "system:serviceaccount:ci"}, "n", Subject{"User", "", "system:serviceaccount:ci"}},
		{"an account", rbacv1.Subject{Kind: "ServiceAccount", Namespace: "ci", Name: "deployer"}, "n", Subject{"ServiceAccount", "ci", "deployer"}},
		{"an account of the binding's namespace", rbacv1.Subject{Kind: "ServiceAccount", Name: "deployer"}, "n", Subject{"ServiceAccount", "n", "deployer"}},
		{"an account of no namespace", rbacv1.Subject{Kind: "ServiceAccount", Name: "deployer"}, "", Subject{}},
		{"a kind of others", rbacv1.Subject{Kind: "Alien", Name: "x"}, "n", Subject{}},
		{"no name", rbacv1.Subject{Kind: "Group"}, "n", Subject{}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := SubjectOf(test.subject, test.namespace); got != test.want {
				t.Errorf("got %#v, not %#v", got, test.want)
			}
		})
	}
	// Once each, and nobody left out but whom no request can come from.
	got := MembersOf([]rbacv1.Subject{{Kind: "ServiceAccount", Name: "ci"}, {Kind: "Alien", Name: "x"}, {Kind: "User", Name: "alice"}, {Kind: "User", Name: "system:serviceaccount:home:ci"}}, "home")
	if diff := cmp.Diff(Members{User("alice"), Account("home", "ci")}, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestSubjectForms: the ways in which one subject is written.
func TestSubjectForms(t *testing.T) {
	for _, test := range []struct {
		subject              Subject
		text, flag, username string
		groups               []string
	}{
		{User("alice"), "user alice", "user", "alice", []string{"system:authenticated"}},
		{User("system:anonymous"), "user system:anonymous", "user", "system:anonymous", []string{"system:unauthenticated"}},
		{Group("devs"), "group devs", "group", "", []string{"system:authenticated"}},
		{Group("system:authenticated"), "group system:authenticated", "group", "", nil},
		{Group("system:serviceaccounts:ci"), "group system:serviceaccounts:ci", "group", "", []string{"system:serviceaccounts", "system:authenticated"}},
		{Account("ci", "deployer"), "service account ci:deployer", "service-account", "system:serviceaccount:ci:deployer",
			[]string{"system:serviceaccounts:ci", "system:serviceaccounts", "system:authenticated"}},
		{User("system:bootstrap:abcdef"), "user system:bootstrap:abcdef", "user", "system:bootstrap:abcdef", []string{"system:bootstrappers", "system:authenticated"}},
		{Group("system:bootstrappers:x"), "group system:bootstrappers:x", "group", "", []string{"system:bootstrappers", "system:authenticated"}},
		{Subject{}, "nobody", "user", "", []string{"system:authenticated"}},
	} {
		t.Run(test.text, func(t *testing.T) {
			s := test.subject
			if s.String() != test.text || s.Flag() != test.flag || s.Username() != test.username || !cmp.Equal(s.Groups(), test.groups) {
				t.Errorf("got %q, --%s, %q, in %q", s, s.Flag(), s.Username(), s.Groups())
			}
			if s != (Subject{}) && ParseSubject(s.Kind, s.Text()) != s {
				t.Errorf("%q is read as %#v", s.Text(), ParseSubject(s.Kind, s.Text()))
			}
		})
	}
}

// TestMembersInFiles: the three lists of files and of machine-readable output.
func TestMembersInFiles(t *testing.T) {
	m := Members{User("alice"), Group("devs"), Account("ci", "deployer")}
	text, err := yaml.Marshal(m)
	if want := "users: [alice]\ngroups: [devs]\nserviceAccounts: ['ci:deployer']\n"; err != nil || string(text) != want {
		t.Errorf("got %s, %v", text, err)
	}
	var back Members
	if err := yaml.UnmarshalStrict(text, &back); err != nil || !cmp.Equal(m, back) {
		t.Errorf("got %v, %v", back, err)
	}
	if text, err = json.Marshal(m); string(text) != `{"users":["alice"],"groups":["devs"],"serviceAccounts":["ci:deployer"]}` || err != nil {
		t.Errorf("got %s, %v", text, err)
	}
	back = nil
	if err := json.Unmarshal(text, &back); err != nil || !cmp.Equal(m, back) {
		t.Errorf("got %v, %v", back, err)
	}
	if text, err = json.Marshal(Members(nil)); string(text) != `{"users":[],"groups":[],"serviceAccounts":[]}` || err != nil {
		t.Errorf("nobody is %s, %v", text, err)
	}
}

func TestWithAndWithout(t *testing.T) {
	current := Members{User("alice"), User("bob"), Group("devs")}
	more := Members{Account("ci", "deployer"), User("carol"), User("alice"), User("carol")}
	with := Members{User("alice"), User("bob"), User("carol"), Group("devs"), Account("ci", "deployer")}
	if diff := cmp.Diff(with, current.With(more)); diff != "" {
		t.Errorf("With, -want +got:\n%s", diff)
	}
	if diff := cmp.Diff(Members{User("bob"), Group("devs")}, current.Without(more)); diff != "" {
		t.Errorf("Without, -want +got:\n%s", diff)
	}
	if diff := cmp.Diff(Members{User("alice"), User("bob"), Group("devs")}, current); diff != "" {
		t.Errorf("the original changed:\n%s", diff)
	}
	if !current.Without(current).IsZero() {
		t.Error("something is left without all")
	}
	want := []string{"user alice", "user bob", "user carol", "group devs", "service account ci:deployer"}
	if diff := cmp.Diff(want, with.Names()); diff != "" {
		t.Errorf("Names, -want +got:\n%s", diff)
	}
}
