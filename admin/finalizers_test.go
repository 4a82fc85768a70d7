package admin

import (
	"slices"
	"testing"

	"helm-tenant/cluster"
	"helm-tenant/tenant"
)

// TestDestroyNamesFinalizers: a destroy says whose finalizers it removes before it does, and
// deletes the binding in spite of one that a member sets after it was read.
func TestDestroyNamesFinalizers(t *testing.T) {
	for name, late := range map[string]bool{"before": false, "after it was read": true} {
		t.Run(name, func(t *testing.T) {
			server, c := empty().start(t)
			write(t, c, asked(engine(tenant.EngineImpersonation)))
			key := cluster.Key{Kind: "RoleBinding", Namespace: "a", Name: "helm-tenant.t.admin"}
			hold := func() {
				held := server.Get(key)
				held.SetFinalizers([]string{"example.com/never", "foregroundDeletion"})
				server.Put(held)
			}
			if !late {
				hold()
			}
			removal, err := PrepareDestroy(t.Context(), c, "t", false)
			if err != nil {
				t.Fatal(err)
			}
			note := key.String() + " is deleted in spite of its finalizers, which are removed: example.com/never"
			if slices.Contains(removal.Prepared.Notes, note) == late {
				t.Errorf("the notes are %q", removal.Prepared.Notes)
			}
			if late {
				hold()
			}
			var removed []string
			err = c.Write(t.Context(), &removal.Prepared.Plan, 1, func(change cluster.Change) {
				if change.Key == key {
					removed = change.Removed
				}
			})
			if err != nil || server.Get(key) != nil || !slices.Equal(removed, []string{"example.com/never"}) {
				t.Errorf("%v; the binding is %v, the removed finalizers are %q", err, server.Get(key), removed)
			}
		})
	}
}
