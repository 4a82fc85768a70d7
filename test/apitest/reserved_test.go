package apitest

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// mayClaim is the right to write helm-tenant's labels on these namespaces.
func mayClaim(namespaces ...string) rbacv1.PolicyRule {
	return only(rule("helm-tenant", "namespaces", "claim"), namespaces...)
}

// selfService makes somebody who may create namespaces and change all of them.
func (w *world) selfService(t *testing.T) *user {
	t.Helper()
	u := w.newUser(t, "selfservice")
	w.allow(t, u, "", rule("", "namespaces", "*"), rule("", "namespaces/status", "*"), rule("", "namespaces/finalize", "*"), rule("", "configmaps", "*"))
	w.lastGrant(t, u, u.name)
	return u
}

// reserved waits until the API server reserves helm-tenant's labels, by the policies that the
// init of a tenant writes, and returns somebody to whom they are refused.
func (w *world) reserved(t *testing.T) *user {
	t.Helper()
	w.makeTenant(t, newTeam())
	u := w.selfService(t)
	eventually(t, "helm-tenant's labels are reserved", func() error {
		ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: u.name, Labels: map[string]string{"helm-tenant/reachable": "true"}}}
		_, err := u.CoreV1().Namespaces().Create(t.Context(), ns, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		if err == nil {
			return fmt.Errorf("a namespace is labelled")
		}
		record := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "helm-tenant"}, Data: map[string]string{"tenant.yaml": ""}}
		if _, err = u.CoreV1().ConfigMaps("default").Create(t.Context(), record, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}}); err == nil {
			return fmt.Errorf("a record is made")
		}
		return nil
	})
	return u
}

// TestReserved: somebody who may create, change and delete every namespace can't make one a
// home or a tenant's, nor take a tenant's labels away, in any way in which the API server
// takes a namespace; and does everything else with namespaces as before.
func TestReserved(t *testing.T) {
	t.Parallel()
	w, team := start(t), newTeam()
	w.makeTenant(t, team)
	eve, ctx, name := w.reserved(t), t.Context(), team.name+"-eve"
	namespaces := eve.CoreV1().Namespaces()
	refused := func(what string, err error) {
		t.Helper()
		if err == nil || !strings.Contains(err.Error(), "helm-tenant-guard-") || !strings.Contains(err.Error(), "only an administrator of tenants") {
			t.Errorf("%s: %v", what, err)
		}
	}
	allowed := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	object := func(name string, labels, annotations map[string]string) *corev1.Namespace {
		return &corev1.Namespace{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Namespace"}, ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels, Annotations: annotations}}
	}
	create := func(o *corev1.Namespace) error {
		_, err := namespaces.Create(ctx, o, metav1.CreateOptions{})
		return err
	}
	home := map[string]string{"helm-tenant/tenant": "later", "helm-tenant/home": "tiller", "app.kubernetes.io/managed-by": "helm-tenant"}
	leads := map[string]string{"helm-tenant/home-namespace": "later-tiller"}
	refused("a home", create(object(name, home, nil)))
	refused("a namespace that leads to a home", create(object(name, nil, leads)))
	generated := object("", home, nil)
	generated.GenerateName = name + "-"
	refused("a home with a generated name", create(generated))
	apply := func(o *corev1.Namespace, subresource ...string) error {
		text, err := json.Marshal(o)
		must(t, err)
		_, err = namespaces.Patch(ctx, o.Name, types.ApplyPatchType, text, metav1.PatchOptions{FieldManager: "eve", Force: new(true)}, subresource...)
		return err
	}
	refused("a home by server-side apply", apply(object(name, home, nil)))
	allowed("a namespace", create(object(name, map[string]string{"team": "eve", "app.kubernetes.io/managed-by": "Helm"}, nil)))
	allowed("labels of others by server-side apply", apply(object(name, map[string]string{"cost": "7"}, nil)))
	refused("a home by server-side apply on what is there", apply(object(name, home, nil)))
	refused("an annotation by server-side apply of the status", apply(object(name, nil, leads), "status"))
	for _, ns := range []string{name, team.home, team.a} {
		for _, patch := range []string{`{"labels":{"helm-tenant/tenant":"other"}}`, `{"annotations":{"helm-tenant/home-namespace":"other"}}`, `{"labels":{"helm-tenant/reachable":"true"}}`} {
			for _, subresource := range []string{"", "status"} {
				_, err := namespaces.Patch(ctx, ns, types.MergePatchType, []byte(`{"metadata":`+patch+`}`), metav1.PatchOptions{}, strings.Fields(subresource)...)
				refused(ns+" "+subresource+" "+patch, err)
			}
		}
		live, err := w.root.CoreV1().Namespaces().Get(ctx, ns, metav1.GetOptions{})
		must(t, err)
		live.Annotations = map[string]string{"helm-tenant/csi-drivers": "x"}
		_, err = namespaces.Update(ctx, live, metav1.UpdateOptions{})
		refused("an update of "+ns, err)
		_, err = namespaces.UpdateStatus(ctx, live, metav1.UpdateOptions{})
		refused("an update of the status of "+ns, err)
		_, err = namespaces.Finalize(ctx, live, metav1.UpdateOptions{})
		refused("a finalize of "+ns, err)
	}
	for _, patch := range []string{`{"labels":null}`, `{"labels":{"helm-tenant/tenant":null}}`, `{"annotations":{"helm-tenant/home-namespace":null}}`} {
		_, err := namespaces.Patch(ctx, team.a, types.MergePatchType, []byte(`{"metadata":`+patch+`}`), metav1.PatchOptions{})
		refused(patch, err)
	}
	_, err := namespaces.Patch(ctx, team.a, types.MergePatchType, []byte(`{"metadata":{"labels":{"team":"x"}}}`), metav1.PatchOptions{})
	allowed("a label of others on a tenant's namespace", err)
	refused("a home is deleted", namespaces.Delete(ctx, team.home, metav1.DeleteOptions{}))

	record := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "helm-tenant"}, Data: map[string]string{"a": "b"}}
	_, err = eve.CoreV1().ConfigMaps(name).Create(ctx, record, metav1.CreateOptions{})
	allowed("a ConfigMap of the record's name", err)
	_, err = eve.CoreV1().ConfigMaps(name).Patch(ctx, "helm-tenant", types.MergePatchType, []byte(`{"data":{"tenant.yaml":"name: later"}}`), metav1.PatchOptions{})
	refused("a record", err)
	_, err = eve.CoreV1().ConfigMaps(team.home).Patch(ctx, "helm-tenant", types.MergePatchType, []byte(`{"metadata":{"annotations":{"x":"y"}}}`), metav1.PatchOptions{})
	allowed("the record in a home, which RBAC keeps", err)

	allowed("a namespace is deleted", namespaces.Delete(ctx, name, metav1.DeleteOptions{}))
	if _, err := w.root.CoreV1().Namespaces().Get(ctx, team.home, metav1.GetOptions{}); apierrors.IsNotFound(err) {
		t.Error("the home is gone")
	}
}
