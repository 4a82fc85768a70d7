package admin

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"helm-tenant/cluster"
	"helm-tenant/rbac"
	"helm-tenant/tenant"
)

// TestRestore: without a record, or with one that can't be read, an init makes the tenant
// what its live objects say that it was, record and all.
func TestRestore(t *testing.T) {
	full := func(r *Request) {
		r.Tenant.Role = "edit"
		r.Tenant.Tiller = tenant.Tiller{Storage: tenant.StorageConfigMap, Version: "v2.16.1", HistoryMax: new(7), Replicas: new(2),
			Resources: map[string]string{"limits.memory": "1Gi", "requests.memory": "1Gi", "requests.cpu": "20m", "limits.cpu": "1"}, NodeSelector: map[string]string{"pool": "system"}, ImagePullSecrets: []string{"registry"}}
		r.Tenant.Rails = tenant.Rails{PodSecurity: tenant.PodSecurityRestricted, Guard: tenant.GuardWarn, Quota: map[string]string{"pods": "5"}, Network: tenant.NetworkIsolated,
			Limits: &tenant.Limits{Max: map[string]string{"memory": "8Gi"}, Default: map[string]string{"memory": "1Gi"}, DefaultRequest: map[string]string{"memory": "1Gi"}}, AllowFrom: []string{"10.0.0.0/24"}, NetworkExcept: []string{"10.1.0.0/16"},
			Hosts: []string{"a.example.com"}, Labels: map[string]string{"cost": "42"}, Contact: "#team"}
		r.Tenant.Members = tenant.Members{tenant.User("alice")}
	}
	image := func(r *Request) {
		r.Tenant.Tiller.Image, r.Tenant.Tiller.Version = "registry.example.com/tiller", "v2.17.0"
	}
	unguarded := func(r *Request) {
		r.Tenant.Rails = tenant.Rails{PodSecurity: tenant.PodSecurityUnmanaged, Guard: tenant.GuardOff}
		r.Accepted = append(r.Accepted, RiskNoGuard, RiskNodeAccess)
	}
	for name, created := range map[string]Request{
		"defaults":               asked(),
		"all settings":           asked(full),
		"an image":               asked(image),
		"impersonation":          asked(engine(tenant.EngineImpersonation)),
		"both":                   asked(engine(tenant.EngineBoth), func(r *Request) { r.Tenant.Tiller.Storage = tenant.StorageConfigMap }),
		"without guard rails":    asked(unguarded),
		"an account for Flux":    asked(fluxAccount("flux")),
		"a home of its own name": asked(home("elsewhere")),
		"the whole cluster":      asked(everywhere, accept(RiskClusterWide)),
	} {
		before := empty().after(t, created)
		lost := before
		lost.objects = slices.DeleteFunc(slices.Clone(before.objects), func(o runtime.Object) bool {
			return cluster.KeyOf(o).Name == tenant.RecordName && cluster.KeyOf(o).Kind == "ConfigMap"
		})
		unreadable := edited(before, recordKey(created.Tenant.WithDefaults().Home()), func(m *corev1.ConfigMap) { m.Data[tenant.RecordKey] = "name: t\nnamespaces: 5\n" })
		t.Run(name, func(t *testing.T) {
			record := recordOf(before)
			// Who could write the bindings could put the account there: its tokens end.
			var renewed []string
			for _, ns := range created.Tenant.Namespaces {
				if created.Tenant.FluxAccount != "" {
					renewed = append(renewed, "replace ServiceAccount "+created.Tenant.FluxAccount+" in namespace "+ns)
				}
			}
			writes := func(steps []string, last string) bool {
				index := len(renewed)
				return len(steps) == index+1 && slices.Equal(steps[:index], renewed) && strings.HasPrefix(steps[index], last)
			}
			bare := Request{Tenant: tenant.Tenant{Name: "t"}, Accepted: created.Accepted}
			if got := lost.decide(t, bare); got.Err != "" || !writes(got.Steps, "create ConfigMap helm-tenant") || !strings.Contains(strings.Join(got.Notes, " "), "no record that can be read") {
				t.Errorf("lost: %+v", got)
			}
			if diff := cmp.Diff(record, recordOf(lost.after(t, bare))); diff != "" {
				t.Errorf("lost: the record (-before +after):\n%s", diff)
			}
			named := bare
			named.Tenant.Namespaces, named.Tenant.AllNamespaces = created.Tenant.Namespaces, created.Tenant.AllNamespaces
			if got := unreadable.decide(t, named); got.Err != "" || !writes(got.Steps, "update ConfigMap helm-tenant") {
				t.Errorf("unreadable: %+v", got)
			}
			if diff := cmp.Diff(record, recordOf(unreadable.after(t, named))); diff != "" {
				t.Errorf("unreadable: the record (-before +after):\n%s", diff)
			}
			_, err := decide(unreadable.facts(t, bare), bare)
			if lost, ok := errors.AsType[*UnreadableRecordError](err); !ok || lost.Tenant.Name != "t" || !strings.Contains(lost.Error(), "a list is wanted") {
				t.Errorf("unreadable, and nothing is named: %v", err)
			}
		})
	}
}

// recordOf returns the text of the only record.
func recordOf(w world) string {
	for _, object := range w.objects {
		if m, ok := object.(*corev1.ConfigMap); ok && m.Name == tenant.RecordName {
			return m.Data[tenant.RecordKey]
		}
	}
	return ""
}

// TestRestoreRefuses: an init without the record can't change the live Tiller's engine and
// storage, and does not trust objects that a member could have written.
func TestRestoreRefuses(t *testing.T) {
	existing := empty().after(t, asked(func(r *Request) { r.Tenant.Tiller.Storage, r.Tenant.Role = tenant.StorageConfigMap, "edit" }))
	lost := existing
	lost.objects = slices.DeleteFunc(slices.Clone(existing.objects), func(o runtime.Object) bool { return cluster.KeyOf(o) == recordKey("t-tiller") })
	for name, r := range map[string]Request{
		"secrets":         asked(func(r *Request) { r.Tenant.Tiller.Storage = tenant.StorageSecret }),
		"secrets, a file": asked(exactly),
	} {
		if got := lost.decide(t, r); !strings.Contains(got.Err, "stores its releases as configmaps") {
			t.Errorf("%s: %+v", name, got)
		}
	}
	if got := lost.decide(t, asked(engine(tenant.EngineImpersonation), exactly)); !strings.Contains(got.Err, "can't ") {
		t.Errorf("another engine: %+v", got)
	}
	forged := bindingOf("a", rbac.DeployerBinding("t", "cluster-admin"), "cluster-admin", account("t-tiller", "tiller"))
	forged.(metav1.Object).SetLabels(rbac.Labels("t"))
	next := lost.with(forged).after(t, Request{Tenant: tenant.Tenant{Name: "t"}})
	if text := recordOf(next); !strings.Contains(text, "role: edit") {
		t.Errorf("with a forged binding the record is:\n%s", text)
	}
	// Without anything that is written after a record there is nothing to restore.
	partly := lost
	partly.objects = slices.DeleteFunc(slices.Clone(lost.objects), func(o runtime.Object) bool {
		return cluster.KeyOf(o) == tillerKey("t-tiller") || cluster.KeyOf(o).Name == rbac.MemberName && cluster.KeyOf(o).Kind == "RoleBinding"
	})
	if got := partly.decide(t, asked()); got.Err != "" || strings.Contains(strings.Join(got.Notes, " "), "written anew") {
		t.Errorf("an init that was killed: %+v", got)
	}
}

// TestLiveStorage: a Tiller that was turned by hand, or whose record was, is not turned
// away from the releases that it has.
func TestLiveStorage(t *testing.T) {
	turned := edited(empty().after(t, asked()), tillerKey("t-tiller"), func(d *unstructured.Unstructured) {
		containers, _, _ := unstructured.NestedSlice(d.Object, "spec", "template", "spec", "containers")
		containers[0].(map[string]any)["command"].([]any)[2] = "--storage=configmap"
		_ = unstructured.SetNestedSlice(d.Object, containers, "spec", "template", "spec", "containers")
	})
	storage := func(s tenant.Storage) func(*Request) { return func(r *Request) { r.Tenant.Tiller.Storage = s } }
	const refused = `the Tiller in namespace "t-tiller" keeps its releases as configmaps, and the tenant's record says secrets: Tiller would not find them there`
	for _, test := range []struct {
		name    string
		kinds   []string
		request Request
		err     string
		writes  string
	}{
		{"without releases it is turned back", nil, asked(), "", "Deployment"},
		{"its releases are elsewhere", []string{"Secret"}, asked(), "", "Deployment"},
		{"it has releases", []string{"ConfigMap"}, asked(), refused, ""},
		{"it has releases, and a file says nothing", []string{"ConfigMap"}, asked(exactly), refused, ""},
		{"the record is to say so", []string{"ConfigMap"}, asked(storage(tenant.StorageConfigMap)), "", "ConfigMap"},
		{"it is to be turned back", []string{"ConfigMap"}, asked(storage(tenant.StorageSecret)), "", "Deployment"},
	} {
		w := turned
		w.recordKinds = map[string][]string{"t-tiller": test.kinds}
		got := w.decide(t, test.request)
		if got.Err != test.err || test.writes != "" && !slices.ContainsFunc(got.Steps, func(step string) bool { return strings.HasPrefix(step, "update "+test.writes+" ") }) {
			t.Errorf("%s: %+v", test.name, got)
		}
	}
}

// TestLostRecord: an init that names no namespaces says what the namespaces of a tenant
// without a record and a home still say, for each engine that it may have had.
func TestLostRecord(t *testing.T) {
	bare := Request{Tenant: tenant.Tenant{Name: "t"}}
	for _, test := range []struct {
		name    string
		created Request
		kept    func(cluster.Key) bool
		want    []tenant.Tenant
	}{
		{"its home is gone", asked(), outsideOf("t-tiller"), []tenant.Tenant{
			{Name: "t", Namespaces: []string{"a", "b"}, Engine: tenant.EngineTiller}, {Name: "t", Namespaces: []string{"a", "b"}, Engine: tenant.EngineImpersonation}}},
		{"with a role and a home of its own", asked(role("edit"), home("own")), outsideOf("own"), []tenant.Tenant{
			{Name: "t", Namespaces: []string{"a", "b"}, Engine: tenant.EngineTiller, Role: "edit", HomeNamespace: "own"},
			{Name: "t", Namespaces: []string{"a", "b"}, Engine: tenant.EngineImpersonation, Role: "edit", HomeNamespace: "own"}}},
		{"of Helm 3", asked(engine(tenant.EngineImpersonation)), outsideOf("t-helm"), []tenant.Tenant{{Name: "t", Namespaces: []string{"a", "b"}, Engine: tenant.EngineImpersonation}}},
		{"of all namespaces", asked(everywhere, accept(RiskClusterWide)), outsideOf("t-tiller"), []tenant.Tenant{
			{Name: "t", AllNamespaces: true, Engine: tenant.EngineTiller}, {Name: "t", AllNamespaces: true, Engine: tenant.EngineImpersonation}}},
		{"its home is empty", asked(), func(key cluster.Key) bool { return key.Namespace != "t-tiller" }, []tenant.Tenant{{Name: "t", Namespaces: []string{"a", "b"}, Engine: tenant.EngineTiller}}},
		{"an empty home of its own", asked(engine(tenant.EngineBoth), home("own")), func(key cluster.Key) bool { return key.Namespace != "own" || key.Name == tenant.HelmAccount }, []tenant.Tenant{
			{Name: "t", Namespaces: []string{"a", "b"}, Engine: tenant.EngineBoth, HomeNamespace: "own"}}},
		{"an init for both that was stopped", asked(engine(tenant.EngineBoth)), onlyNamespaces, []tenant.Tenant{{Name: "t", Namespaces: []string{"a", "b"}, Engine: tenant.EngineBoth}}},
		{"an init for Helm 3 that was stopped", asked(engine(tenant.EngineImpersonation)), onlyNamespaces, []tenant.Tenant{{Name: "t", Namespaces: []string{"a", "b"}, Engine: tenant.EngineImpersonation}}},
		{"an init for Helm 2 that was stopped", asked(), onlyNamespaces, []tenant.Tenant{{Name: "t", Namespaces: []string{"a", "b"}, Engine: tenant.EngineTiller}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			w := empty().after(t, test.created)
			w.objects = slices.DeleteFunc(slices.Clone(w.objects), func(o runtime.Object) bool { return !test.kept(cluster.KeyOf(o)) })
			_, err := decide(w.facts(t, bare), bare)
			lost, ok := errors.AsType[*LostRecordError](err)
			if !ok {
				t.Fatalf("got %v", err)
			}
			if diff := cmp.Diff(test.want, lost.Ways()); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			for _, way := range lost.Ways() {
				if got := w.decide(t, Request{Tenant: way, Accepted: test.created.Accepted}); got.Err != "" {
					t.Errorf("made again as %v: %s", way, got.Err)
				}
			}
		})
	}
	// No object of a tenant exists, or only objects that anybody can create.
	labelled := bindingOf("a", "some", "edit", user("mallory"))
	labelled.(metav1.Object).SetLabels(rbac.Labels("t"))
	for name, w := range map[string]world{"nothing": empty(), "a labelled RoleBinding": empty().with(labelled)} {
		if got := w.decide(t, bare); !strings.Contains(got.Err, "at least one is needed") {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// TestLostInAMigration: the home of a tenant that migrates has the label of both engines, and
// the tenant is to have one of them.
func TestLostInAMigration(t *testing.T) {
	w := empty().after(t, asked(engine(tenant.EngineBoth)))
	w.objects = slices.DeleteFunc(slices.Clone(w.objects), func(o runtime.Object) bool { return cluster.KeyOf(o).Name == tenant.RecordName })
	bare := Request{Tenant: tenant.Tenant{Name: "t"}}
	engines := func() (all []tenant.Engine) {
		for _, way := range lostTenant(w.facts(t, bare).live, "t").Ways() {
			all = append(all, way.Engine)
		}
		return all
	}
	if got := engines(); !slices.Equal(got, []tenant.Engine{tenant.EngineBoth}) {
		t.Errorf("with a Tiller: %v", got)
	}
	for _, object := range w.objects {
		if tiller, ok := object.(*unstructured.Unstructured); ok && tiller.GetKind() == "Deployment" {
			if err := unstructured.SetNestedField(tiller.Object, int64(0), "spec", "replicas"); err != nil {
				t.Fatal(err)
			}
		}
	}
	if got := engines(); !slices.Equal(got, []tenant.Engine{tenant.EngineTiller, tenant.EngineImpersonation}) {
		t.Errorf("with a stopped Tiller: %v", got)
	}
}

// onlyNamespaces is true of what an init writes first, and of ClusterRoles.
func onlyNamespaces(key cluster.Key) bool {
	return key.Kind == "Namespace" || key.Kind == "ClusterRole"
}

// outsideOf returns the objects that stay when a namespace goes.
func outsideOf(namespace string) func(cluster.Key) bool {
	return func(key cluster.Key) bool {
		return key.Namespace != namespace && key != namespaceKey(namespace)
	}
}
