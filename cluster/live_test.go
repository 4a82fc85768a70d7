package cluster

import (
	"slices"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"helm-tenant/tenant"
)

// TestUntrustedLabels: a chart of team-a, and an admin of another namespace, create
// objects with team-b's labels.
func TestUntrustedLabels(t *testing.T) {
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
		object("ConfigMap", "b1", "helm-tenant", nil),        // in a namespace of team-b, by its own chart
		object("ConfigMap", "elsewhere", "helm-tenant", nil), // in nobody's
		object("Deployment", "elsewhere", "tiller-deploy", nil),
		object("RoleBinding", "a1", "helm-tenant.team-b.edit", nil), // as in a shared one
	} {
		live.addLabelled(object)
	}
	if err := live.disown(); err != nil {
		t.Fatal(err)
	}
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

// TestHomes: which namespaces are believed to be a tenant's home.
func TestHomes(t *testing.T) {
	type namespace struct {
		name, tenant string
		home         bool
		leads        string
	}
	for _, test := range []struct {
		name       string
		namespaces []namespace
		accounts   []string // of a ClusterRoleBinding of team-a's
		want       []string
	}{
		{"a tenant", []namespace{{"a-tiller", "team-a", true, ""}, {"a", "team-a", false, "a-tiller"}}, nil, []string{"a-tiller"}},
		{"one that lost its annotation", []namespace{{"a-tiller", "team-a", true, ""}, {"a", "team-a", false, "a-tiller"}, {"b", "team-a", false, ""}}, nil, []string{"a-tiller"}},
		{"its only one lost its annotation", []namespace{{"a-tiller", "team-a", true, ""}, {"a", "team-a", false, ""}}, nil, []string{"a-tiller"}},
		{"a stranger's home beside its own", []namespace{{"a-tiller", "team-a", true, ""}, {"a", "team-a", false, "a-tiller"}, {"team-a-helm", "team-a", true, ""}}, nil, []string{"a-tiller"}},
		{"all its namespaces are gone", []namespace{{"a-tiller", "team-a", true, ""}}, nil, []string{"a-tiller"}},
		{"of all namespaces", []namespace{{"kube-system", "team-a", false, ""}, {"team-a-helm", "team-a", true, ""}}, []string{"kube-system"}, []string{"kube-system"}},
		{"two that namespaces lead to", []namespace{{"one", "team-a", true, ""}, {"two", "team-a", true, ""}, {"a", "team-a", false, "one"}, {"b", "team-a", false, "two"}}, nil, []string{"one", "two"}},
		{"a home that says that another is the home", []namespace{{"one", "team-a", true, "two"}, {"a", "team-a", false, "one"}}, nil, nil},
		{"another tenant's namespace leads to it", []namespace{{"a-tiller", "team-a", true, ""}, {"b", "team-b", false, "a-tiller"}}, nil, []string{"a-tiller"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			homes := NewHomes()
			for _, ns := range test.namespaces {
				meta := &metav1.ObjectMeta{Name: ns.name, Labels: map[string]string{tenant.LabelTenant: ns.tenant}, Annotations: map[string]string{}}
				if ns.home {
					meta.Labels[tenant.LabelHome] = "tiller"
				}
				if ns.leads != "" {
					meta.Annotations[tenant.AnnotationHome] = ns.leads
				}
				homes.AddNamespace(meta)
			}
			for _, namespace := range test.accounts {
				homes.AddDeployer("team-a", namespace)
			}
			var got []string
			for _, ns := range test.namespaces {
				if homes.TenantOf(ns.name) == "team-a" {
					got = append(got, ns.name)
				}
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("believed are %v, not %v", got, test.want)
			}
		})
	}
}
