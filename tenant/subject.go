package tenant

import (
	"cmp"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"

	"helm-tenant/lists"
)

// Subject is a user, a group or a service account, as bindings and members name them. The
// zero Subject is nobody.
type Subject struct {
	// Kind is one of rbacv1.UserKind, GroupKind and ServiceAccountKind.
	Kind string
	// Namespace is the namespace of a service account, and empty for other kinds.
	Namespace string
	Name      string
}

// These are the groups into which the API server puts subjects by itself
// (k8s.io/apiserver/pkg/authentication/user and serviceaccount), and the user of requests
// without credentials.
const (
	GroupAuthenticated = "system:authenticated"
	// groupOAuth has everybody who logged in to OpenShift.
	groupOAuth           = "system:authenticated:oauth"
	groupUnauthenticated = "system:unauthenticated"
	// GroupAccounts has all service accounts; with ":NAMESPACE", those of one namespace.
	GroupAccounts = "system:serviceaccounts"
	userAnonymous = "system:anonymous"
	// GroupNodes has all nodes. A node's user name is NodePrefix and the node's name,
	// from the certificate of its kubelet.
	GroupNodes = "system:nodes"
	// GroupMasters has the subjects that no authorizer can deny anything.
	GroupMasters = "system:masters"
	NodePrefix   = "system:node:"
	// GroupBootstrappers has the users of bootstrap tokens, whose names are bootstrapPrefix and
	// the token's ID. A token can name more groups, which all begin with GroupBootstrappers and
	// a colon (k8s.io/cluster-bootstrap/token/api).
	GroupBootstrappers = "system:bootstrappers"
	bootstrapPrefix    = "system:bootstrap:"
	// GroupClusterAdmins is bound to cluster-admin by kubeadm.
	GroupClusterAdmins = "kubeadm:cluster-admins"
)

// controlPlane are the users of Kubernetes' own programs, beside nodes
// (k8s.io/apiserver/pkg/authentication/user).
var controlPlane = []string{"system:apiserver", "system:kube-controller-manager", "system:kube-scheduler", "system:kube-proxy"}

// SubjectOf converts a subject of a binding in that namespace, which is empty for a
// ClusterRoleBinding. A service account without a namespace is in the binding's
// namespace, and a user with a service account's user name is that account. A subject
// that the API server ignores (k8s.io/kubernetes/pkg/registry/rbac/validation,
// appliesToUser) becomes the zero Subject.
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

// SubjectsOf converts the subjects of a binding in that namespace, one by one.
func SubjectsOf(subjects []rbacv1.Subject, namespace string) []Subject {
	return lists.Map(subjects, func(s rbacv1.Subject) Subject { return SubjectOf(s, namespace) })
}

// User returns the user of that name, or the service account with that user name.
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

// Group returns the group of that name.
func Group(name string) Subject {
	if name == "" {
		return Subject{}
	}
	return Subject{Kind: rbacv1.GroupKind, Name: name}
}

// Account returns the service account of that name.
func Account(namespace, name string) Subject {
	if namespace == "" || name == "" {
		return Subject{}
	}
	return Subject{Kind: rbacv1.ServiceAccountKind, Namespace: namespace, Name: name}
}

// ParseSubject parses a subject of flags and files: a service account as NAMESPACE:NAME,
// users and groups by their names. Text of another form is kept, for Members.Validate to
// refuse.
func ParseSubject(kind, text string) Subject {
	if namespace, name, found := strings.Cut(text, ":"); found && kind == rbacv1.ServiceAccountKind && namespace != "" && name != "" {
		return Subject{kind, namespace, name}
	}
	return Subject{Kind: kind, Name: text}
}

// Text reverses ParseSubject.
func (s Subject) Text() string {
	if s.Namespace != "" {
		return s.Namespace + ":" + s.Name
	}
	return s.Name
}

// Flag returns the flag that names a subject of this kind.
func (s Subject) Flag() string {
	switch s.Kind {
	case rbacv1.GroupKind:
		return "group"
	case rbacv1.ServiceAccountKind:
		return "service-account"
	}
	return "user"
}

// String is readable: "user alice", "group devs", "service account ci:deployer".
func (s Subject) String() string {
	if s.Kind == "" {
		return "nobody"
	}
	return strings.ReplaceAll(s.Flag(), "-", " ") + " " + s.Text()
}

// Username returns the subject's user name at the API server, empty for a group.
func (s Subject) Username() string {
	switch s.Kind {
	case rbacv1.UserKind:
		return s.Name
	case rbacv1.ServiceAccountKind:
		return AccountUser(s.Namespace, s.Name)
	}
	return ""
}

// Groups returns the groups into which the API server puts the subject by itself, the
// narrowest first. Other groups of a user are known only when they authenticate.
func (s Subject) Groups() []string {
	switch {
	case s.Kind == rbacv1.ServiceAccountKind:
		return []string{GroupAccounts + ":" + s.Namespace, GroupAccounts, GroupAuthenticated}
	case s == Subject{Kind: rbacv1.UserKind, Name: userAnonymous}:
		return []string{groupUnauthenticated}
	case s.Kind == rbacv1.UserKind && strings.HasPrefix(s.Name, NodePrefix):
		return []string{GroupNodes, GroupAuthenticated}
	case s.Kind == rbacv1.UserKind && strings.HasPrefix(s.Name, bootstrapPrefix), s.Kind == rbacv1.GroupKind && strings.HasPrefix(s.Name, GroupBootstrappers+":"):
		return []string{GroupBootstrappers, GroupAuthenticated}
	case s.Kind == rbacv1.GroupKind && (s.Name == GroupAuthenticated || s.Name == groupUnauthenticated):
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
		return s.Name == userAnonymous
	case rbacv1.GroupKind:
		return slices.Contains([]string{GroupAuthenticated, groupOAuth, groupUnauthenticated, GroupAccounts}, s.Name)
	}
	return false
}

// IsOpen reports whether the subject stands for everybody, for every pod of the cluster or of a
// namespace, for nodes, or for whoever holds a bootstrap token. Who takes a node, by a pod on
// it, is that node.
func (s Subject) IsOpen() bool {
	if s.Kind == rbacv1.UserKind {
		return s.IsEverybody() || strings.HasPrefix(s.Name, NodePrefix) || strings.HasPrefix(s.Name, bootstrapPrefix)
	}
	return s.IsEverybody() || s.AccountsOf() != "" || s.Kind == rbacv1.GroupKind &&
		(s.Name == GroupNodes || s.Name == GroupBootstrappers || strings.HasPrefix(s.Name, GroupBootstrappers+":"))
}

// IsComponent reports whether the subject is the user of one of Kubernetes' own programs, or of
// a node.
func (s Subject) IsComponent() bool {
	return s.Kind == rbacv1.UserKind && (slices.Contains(controlPlane, s.Name) || strings.HasPrefix(s.Name, NodePrefix))
}

// AccountsOf returns the namespace if the subject is the group of all its service
// accounts, otherwise it is empty.
func (s Subject) AccountsOf() string {
	namespace, found := strings.CutPrefix(s.Name, GroupAccounts+":")
	if s.Kind != rbacv1.GroupKind || !found {
		return ""
	}
	return namespace
}

func (s Subject) object() rbacv1.Subject {
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
