package cli

import (
	"fmt"
	"strings"
	"testing"

	"helm-tenant/admin"
	"helm-tenant/tenant"
)

func TestHintsWhileATenantGoes(t *testing.T) {
	for _, test := range []struct {
		lost *admin.LostRecordError
		want []string
	}{
		{&admin.LostRecordError{Name: "t", Going: []string{"a", "t-helm"}}, []string{"wait until they are deleted"}},
		{&admin.LostRecordError{Name: "t", Going: []string{"t-helm"}, FormerHome: "t-helm", Namespaces: []string{"a"}}, []string{"wait until they are deleted", "then make it again with: helm tenant init t"}},
		{&admin.LostRecordError{Name: "t", Home: "t-helm", Engine: tenant.EngineImpersonation, Namespaces: []string{"a"}}, []string{"make it again with: helm tenant init t"}},
	} {
		hints := lostHints(test.lost)
		for i, want := range test.want {
			if i >= len(hints) || !strings.HasPrefix(string(hints[i]), want) {
				t.Errorf("%+v: %q, want %q", test.lost, hints, test.want)
			}
		}
		if strings.Contains(fmt.Sprint(hints), "init") != (len(test.lost.Namespaces) > 0) {
			t.Errorf("%+v: %q", test.lost, hints)
		}
	}
}

func TestMisplacedTenant(t *testing.T) {
	for _, test := range []struct {
		args []string
		want string
	}{
		{nil, ""},
		{[]string{"whoami", "--tenant", "team-b"}, "team-b"},
		{[]string{"list", "--tenant=team-b", "-a"}, "team-b"},
		{[]string{"list", "--tenant"}, ""},
		{[]string{"list", "--tenant", "Not a name"}, ""},
		{[]string{"list", "--tenants=x"}, ""},
	} {
		if got := misplacedTenant(test.args); got != test.want {
			t.Errorf("%q: %q", test.args, got)
		}
	}
}
