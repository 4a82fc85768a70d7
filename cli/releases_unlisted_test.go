package cli

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"helm-tenant/admin"
)

// TestUnlistedReasons: namespaces that are refused for the same reason are named once.
func TestUnlistedReasons(t *testing.T) {
	refused := func(namespace string) admin.UnlistedReleases {
		return admin.UnlistedReleases{Tenant: "t", Namespace: namespace,
			Reason: `listing secrets in namespace ` + namespace + ` in context "c": secrets is forbidden: User "u" cannot list resource "secrets" in API group "" in the namespace "` + namespace + `"`}
	}
	var many []admin.UnlistedReleases
	for i := range 13 {
		many = append(many, refused(fmt.Sprintf("n%02d", i)))
	}
	whole := admin.UnlistedReleases{Tenant: "t", Reason: "listing secrets is forbidden"}
	other := admin.UnlistedReleases{Tenant: "v", Namespace: "b", Reason: "its record can't be read"}
	first := refused("a").Reason
	for name, test := range map[string]struct {
		unlisted []admin.UnlistedReleases
		want     []string
	}{
		"none":                  {nil, nil},
		"one":                   {[]admin.UnlistedReleases{refused("a")}, []string{first}},
		"two":                   {[]admin.UnlistedReleases{refused("a"), refused("e")}, []string{first + "; the same of namespace e"}},
		"of two tenants":        {[]admin.UnlistedReleases{refused("a"), refused("a"), refused("c"), refused("c")}, []string{first + "; the same of namespace c"}},
		"without a namespace":   {[]admin.UnlistedReleases{whole, whole}, []string{whole.Reason}},
		"two reasons":           {[]admin.UnlistedReleases{refused("a"), other, refused("b")}, []string{first + "; the same of namespace b", other.Reason}},
		"more than can be read": {many, []string{many[0].Reason + "; the same of namespaces n01, n02, n03, n04, n05, n06, n07, n08, n09, n10, and 2 more"}},
	} {
		if diff := cmp.Diff(test.want, unlistedReasons(test.unlisted)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, strings.TrimSpace(diff))
		}
	}
}
