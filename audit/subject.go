package audit

import (
	"cmp"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"

	"helm-tenant/tenant"
)

// Subject is somebody whom a binding names.
type Subject struct {
	Kind, Namespace, Name string
}

// Groups that the API server puts people in by itself
// (k8s.io/apiserver/pkg/authentication/user and serviceaccount).
const (
	groupMasters         = "system:masters"
	groupAuthenticated   = "system:authenticated"
	groupUnauthenticated = "system:unauthenticated"
	groupAccounts        = "system:serviceaccounts"
	userAnonymous        = "system:anonymous"
)

// SubjectOf is the subject of a binding in that namespace, which is empty for a
// ClusterRoleBinding. A user of a service account's name is that account. It is
// the zero Subject where it stands for nobody
// (k8s.io/kubernetes/pkg/registry/rbac/validation, appliesToUser).
func SubjectOf(s rbacv1.Subject, namespace string) Subject {
	switch s.Kind {
	case rbacv1.UserKind:
		return User(s.Name)
	case rbacv1.GroupKind:
		return Group(s.Name)
	case rbacv1.ServiceAccountKind:
		if s.Namespace != "" {
			namespace = s.Namespace
		}
		return Account(namespace, s.Name)
	}
	return Subject{}
}

// SubjectsOf are the subjects of a binding in that namespace.
func SubjectsOf(subjects []rbacv1.Subject, namespace string) []Subject {
	all := make([]Subject, len(subjects))
	for i, s := range subjects {
		all[i] = SubjectOf(s, namespace)
	}
	return all
}

// User is the user of that name, which may be a service account's.
func User(name string) Subject {
	if rest, found := strings.CutPrefix(name, tenant.AccountPrefix); found {
		if namespace, account, two := strings.Cut(rest, ":"); two && namespace != "" && account != "" && !strings.Contains(account, ":") {
			return Account(namespace, account)
		}
	}
	if name == "" {
		return Subject{}
	}
	return Subject{Kind: rbacv1.UserKind, Name: name}
}

// Group is the group of that name.
func Group(name string) Subject {
	if name == "" {
		return Subject{}
	}
	return Subject{Kind: rbacv1.GroupKind, Name: name}
}

// Account is the service account of that name.
func Account(namespace, name string) Subject {
	if namespace == "" || name == "" {
		return Subject{}
	}
	return Subject{Kind: rbacv1.ServiceAccountKind, Namespace: namespace, Name: name}
}

// String is as tenant.Members writes it: "user alice".
func (s Subject) String() string {
	switch s.Kind {
	case rbacv1.UserKind:
		return "user " + s.Name
	case rbacv1.GroupKind:
		return "group " + s.Name
	case rbacv1.ServiceAccountKind:
		return "service account " + s.Namespace + ":" + s.Name
	}
	return "nobody"
}

// Username is the user name that the API server knows the subject by; empty for
// a group.
func (s Subject) Username() string {
	switch s.Kind {
	case rbacv1.UserKind:
		return s.Name
	case rbacv1.ServiceAccountKind:
		return tenant.AccountUser(s.Namespace, s.Name)
	}
	return ""
}

// Groups are those that the API server puts the subject in by itself. Which
// others a user is in nobody knows before they log in.
func (s Subject) Groups() []string {
	switch {
	case s.Kind == rbacv1.ServiceAccountKind:
		return []string{groupAccounts + ":" + s.Namespace, groupAccounts, groupAuthenticated}
	case s.Kind == rbacv1.UserKind && s.Name == userAnonymous:
		return []string{groupUnauthenticated}
	case s.Kind == rbacv1.GroupKind && (s.Name == groupAuthenticated || s.Name == groupUnauthenticated):
		return nil
	case s.Kind == rbacv1.GroupKind && strings.HasPrefix(s.Name, groupAccounts+":"):
		return []string{groupAccounts, groupAuthenticated}
	}
	return []string{groupAuthenticated}
}

// isEverybody says whether the subject is all who can reach the API server, or all pods.
func isEverybody(s Subject) bool {
	return s == Group(groupAuthenticated) || s == Group(groupUnauthenticated) || s == Group(groupAccounts) || s == User(userAnonymous)
}

func compareSubjects(a, b Subject) int {
	return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
}

// identity is a subject together with the groups that it is in: the one that is
// asked about first.
type identity []Subject

func identityOf(s Subject, groups ...string) identity {
	all := identity{s}
	for _, name := range append(groups, s.Groups()...) {
		all = append(all, Group(name))
	}
	return all
}
