package apitest

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestProtectedObjects: objects of helm-tenant's and of an admin's are not deleted,
// one by one or all at once.
func TestProtectedObjects(t *testing.T) {
	t.Parallel()
	w, team, actors := guardedTeam(t)
	ctx, dryRun := t.Context(), metav1.DeleteOptions{DryRun: []string{"All"}}
	_, err := w.root.CoreV1().ConfigMaps(team.a).Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "theirs", Labels: map[string]string{"helm-tenant/protected": "true"}}}, metav1.CreateOptions{})
	must(t, err)
	_, err = w.root.CoreV1().ConfigMaps(team.a).Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "free", Labels: map[string]string{"free": "true"}}}, metav1.CreateOptions{})
	must(t, err)
	for who, client := range actors {
		for _, object := range []struct{ kind, name string }{
			{"NetworkPolicy", "helm-tenant"}, {"RoleBinding", "helm-tenant." + team.name + ".admin"}, {"ConfigMap", "theirs"},
		} {
			api := client.Resource(guarded[object.kind]).Namespace(team.a)
			if who == "editor" && object.kind == "RoleBinding" {
				continue // which edit can't write
			}
			live, err := w.as(t, "").Resource(guarded[object.kind]).Namespace(team.a).Get(ctx, object.name, metav1.GetOptions{})
			must(t, err)
			live.SetAnnotations(map[string]string{"replaced": "yes"})
			_, err = api.Update(ctx, live, metav1.UpdateOptions{DryRun: []string{"All"}})
			if err := byGuard(err, "protected"); err != nil {
				t.Errorf("%s, replacing %s %s: %v", who, object.kind, object.name, err)
			}
			if err := byGuard(api.Delete(ctx, object.name, dryRun), "protected"); err != nil {
				t.Errorf("%s, deletion of %s %s: %v", who, object.kind, object.name, err)
			}
			if err := byGuard(api.DeleteCollection(ctx, dryRun, metav1.ListOptions{FieldSelector: "metadata.name=" + object.name}), "protected"); err != nil {
				t.Errorf("%s, deletion of all, %s %s: %v", who, object.kind, object.name, err)
			}
		}
		if err := client.Resource(guarded["ConfigMap"]).Namespace(team.a).DeleteCollection(ctx, dryRun, metav1.ListOptions{LabelSelector: "free"}); err != nil {
			t.Errorf("%s, deletion of what is free: %v", who, err)
		}
	}
}
