package cluster_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"helm-tenant/cluster"
	"helm-tenant/cluster/clustertest"
	"helm-tenant/install"
	"helm-tenant/rbac"
	"helm-tenant/recognise"
	"helm-tenant/tenant"
)

func team(name string) tenant.Tenant {
	return tenant.Tenant{Name: name, Namespaces: []string{name + "-1"}}.WithDefaults()
}

// wanted returns all that a tenant wants.
func wanted(t *testing.T, team tenant.Tenant) []runtime.Object {
	t.Helper()
	record, err := install.Record(team)
	if err != nil {
		t.Fatal(err)
	}
	objects := slices.Concat([]runtime.Object{install.Home(team, false, true), record}, rbac.ServiceAccounts(team), rbac.Home(team))
	return append(objects, install.NetworkPolicy(team, false), install.Deployment(team), install.Namespace(team, team.Namespaces[0], true), rbac.InNamespace(team, team.Namespaces[0]))
}

func object(kind, apiVersion, namespace, name string, labels map[string]string) *unstructured.Unstructured {
	o := &unstructured.Unstructured{Object: map[string]any{"kind": kind, "apiVersion": apiVersion}}
	o.SetNamespace(namespace)
	o.SetName(name)
	o.SetLabels(labels)
	return o
}

func keys(live *cluster.Live, name string) []string {
	var out []string
	for _, key := range live.OfTenant(name) {
		out = append(out, key.String())
	}
	return out
}

// TestRead: objects are found by a tenant's label if their namespace has it, too.
func TestRead(t *testing.T) {
	server := clustertest.Start(t, slices.Concat(wanted(t, team("t")), wanted(t, team("o")))...)
	c := server.Connect()
	ofT := map[string]string{tenant.LabelTenant: "t"}
	server.Put(object("ConfigMap", "v1", "o-1", tenant.RecordName, ofT), object("RoleBinding", "rbac.authorization.k8s.io/v1", "o-1", "x", ofT))
	live, err := c.Read(t.Context(), "t")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"Namespace t-1", "Namespace t-tiller", "RoleBinding x in namespace o-1", "RoleBinding helm-tenant.t.admin in namespace t-1",
		"ConfigMap helm-tenant in namespace t-tiller", "Deployment tiller-deploy in namespace t-tiller", "NetworkPolicy helm-tenant in namespace t-tiller",
		"Role helm-tenant-member in namespace t-tiller", "Role helm-tenant-records in namespace t-tiller", "RoleBinding helm-tenant-member in namespace t-tiller",
		"RoleBinding helm-tenant-records in namespace t-tiller", "ServiceAccount tiller in namespace t-tiller"}
	if diff := cmp.Diff(want, keys(live, "t")); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if len(keys(live, "o")) > 0 {
		t.Errorf("read are %q, too", keys(live, "o"))
	}
	if all, err := c.Read(t.Context()); err != nil || len(keys(all, "o")) == 0 {
		t.Errorf("of all tenants: %v", err)
	}
	// LiveOf trusts the same labels, and holds all objects.
	forged := object("ConfigMap", "v1", "o-1", tenant.RecordName, ofT)
	objects, err := cluster.LiveOf(append(wanted(t, team("t")), forged, object("RoleBinding", "rbac.authorization.k8s.io/v1", "o-1", "x", ofT)), "Pod")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, keys(objects, "t")); diff != "" {
		t.Errorf("LiveOf, -want +got:\n%s", diff)
	}
	if objects.Get(cluster.KeyOf(forged)) == nil || objects.Serves("Pod") || !objects.Serves("Secret") {
		t.Error("LiveOf lacks an object, or serves another kind")
	}
	homes, err := c.Homes(t.Context())
	if diff := cmp.Diff(map[string][]string{"t": {"t-tiller"}, "o": {"o-tiller"}}, homes); err != nil || diff != "" {
		t.Errorf("homes, %v, -want +got:\n%s", err, diff)
	}
}

// TestLookup: an object of a name, whoever owns it; many of a kind with one list.
func TestLookup(t *testing.T) {
	server := clustertest.Start(t, wanted(t, team("t"))...)
	c := server.Connect()
	live := cluster.NewLive()
	existing := cluster.Key{Kind: "Role", Namespace: "t-tiller", Name: rbac.MemberName}
	removed := cluster.Key{Kind: "Role", Namespace: "nowhere", Name: "x"}
	if err := c.Lookup(t.Context(), live, []cluster.Key{existing, removed, {Kind: "Role", Namespace: "t-tiller", Name: "none"}}); err != nil {
		t.Fatal(err)
	}
	if live.Get(existing) == nil || live.Get(removed) != nil || len(live.OfTenant("t")) > 0 {
		t.Error("what was looked up is not there, or taken for what carries a label")
	}
	if n := server.Count("get", "Role"); n != 2 {
		t.Errorf("%d requests for roles, one of them in a namespace that does not exist", n)
	}
	server.Writes()
	var many []cluster.Key
	for i := range 60 {
		server.Put(object("ConfigMap", "v1", "t-1", fmt.Sprintf("m%d", i), nil))
		many = append(many, cluster.Key{Kind: "ConfigMap", Namespace: "t-1", Name: fmt.Sprintf("m%d", i)})
	}
	if err := c.Lookup(t.Context(), live, many); err != nil || live.Get(many[59]) == nil || server.Count("get", "ConfigMap") > 0 {
		t.Errorf("many are read one by one: %v", err)
	}
	server.Refuse = func(r clustertest.Request) *apierrors.StatusError {
		return apierrors.NewForbidden(schema.GroupResource{Resource: "roles"}, r.Name, errors.New("no"))
	}
	if err := c.Lookup(t.Context(), cluster.NewLive(), []cluster.Key{existing}); !apierrors.IsForbidden(err) {
		t.Errorf("got %v", err)
	}
	// A server without a kind says so of the kind, and not of an object.
	server.Refuse = func(r clustertest.Request) *apierrors.StatusError {
		if r.Kind != "ValidatingAdmissionPolicy" {
			return nil
		}
		return &apierrors.StatusError{ErrStatus: metav1.Status{Status: "Failure", Code: 404, Reason: metav1.StatusReasonNotFound, Details: &metav1.StatusDetails{}}}
	}
	if err := c.Lookup(t.Context(), live, []cluster.Key{{Kind: "ValidatingAdmissionPolicy", Name: "x"}}); err != nil || live.Serves("ValidatingAdmissionPolicy") {
		t.Errorf("a kind that is not served is: %v", err)
	}
}

// TestNeighbours: what of a namespace is no Tiller's.
func TestNeighbours(t *testing.T) {
	token := object("Secret", "v1", "h", "default-token", nil)
	token.Object["type"] = "kubernetes.io/service-account-token"
	token.SetAnnotations(map[string]string{"kubernetes.io/service-account.name": "default"})
	owned := object("ReplicaSet", "apps/v1", "h", "owned", nil)
	web := object("Deployment", "apps/v1", "h", "web", nil)
	hidden := object("StatefulSet", "apps/v1", "h", "hidden", nil)
	hidden.SetOwnerReferences([]metav1.OwnerReference{{Kind: "Namespace", Name: "h", APIVersion: "v1", UID: "n"}})
	server := clustertest.Start(t, object("Namespace", "v1", "", "h", nil), token,
		object("ServiceAccount", "v1", "h", "default", nil), object("ServiceAccount", "v1", "h", "theirs", nil), object("ConfigMap", "v1", "h", "kube-root-ca.crt", nil),
		object("Pod", "v1", "h", "tiller", recognise.Labels()), web, hidden)
	owned.SetOwnerReferences([]metav1.OwnerReference{{Kind: "Deployment", Name: "web", APIVersion: "apps/v1", UID: server.Get(cluster.KeyOf(web)).GetUID()}})
	server.Put(owned)
	c := server.Connect()
	found, err := c.Neighbours(t.Context(), "h")
	if diff := cmp.Diff([]string{"ServiceAccount theirs"}, found); err != nil || diff != "" {
		t.Errorf("%v, -want +got:\n%s", err, diff)
	}
	server.Refuse = func(r clustertest.Request) *apierrors.StatusError {
		if r.Kind == "DaemonSet" {
			return apierrors.NewServiceUnavailable("broken")
		}
		return nil
	}
	found, unseen, err := c.AllNeighbours(t.Context(), "h")
	if diff := cmp.Diff([]string{"ServiceAccount theirs", "Deployment web", "StatefulSet hidden"}, found); err != nil || diff != "" {
		t.Errorf("%v, -want +got:\n%s", err, diff)
	}
	if diff := cmp.Diff([]string{"daemonsets.apps"}, unseen); diff != "" {
		t.Errorf("unseen, -want +got:\n%s", diff)
	}
}

// TestPreflight: the permissions that are checked, including those that RBAC requires for
// grants.
func TestPreflight(t *testing.T) {
	for _, test := range []struct {
		name    string
		allowed func(string) bool
		want    []string
	}{
		{"everything", func(string) bool { return true }, nil},
		{"nothing but grants", func(p string) bool { return !strings.HasPrefix(p, "create ") }, []string{
			"create deployments.apps in namespace t-tiller"}},
		{"no right to bind or escalate", func(p string) bool {
			return !strings.HasPrefix(p, "bind ") && !strings.HasPrefix(p, "escalate ") && p != "* *"
		}, []string{
			"bind clusterroles.rbac.authorization.k8s.io/admin in namespace t-1", "escalate roles.rbac.authorization.k8s.io/helm-tenant-member in namespace t-tiller"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			server := clustertest.Start(t)
			server.Allowed = test.allowed
			c := server.Connect()
			plan, err := cluster.NewPlan("t", wanted(t, team("t")), cluster.NewLive(), nil)
			if err != nil {
				t.Fatal(err)
			}
			missing, err := c.NewPreflight(cluster.NewLive()).Missing(t.Context(), &plan)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, p := range missing {
				got = append(got, p.String())
			}
			for _, want := range test.want {
				if !slices.Contains(got, want) {
					t.Errorf("no %q among %q", want, got)
				}
			}
			if test.want == nil && len(got) > 0 {
				t.Errorf("missing are %q", got)
			}
		})
	}
}

// TestWrite: phase by phase, and nothing that was changed meanwhile.
func TestWrite(t *testing.T) {
	server := clustertest.Start(t)
	c := server.Connect()
	tested := team("t")
	plan, err := cluster.NewPlan("t", wanted(t, tested), cluster.NewLive(), nil)
	if err != nil {
		t.Fatal(err)
	}
	created := 0
	if err := c.Write(t.Context(), &plan, 1, func(cluster.Change) { created++ }); err != nil || created != len(plan.Changes) {
		t.Fatalf("%d of %d, %v", created, len(plan.Changes), err)
	}
	writes := server.Writes()
	if writes[0] != "create Namespace t-1" || writes[len(writes)-1] != "create Deployment tiller-deploy in namespace t-tiller" {
		t.Errorf("written was %q", writes)
	}
	live, err := c.Read(t.Context(), "t")
	if err != nil {
		t.Fatal(err)
	}
	second, err := cluster.NewPlan("t", wanted(t, tested), live, nil)
	if err != nil || len(second.Changes) > 0 {
		t.Errorf("a second plan has %d changes, %v", len(second.Changes), err)
	}
	binding := cluster.Key{Kind: "RoleBinding", Namespace: "t-1", Name: "helm-tenant.t.admin"}
	var edit, remove cluster.Plan
	edit.Edit(live.Get(binding), cluster.PhaseBindings, func(next *unstructured.Unstructured) { next.Object["subjects"] = []any{} })
	remove.Delete(live.Get(binding), cluster.PhaseRemoval)
	other := server.Get(binding)
	server.Put(other)
	var failed *cluster.WriteError
	if err := c.Write(t.Context(), &edit, 1, func(cluster.Change) {}); !errors.As(err, &failed) || !cluster.Outdated(err) || failed.Total != 1 {
		t.Errorf("an update of what changed: %v", err)
	}
	server.Remove(binding)
	server.Put(other)
	if err := c.Write(t.Context(), &remove, 1, func(cluster.Change) {}); !cluster.Outdated(err) {
		t.Errorf("a deletion of another object of that name: %v", err)
	}
	server.Remove(binding)
	if err := c.Write(t.Context(), &remove, 1, func(cluster.Change) {}); err != nil {
		t.Errorf("a deletion of what is gone: %v", err)
	}
	tries := 0
	server.Refuse = func(r clustertest.Request) *apierrors.StatusError {
		if r.Verb != "create" {
			return nil
		}
		switch tries++; tries {
		case 1:
			return apierrors.NewInternalError(errors.New("for a moment"))
		case 2: // admission takes a namespace for the one of that name before
			ending := apierrors.NewForbidden(schema.GroupResource{}, r.Name, errors.New("it is being terminated"))
			ending.ErrStatus.Details.Causes = []metav1.StatusCause{{Type: corev1.NamespaceTerminatingCause}}
			return ending
		}
		return nil
	}
	var create cluster.Plan
	if err := create.Create(rbac.InNamespace(tested, "t-1")); err != nil {
		t.Fatal(err)
	}
	if err := c.Write(t.Context(), &create, 1, func(cluster.Change) {}); err != nil || tries != 3 {
		t.Errorf("tried %d times: %v", tries, err)
	}
}

// TestReplace: a field that can't be changed needs a new object.
func TestReplace(t *testing.T) {
	tested := team("t")
	bound := rbac.InNamespace(tested, "t-1")
	bound.RoleRef.Name = "edit"
	server := clustertest.Start(t, install.Namespace(tested, "t-1", true), bound)
	c := server.Connect()
	live, err := c.Read(t.Context(), "t")
	if err != nil {
		t.Fatal(err)
	}
	plan, err := cluster.NewPlan("t", []runtime.Object{rbac.InNamespace(tested, "t-1")}, live, nil)
	if err != nil {
		t.Fatal(err)
	}
	if missing, err := c.NewPreflight(live).Missing(t.Context(), &plan); err != nil || len(missing) > 0 {
		t.Errorf("missing %v, %v", missing, err)
	}
	if err := c.Write(t.Context(), &plan, 1, func(cluster.Change) {}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"delete RoleBinding helm-tenant.t.admin in namespace t-1", "create RoleBinding helm-tenant.t.admin in namespace t-1"}, server.Writes()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestRecordsForbidden: who may list neither namespaces nor records is told both at once.
func TestRecordsForbidden(t *testing.T) {
	server := clustertest.Start(t, wanted(t, team("t"))...)
	server.Refuse = func(r clustertest.Request) *apierrors.StatusError {
		if r.Verb == "list" && r.Kind == "Namespace" {
			return apierrors.NewForbidden(schema.GroupResource{Resource: "namespaces"}, "", errors.New("no"))
		}
		return nil
	}
	for _, test := range []struct {
		name    string
		records bool
		want    string
	}{
		{"both", false, `listing namespaces in context "test": namespaces is forbidden: no; to list configmaps is forbidden as well`},
		{"the records are allowed", true, `listing namespaces in context "test": namespaces is forbidden: no`},
	} {
		server.Allowed = func(permission string) bool { return test.records && permission == "list configmaps" }
		_, err := server.Connect().TenantRecords(t.Context())
		if err == nil || err.Error() != test.want || !apierrors.IsForbidden(err) {
			t.Errorf("%s: got %v", test.name, err)
		}
	}
}

// TestWriteInOrder: writes of a phase are made at once, and told in their order, those behind one
// that failed too.
func TestWriteInOrder(t *testing.T) {
	for _, test := range []struct {
		fails string
		want  []string
	}{
		{"", []string{"Namespace a", "Namespace b", "Namespace c", "Namespace d"}},
		{"b", []string{"Namespace a", "Namespace c", "Namespace d"}},
	} {
		server := clustertest.Start(t)
		server.Refuse = func(r clustertest.Request) *apierrors.StatusError {
			switch {
			case r.Verb != "create":
			case r.Name == test.fails:
				time.Sleep(100 * time.Millisecond)
				return apierrors.NewBadRequest("it is as asked by the test")
			case r.Name == "a":
				time.Sleep(50 * time.Millisecond)
			}
			return nil
		}
		var plan cluster.Plan
		for _, name := range []string{"d", "b", "a", "c"} {
			object := &corev1.Namespace{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Namespace"}, ObjectMeta: metav1.ObjectMeta{Name: name}}
			if err := plan.Create(object); err != nil {
				t.Fatal(err)
			}
		}
		var told []string
		err := server.Connect().Write(t.Context(), &plan, len(plan.Changes), func(c cluster.Change) { told = append(told, c.Key.Kind+" "+c.Key.Name) })
		if diff := cmp.Diff(test.want, told); diff != "" {
			t.Errorf("%q fails: -want +got:\n%s", test.fails, diff)
		}
		failed, _ := errors.AsType[*cluster.WriteError](err)
		if (err != nil) != (test.fails != "") || failed != nil && (failed.Made != 3 || failed.Total != 4) {
			t.Errorf("%q fails: %v", test.fails, err)
		}
	}
}
