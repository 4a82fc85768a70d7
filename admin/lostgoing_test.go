package admin

import (
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"helm-tenant/cluster"
	"helm-tenant/tenant"
)

// TestLostWhileItGoes: a tenant whose namespaces are being deleted loses its record some time before
// they are gone, and can't be made again until then.
func TestLostWhileItGoes(t *testing.T) {
	for _, test := range []struct{ going, namespaces []string }{
		{[]string{"t-tiller"}, []string{"a", "b"}},
		{[]string{"a", "t-tiller"}, []string{"b"}},
		{[]string{"a", "b", "t-tiller"}, nil},
		{[]string{"a", "b"}, nil},
	} {
		w := empty().after(t, asked())
		w.objects = slices.DeleteFunc(slices.Clone(w.objects), func(o runtime.Object) bool { return cluster.KeyOf(o).Name == tenant.RecordName })
		for _, object := range w.objects {
			if key := cluster.KeyOf(object); key.Kind == "Namespace" && slices.Contains(test.going, key.Name) {
				deleted := metav1.Unix(1, 0) // a zero time is none
				object.(metav1.Object).SetDeletionTimestamp(&deleted)
			}
		}
		lost := lostTenant(w.facts(t, Request{Tenant: tenant.Tenant{Name: "t"}}).live, "t")
		if lost == nil {
			t.Errorf("%v: not lost", test.going)
			continue
		}
		slices.Sort(lost.Going)
		if !slices.Equal(lost.Going, test.going) || !slices.Equal(lost.Namespaces, test.namespaces) {
			t.Errorf("of %v: going %v, namespaces %v", test.going, lost.Going, lost.Namespaces)
		}
		if text := lost.Error(); !strings.Contains(text, "is being deleted") || !strings.Contains(text, test.going[0]) {
			t.Errorf("of %v: %s", test.going, text)
		}
	}
}
