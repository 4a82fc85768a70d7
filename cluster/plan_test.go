package cluster

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"helm-tenant/install"
	"helm-tenant/rbac"
	"helm-tenant/tenant"
)

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// steps returns the changes in short: what is done to what.
func steps(changes []Change) []string {
	var out []string
	for _, change := range changes {
		out = append(out, string(change.Action)+" "+change.Key.String())
	}
	return out
}

// everything returns all that a tenant wants.
func everything(t *testing.T, team tenant.Tenant) []runtime.Object {
	t.Helper()
	record, err := install.Record(team)
	if err != nil {
		t.Fatal(err)
	}
	objects := []runtime.Object{install.Home(team, false, true), record}
	objects = append(objects, rbac.ServiceAccounts(team)...)
	objects = append(objects, rbac.Home(team)...)
	objects = append(objects, install.NetworkPolicy(team, false))
	objects = append(objects, install.Admission()...)
	objects = append(objects, install.Deployment(team))
	for _, ns := range team.Namespaces {
		objects = append(objects, install.Namespace(team, ns, true), rbac.InNamespace(team, ns))
	}
	return objects
}

func never(Key) bool  { return false }
func always(Key) bool { return true }

// holding returns a cluster in which the objects are as wanted.
func holding(t *testing.T, objects ...runtime.Object) *Live {
	t.Helper()
	live := NewLive()
	for _, object := range objects {
		live.put(served(t, object))
	}
	return live
}

func TestNewPlanFromNothing(t *testing.T) {
	plan, err := NewPlan("team-a", everything(t, teamA()), NewLive(), never)
	if err != nil {
		t.Fatal(err)
	}
	// Namespaces come first, since they contain the other objects; rights before the Tiller
	// that uses them; Tiller last, when everything that restricts it exists.
	want := []string{
		"create Namespace a",
		"create Namespace team-a-tiller",
		"create ValidatingAdmissionPolicy helm-tenant-records",
		"create ValidatingAdmissionPolicyBinding helm-tenant-records",
		"create ConfigMap helm-tenant in namespace team-a-tiller",
		"create NetworkPolicy helm-tenant in namespace team-a-tiller",
		"create Role helm-tenant-member in namespace team-a-tiller",
		"create Role helm-tenant-records in namespace team-a-tiller",
		"create ServiceAccount tiller in namespace team-a-tiller",
		"create RoleBinding helm-tenant.team-a.admin in namespace a",
		"create RoleBinding helm-tenant-member in namespace team-a-tiller",
		"create RoleBinding helm-tenant-records in namespace team-a-tiller",
		"create Deployment tiller-deploy in namespace team-a-tiller",
	}
	plan.sort()
	if diff := cmp.Diff(want, steps(plan.Changes)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestNewPlanChangesNothing(t *testing.T) {
	objects := everything(t, teamA())
	plan, err := NewPlan("team-a", objects, holding(t, objects...), never)
	if err != nil {
		t.Fatal(err)
	}
	if len(plan.Changes) > 0 {
		t.Errorf("of %d objects that are there it changes %v", len(objects), steps(plan.Changes))
	}
}

func TestNewPlan(t *testing.T) {
	const label = tenant.LabelTenant
	deployment := install.Deployment(teamA())
	for _, test := range []struct {
		name   string
		wanted runtime.Object
		change func(live *unstructured.Unstructured)
		adopt  Adoption
		want   []string
		fail   string
	}{
		{"an extra subject", memberBinding(), func(live *unstructured.Unstructured) {
			live.Object["subjects"] = []any{map[string]any{"kind": "User", "name": "mallory"}}
		}, never, []string{"update RoleBinding helm-tenant-member in namespace team-a-tiller"}, ""},
		{"another role can't be written into a binding", memberBinding(), func(live *unstructured.Unstructured) { set(live, "cluster-admin", "roleRef", "name") }, never,
			[]string{"replace RoleBinding helm-tenant-member in namespace team-a-tiller"}, ""},
		{"a Deployment for other pods", deployment, func(live *unstructured.Unstructured) {
			set(live, "other", "spec", "selector", "matchLabels", "app")
		}, never, []string{"replace Deployment tiller-deploy in namespace team-a-tiller"}, ""},
		{"a foreign object", deployment, func(live *unstructured.Unstructured) { live.SetLabels(nil) }, never, nil,
			"Deployment tiller-deploy in namespace team-a-tiller was not made by helm-tenant"},
		{"a foreign object that is just as wanted but for the label", memberRole(), func(live *unstructured.Unstructured) { delete(mapIn(live, "metadata", "labels"), label) }, never, nil,
			"Role helm-tenant-member in namespace team-a-tiller was not made by helm-tenant"},
		{"a foreign object is adopted", deployment, func(live *unstructured.Unstructured) { live.SetLabels(nil) }, always,
			[]string{"update Deployment tiller-deploy in namespace team-a-tiller"}, ""},
		{"another tenant's object", deployment, func(live *unstructured.Unstructured) { set(live, "team-b", "metadata", "labels", label) }, never, nil,
			`Deployment tiller-deploy in namespace team-a-tiller belongs to tenant "team-b"`},
		{"another tenant's object is never adopted", deployment, func(live *unstructured.Unstructured) { set(live, "team-b", "metadata", "labels", label) }, always, nil,
			`Deployment tiller-deploy in namespace team-a-tiller belongs to tenant "team-b"`},
		{"the cluster's own policy is every tenant's", install.Admission()[0], func(live *unstructured.Unstructured) { set(live, "Ignore", "spec", "failurePolicy") }, never,
			[]string{"update ValidatingAdmissionPolicy helm-tenant-records"}, ""},
		{"somebody else's policy of that name", install.Admission()[0], func(live *unstructured.Unstructured) { live.SetLabels(nil) }, never, nil,
			"ValidatingAdmissionPolicy helm-tenant-records was not made by helm-tenant"},
		{"a kind that is not written", &rbacv1.RoleBindingList{}, nil, never, nil, " : helm-tenant does not write this kind"},
	} {
		t.Run(test.name, func(t *testing.T) {
			live := NewLive()
			if test.change != nil {
				object := served(t, test.wanted)
				test.change(object)
				live.put(object)
			}
			plan, err := NewPlan("team-a", []runtime.Object{test.wanted}, live, test.adopt)
			if diff := cmp.Diff(test.fail, errorText(err)); diff != "" {
				t.Errorf("error, -want +got:\n%s", diff)
			}
			if diff := cmp.Diff(test.want, steps(plan.Changes)); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// Nothing is planned where only one of many objects is somebody else's, and all
// of those are named.
func TestNewPlanNamesAllThatIsNotOurs(t *testing.T) {
	account, role := served(t, rbac.ServiceAccounts(teamA())[0]), served(t, memberRole())
	account.SetLabels(nil)
	set(role, "team-b", "metadata", "labels", tenant.LabelTenant)
	live := NewLive()
	live.put(account)
	live.put(role)
	plan, err := NewPlan("team-a", everything(t, teamA()), live, never)
	var notOurs *NotOursError
	if !errors.As(err, &notOurs) {
		t.Fatalf("got %v", err)
	}
	want := `ServiceAccount tiller in namespace team-a-tiller was not made by helm-tenant; Role helm-tenant-member in namespace team-a-tiller belongs to tenant "team-b"`
	if diff := cmp.Diff(want, err.Error()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	if len(plan.Changes) > 0 {
		t.Errorf("something is planned: %v", steps(plan.Changes))
	}
}

func TestRemovals(t *testing.T) {
	old, pruned, last := served(t, rbac.InNamespace(teamA(), "old")), served(t, install.Namespace(teamA(), "old", false)), served(t, memberBinding())
	set(pruned, "kept", "metadata", "labels", "team")
	var plan Plan
	plan.Delete(last, PhaseRemoval)
	plan.Edit(pruned, PhaseRemoval, func(next *unstructured.Unstructured) {
		unstructured.RemoveNestedField(next.Object, "metadata", "labels", tenant.LabelTenant)
		unstructured.RemoveNestedField(next.Object, "metadata", "labels", "absent")
		unstructured.RemoveNestedField(next.Object, "metadata", "annotations", tenant.AnnotationHome)
	})
	plan.Edit(pruned, PhaseRemoval, func(*unstructured.Unstructured) {}) // changes nothing
	more, err := NewPlan("team-a", []runtime.Object{install.Namespace(teamA(), "new", true), rbac.InNamespace(teamA(), "new")}, NewLive(), never)
	if err != nil {
		t.Fatal(err)
	}
	plan.Changes = append(plan.Changes, more.Changes...)
	plan.Delete(old, PhaseEarlyRemoval)
	plan.sort()
	// Early deletions come before any new rights for the tenant.
	want := []string{
		"create Namespace new",
		"delete RoleBinding helm-tenant.team-a.admin in namespace old",
		"create RoleBinding helm-tenant.team-a.admin in namespace new",
		"update Namespace old",
		"delete RoleBinding helm-tenant-member in namespace team-a-tiller",
	}
	if diff := cmp.Diff(want, steps(plan.Changes)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	relabelled := plan.Changes[3]
	if diff := cmp.Diff(map[string]string{"team": "kept"}, relabelled.Object.GetLabels()); diff != "" {
		t.Errorf("labels that stay, -want +got:\n%s", diff)
	}
	if len(relabelled.Object.GetAnnotations()) > 0 {
		t.Errorf("annotations that stay: %v", relabelled.Object.GetAnnotations())
	}
	fields := []Field{{Path: "metadata.labels[helm-tenant/tenant]", Live: "team-a"}, {Path: "metadata.annotations[helm-tenant/home-namespace]", Live: "team-a-tiller"}}
	if diff := cmp.Diff(fields, relabelled.Fields); diff != "" {
		t.Errorf("fields, -want +got:\n%s", diff)
	}
	if pruned.GetLabels()[tenant.LabelTenant] == "" {
		t.Error("the live object changed")
	}
}

// A run after an interrupted one must find the excess rights of an adopted Tiller: it looks for
// them as long as the Deployment has no tenant's label.
func TestNarrowing(t *testing.T) {
	mallorys := served(t, &rbacv1.RoleBinding{
		TypeMeta: metav1.TypeMeta{APIVersion: rbacv1.SchemeGroupVersion.String(), Kind: "RoleBinding"}, ObjectMeta: metav1.ObjectMeta{Name: "theirs", Namespace: "x"},
		Subjects: []rbacv1.Subject{{Kind: "User", Name: "mallory"}, {Kind: "User", Name: "alice"}},
	})
	plan, err := NewPlan("team-a", []runtime.Object{install.Deployment(teamA()), rbac.InNamespace(teamA(), "new")}, NewLive(), never)
	if err != nil {
		t.Fatal(err)
	}
	plan.Delete(served(t, memberBinding()), PhaseNarrowing)
	plan.Edit(mallorys, PhaseNarrowing, func(next *unstructured.Unstructured) {
		next.Object["subjects"] = []any{map[string]any{"kind": "User", "name": "alice"}}
	})
	want := []string{
		"create RoleBinding helm-tenant.team-a.admin in namespace new",
		"delete RoleBinding helm-tenant-member in namespace team-a-tiller",
		"update RoleBinding theirs in namespace x",
		"create Deployment tiller-deploy in namespace team-a-tiller",
	}
	if diff := cmp.Diff(want, steps(plan.Ordered())); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// What a dry run prints could be given to kubectl apply: nothing of the server's
// own is in it.
func TestPlanObjects(t *testing.T) {
	live := served(t, install.Deployment(teamA()))
	set(live, int64(0), "spec", "replicas")
	held := NewLive()
	held.put(live)
	plan, err := NewPlan("team-a", []runtime.Object{install.Deployment(teamA())}, held, never)
	if err != nil {
		t.Fatal(err)
	}
	plan.Delete(served(t, memberBinding()), PhaseRemoval)
	objects := plan.Objects()
	if len(objects) != 1 {
		t.Fatalf("%d objects", len(objects))
	}
	want, err := toUnstructured(install.Deployment(teamA()))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want.Object, objects[0].Object); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestPermissions(t *testing.T) {
	binding, namespace := Key{"RoleBinding", "a", "b"}, Key{Kind: "Namespace", Name: "a"}
	const group = rbacv1.GroupName
	for _, test := range []struct {
		change Change
		want   []Permission
		texts  []string
	}{
		{Change{Action: Create, Key: binding}, []Permission{{"create", group, "rolebindings", "", "a"}}, []string{"create rolebindings.rbac.authorization.k8s.io in namespace a"}},
		{Change{Action: Update, Key: binding}, []Permission{{"update", group, "rolebindings", "b", "a"}}, []string{"update rolebindings.rbac.authorization.k8s.io/b in namespace a"}},
		{Change{Action: Delete, Key: binding}, []Permission{{"delete", group, "rolebindings", "b", "a"}}, []string{"delete rolebindings.rbac.authorization.k8s.io/b in namespace a"}},
		{Change{Action: Replace, Key: binding}, []Permission{{"delete", group, "rolebindings", "b", "a"}, {"create", group, "rolebindings", "", "a"}},
			[]string{"delete rolebindings.rbac.authorization.k8s.io/b in namespace a", "create rolebindings.rbac.authorization.k8s.io in namespace a"}},
		{Change{Action: Create, Key: namespace}, []Permission{{"create", "", "namespaces", "", ""}}, []string{"create namespaces in the cluster"}},
		{Change{Action: Update, Key: namespace}, []Permission{{"update", "", "namespaces", "a", "a"}}, []string{"update namespaces/a in namespace a"}},
	} {
		got := permissions(test.change)
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s %s, -want +got:\n%s", test.change.Action, test.change.Key, diff)
		}
		var texts []string
		for _, p := range got {
			texts = append(texts, p.String())
		}
		if diff := cmp.Diff(test.texts, texts); diff != "" {
			t.Errorf("%s %s, -want +got:\n%s", test.change.Action, test.change.Key, diff)
		}
	}
}
