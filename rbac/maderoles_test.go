package rbac

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	rbacv1 "k8s.io/api/rbac/v1"
)

func TestMadeRoles(t *testing.T) {
	const admin, edit, view = "system:aggregate-to-admin", "system:aggregate-to-edit", "system:aggregate-to-view"
	for _, test := range []struct {
		role, created string
		names         []string
	}{
		{"admin", "helm-tenant-admin", []string{admin, edit, view}},
		{"edit", "helm-tenant-edit", []string{edit, view}},
		{"view", "helm-tenant-view", []string{view}},
		{"deployer", "helm-tenant-admin", []string{admin, edit, view}},
	} {
		if created := MadeRole(test.role); created != test.created {
			t.Errorf("instead of %s: got %s", test.role, created)
		}
		if diff := cmp.Diff(test.names, MadeOf(test.created)); diff != "" {
			t.Errorf("%s, -want +got:\n%s", test.created, diff)
		}
	}
	for _, name := range []string{"admin", "helm-tenant-", "helm-tenant-member", "helm-tenant-cluster-admin", ""} {
		if names := MadeOf(name); names != nil {
			t.Errorf("%s is made of %q", name, names)
		}
	}
}

func TestWritesNamespaces(t *testing.T) {
	rule := func(group, resource, verb string, names ...string) rbacv1.PolicyRule {
		return rbacv1.PolicyRule{APIGroups: []string{group}, Resources: []string{resource}, Verbs: []string{verb}, ResourceNames: names}
	}
	for _, test := range []struct {
		rule rbacv1.PolicyRule
		want int
	}{
		{rule("", "namespaces", "update"), 1},
		{rule("", "namespaces", "patch", "one"), 1},
		{rule("", "namespaces", "delete"), 1},
		{rule("", "namespaces/status", "update"), 1},
		{rule("", "namespaces/status", "patch"), 1},
		{rule("", "*/status", "patch"), 1},
		{rule("", "namespaces/finalize", "update"), 1},
		{rule("", "*/finalize", "*"), 1},
		{rule("", "namespaces", "*"), 3},
		{rule("*", "*", "*"), 6},
		{rule("", "*", "patch"), 2},
		{rule("", "namespaces", "get"), 0},
		{rule("", "namespaces", "create"), 0}, // which a RoleBinding can't give
		{rule("", "namespaces/finalize", "patch"), 0},
		{rule("apps", "namespaces", "update"), 0},
		{rule("", "deployments/status", "update"), 0},
		{rule("apps", "*/status", "update"), 0},
	} {
		if got := WritesNamespaces([]rbacv1.PolicyRule{test.rule}); len(got) != test.want {
			t.Errorf("%+v: %v", test.rule, got)
		}
	}
}
