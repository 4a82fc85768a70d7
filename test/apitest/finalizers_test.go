package apitest

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestDestroyInSpiteOfFinalizers: a member of a tenant without the guard can set finalizers on its
// bindings, also while they are deleted, and have garbage collection wait for an object that they
// keep. The rights are gone all the same, and the admin sees whose finalizers went with them.
func TestDestroyInSpiteOfFinalizers(t *testing.T) {
	t.Parallel()
	w, team := start(t), newTeam()
	w.makeTenant(t, team, "--engine", "impersonation", "--home-namespace", team.home, "--guard", "off", "--accept-risk", "no-guard")
	ctx, name := t.Context(), "helm-tenant."+team.name+".admin"
	waiting, err := w.root.RbacV1().RoleBindings(team.b).Get(ctx, name, metav1.GetOptions{})
	must(t, err)
	_, err = w.root.CoreV1().ConfigMaps(team.b).Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "kept", Finalizers: []string{"example.com/kept"},
		OwnerReferences: []metav1.OwnerReference{{APIVersion: "rbac.authorization.k8s.io/v1", Kind: "RoleBinding", Name: name, UID: waiting.UID, BlockOwnerDeletion: new(true)}}}}, metav1.CreateOptions{})
	must(t, err)
	w.patch(t, "rolebindings", team.b, name, `{"metadata":{"finalizers":["foregroundDeletion"]}}`)
	w.patch(t, "rolebindings", team.a, name, `{"metadata":{"finalizers":["example.com/early"]}}`)
	var late atomic.Bool
	admin := w.admin(t).through(t, func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodDelete && strings.Contains(r.URL.Path, team.b+"/rolebindings/") && !late.Swap(true) {
			w.patch(t, "rolebindings", team.b, name, `{"metadata":{"finalizers":["foregroundDeletion","example.com/late"]}}`)
		}
		return false
	})
	early := "Note: RoleBinding " + name + " in namespace " + team.a + " is deleted in spite of its finalizers, which are removed: example.com/early"
	if r := admin.must(t, "destroy", team.name, "--dry-run"); !strings.Contains(r.Stderr, early) {
		t.Errorf("a dry run does not name the finalizer: %v", r)
	}
	r := admin.must(t, "destroy", team.name, "--yes", "--wait=false")
	if !late.Load() {
		t.Fatal("no finalizer was set meanwhile: the test shows nothing")
	}
	for _, line := range []string{early,
		"deleted  RoleBinding " + name + " in namespace " + team.a + ", in spite of its finalizers: example.com/early\n",
		"deleted  RoleBinding " + name + " in namespace " + team.b + ", in spite of its finalizers: example.com/late\n",
	} {
		if !strings.Contains(r.Stderr, line) {
			t.Errorf("it does not say %q: %v", line, r)
		}
	}
	for _, namespace := range []string{team.a, team.b} {
		if left, err := w.root.RbacV1().RoleBindings(namespace).Get(ctx, name, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
			t.Errorf("the deployer's rights in %s are left: %v, %v", namespace, left, err)
		}
	}
	w.patch(t, "configmaps", team.b, "kept", `{"metadata":{"finalizers":null}}`)
}
