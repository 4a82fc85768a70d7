package apitest

import (
	"fmt"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
)

// TestTheGuardOfControllers: a role for all of an API group, which the roles admin and edit are
// not, lets nobody write in a controller's or node's place what another controller carries out:
// a StatefulSet's revision, of which its controller creates pods, in any namespace up to Kubernetes
// 1.36, and the addresses of a pod, or its phase, if it ended and others may have them.
func TestTheGuardOfControllers(t *testing.T) {
	t.Parallel()
	w, team, actors := guardedTeam(t)
	ctx, root := t.Context(), w.as(t, "")
	w.role(t, team.a, "groups", rule("apps", "*", "*"), rule("", "pods/status", "*"))
	w.bind(t, team.a, "groups", "Role", "groups", rbacv1.Subject{Kind: "ServiceAccount", Namespace: team.home, Name: "tiller"},
		rbacv1.Subject{Kind: "User", APIGroup: rbacv1.GroupName, Name: "person-" + team.name}, rbacv1.Subject{Kind: "ServiceAccount", Namespace: team.a, Name: "own"})
	revisions := func(client dynamic.Interface) dynamic.ResourceInterface {
		return client.Resource(schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "controllerrevisions"}).Namespace(team.a)
	}
	for _, object := range []string{
		"{apiVersion: apps/v1, kind: StatefulSet, metadata: {name: set}, spec: {serviceName: set, " + fmt.Sprintf(selecting, fmt.Sprintf(podSpec, "")) + "}}",
		"{apiVersion: v1, kind: Pod, metadata: {name: set}, spec: {containers: [{name: c, image: i}]}}",
	} {
		created := parsed(t, team, object)
		_, err := actors["person"].Resource(guarded[created.GetKind()]).Namespace(team.a).Create(ctx, created, metav1.CreateOptions{})
		must(t, err)
	}
	var revision *unstructured.Unstructured
	eventually(t, "the StatefulSet's own revision", func() error {
		list, err := revisions(root).List(ctx, metav1.ListOptions{LabelSelector: "a=b"})
		if err == nil && len(list.Items) == 0 {
			return fmt.Errorf("there is none")
		}
		if err == nil {
			revision = &list.Items[0]
		}
		return err
	})
	revision.SetName("forged")
	revision.SetResourceVersion("")
	revision.SetUID("")
	elsewhere := revision.DeepCopy() // where the controller of Kubernetes 1.36 creates the pods
	must(t, unstructured.SetNestedMap(elsewhere.Object, map[string]any{"metadata": map[string]any{"namespace": team.b}}, "data"))
	status := func(patch string) func(dynamic.Interface) error {
		return func(client dynamic.Interface) error {
			_, err := client.Resource(guarded["Pod"]).Namespace(team.a).Patch(ctx, "set", types.MergePatchType, []byte(patch), metav1.PatchOptions{DryRun: []string{"All"}}, "status")
			return err
		}
	}
	_, err := root.Resource(guarded["Pod"]).Namespace(team.a).Patch(ctx, "set", types.MergePatchType, []byte(`{"status":{"phase":"Failed"}}`), metav1.PatchOptions{}, "status")
	must(t, err)
	for _, test := range []struct {
		what, policy string
		request      func(client dynamic.Interface) error
	}{
		{"a StatefulSet's revision", "controllerrevisions", func(client dynamic.Interface) error {
			_, err := revisions(client).Create(ctx, revision, metav1.CreateOptions{DryRun: []string{"All"}})
			return err
		}},
		{"a StatefulSet's revision of another namespace", "controllerrevisions", func(client dynamic.Interface) error {
			_, err := revisions(client).Create(ctx, elsewhere, metav1.CreateOptions{DryRun: []string{"All"}})
			return err
		}},
		{"a pod that ended, to run again", "podstatuses", status(`{"status":{"phase":"Running"}}`)},
		{"a pod's address", "podstatuses", status(`{"status":{"podIP":"10.0.0.1","podIPs":[{"ip":"10.0.0.1"}]}}`)},
	} {
		for _, who := range []string{"deployer", "person", "own account"} {
			eventually(t, who+", "+test.what, func() error { return byGuard(test.request(actors[who]), test.policy) })
		}
		if err := test.request(root); err != nil {
			t.Errorf("an admin, %s: %v", test.what, err)
		}
	}
	if err := status(`{"status":{"conditions":[{"type":"example.com/ready","status":"True"}]}}`)(actors["person"]); err != nil {
		t.Errorf("a condition of a pod: %v", err)
	}
}
