package cli

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"helm-tenant/admin"
	"helm-tenant/tenant"
)

// TestLeftOut: export warns once for each namespace with Tillers of no tenant, and names the
// command that adopts them only where it works.
func TestLeftOut(t *testing.T) {
	in := func(namespaces ...string) (all []admin.Unmanaged) {
		for _, namespace := range namespaces {
			all = append(all, admin.Unmanaged{Tiller: admin.Tiller{Namespace: namespace, Image: "tiller"}})
		}
		return all
	}
	inventory := &admin.Inventory{
		Tenants:   []admin.Overview{{Tenant: tenant.Tenant{Name: "a", Namespaces: []string{"a-1"}}, Home: "a-tiller"}},
		Unmanaged: in("old", "a-1", "old", "a-tiller", "older", "a-tiller"),
	}
	want := []string{
		"the Tiller in namespace a-1 is no tenant's and can't be carried over; that namespace is a tenant's and can't be a home",
		"what looks like a Tiller in namespace a-tiller, the home of tenant a, is not the tenant's; see: helm tenant audit a",
		"the Tiller in namespace old is no tenant's and can't be carried over; make it one with: helm tenant init TENANT --home-namespace=old --namespaces=NS --adopt",
		"the Tiller in namespace older is no tenant's and can't be carried over; make it one with: helm tenant init TENANT --home-namespace=older --namespaces=NS --adopt",
	}
	slices.Sort(want)
	got := leftOut(inventory)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
