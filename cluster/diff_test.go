package cluster

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"helm-tenant/install"
	"helm-tenant/rbac"
	"helm-tenant/tenant"
)

func teamA() tenant.Tenant {
	return tenant.Tenant{Name: "team-a", Namespaces: []string{"a"}, Members: tenant.Members{tenant.User("alice")}}.WithDefaults()
}

// served returns a wanted object as an API server gives it back: through JSON, with
// what a server and its controllers add.
func served(t *testing.T, object runtime.Object) *unstructured.Unstructured {
	t.Helper()
	text, err := json.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	live := &unstructured.Unstructured{}
	if err := live.UnmarshalJSON(text); err != nil {
		t.Fatal(err)
	}
	set(live, "4711", "metadata", "resourceVersion")
	set(live, "0123", "metadata", "uid")
	set(live, "2026-01-01T00:00:00Z", "metadata", "creationTimestamp")
	set(live, []any{map[string]any{"manager": "helm-tenant"}}, "metadata", "managedFields")
	set(live, map[string]any{"observedGeneration": int64(1)}, "status")
	return live
}

// set puts a value into a live object, at a path of maps.
func set(object *unstructured.Unstructured, value any, path ...string) {
	if err := unstructured.SetNestedField(object.Object, value, path...); err != nil {
		panic(err) // the path goes through something else than a map
	}
}

// at returns what stands at a path of map keys and list indexes.
func mapIn(object *unstructured.Unstructured, path ...any) map[string]any {
	var value any = object.Object
	for _, step := range path {
		switch step := step.(type) {
		case string:
			value = value.(map[string]any)[step]
		case int:
			value = value.([]any)[step]
		}
	}
	return value.(map[string]any)
}

func memberBinding() runtime.Object { return rbac.Home(teamA())[3] }
func memberRole() runtime.Object    { return rbac.Home(teamA())[2] }

// expected is a Field: path, live value, wanted value.
type expected struct {
	Path         string
	Live, Wanted any
}

func asExpected(fields []Field) []expected {
	var all []expected
	for _, f := range fields {
		all = append(all, expected(f))
	}
	return all
}

func TestDifferences(t *testing.T) {
	alice := map[string]any{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "alice"}
	mallory := map[string]any{"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "mallory"}
	const template = "spec.template"
	for _, test := range []struct {
		name   string
		wanted runtime.Object
		change func(live *unstructured.Unstructured)
		want   []expected
	}{
		{"a binding that is as wanted", memberBinding(), nil, nil},
		{"a Deployment that is as wanted", install.Deployment(teamA()), nil, nil},
		{"a policy that is as wanted", install.NetworkPolicy(teamA(), false), nil, nil},

		{"an extra subject", memberBinding(), func(live *unstructured.Unstructured) {
			live.Object["subjects"] = []any{alice, mallory}
		}, []expected{{"subjects", []any{alice, mallory}, []any{alice}}}},
		{"another subject", memberBinding(), func(live *unstructured.Unstructured) {
			live.Object["subjects"] = []any{mallory}
		}, []expected{{"subjects", []any{mallory}, []any{alice}}}},
		{"no subjects", memberBinding(), func(live *unstructured.Unstructured) { delete(live.Object, "subjects") }, []expected{{"subjects", nil, []any{alice}}}},
		{"another role", memberBinding(), func(live *unstructured.Unstructured) { set(live, "cluster-admin", "roleRef", "name") }, []expected{
			{"roleRef.name", "cluster-admin", "helm-tenant-member"}}},
		{"an extra rule", memberRole(), func(live *unstructured.Unstructured) {
			live.Object["rules"] = append(live.Object["rules"].([]any)[:3:3], map[string]any{"verbs": []any{"*"}})
		}, []expected{{"rules", append(served(t, memberRole()).Object["rules"].([]any), map[string]any{"verbs": []any{"*"}}), served(t, memberRole()).Object["rules"]}}},
		{"an extra verb", memberRole(), func(live *unstructured.Unstructured) { mapIn(live, "rules", 0)["verbs"] = []any{"list", "get"} }, []expected{
			{"rules[0].verbs", []any{"list", "get"}, []any{"list"}}}},
		{"a rule's names are gone", memberRole(), func(live *unstructured.Unstructured) { delete(mapIn(live, "rules", 2), "resourceNames") }, []expected{
			{"rules[2].resourceNames", nil, []any{"helm-tenant"}}}},

		{"an extra container", install.Deployment(teamA()), func(live *unstructured.Unstructured) {
			pod := mapIn(live, "spec", "template", "spec")
			pod["containers"] = append(pod["containers"].([]any), map[string]any{"name": "sidecar"})
		}, []expected{{template + ".spec.containers", append(served(t, install.Deployment(teamA())).Object["spec"].(map[string]any)["template"].(map[string]any)["spec"].(map[string]any)["containers"].([]any), map[string]any{"name": "sidecar"}),
			served(t, install.Deployment(teamA())).Object["spec"].(map[string]any)["template"].(map[string]any)["spec"].(map[string]any)["containers"]}}},
		{"an extra volume", install.Deployment(teamA()), func(live *unstructured.Unstructured) {
			mapIn(live, "spec", "template", "spec")["volumes"] = []any{map[string]any{"name": "host"}}
		}, []expected{{template + ".spec.volumes", []any{map[string]any{"name": "host"}}, nil}}},
		{"another image and command", install.Deployment(teamA()), func(live *unstructured.Unstructured) {
			c := mapIn(live, "spec", "template", "spec", "containers", 0)
			c["image"], c["command"] = "evil", []any{"/tiller", "--listen=:44134", "--storage=secret"}
		}, []expected{{template + ".spec.containers[0].command[1]", "--listen=:44134", "--listen=localhost:44134"}, {template + ".spec.containers[0].image", "evil", "ghcr.io/helm/tiller:v2.17.0"}}},
		{"root", install.Deployment(teamA()), func(live *unstructured.Unstructured) {
			mapIn(live, "spec", "template", "spec", "securityContext")["runAsUser"] = int64(0)
		}, []expected{{template + ".spec.securityContext.runAsUser", int64(0), int64(65534)}}},
		{"the node's network", install.Deployment(teamA()), func(live *unstructured.Unstructured) {
			mapIn(live, "spec", "template", "spec")["hostNetwork"] = true
		}, []expected{{template + ".spec.hostNetwork", true, nil}}},
		{"scaled", install.Deployment(teamA()), func(live *unstructured.Unstructured) { set(live, int64(0), "spec", "replicas") }, []expected{{"spec.replicas", int64(0), int64(1)}}},
		{"kubectl rollout restart is not ours to undo", install.Deployment(teamA()), func(live *unstructured.Unstructured) {
			set(live, "2026-01-01T00:00:00Z", "spec", "template", "metadata", "annotations", "kubectl.kubernetes.io/restartedAt")
		}, nil},
		{"a pod without Tiller's label", install.Deployment(teamA()), func(live *unstructured.Unstructured) {
			delete(mapIn(live, "spec", "template", "metadata", "labels"), "name")
		}, []expected{{template + ".metadata.labels[name]", nil, "tiller"}}},

		{"a policy that lets all in", install.NetworkPolicy(teamA(), false), func(live *unstructured.Unstructured) {
			mapIn(live, "spec")["ingress"] = []any{map[string]any{}}
		}, []expected{{"spec.ingress", []any{map[string]any{}}, nil}}},
		{"an empty list is no list", install.NetworkPolicy(teamA(), false), func(live *unstructured.Unstructured) { mapIn(live, "spec")["ingress"] = []any{} }, nil},

		{"labels and annotations of others", install.Namespace(teamA(), "a", true), func(live *unstructured.Unstructured) {
			set(live, "a", "metadata", "labels", "kubernetes.io/metadata.name")
			set(live, "x", "metadata", "annotations", "openshift.io/sa.scc.mcs")
		}, nil},
		{"our labels and annotations", install.Namespace(teamA(), "a", true), func(live *unstructured.Unstructured) {
			set(live, "team-b", "metadata", "labels", tenant.LabelTenant)
			delete(mapIn(live, "metadata", "annotations"), tenant.AnnotationHome)
		}, []expected{{"metadata.labels[helm-tenant/tenant]", "team-b", "team-a"}, {"metadata.annotations[helm-tenant/home-namespace]", nil, "team-a-tiller"}}},
		{"the account's pull secrets are others'", rbac.ServiceAccounts(teamA())[0], func(live *unstructured.Unstructured) {
			live.Object["imagePullSecrets"] = []any{map[string]any{"name": "theirs"}}
		}, nil},
		{"the account's token is mounted", rbac.ServiceAccounts(teamA())[0], func(live *unstructured.Unstructured) {
			live.Object["automountServiceAccountToken"] = true
		}, []expected{{"automountServiceAccountToken", true, false}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			wanted, err := toUnstructured(test.wanted)
			if err != nil {
				t.Fatal(err)
			}
			live := served(t, test.wanted)
			if test.change != nil {
				test.change(live)
			}
			before := live.DeepCopy()
			if diff := cmp.Diff(test.want, asExpected(differences(wanted, live))); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			// The merged object has no more differences, and keeps the fields of others.
			merged := overlay(wanted, live)
			if left := differences(wanted, merged); left != nil {
				t.Errorf("after it is written there differs: %+v", left)
			}
			for _, field := range []string{"resourceVersion", "uid"} {
				if mapIn(merged, "metadata")[field] != mapIn(live, "metadata")[field] {
					t.Errorf("the written object has another %s", field)
				}
			}
			for name, value := range live.GetLabels() {
				if _, found := merged.GetLabels()[name]; !found {
					t.Errorf("the label %s=%s is lost", name, value)
				}
			}
			if live.Object["imagePullSecrets"] != nil && merged.Object["imagePullSecrets"] == nil {
				t.Error("the pull secrets are lost")
			}
			if diff := cmp.Diff(before.Object, live.Object); diff != "" {
				t.Errorf("the live object changed:\n%s", diff)
			}
		})
	}
}

func TestToUnstructured(t *testing.T) {
	got, err := toUnstructured(install.Namespace(teamA(), "a", false))
	if err != nil {
		t.Fatal(err)
	}
	// Neither nulls nor a status, which a server takes for things that are said.
	want := map[string]any{"apiVersion": "v1", "kind": "Namespace", "spec": map[string]any{}, "metadata": map[string]any{
		"name":        "a",
		"labels":      map[string]any{"helm-tenant/tenant": "team-a"},
		"annotations": map[string]any{"helm-tenant/home-namespace": "team-a-tiller"},
	}}
	if diff := cmp.Diff(want, got.Object); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	pod, err := toUnstructured(&corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c"}}}})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]any{"name": "c", "resources": map[string]any{}}, mapIn(pod, "spec", "containers", 0)); diff != "" {
		t.Errorf("in a list, -want +got:\n%s", diff)
	}
}

func TestUnder(t *testing.T) {
	for _, test := range []struct {
		path, field string
		want        bool
	}{
		{"roleRef", "roleRef", true},
		{"roleRef.name", "roleRef", true},
		{"rules[0].verbs", "rules", true},
		{"roleReference", "roleRef", false},
		{"role", "roleRef", false},
		{"spec.selector.matchLabels", "spec.selector", true},
		{"spec.selectors", "spec.selector", false},
	} {
		if got := under(test.path, test.field); got != test.want {
			t.Errorf("%s under %s: got %t", test.path, test.field, got)
		}
	}
}

func TestNested(t *testing.T) {
	rule := func(verbs ...string) rbacv1.PolicyRule {
		return rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"pods"}, Verbs: verbs}
	}
	roles := map[string][]rbacv1.PolicyRule{
		"all":   {{APIGroups: []string{"*"}, Resources: []string{"*"}, Verbs: []string{"*"}}},
		"edit":  {rule("get", "list", "create")},
		"view":  {rule("get", "list")},
		"other": {rule("get", "watch")},
		"none":  nil,
	}
	live := NewLive()
	for name, rules := range roles {
		role := &rbacv1.ClusterRole{Rules: rules}
		role.Kind, role.APIVersion, role.Name = "ClusterRole", "rbac.authorization.k8s.io/v1", name
		live.put(served(t, role))
	}
	for _, test := range []struct {
		a, b string
		want bool
	}{
		{"edit", "view", true},
		{"view", "edit", true},
		{"view", "view", true},
		{"all", "other", true},
		{"edit", "other", false},
		{"other", "view", false},
		{"none", "view", true},
	} {
		if got := Nested(roles[test.a], roles[test.b]); got != test.want {
			t.Errorf("%s and %s: got %t", test.a, test.b, got)
		}
	}
}
