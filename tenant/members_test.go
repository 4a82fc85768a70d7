package tenant

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	rbacv1 "k8s.io/api/rbac/v1"
)

// equateEmpty makes an empty list the same as none.
var equateEmpty = cmpopts.EquateEmpty()

func TestMembersValidate(t *testing.T) {
	for _, test := range []struct {
		name    string
		members Members
		want    []string
	}{
		{"nobody", Members{}, nil},
		{"one of each", Members{Users: []string{"alice"}, Groups: []string{"devs"}, ServiceAccounts: []string{"ci:deployer"}}, nil},
		{"names as certificates and OIDC make them", Members{Users: []string{"CN=alice,O=devs", "https://issuer#alice", "alice@example.com"}, Groups: []string{"oidc:devs"}}, nil},
		{"empty ones", Members{Users: []string{""}, Groups: []string{"\t"}, ServiceAccounts: []string{""}}, []string{
			"user: an empty name", "group: an empty name", "service-account: an empty name"}},
		{"an account without namespace", Members{ServiceAccounts: []string{"deployer"}}, []string{`service-account: "deployer" is not NAMESPACE:NAME`}},
		{"an account without name", Members{ServiceAccounts: []string{"ci:"}}, []string{`service-account: "ci:" is not NAMESPACE:NAME`}},
		{"an account with a slash", Members{ServiceAccounts: []string{"ci/deployer"}}, []string{`service-account: "ci/deployer" is not NAMESPACE:NAME`}},
		{"an account with a bad namespace", Members{ServiceAccounts: []string{"C_I:deployer"}}, []string{`service-account: "C_I:deployer" is not NAMESPACE:NAME`}},
		{"an account with a bad name", Members{ServiceAccounts: []string{"ci:a:b"}}, []string{`service-account: "ci:a:b" is not NAMESPACE:NAME`}},
		{"an account as a user", Members{Users: []string{"system:serviceaccount:ci:deployer"}}, []string{
			`user: "system:serviceaccount:ci:deployer" is a service account: give it as --service-account ci:deployer`}},
	} {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, lines(test.members.Validate())); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestOpenGroups(t *testing.T) {
	m := Members{
		Users:  []string{"alice", "system:anonymous"},
		Groups: []string{"devs", "system:authenticated", "system:unauthenticated", "system:serviceaccounts", "system:serviceaccounts:ci", "system:serviceaccountsx", "system:masters"},
	}
	want := []string{"system:authenticated", "system:unauthenticated", "system:serviceaccounts", "system:serviceaccounts:ci", "system:anonymous"}
	if diff := cmp.Diff(want, m.OpenGroups()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if open := (Members{Users: []string{"alice"}, Groups: []string{"devs"}}).OpenGroups(); open != nil {
		t.Errorf("closed groups: got %v", open)
	}
}

func TestSubjects(t *testing.T) {
	m := Members{Users: []string{"alice"}, Groups: []string{"devs"}, ServiceAccounts: []string{"ci:deployer"}}
	subjects := []rbacv1.Subject{
		{Kind: "User", APIGroup: "rbac.authorization.k8s.io", Name: "alice"},
		{Kind: "Group", APIGroup: "rbac.authorization.k8s.io", Name: "devs"},
		{Kind: "ServiceAccount", Namespace: "ci", Name: "deployer"},
	}
	if diff := cmp.Diff(subjects, m.Subjects()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if diff := cmp.Diff(m, MembersOf(subjects)); diff != "" {
		t.Errorf("there and back, -want +got:\n%s", diff)
	}
	byName := []rbacv1.Subject{{Kind: "User", Name: "system:serviceaccount:ci:deployer"}, {Kind: "Alien", Name: "x"}}
	if diff := cmp.Diff(Members{ServiceAccounts: []string{"ci:deployer"}}, MembersOf(byName)); diff != "" {
		t.Errorf("an account by its user name, -want +got:\n%s", diff)
	}
}

func TestWithAndWithout(t *testing.T) {
	have := Members{Users: []string{"alice", "bob"}, Groups: []string{"devs"}}
	more := Members{Users: []string{"carol", "alice", "carol"}, ServiceAccounts: []string{"ci:deployer"}}
	with := Members{Users: []string{"alice", "bob", "carol"}, Groups: []string{"devs"}, ServiceAccounts: []string{"ci:deployer"}}
	if diff := cmp.Diff(with, have.With(more)); diff != "" {
		t.Errorf("With, -want +got:\n%s", diff)
	}
	if diff := cmp.Diff(Members{Users: []string{"bob"}, Groups: []string{"devs"}}, have.Without(more)); diff != "" {
		t.Errorf("Without, -want +got:\n%s", diff)
	}
	if diff := cmp.Diff([]string{"alice", "bob"}, have.Users); diff != "" {
		t.Errorf("the original changed:\n%s", diff)
	}
	if !have.Without(have).IsZero() {
		t.Error("something is left without all")
	}
	want := []string{"user alice", "user bob", "user carol", "group devs", "service account ci:deployer"}
	if diff := cmp.Diff(want, with.Names()); diff != "" {
		t.Errorf("Names, -want +got:\n%s", diff)
	}
}
