package cli

import (
	"errors"
	"fmt"
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
		hints := hintsFor(fmt.Errorf("migrate: %w", test.err), byFlag)
		if got := fmt.Sprint(hints); test.want == "" && len(hints) > 0 || test.want != "" && got != "["+test.want+"]" {
			t.Errorf("%T: got %q", test.err, hints)
		}
	}
}
