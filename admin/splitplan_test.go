package admin

import (
	"fmt"
	"slices"
	"testing"

	"helm-tenant/cluster"
	"helm-tenant/migrate"
	"helm-tenant/tenant"
)

// TestAssignAndJudge: to which tenants releases go, and which of their objects are listed.
func TestAssignAndJudge(t *testing.T) {
	tenants := []tenant.Tenant{
		tenant.Tenant{Name: "ta", Namespaces: []string{"a", "a2"}}.WithDefaults(),
		tenant.Tenant{Name: "tb", Namespaces: []string{"b"}}.WithDefaults(),
	}
	rec := func(name, namespace string, version int) tillerRecord {
		key := cluster.Key{Kind: "ConfigMap", Namespace: "old", Name: fmt.Sprintf("%s.v%d", name, version)}
		stored := cluster.Stored{Key: key}
		stored.Release, stored.Version, stored.Status = name, version, "DEPLOYED"
		return tillerRecord{Stored: stored, name: name, namespace: namespace, version: version, status: "DEPLOYED"}
	}
	body := func(kind, namespace, name, color string) seenObject {
		o := seenObject{served: true}
		o.Object = migrate.Object{Resource: migrate.Resource{APIVersion: "v1", Kind: kind, Name: name}, Namespace: namespace}
		o.Fields = map[string]any{"kind": kind, "data": map[string]any{"color": color}}
		o.live = map[string]any{"data": map[string]any{"color": "red", "more": "x"}}
		return o
	}
	moved := append(slices.Clone(tenants), tenant.Tenant{Name: "ops", AllNamespaces: true}.WithDefaults())
	for _, test := range []struct {
		name    string
		records []tillerRecord
		tenants []tenant.Tenant
		objects []seenObject // of the first record
		tenant  string
		notes   []string
	}{
		{"its namespace's tenant", []tillerRecord{rec("web", "a2", 1)}, tenants, []seenObject{body("ConfigMap", "a", "x", "red")}, "ta", nil},
		{"the newest revision counts", []tillerRecord{rec("web", "b", 2), rec("web", "a", 1)}, tenants, nil, "tb", []string{`revision 1 names namespace "a", which is not the tenant's`}},
		{"nobody's", []tillerRecord{rec("web", "c", 1)}, tenants, nil, "", []string{`no tenant of the file has namespace "c"`}},
		{"the ops tenant's", []tillerRecord{rec("web", "c", 1)}, moved, []seenObject{body("ClusterRole", "", "x", "red")}, "ops", nil},
		{"a namespace before all namespaces", []tillerRecord{rec("web", "b", 1)}, moved, nil, "tb", nil},
		{"a cluster-scoped object", []tillerRecord{rec("web", "a", 1)}, tenants, []seenObject{body("ClusterRole", "", "x", "red")}, "ta", []string{"holds ClusterRole x"}},
		{"another tenant's object", []tillerRecord{rec("web", "a", 1)}, tenants, []seenObject{body("Secret", "b", "x", "red")}, "ta", []string{"holds Secret x in namespace b"}},
		{"an object that differs", []tillerRecord{rec("web", "a", 1)}, tenants, []seenObject{body("ConfigMap", "a", "x", "blue")}, "ta", []string{"ConfigMap x in namespace a has another data.color"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			releases := assign(test.records, test.tenants, nil)
			noteMismatches(releases, test.tenants, map[cluster.Key][]seenObject{test.records[0].Key: test.objects})
			if got := releases[0]; len(releases) != 1 || got.Tenant != test.tenant || !slices.Equal(got.Notes(), test.notes) {
				t.Errorf("got %+v", releases)
			}
		})
	}
	// Two releases that hold the same object: one of them is forged.
	two := []tillerRecord{rec("one", "a", 1), rec("two", "a", 1)}
	releases := assign(two, tenants, nil)
	same := body("ConfigMap", "a", "x", "red")
	noteMismatches(releases, tenants, map[cluster.Key][]seenObject{two[0].Key: {same}, two[1].Key: {same}})
	if got := releases[1].Unmatched; !slices.Equal(got, []string{"ConfigMap x in namespace a is held by release one, too"}) {
		t.Errorf("got %q", got)
	}
}
