package tenant

import (
	"cmp"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
)

// Subject is a user, a group or a service account, as bindings and members name them.
// The zero Subject stands for nobody.
type Subject struct {
	// Kind is one of rbacv1.UserKind, GroupKind and ServiceAccountKind.
	Kind string
	// Namespace is that of a service account, and empty for the others.
	Namespace string
	Name      string
}

// Groups that the API server puts subjects in by itself
// (k8s.io/apiserver/pkg/authentication/user and serviceaccount), and the user that
// whoever does not log in is.
const (
	GroupAuthenticated   = "system:authenticated"
	GroupUnauthenticated = "system:unauthenticated"
	// GroupAccounts is of all service accounts; with ":NAMESPACE", of those of one
	// namespace.
	GroupAccounts = "system:serviceaccounts"
	UserAnonymous = "system:anonymous"
	// GroupNodes is of all nodes, whose users' names are NodePrefix and theirs: the
	// certificates of their kubelets say so.
	GroupNodes = "system:nodes"
	// GroupMasters is of whom the API server lets do everything, whatever its authorizers say.
	GroupMasters = "system:masters"
	NodePrefix   = "system:node:"
)

// SubjectOf is the subject of a binding in that namespace, which is empty for a
// ClusterRoleBinding. A service account without a namespace is one of the binding's own
// namespace, and a user of a service account's user name is that account. It is the
// zero Subject where the API server takes it for nobody
// (k8s.io/kubernetes/pkg/registry/rbac/validation, appliesToUser).
func SubjectOf(s rbacv1.Subject, namespace string) Subject {
	switch s.Kind {
	case rbacv1.UserKind:
		return User(s.Name)
	case rbacv1.GroupKind:
		return Group(s.Name)
	case rbacv1.ServiceAccountKind:
		return Account(cmp.Or(s.Namespace, namespace), s.Name)
	}
	return Subject{}
}

// SubjectsOf are the subjects of a binding in that namespace, one for one.
func SubjectsOf(subjects []rbacv1.Subject, namespace string) []Subject {
	all := make([]Subject, len(subjects))
	for i, s := range subjects {
		all[i] = SubjectOf(s, namespace)
	}
	return all
}

// User is the user of that name, or the service account whose user name it is.
func User(name string) Subject {
	if rest, found := strings.CutPrefix(name, AccountPrefix); found {
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

// ParseSubject is the subject that flags and files name: a service account as
// NAMESPACE:NAME, users and groups by their names. Text of another form is kept, for
// Members.Validate to refuse.
func ParseSubject(kind, text string) Subject {
	if namespace, name, found := strings.Cut(text, ":"); found && kind == rbacv1.ServiceAccountKind && namespace != "" && name != "" {
		return Subject{kind, namespace, name}
	}
	return Subject{Kind: kind, Name: text}
}

// Text is the reverse of ParseSubject.
func (s Subject) Text() string {
	if s.Namespace != "" {
		return s.Namespace + ":" + s.Name
	}
	return s.Name
}

// Flag is the flag that names a subject of this kind.
func (s Subject) Flag() string {
	switch s.Kind {
	case rbacv1.GroupKind:
		return "group"
	case rbacv1.ServiceAccountKind:
		return "service-account"
	}
	return "user"
}

// String is as people read it: "user alice", "group devs", "service account ci:deployer".
func (s Subject) String() string {
	if s.Kind == "" {
		return "nobody"
	}
	return strings.ReplaceAll(s.Flag(), "-", " ") + " " + s.Text()
}

// Username is the user name by which the API server knows the subject; empty for a
// group.
func (s Subject) Username() string {
	switch s.Kind {
	case rbacv1.UserKind:
		return s.Name
	case rbacv1.ServiceAccountKind:
		return AccountUser(s.Namespace, s.Name)
	}
	return ""
}

// Groups are those that the API server puts the subject in by itself, the narrowest
// first. Which others a user is in is known only when they log in.
func (s Subject) Groups() []string {
	switch {
	case s.Kind == rbacv1.ServiceAccountKind:
		return []string{GroupAccounts + ":" + s.Namespace, GroupAccounts, GroupAuthenticated}
	case s == Subject{Kind: rbacv1.UserKind, Name: UserAnonymous}:
		return []string{GroupUnauthenticated}
	case s.Kind == rbacv1.UserKind && strings.HasPrefix(s.Name, NodePrefix):
		return []string{GroupNodes, GroupAuthenticated}
	case s.Kind == rbacv1.GroupKind && (s.Name == GroupAuthenticated || s.Name == GroupUnauthenticated):
		return nil
	case s.AccountsOf() != "":
		return []string{GroupAccounts, GroupAuthenticated}
	}
	return []string{GroupAuthenticated}
}

// IsEverybody reports whether the subject is everybody who can reach the API server, or
// every pod of the cluster.
func (s Subject) IsEverybody() bool {
	switch s.Kind {
	case rbacv1.UserKind:
		return s.Name == UserAnonymous
	case rbacv1.GroupKind:
		return s.Name == GroupAuthenticated || s.Name == GroupUnauthenticated || s.Name == GroupAccounts
	}
	return false
}

// AccountsOf is the namespace of which the subject is all service accounts, empty where
// it is no such group.
func (s Subject) AccountsOf() string {
	namespace, found := strings.CutPrefix(s.Name, GroupAccounts+":")
	if s.Kind != rbacv1.GroupKind || !found {
		return ""
	}
	return namespace
}

// RBAC is the subject as a binding names it.
func (s Subject) RBAC() rbacv1.Subject {
	out := rbacv1.Subject{Kind: s.Kind, APIGroup: rbacv1.GroupName, Namespace: s.Namespace, Name: s.Name}
	if s.Kind == rbacv1.ServiceAccountKind {
		out.APIGroup = ""
	}
	return out
}

// CompareSubjects orders by kind, namespace and name.
func CompareSubjects(a, b Subject) int {
	return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
}
