package audit

import (
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"

	"helm-tenant/tenant"
)

// Subject is somebody whom a binding names.
type Subject = tenant.Subject

// User is tenant.User.
func User(name string) Subject { return tenant.User(name) }

// Group is tenant.Group.
func Group(name string) Subject { return tenant.Group(name) }

// Account is tenant.Account.
func Account(namespace, name string) Subject { return tenant.Account(namespace, name) }

func compareSubjects(a, b Subject) int { return tenant.CompareSubjects(a, b) }

// identity is a subject with its groups; the subject is first.
type identity []Subject

func identityOf(s Subject, groups ...string) identity {
	all := identity{s}
	for _, name := range append(groups, s.Groups()...) {
		all = append(all, Group(name))
	}
	return all
}

// isNode reports whether it is a node, one of the named nodes if there are any. The group of
// all nodes counts as each of them.
func (holder identity) isNode(nodes []string) bool {
	if !slices.Contains(holder, Group(tenant.GroupNodes)) {
		return false
	}
	node, named := strings.CutPrefix(holder[0].Name, tenant.NodePrefix)
	return !named || holder[0].Kind != rbacv1.UserKind || len(nodes) == 0 || slices.Contains(nodes, node)
}

// isAccount reports whether it is a service account, or a group of them.
func (holder identity) isAccount() bool {
	return holder[0].Kind == rbacv1.ServiceAccountKind || holder[0] == Group(tenant.GroupAccounts) || holder[0].AccountsOf() != ""
}
