package cli

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"helm-tenant/admin"
	"helm-tenant/cluster"
	"helm-tenant/tenant"
)

// TestUnreadableRecordHints: for a record that somebody changed, there is a command that writes
// it again, or one that shows how; not for one of a newer helm-tenant.
func TestUnreadableRecordHints(t *testing.T) {
	for _, test := range []struct {
		err  error
		want string // empty for no hint
	}{
		{&admin.UnreadableRecordError{Tenant: tenant.Tenant{Name: "team-a", Namespaces: []string{"a", "b"}, Role: "edit"}, Err: errors.New("x")},
			"write it again from the live objects with: helm tenant init team-a --engine=tiller --namespaces=a,b --role=edit"},
		{&cluster.RecordError{Tenant: "team-a"}, "see how to write it again with: helm tenant audit team-a"},
		{&cluster.RecordError{Tenant: "team-a", Newer: true}, ""},
	} {
		hints := hintsFor(fmt.Errorf("migrate: %w", test.err), inFlags)
		if got := fmt.Sprint(hints); test.want == "" && len(hints) > 0 || test.want != "" && got != "["+test.want+"]" {
			t.Errorf("%T: got %q", test.err, hints)
		}
	}
}

// TestDeniedHints: --no-cluster-reads helps against missing rights to list the cluster's objects,
// and not against those in a namespace, which a RoleBinding there gives.
func TestDeniedHints(t *testing.T) {
	for _, test := range []struct {
		missing []cluster.Permission
		want    hint
	}{
		{[]cluster.Permission{{Verb: "list", Resource: "secrets"}, {Verb: "get", Resource: "secrets", Namespace: "a"}}, "an admin of only the home and the tenant's namespaces adds --no-cluster-reads"},
		{[]cluster.Permission{{Verb: "list", Resource: "secrets", Namespace: "a"}}, "a RoleBinding of it in each of these namespaces is enough"},
		{[]cluster.Permission{{Verb: "get", Resource: "clusterroles"}}, ""},
	} {
		want := []hint{"the ClusterRole that an admin needs is printed by: helm tenant init --print-role"}
		if test.want != "" {
			want = append(want, test.want)
		}
		if hints := hintsFor(&admin.ReadDeniedError{Missing: test.missing}, inFlags); !slices.Equal(hints, want) {
			t.Errorf("%v: %q, want %q", test.missing, hints, want)
		}
	}
}

// TestContradictionHint: what is to be revoked is the relation that stands in the way, no other.
func TestContradictionHint(t *testing.T) {
	err := &admin.ContradictionError{Tenant: "team-a", Who: tenant.Members{tenant.User("dana")}, As: tenant.RelationOwner}
	if got, want := fmt.Sprint(hintsFor(err, inFlags)), "[revoke what they have first: helm tenant revoke team-a --user=dana --owner]"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
