package admin

import (
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"helm-tenant/cluster"
	"helm-tenant/tenant"
)

// rendered returns the keys of what Render makes of requests, in order.
func rendered(t *testing.T, version string, requests ...Request) (keys []string, m Manifests) {
	t.Helper()
	m, err := Render(requests, version, noon)
	if err != nil {
		t.Fatal(err)
	}
	for _, object := range m.Objects {
		keys = append(keys, cluster.KeyOf(object).String())
	}
	return keys, m
}

// TestRender: what is rendered, applied to a cluster, is what apply makes of the file.
func TestRender(t *testing.T) {
	one := asked(exactly, func(r *Request) { r.Tenant.Members = tenant.Members{tenant.User("alice")} })
	two := Request{Tenant: tenant.Tenant{Name: "u", Namespaces: []string{"c"}, Engine: tenant.EngineImpersonation}, Exact: true}
	keys, m := rendered(t, DefaultKubeVersion, one, two)
	indexOf := func(key string) int {
		t.Helper()
		i := slices.Index(keys, key)
		if i < 0 || slices.Contains(keys[i+1:], key) {
			t.Errorf("%s is not there once: %q", key, keys)
		}
		return i
	}
	order := []int{indexOf("Namespace t-tiller"), indexOf("ConfigMap helm-tenant in namespace t-tiller"), indexOf("RoleBinding helm-tenant.u.admin in namespace c"), indexOf("Deployment tiller-deploy in namespace t-tiller")}
	if !slices.IsSorted(order) {
		t.Errorf("the order is %v: %q", order, keys)
	}
	indexOf("ValidatingAdmissionPolicy helm-tenant-guard-pods")

	var plan cluster.Plan
	for _, object := range m.Objects {
		if err := plan.Create(object); err != nil {
			t.Fatal(err)
		}
	}
	for _, object := range m.Objects {
		if object.GetKind() == "Namespace" && slices.Contains([]string{"a", "b", "c"}, object.GetName()) && object.GetLabels()[tenant.LabelManagedBy] != "" {
			t.Errorf("namespace %s says that helm-tenant made it", object.GetName())
		}
	}
	applied := empty().written(plan)
	for _, r := range []Request{one, two, {Tenant: tenant.Tenant{Name: "t"}}} {
		steps, _, _ := applied.steps(t, r)
		checkSteps(t, "an apply of the same", steps)
	}
	one.CreateNamespaces = true
	_, m = rendered(t, DefaultKubeVersion, one)
	if i := slices.IndexFunc(m.Objects, func(o *unstructured.Unstructured) bool { return o.GetKind() == "Namespace" && o.GetName() == "a" }); m.Objects[i].GetLabels()[tenant.LabelManagedBy] == "" {
		t.Error("with --create-namespaces a namespace does not say that helm-tenant made it")
	}
}

func TestRenderForAVersion(t *testing.T) {
	keys, m := rendered(t, "v1.29.3", asked(exactly))
	if strings.Contains(strings.Join(keys, "\n"), "ValidatingAdmissionPolicy") || !strings.Contains(strings.Join(m.Notes["t"], "\n"), "Kubernetes 1.30") {
		t.Errorf("got %q, noted %q", keys, m.Notes)
	}
	// The rules of a role are not known without a cluster, and so nor what they lack.
	if strings.Contains(strings.Join(m.Notes["t"], "\n"), "the deployer can't do all") {
		t.Errorf("noted %q", m.Notes)
	}
	for _, test := range []struct {
		request       Request
		version, want string
	}{
		{asked(exactly), "latest", `"latest" is not a version of Kubernetes`},
		{asked(exactly, role("helm-tenant-edit")), "1.37", "is made of roles that only a cluster has"},
		{asked(exactly, role("cluster-admin")), "1.37", "could remove the labels"},
		{asked(exactly, everywhere), "1.37", "admin of the cluster"},
		{asked(exactly, namespaces("kube-system")), "1.37", "is Kubernetes' own"},
		{asked(exactly, namespaces("t-tiller")), "1.37", "is the home namespace"},
	} {
		if _, err := Render([]Request{test.request}, test.version, noon); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("wanted %q, got %v", test.want, err)
		}
	}
}
