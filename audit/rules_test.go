package audit

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"helm-tenant/tenant"
)

// Unused ignores are judged by all tenants' findings, and only if all of them were read.
func TestUnused(t *testing.T) {
	s := sceneOf(team("a", tenant.EngineTiller), team("b", tenant.EngineTiller))
	s.give("b-1", "foreign", User("zoe"), rule("", "pods", "create"))
	used, removed := Ignore{ID: idForeign, Subject: "user zoe", Reason: "x"}, Ignore{ID: idForeign, Subject: "group zoe", Reason: "x"}
	elsewhere := Ignore{ID: idForeign, Tenant: "a", Reason: "x"}
	for _, test := range []struct {
		name   string
		o      Options
		unseen bool
		want   []Ignore
	}{
		{"all tenants", Options{}, false, []Ignore{removed, elsewhere}},
		{"the tenant", Options{Tenants: []string{"b"}}, false, []Ignore{removed, elsewhere}},
		{"another tenant", Options{Tenants: []string{"a"}}, false, []Ignore{removed, elsewhere}},
		{"something unseen", Options{}, true, nil},
		{"somebody asked about", Options{Ask: User("zoe")}, false, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.o.Ignore = []Ignore{used, removed, elsewhere}
			s.Unseen = nil
			if test.unseen {
				s.Unseen = []Unseen{{Resource: "pods", What: "pods in all namespaces"}}
			}
			if diff := cmp.Diff(test.want, Unused(test.o.Ignore, Audit(s, test.o))); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}
