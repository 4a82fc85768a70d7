package admin

import (
	"errors"
	"slices"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"helm-tenant/cluster"
	"helm-tenant/cluster/clustertest"
	"helm-tenant/tenant"
)

// TestDestroyNamesFinalizers: a destroy says whose finalizers it removes before it does, and
// deletes the binding in spite of one that a member sets after it was read, and of a member who
// changes it all the time.
func TestDestroyNamesFinalizers(t *testing.T) {
	for name, late := range map[string]bool{"before": false, "after it was read": true, "while others change it": true} {
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
			removal, err := prepareRemoval(t.Context(), c, "t", false)
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
			changes := 0
			server.Refuse = func(r clustertest.Request) *apierrors.StatusError {
				if changes < 3 && name == "while others change it" && r.Verb == "update" && r.Kind == key.Kind {
					changes++
					return apierrors.NewConflict(schema.GroupResource{Resource: "rolebindings"}, key.Name, errors.New("the object has been modified"))
				}
				return nil
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
			if (changes == 3) != (name == "while others change it") {
				t.Errorf("others changed it %d times", changes)
			}
		})
	}
}
