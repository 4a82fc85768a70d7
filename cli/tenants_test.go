package cli

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"helm-tenant/admin"
	"helm-tenant/tenant"
)

// TestTenantRowsUnknown: unread values are "?" in the table and null in JSON; empty ones are 0
// and [].
func TestTenantRowsUnknown(t *testing.T) {
	team := tenant.Tenant{Name: "t", Namespaces: []string{"a"}, Engine: tenant.EngineTiller, Role: "admin"}
	for name, test := range map[string]struct {
		inventory admin.Inventory
		row       []string
		json      []string
	}{
		"known":    {admin.Inventory{}, []string{"t", "a", "-", "tiller", "-", "-", "0"}, []string{`"members": {`, `"users": []`, `"releases": {}`, `"unmanaged": []`}},
		"people":   {admin.Inventory{PeopleUnseen: true}, []string{"t", "a", "?", "tiller", "-", "-", "0"}, []string{`"members": null`, `"readers": null`, `"owners": null`, `"temporary": null`}},
		"tillers":  {admin.Inventory{TillersUnseen: true}, []string{"t", "a", "-", "tiller", "?", "?", "0"}, []string{`"releases": {}`, `"unmanaged": null`}},
		"releases": {admin.Inventory{ReleasesUnseen: true}, []string{"t", "a", "-", "tiller", "-", "-", "?"}, []string{`"releases": null`}},
	} {
		test.inventory.Tenants = []admin.Overview{{Tenant: team, Home: "t-tiller"}}
		if diff := cmp.Diff([][]string{test.row}, tenantRows(&test.inventory, false)); diff != "" {
			t.Errorf("%s: -want +got:\n%s", name, diff)
		}
		var text strings.Builder
		if err := printObject(&text, "json", tenantList(&test.inventory)); err != nil {
			t.Fatal(err)
		}
		for _, want := range test.json {
			if !strings.Contains(text.String(), want) {
				t.Errorf("%s: no %s in:\n%s", name, want, text.String())
			}
		}
	}
}

func TestChangedRows(t *testing.T) {
	before := [][]string{{"t", "a"}, {"u", "b"}, {unmanaged, "in x"}, {unmanaged, "in y"}}
	changed, removed := changedRows(before, [][]string{{"t", "a,c"}, {unmanaged, "in x"}, {"new", "n"}})
	if diff := cmp.Diff([][]string{{"t", "a,c"}, {"new", "n"}}, changed); diff != "" {
		t.Errorf("changed, -want +got:\n%s", diff)
	}
	if diff := cmp.Diff([]string{"u", unmanaged}, removed); diff != "" {
		t.Errorf("gone, -want +got:\n%s", diff)
	}
}

// TestWatchOfNone: in a watch that began without tenants, the headers come with the first.
func TestWatchOfNone(t *testing.T) {
	s, stdout, _ := hostileSession()
	row := []string{"t", "a", "-", "tiller", "-", "-", "0"}
	var q tenantsQuery
	for _, step := range []struct{ before, rows [][]string }{{nil, nil}, {nil, [][]string{row}}, {[][]string{row}, [][]string{row}}, {[][]string{row}, [][]string{row, append([]string{"u"}, row[1:]...)}}} {
		if err := s.printChanged(step.before, step.rows, &q); err != nil {
			t.Fatal(err)
		}
	}
	var first []string
	for line := range strings.Lines(stdout.String()) {
		first = append(first, strings.Fields(line)[0])
	}
	if diff := cmp.Diff([]string{"NAME", "t", "u"}, first); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
