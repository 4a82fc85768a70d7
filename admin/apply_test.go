package admin

import "testing"

// TestPlansShareObjects: the plans of many tenants share the objects that exist once in the
// cluster, and have their own copies of the tenants' objects.
func TestPlansShareObjects(t *testing.T) {
	request := asked(func(r *Request) { r.CreateNamespaces = true })
	f := empty().facts(t, request)
	first, err := decide(f, request)
	if err != nil {
		t.Fatal(err)
	}
	second, err := decide(f, request)
	if err != nil {
		t.Fatal(err)
	}
	if len(first.Plan.Changes) != len(second.Plan.Changes) {
		t.Fatalf("%d and %d changes", len(first.Plan.Changes), len(second.Plan.Changes))
	}
	policies := 0
	for i, change := range first.Plan.Changes {
		if isShared(change.Key) {
			policies++
		}
		if same := change.Object == second.Plan.Changes[i].Object; same != isShared(change.Key) {
			t.Errorf("%s: both plans have the same object: %t", change.Key, same)
		}
	}
	shared := TakeShared([]Outcome{{Prepared: first}, {Prepared: second}})
	if policies < 30 || len(shared.Changes) != policies {
		t.Errorf("%d shared changes in a plan, and %d for both", policies, len(shared.Changes))
	}
}
