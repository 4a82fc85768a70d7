package admin

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"helm-tenant/cluster"
	"helm-tenant/tenant"
)

// TestNewerRecord: members of a tenant that a newer helm-tenant wrote are changed, its
// namespaces are known, and nothing else is written, so that no field is lost.
func TestNewerRecord(t *testing.T) {
	server, c := empty().start(t)
	write(t, c, asked())
	record, err := cluster.List[corev1.ConfigMap](t.Context(), c, "ConfigMap", "t-tiller", metav1.ListOptions{FieldSelector: "metadata.name=" + tenant.RecordName})
	if err != nil || len(record) != 1 {
		t.Fatal(record, err)
	}
	newer := record[0]
	newer.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"}
	newer.Data[tenant.RecordKey] += "rings: {users: [dana]}\n"
	server.Put(&newer)

	found, err := Find(t.Context(), c, "t", "")
	if err != nil || len(found.Unknown) != 1 || !strings.Contains(found.UnknownFields(), `unknown field "rings"`) {
		t.Fatalf("got %+v, %v", found, err)
	}
	subjects := tenant.Members{tenant.User("zoe")}
	if done, err := Grant(t.Context(), c, found, GrantRequest{Who: subjects, As: tenant.RelationMember}, false); err != nil || len(done.Everybody()) != 1 {
		t.Errorf("grant: %+v, %v", done, err)
	}
	if done, err := Revoke(t.Context(), c, found, RevokeRequest{Who: subjects}, false); err != nil || len(done.Everybody()) != 1 {
		t.Errorf("revoke: %+v, %v", done, err)
	}
	inventory, err := TakeInventory(t.Context(), c)
	if err != nil || len(inventory.Tenants) != 1 || len(inventory.Tenants[0].Namespaces) == 0 || inventory.Tenants[0].Problem == "" {
		t.Errorf("inventory: %+v, %v", inventory, err)
	}
	snapshot, err := TakeSnapshot(t.Context(), c)
	if err != nil || len(snapshot.Records) != 1 || snapshot.Records[0].Problem == "" || len(snapshot.Records[0].Tenant.Namespaces) == 0 {
		t.Errorf("snapshot: %+v, %v", snapshot, err)
	}
	server.Writes()
	for what, request := range map[string]Request{"the same": asked(), "another namespace": asked(namespaces("a", "b"))} {
		if _, err := Prepare(t.Context(), c, request); !strings.Contains(errorText(err), `unknown field "rings" (a newer helm-tenant may have written it)`) {
			t.Errorf("%s is asked: %v", what, err)
		}
	}
	if _, err := readMigration(t.Context(), c, "t", 0, nil, nil); !strings.Contains(errorText(err), `unknown field "rings"`) {
		t.Errorf("a migration: %v", err)
	}
	if writes := server.Writes(); len(writes) > 0 {
		t.Errorf("it wrote %v", writes)
	}
}
