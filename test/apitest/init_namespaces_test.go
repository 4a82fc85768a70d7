package apitest

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"helm-tenant/test/records"
)

func TestMissingNamespaces(t *testing.T) {
	t.Parallel()
	w, team := start(t), newTeam()
	w.namespace(t, team.a)
	admin := w.admin(t)
	admin.fails(t, 1, []string{`namespace "` + team.b + `" does not exist`, "--create-namespaces", team.name, `context "test"`},
		"init", team.name, "--namespaces", team.a+","+team.b, "--wait=false")
	admin.fails(t, 1, []string{team.b + ", " + team.c, "do not exist", "--create-namespaces"},
		"init", team.name, "--namespaces", team.a+","+team.b+","+team.c, "--wait=false")
	admin.wroteNothing(t)
	admin.must(t, "init", team.name, "--namespaces", team.a+","+team.b, "--create-namespaces", "--wait=false")
	if got := w.label(t, team.a, "app.kubernetes.io/managed-by"); got != "" {
		t.Errorf("a namespace that was there is labelled as made by %q", got)
	}
	if got := w.label(t, team.b, "app.kubernetes.io/managed-by"); got != "helm-tenant" {
		t.Errorf("a namespace that was made is labelled as made by %q", got)
	}
}

func (w *world) label(t *testing.T, namespace, label string) string {
	t.Helper()
	ns, err := w.root.CoreV1().Namespaces().Get(t.Context(), namespace, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return ns.Labels[label]
}

func TestNamespacesOfAnotherTenant(t *testing.T) {
	t.Parallel()
	w, team, other := start(t), newTeam(), newTeam()
	admin := w.admin(t)
	admin.must(t, initArgs(other)...)
	before := w.versions(t, other)

	second := w.admin(t)
	second.fails(t, 1, []string{`namespace "` + other.a + `" belongs to tenant "` + other.name + `"`, "--share", team.name},
		"init", team.name, "--namespaces", team.a+","+other.a, "--create-namespaces", "--wait=false")
	second.fails(t, 1, []string{`namespace "` + other.a + `" belongs to tenant`},
		"init", team.name, "--namespaces", other.a, "--adopt", "--wait=false")
	// Another's home is never one of a tenant's namespaces, nor its home.
	for _, flags := range [][]string{{}, {"--share"}, {"--share", "--adopt"}} {
		second.fails(t, 1, []string{other.home, "home namespace of tenant", other.name},
			append([]string{"init", team.name, "--namespaces", other.home, "--wait=false"}, flags...)...)
		second.fails(t, 1, []string{other.home, other.name, "--home-namespace"},
			append([]string{"init", team.name, "--namespaces", team.a, "--create-namespaces", "--home-namespace", other.home, "--wait=false"}, flags...)...)
	}
	// Another tenant's namespace can't be the home namespace.
	second.fails(t, 1, []string{other.a, other.name, "--home-namespace"},
		"init", team.name, "--namespaces", team.a, "--create-namespaces", "--home-namespace", other.a, "--adopt", "--wait=false")
	// A home namespace can't be one of the tenant's namespaces.
	second.fails(t, 2, []string{team.home, "home namespace"}, "init", team.name, "--namespaces", team.home, "--create-namespaces", "--wait=false")
	second.wroteNothing(t)
	same(t, "the other tenant", before, w.versions(t, other))

	second.must(t, "init", team.name, "--namespaces", team.a+","+other.a, "--create-namespaces", "--share", "--wait=false")
	if owner := w.label(t, other.a, "helm-tenant/tenant"); owner != other.name {
		t.Errorf("sharing changed the owner of the namespace to %q", owner)
	}
	w.bound(t, other.a, team, "admin")
	w.bound(t, other.a, other, "admin")
	// Shared once, it needs no word again.
	third := w.admin(t)
	if r := third.run(t, "init", team.name, "--namespaces", team.a+","+other.a, "--share", "--wait=false"); r.Code != 0 {
		t.Errorf("a second run: %v", r)
	}
	third.wroteNothing(t)
	// And its owner's next run changes nothing of it.
	fourth := w.admin(t)
	fourth.must(t, initArgs(other)...)
	fourth.wroteNothing(t)
}

// bound checks that exactly these roles are bound to the team's deployer in a
// namespace, by bindings that carry its label.
func (w *world) bound(t *testing.T, namespace string, team team, roles ...string) {
	t.Helper()
	bindings, err := w.root.RbacV1().RoleBindings(namespace).List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	found := []string{}
	for _, b := range bindings.Items {
		for _, s := range b.Subjects {
			if s.Kind == "ServiceAccount" && s.Namespace == team.home && s.Name == "tiller" {
				found = append(found, b.RoleRef.Name)
				if b.Labels["helm-tenant/tenant"] != team.name {
					t.Errorf("RoleBinding %s in %s has the labels %v", b.Name, namespace, b.Labels)
				}
			}
		}
	}
	slices.Sort(found)
	if len(found) == 0 && len(roles) == 0 {
		return
	}
	same(t, "roles of "+team.name+" in "+namespace, roles, found)
}

func TestNamespacesAreAddedAndTakenAway(t *testing.T) {
	t.Parallel()
	w, team := start(t), newTeam()
	admin := w.admin(t)
	admin.must(t, initArgs(team)...)
	admin.requests(t)

	// Added, the others stay.
	admin.must(t, "init", team.name, "--namespaces", team.c, "--create-namespaces", "--wait=false")
	same(t, "writes that add a namespace", lines(`
		create namespaces `+team.c+`
		create rolebindings `+team.c+`/helm-tenant.`+team.name+`.admin
		update configmaps `+team.home+`/helm-tenant
		update namespaces `+team.a+`
		update namespaces `+team.b+`
	`), writes(admin.requests(t)))
	if got := w.record(t, team)["namespaces"]; fmt.Sprint(got) != fmt.Sprint([]string{team.a, team.b, team.c}) {
		t.Errorf("the record has the namespaces %v", got)
	}

	// Another default: only the order changes.
	admin.must(t, "init", team.name, "--default-namespace", team.b, "--wait=false")
	same(t, "writes that change the default", lines(`update configmaps `+team.home+`/helm-tenant`), writes(admin.requests(t)))
	if got := w.record(t, team)["namespaces"]; fmt.Sprint(got) != fmt.Sprint([]string{team.b, team.a, team.c}) {
		t.Errorf("with the default %s the record has the namespaces %v", team.b, got)
	}
	admin.fails(t, 2, []string{"elsewhere", "default namespace", team.b}, "init", team.name, "--default-namespace", "elsewhere", "--wait=false")
	admin.wroteNothing(t)

	// Taken away: its content and the namespace itself stay, and a label of
	// somebody else's.
	if _, err := w.root.CoreV1().ConfigMaps(team.a).Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "theirs"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	w.stored(t, team, records.Release{Name: "web", Namespace: team.a, Revision: 1, Status: "DEPLOYED"}, records.Release{Name: "db", Namespace: team.b, Revision: 1, Status: "DEPLOYED"})
	r := admin.must(t, "init", team.name, "--namespaces", team.b, "--prune", "--wait=false")
	if want := fmt.Sprintf("namespace %q is taken from the tenant; what runs in it stays, and the tenant can no longer manage its releases there: web\n", team.a); !strings.Contains(r.Stderr, want) {
		t.Errorf("it does not say which releases are left: %v", r)
	}
	same(t, "writes that prune", lines(`
		delete rolebindings `+team.a+`/helm-tenant.`+team.name+`.admin
		delete rolebindings `+team.c+`/helm-tenant.`+team.name+`.admin
		update configmaps `+team.home+`/helm-tenant
		update namespaces `+team.a+`
		update namespaces `+team.b+`
		update namespaces `+team.c+`
	`), writes(admin.requests(t)))
	for _, name := range []string{team.a, team.c} {
		if !strings.Contains(r.Stderr, name) {
			t.Errorf("it does not say that %s is taken away: %v", name, r)
		}
		w.bound(t, name, team)
		ns, err := w.root.CoreV1().Namespaces().Get(t.Context(), name, metav1.GetOptions{})
		if err != nil || ns.DeletionTimestamp != nil {
			t.Fatalf("namespace %s did not stay: %v", name, err)
		}
		if owner, has := ns.Labels["helm-tenant/tenant"]; has {
			t.Errorf("namespace %s is still labelled as %q's", name, owner)
		}
		if home, has := ns.Annotations["helm-tenant/home-namespace"]; has {
			t.Errorf("namespace %s still says that its home is %q", name, home)
		}
	}
	if _, err := w.root.CoreV1().ConfigMaps(team.a).Get(t.Context(), "theirs", metav1.GetOptions{}); err != nil {
		t.Errorf("what was in the namespace is gone: %v", err)
	}
	w.bound(t, team.b, team, "admin")
	if got := w.record(t, team)["namespaces"]; fmt.Sprint(got) != fmt.Sprint([]string{team.b}) {
		t.Errorf("after --prune the record has the namespaces %v", got)
	}
	second := w.admin(t)
	second.must(t, "init", team.name, "--namespaces", team.b, "--prune", "--wait=false")
	second.wroteNothing(t)
}

// record returns the tenant as its home namespace tells it.
func (w *world) record(t *testing.T, team team) map[string]any {
	t.Helper()
	cm, err := w.root.CoreV1().ConfigMaps(team.home).Get(t.Context(), "helm-tenant", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	record := map[string]any{}
	if err := yaml.UnmarshalStrict([]byte(cm.Data["tenant.yaml"]), &record); err != nil {
		t.Fatalf("the record: %v\n%v", err, cm.Data)
	}
	return record
}
