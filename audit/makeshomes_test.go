package audit

import (
	"testing"

	"helm-tenant/tenant"
)

// TestMakesHomes: where helm-tenant's labels are reserved, it takes more than the right to
// create namespaces to make a home.
func TestMakesHomes(t *testing.T) {
	eve, found := User("eve"), []string{"HT027 low user eve"}
	for _, test := range []struct {
		name             string
		plant            func(*Snapshot)
		reserved, always []string
	}{
		{"namespaces", func(s *Snapshot) { s.give("", "x", eve, rule("", "namespaces", "create")) }, nil, found},
		{"namespaces of some names, by an apply", func(s *Snapshot) {
			s.give("", "x", eve, rule("", "namespaces", "create", "b-tiller"), rule("", "namespaces", "patch", "b-tiller"))
		}, nil, found},
		{"namespaces, and to claim them", func(s *Snapshot) {
			s.give("", "x", eve, rule("", "namespaces", "create"), rule("helm-tenant", "namespaces", "claim"))
		}, found, found},
		{"namespaces, and to claim one", func(s *Snapshot) {
			s.give("", "x", eve, rule("", "namespaces", "create"), rule("helm-tenant", "namespaces", "claim", "b-tiller"))
		}, found, found},
		{"namespaces, and to claim one in a namespace, which does not count", func(s *Snapshot) {
			s.give("", "x", eve, rule("", "namespaces", "create"))
			s.give("other", "y", eve, rule("helm-tenant", "namespaces", "claim"))
		}, nil, found},
		{"namespaces, and to delete a home", func(s *Snapshot) {
			s.give("", "x", eve, rule("", "namespaces", "create"), rule("", "namespaces", "delete", "a-tiller"))
		}, nil, []string{"HT027 medium user eve"}},
		{"namespaces, and to delete a home by a Role there", func(s *Snapshot) {
			s.give("", "x", eve, rule("", "namespaces", "create"))
			s.give("a-tiller", "y", eve, rule("", "namespaces", "delete"))
		}, nil, []string{"HT027 medium user eve"}},
		{"namespaces, and to delete them and to claim one", func(s *Snapshot) {
			s.give("", "x", eve, rule("", "namespaces", "create"), rule("", "namespaces", "delete"), rule("helm-tenant", "namespaces", "claim", "b-tiller"))
		}, []string{"HT027 medium user eve"}, []string{"HT027 medium user eve"}},
		{"namespaces, and to delete another one", func(s *Snapshot) {
			s.give("", "x", eve, rule("", "namespaces", "create"), rule("", "namespaces", "delete", "a-1"))
		}, nil, found},
		{"to claim them", func(s *Snapshot) { s.give("", "x", eve, rule("helm-tenant", "namespaces", "claim")) }, nil, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, reserved := range []bool{true, false} {
				s := sceneOf(tenant.Tenant{Name: "a", Namespaces: []string{"a-1"}, Engine: tenant.EngineTiller, Members: tenant.Members{tenant.User("alice")}})
				s.Guard.Reserved = reserved
				test.plant(s)
				want := test.always
				if reserved {
					want = test.reserved
				}
				compareFindings(t, s, true, want)
			}
		})
	}
}
