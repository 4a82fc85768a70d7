package tenant

import (
	"fmt"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/util/validation"
)

// Members are those who may use a tenant.
type Members struct {
	Users  []string `yaml:"users,flow,omitempty" json:"users,omitempty"`
	Groups []string `yaml:"groups,flow,omitempty" json:"groups,omitempty"`
	// ServiceAccounts are written NAMESPACE:NAME.
	ServiceAccounts []string `yaml:"serviceAccounts,flow,omitempty" json:"serviceAccounts,omitempty"`
}

// IsZero says whether there is no member at all.
func (m Members) IsZero() bool {
	return len(m.Users)+len(m.Groups)+len(m.ServiceAccounts) == 0
}

// Validate returns everything that is wrong with how members are written.
func (m Members) Validate() []error {
	var problems []error
	for _, list := range []struct {
		what, field string
		names       []string
	}{{"user", "users", m.Users}, {"group", "groups", m.Groups}, {"service-account", "serviceAccounts", m.ServiceAccounts}} {
		for i, name := range list.names {
			if strings.TrimSpace(name) == "" {
				problems = append(problems, at(fmt.Errorf("%s: an empty name", list.what), "members", list.field, i))
			}
		}
	}
	for i, u := range m.Users {
		if rest, found := strings.CutPrefix(u, AccountPrefix); found {
			problems = append(problems, at(fmt.Errorf("user: %q is a service account: give it as --service-account %s", u, rest), "members", "users", i))
		}
	}
	for i, sa := range m.ServiceAccounts {
		ns, name, found := strings.Cut(sa, ":")
		if sa != "" && (!found || len(validation.IsDNS1123Label(ns)) > 0 || len(validation.IsDNS1123Subdomain(name)) > 0) {
			problems = append(problems, at(fmt.Errorf("service-account: %q is not NAMESPACE:NAME", sa), "members", "serviceAccounts", i))
		}
	}
	return problems
}

// OpenGroups returns the members that everybody, or every pod of the cluster or
// of a namespace, belongs to. The API server adds these groups by itself
// (k8s.io/apiserver/pkg/authentication/user and serviceaccount).
func (m Members) OpenGroups() []string {
	var open []string
	for _, g := range m.Groups {
		if g == "system:authenticated" || g == "system:unauthenticated" || g == "system:serviceaccounts" || strings.HasPrefix(g, "system:serviceaccounts:") {
			open = append(open, g)
		}
	}
	for _, u := range m.Users {
		if u == "system:anonymous" {
			open = append(open, u)
		}
	}
	return open
}

// Subjects are the members as a RoleBinding names them.
func (m Members) Subjects() []rbacv1.Subject {
	var subjects []rbacv1.Subject
	for _, u := range m.Users {
		subjects = append(subjects, rbacv1.Subject{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: u})
	}
	for _, g := range m.Groups {
		subjects = append(subjects, rbacv1.Subject{Kind: rbacv1.GroupKind, APIGroup: rbacv1.GroupName, Name: g})
	}
	for _, sa := range m.ServiceAccounts {
		ns, name, _ := strings.Cut(sa, ":")
		subjects = append(subjects, rbacv1.Subject{Kind: rbacv1.ServiceAccountKind, Namespace: ns, Name: name})
	}
	return subjects
}

// MembersOf reads the subjects of a RoleBinding. A user subject that names a
// service account by its user name counts as that service account.
func MembersOf(subjects []rbacv1.Subject) Members {
	var m Members
	for _, s := range subjects {
		switch s.Kind {
		case rbacv1.UserKind:
			if sa, found := strings.CutPrefix(s.Name, AccountPrefix); found {
				m.ServiceAccounts = append(m.ServiceAccounts, sa)
				continue
			}
			m.Users = append(m.Users, s.Name)
		case rbacv1.GroupKind:
			m.Groups = append(m.Groups, s.Name)
		case rbacv1.ServiceAccountKind:
			m.ServiceAccounts = append(m.ServiceAccounts, s.Namespace+":"+s.Name)
		}
	}
	return m
}

// With returns the members together with more, none twice, old ones first.
func (m Members) With(more Members) Members {
	return Members{
		Users:           union(m.Users, more.Users),
		Groups:          union(m.Groups, more.Groups),
		ServiceAccounts: union(m.ServiceAccounts, more.ServiceAccounts),
	}
}

// Without returns the members less those of gone.
func (m Members) Without(gone Members) Members {
	return Members{
		Users:           minus(m.Users, gone.Users),
		Groups:          minus(m.Groups, gone.Groups),
		ServiceAccounts: minus(m.ServiceAccounts, gone.ServiceAccounts),
	}
}

// Names lists the members as people read them: "user alice", "group devs",
// "service account ci:deployer".
func (m Members) Names() []string {
	var names []string
	for _, u := range m.Users {
		names = append(names, "user "+u)
	}
	for _, g := range m.Groups {
		names = append(names, "group "+g)
	}
	for _, sa := range m.ServiceAccounts {
		names = append(names, "service account "+sa)
	}
	return names
}

func union(a, b []string) []string {
	var out []string
	for _, s := range slices.Concat(a, b) {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

func minus(a, b []string) []string {
	var out []string
	for _, s := range a {
		if !slices.Contains(b, s) {
			out = append(out, s)
		}
	}
	return out
}
