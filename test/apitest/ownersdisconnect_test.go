package apitest

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"helm-tenant/test/harness"
)

// TestOwnerDisconnects: an owner with rights to Tiller's pods revokes with --disconnect. The
// admission policy of owners leaves the mark of an unfinished disconnect to admins.
func TestOwnerDisconnects(t *testing.T) {
	t.Parallel()
	w, team := start(t), newTeam()
	w.makeTenant(t, team, "--engine", "tiller", "--user", "alice,bob,carol")
	dana := w.ownerOf(t, team)
	const marked = "helm-tenant/disconnect"
	mark := func() string {
		t.Helper()
		b, err := w.root.RbacV1().RoleBindings(team.home).Get(t.Context(), "helm-tenant-member", metav1.GetOptions{})
		must(t, err)
		return b.Annotations[marked]
	}
	dana.requests(t)
	dana.fails(t, 1, []string{"delete pods", "list secrets", "list deployments.apps"}, "revoke", team.name, "--user", "alice", "--disconnect")
	dana.wroteNothing(t)
	same(t, "members", []string{"User alice", "User bob", "User carol"}, w.members(t, team))

	w.role(t, team.home, "restarts",
		rbacv1.PolicyRule{Verbs: []string{"list", "watch", "delete"}, APIGroups: []string{""}, Resources: []string{"pods"}},
		rbacv1.PolicyRule{Verbs: []string{"list"}, APIGroups: []string{""}, Resources: []string{"secrets", "configmaps"}},
		rbacv1.PolicyRule{Verbs: []string{"list", "watch", "get", "update"}, APIGroups: []string{"apps"}, Resources: []string{"deployments"}})
	w.bind(t, team.home, "restarts", "Role", "restarts", rbacv1.Subject{Kind: "User", APIGroup: rbacGroup, Name: dana.name})
	deployments := w.root.AppsV1().Deployments(team.home)
	d, err := deployments.Get(t.Context(), "tiller-deploy", metav1.GetOptions{})
	must(t, err)
	// No kubelet runs here: a Tiller of no pods is ready at once.
	_, err = deployments.Patch(t.Context(), d.Name, types.MergePatchType, []byte(`{"spec":{"replicas":0}}`), metav1.PatchOptions{})
	must(t, err)
	eventually(t, "no pods", func() error {
		left, err := w.root.CoreV1().Pods(team.home).List(t.Context(), metav1.ListOptions{})
		if err == nil && len(left.Items) > 0 {
			err = fmt.Errorf("there are %d pods", len(left.Items))
		}
		return err
	})
	running := func() *corev1.Pod {
		t.Helper()
		pod, err := w.root.CoreV1().Pods(team.home).Create(t.Context(), &corev1.Pod{ObjectMeta: metav1.ObjectMeta{GenerateName: "tiller-deploy-", Labels: d.Spec.Template.Labels}, Spec: d.Spec.Template.Spec}, metav1.CreateOptions{})
		must(t, err)
		return pod
	}
	restarted := func(user string) harness.Result {
		t.Helper()
		pod := running()
		r := dana.must(t, "revoke", team.name, "--user", user, "--disconnect", "--timeout", "60s")
		if !strings.Contains(r.Stderr, "ended, with all port-forwards to it: "+pod.Name) {
			t.Errorf("%s is not restarted: %v", pod.Name, r)
		}
		left, err := w.root.CoreV1().Pods(team.home).List(t.Context(), metav1.ListOptions{})
		must(t, err)
		if slices.ContainsFunc(left.Items, func(p corev1.Pod) bool { return p.Name == pod.Name }) {
			t.Errorf("pod %s is still there", pod.Name)
		}
		return r
	}
	eventually(t, "the owner may restart", func() error {
		return dana.may(t, true, access("delete", "", "pods", "", team.home, ""))
	})
	restarted("alice")
	same(t, "members", []string{"User bob", "User carol"}, w.members(t, team))
	if got := mark(); got != "" {
		t.Errorf("the owner leaves the mark %q", got)
	}

	// An admin's run was stopped: an owner keeps its mark, and says who ends it.
	root := &user{Clientset: w.root}
	must(t, root.writePeople(t, team, "helm-tenant-member", func(b *rbacv1.RoleBinding) {
		metav1.SetMetaDataAnnotation(&b.ObjectMeta, marked, "2026-01-31T12:00:00Z")
	}))
	if r := dana.must(t, "grant", team.name, "--user", "eve"); strings.Contains(r.Stderr, "was stopped") {
		t.Errorf("a grant restarts Tiller: %v", r)
	}
	if r := dana.must(t, "revoke", team.name, "--user", "eve"); !strings.Contains(r.Stderr, "you can't restart it") || !strings.Contains(r.Stderr, "helm tenant init "+team.name) {
		t.Errorf("the unfinished disconnect is not said: %v", r)
	}
	restarted("bob")
	same(t, "members", []string{"User carol"}, w.members(t, team))
	if got := mark(); got != "2026-01-31T12:00:00Z" {
		t.Errorf("the mark is %q", got)
	}
	if err := dana.writePeople(t, team, "helm-tenant-member", func(b *rbacv1.RoleBinding) { delete(b.Annotations, marked) }); err == nil {
		t.Error("an owner takes the mark away")
	}
	w.admin(t).must(t, "revoke", team.name, "--user", "carol", "--disconnect", "--timeout", "60s")
	if got := mark(); got != "" {
		t.Errorf("the admin leaves the mark %q", got)
	}
}
