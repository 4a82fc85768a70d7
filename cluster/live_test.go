package cluster

import (
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// TestLabelsThatAnybodyCanSet: a chart of team-a, and somebody who is admin of
// elsewhere, put objects that look like team-b's where they may write.
func TestLabelsThatAnybodyCanSet(t *testing.T) {
	object := func(kind, namespace, name string, annotations map[string]string) *unstructured.Unstructured {
		o := &unstructured.Unstructured{Object: map[string]any{"kind": kind}}
		o.SetNamespace(namespace)
		o.SetName(name)
		o.SetLabels(map[string]string{"helm-tenant/tenant": "team-b"})
		o.SetAnnotations(annotations)
		return o
	}
	ofA := object("Namespace", "", "a1", nil)
	ofA.SetLabels(map[string]string{"helm-tenant/tenant": "team-a"})
	live := NewLive()
	for _, object := range []*unstructured.Unstructured{
		ofA,
		object("Namespace", "", "team-b-tiller", nil),
		object("Namespace", "", "b1", map[string]string{"helm-tenant/home-namespace": "team-b-tiller"}),
		object("ConfigMap", "team-b-tiller", "helm-tenant", nil),
		object("ServiceAccount", "team-b-tiller", "tiller", nil),
		object("RoleBinding", "b1", "helm-tenant.team-b.admin", nil),

		object("ConfigMap", "a1", "helm-tenant", nil),        // in another tenant's namespace
		object("ConfigMap", "b1", "helm-tenant", nil),        // in one of its own, by its own chart
		object("ConfigMap", "elsewhere", "helm-tenant", nil), // in nobody's
		object("Deployment", "elsewhere", "tiller-deploy", nil),
		object("RoleBinding", "a1", "helm-tenant.team-b.edit", nil), // as in a shared one
	} {
		live.addLabelled(object)
	}
	live.disown()
	want := []Key{
		{"Namespace", "", "b1"}, {"Namespace", "", "team-b-tiller"},
		{"RoleBinding", "a1", "helm-tenant.team-b.edit"}, {"RoleBinding", "b1", "helm-tenant.team-b.admin"},
		{"ConfigMap", "team-b-tiller", "helm-tenant"}, {"ServiceAccount", "team-b-tiller", "tiller"},
	}
	if got := live.OfTenant("team-b"); !slices.Equal(got, want) {
		t.Errorf("of team-b are\n%v\nnot\n%v", got, want)
	}
	if live.Get(Key{"ConfigMap", "elsewhere", "helm-tenant"}) != nil {
		t.Error("what is not believed is still there to be read")
	}
}
