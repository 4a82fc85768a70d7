package admin

import (
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"

	"helm-tenant/prove"
	"helm-tenant/tenant"
)

func TestTheTenantThatIsAttacked(t *testing.T) {
	user := func(name string) tenant.Subject { return tenant.Subject{Kind: rbacv1.UserKind, Name: name} }
	another := func(name string, members ...tenant.Subject) other {
		return other{members, prove.Other{Tenant: name, Namespace: name + "-1"}}
	}
	alice := &prove.Identity{Role: prove.Member, User: "alice", Groups: []string{"devs"}}
	robot := &prove.Identity{Role: prove.Member, User: tenant.AccountUser("ci", "robot")}
	devs := tenant.Subject{Kind: rbacv1.GroupKind, Name: "devs"}
	account := tenant.Subject{Kind: rbacv1.ServiceAccountKind, Namespace: "ci", Name: "robot"}
	for _, test := range []struct {
		name       string
		member     *prove.Identity
		namespaces []string
		others     []other
		want       string
		hasMember  bool
	}{
		{name: "the next by name", member: alice, others: []other{another("a"), another("b"), another("c"), another("d")}, want: "c"},
		{name: "the first after the last", member: alice, others: []other{another("a"), another("b")}, want: "a"},
		{name: "none that shares a namespace", member: alice, namespaces: []string{"c-1"}, others: []other{another("b"), another("c"), another("d")}, want: "d"},
		{name: "none with the member", member: alice, others: []other{another("b"), another("c", user("alice")), another("d", user("bob"))}, want: "d"},
		{name: "none with the member's group", member: alice, others: []other{another("b"), another("c", devs), another("d")}, want: "d"},
		{name: "none with the member's account", member: robot, others: []other{another("b"), another("c", account), another("d", devs)}, want: "d"},
		{name: "all have the member", member: alice, others: []other{another("a", devs), another("b"), another("c", user("alice"))}, want: "c", hasMember: true},
		{name: "no member to try", others: []other{another("b"), another("c", user("alice"))}, want: "c"},
		{name: "no other tenant", member: alice, others: []other{another("b")}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := otherThan(&prove.Target{Tenant: "b", Namespaces: append(test.namespaces, "b-1"), Member: test.member}, test.others)
			if got == nil {
				got = &prove.Other{}
			}
			if got.Tenant != test.want || got.HasMember != test.hasMember {
				t.Errorf("%q, which has the member: %t; want %q, %t", got.Tenant, got.HasMember, test.want, test.hasMember)
			}
		})
	}
}
