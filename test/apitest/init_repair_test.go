package apitest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestAnythingMissingComesBack deletes any of a tenant's objects, one or many.
func TestAnythingMissingComesBack(t *testing.T) {
	t.Parallel()
	w, team := start(t), newTeam()
	admin := w.admin(t)
	admin.must(t, initArgs(team)...)
	want := w.dump(t, team)

	type object struct{ kind, namespace, name string }
	var all []object
	for key := range want {
		kind, rest, _ := strings.Cut(strings.ReplaceAll(key, "TEAM", team.name), " ")
		namespace, name, _ := strings.Cut(rest, "/")
		if kind != "Namespace" { // those take a while to go
			all = append(all, object{kind, namespace, name})
		}
	}
	slices.SortFunc(all, func(a, b object) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	random := rand.New(rand.NewPCG(1, uint64(len(all))))
	subsets := [][]object{all}
	for _, o := range all {
		subsets = append(subsets, []object{o})
	}
	for range 4 {
		var some []object
		for _, o := range all {
			if random.IntN(2) == 0 {
				some = append(some, o)
			}
		}
		subsets = append(subsets, some)
	}
	for _, subset := range subsets {
		for _, o := range subset {
			if err := w.dynamic.Resource(own[o.kind]).Namespace(o.namespace).Delete(t.Context(), o.name, metav1.DeleteOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		// The command names everything, since the record may be deleted.
		admin.must(t, initArgs(team)...)
		same(t, fmt.Sprintf("the tenant after the loss of %v", subset), want, w.dump(t, team))
	}
}

// TestDamageIsRepaired changes every object that a tenant is made of.
func TestDamageIsRepaired(t *testing.T) {
	t.Parallel()
	w, team := start(t), newTeam()
	admin := w.admin(t)
	admin.must(t, initArgs(team)...)
	want := w.dump(t, team)
	for _, damage := range []struct{ resource, namespace, name, patch string }{
		{"namespaces", "", team.home, `{"metadata":{"labels":{"pod-security.kubernetes.io/enforce":"privileged"}}}`},
		{"namespaces", "", team.home, `{"metadata":{"labels":{"helm-tenant/home":null}}}`},
		{"namespaces", "", team.a, `{"metadata":{"annotations":{"helm-tenant/home-namespace":"elsewhere"}}}`},
		{"serviceaccounts", team.home, "tiller", `{"automountServiceAccountToken":true}`},
		{"roles", team.home, "helm-tenant-records", `{"rules":[{"apiGroups":["*"],"resources":["*"],"verbs":["*"]}]}`},
		{"roles", team.home, "helm-tenant-member", `{"rules":[{"apiGroups":[""],"resources":["pods/exec"],"verbs":["create"]}]}`},
		{"rolebindings", team.home, "helm-tenant-records", `{"subjects":[{"kind":"Group","apiGroup":"rbac.authorization.k8s.io","name":"system:authenticated"}]}`},
		{"rolebindings", team.a, "helm-tenant." + team.name + ".admin", `{"subjects":[]}`},
		{"networkpolicies", team.home, "helm-tenant", `{"spec":{"ingress":[{}]}}`},
		{"configmaps", team.home, "helm-tenant", `{"data":{"more":"than there was"}}`},
		{"deployments", team.home, "tiller-deploy", `{"spec":{"template":{"spec":{"hostNetwork":true}}}}`},
		{"deployments", team.home, "tiller-deploy", `{"spec":{"template":{"spec":{"containers":[{"name":"tiller","command":["/tiller","--storage=secret"]}]}}}}`},
		{"deployments", team.home, "tiller-deploy", `{"spec":{"template":{"spec":{"containers":[{"name":"tiller","securityContext":{"readOnlyRootFilesystem":false}}]}}}}`},
		{"deployments", team.home, "tiller-deploy", `{"spec":{"template":{"spec":{"containers":[{"name":"more","image":"example.com/more"}]}}}}`},
		{"deployments", team.home, "tiller-deploy", `{"spec":{"template":{"spec":{"containers":[{"name":"tiller","env":[{"name":"HELM_HOST","value":"x"}]}]}}}}`},
	} {
		w.patch(t, damage.resource, damage.namespace, damage.name, damage.patch)
		before := w.admin(t)
		before.must(t, initArgs(team)...)
		if got := writes(before.requests(t)); len(got) != 1 {
			t.Errorf("%v: repaired with the writes %q", damage, got)
		}
		same(t, fmt.Sprintf("the tenant after %v", damage), want, w.dump(t, team))
	}
	// Changes of others to other fields stay.
	for _, harmless := range []struct{ resource, namespace, name, patch string }{
		{"namespaces", "", team.a, `{"metadata":{"labels":{"cost-center":"7"},"annotations":{"owner":"them"}}}`},
		{"deployments", team.home, "tiller-deploy", `{"metadata":{"annotations":{"note":"x"}},"spec":{"template":{"metadata":{"annotations":{"kubectl.kubernetes.io/restartedAt":"now"}}}}}`},
	} {
		w.patch(t, harmless.resource, harmless.namespace, harmless.name, harmless.patch)
		second := w.admin(t)
		second.must(t, initArgs(team)...)
		second.wroteNothing(t)
	}
}

// patch is a strategic merge patch by somebody else.
func (w *world) patch(t *testing.T, resource, namespace, name, patch string) {
	t.Helper()
	path := "/api/v1"
	switch resource {
	case "roles", "rolebindings":
		path = "/apis/rbac.authorization.k8s.io/v1"
	case "networkpolicies":
		path = "/apis/networking.k8s.io/v1"
	case "deployments":
		path = "/apis/apps/v1"
	}
	if namespace != "" {
		path += "/namespaces/" + namespace
	}
	err := w.root.CoreV1().RESTClient().Patch("application/strategic-merge-patch+json").AbsPath(path, resource, name).Body([]byte(patch)).Do(t.Context()).Error()
	if err != nil {
		t.Fatalf("patching %s %s/%s: %v", resource, namespace, name, err)
	}
}
