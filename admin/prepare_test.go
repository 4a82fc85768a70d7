package admin

import (
	"sync/atomic"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"

	"helm-tenant/cluster"
	"helm-tenant/cluster/clustertest"
)

// TestPrepareWhileAnotherAdminMakesIt: another admin makes the same tenant while this one reads:
// the record last, and the rest at any read before it. This admin is not refused.
func TestPrepareWhileAnotherAdminMakesIt(t *testing.T) {
	t.Parallel()
	var parts, record []runtime.Object
	for _, object := range empty().after(t, asked(unguarded)).objects {
		if cluster.KeyOf(object) == recordKey("t-tiller") {
			record = append(record, object)
		} else {
			parts = append(parts, object)
		}
	}
	conflicts := 0
	for first, seen := int64(1), int64(1); first <= seen; first += 3 {
		for _, later := range []int64{2} {
			server, c := empty().start(t)
			var reads atomic.Int64
			server.Refuse = func(clustertest.Request) *apierrors.StatusError {
				switch reads.Add(1) {
				case first:
					server.Put(parts...)
				case first + later:
					server.Put(record...)
				}
				return nil
			}
			outcomes, err := prepareOnce(t.Context(), c, []Request{asked(unguarded)})
			if err != nil {
				t.Fatal(err)
			}
			seen = reads.Load()
			if !changedWhileRead(outcomes[0].Err) {
				continue
			}
			conflicts++
			// The same reads again, by the function that looks a second time.
			for _, object := range append(parts, record...) {
				server.Remove(cluster.KeyOf(object))
			}
			server.Put(empty().objects...)
			reads.Store(0)
			if _, err := Prepare(t.Context(), c, asked(unguarded)); err != nil {
				t.Errorf("parts appear at read %d, and the record %d later: %v", first, later, err)
			}
		}
	}
	if conflicts == 0 {
		t.Error("no read fell between the other admin's writes")
	}
	t.Log(conflicts, "conflicts")
}
