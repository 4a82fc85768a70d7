package admin

import (
	"strings"
	"testing"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"helm-tenant/cluster"
)

// TestRestart: Tiller's pods are made again where their account was deleted, whether
// somebody made it again or not, and once.
func TestRestart(t *testing.T) {
	begun := metav1.NewTime(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	restarted := func(w world, key cluster.Key, when metav1.Time) world {
		return edited(w, key, func(o *unstructured.Unstructured) { o.SetCreationTimestamp(when) })
	}
	account := accountKey("t-tiller", "tiller")
	existing := restarted(restarted(empty().after(t, asked()), tillerKey("t-tiller"), begun), account, begun)
	const restart = "update Deployment tiller-deploy in namespace t-tiller: spec.template.metadata.annotations[kubectl.kubernetes.io/restartedAt]"
	restarts := func(w world) bool {
		return strings.Contains(strings.Join(w.decide(t, asked()).Steps, "; "), restart)
	}
	if restarts(existing) {
		t.Error("a Tiller that is well is restarted")
	}
	lost := existing
	lost.objects = nil
	for _, o := range existing.objects {
		if cluster.KeyOf(o) != account {
			lost.objects = append(lost.objects, o)
		}
	}
	if !restarts(lost) {
		t.Errorf("the account is gone: %+v", lost.decide(t, asked()))
	}
	remade := restarted(existing, account, metav1.NewTime(begun.Add(time.Hour)))
	if !restarts(remade) {
		t.Errorf("the account was made again: %+v", remade.decide(t, asked()))
	}
	done := edited(remade, tillerKey("t-tiller"), func(o *unstructured.Unstructured) {
		_ = unstructured.SetNestedField(o.Object, begun.Add(time.Hour-time.Minute).Format(time.RFC3339), "spec", "template", "metadata", "annotations", annotationRestarted)
	})
	if restarts(done) {
		t.Error("it is restarted twice")
	}
}

// TestNoteChanges: an init says which binding was opened to everybody, and which image ran.
func TestNoteChanges(t *testing.T) {
	existing := empty().after(t, asked())
	everybody := rbacv1.Subject{Kind: "Group", APIGroup: rbacv1.GroupName, Name: "system:authenticated"}
	open := func(key cluster.Key) world {
		return edited(existing, key, func(b *rbacv1.RoleBinding) { b.Subjects = append(b.Subjects, everybody) })
	}
	image := edited(existing, tillerKey("t-tiller"), func(o *unstructured.Unstructured) {
		containers, _, _ := unstructured.NestedSlice(o.Object, "spec", "template", "spec", "containers")
		containers[0].(map[string]any)["image"] = "registry.example.com/odd:v2.17.0"
		_ = unstructured.SetNestedSlice(o.Object, containers, "spec", "template", "spec", "containers")
	})
	for name, test := range map[string]struct {
		world world
		want  string
	}{
		"members":        {open(memberKey("t-tiller")), "group system:authenticated is a member of the tenant, and with it everybody"},
		"the deployer's": {open(cluster.Key{Kind: "RoleBinding", Namespace: "a", Name: "helm-tenant.t.admin"}), "RoleBinding helm-tenant.t.admin in namespace a was opened to group system:authenticated"},
		"the image":      {image, "Tiller ran the image registry.example.com/odd:v2.17.0, which is not the tenant's"},
	} {
		if got := test.world.decide(t, asked()); !strings.Contains(strings.Join(got.Notes, "; "), test.want) {
			t.Errorf("%s: got %q", name, got.Notes)
		}
	}
}

// TestNoteRoleGaps: an init says what helm needs and the role does not give.
func TestNoteRoleGaps(t *testing.T) {
	r := asked(role("own"))
	prepared, err := decide(empty().facts(t, r), r)
	if err != nil || !strings.Contains(strings.Join(prepared.Notes, "; "), `with ClusterRole "own" the deployer can't do all that helm needs: it may create nothing: no install works`) {
		t.Errorf("%v: %+v", err, prepared)
	}
	r = asked(everywhere, accept(RiskClusterWide))
	full := empty().with(clusterRole("full", "*"))
	full.objects[len(full.objects)-1].(*rbacv1.ClusterRole).Rules = []rbacv1.PolicyRule{{APIGroups: []string{"*"}, Resources: []string{"*"}, Verbs: []string{"*"}}}
	r.Tenant.Role = "full"
	if prepared, err = decide(full.facts(t, r), r); err != nil || len(prepared.RoleGaps) > 0 {
		t.Errorf("%v: %+v", err, prepared)
	}
}

// TestNoteDefaultNamespace: a tenant that is given the namespace of contexts that name none
// is told so once.
func TestNoteDefaultNamespace(t *testing.T) {
	const note = `namespace "default" is that of every kubeconfig context`
	for name, test := range map[string]struct {
		request Request
		want    bool
	}{
		"default": {asked(func(r *Request) { r.Tenant.Namespaces = []string{"a", "default"} }), true},
		"others":  {asked(), false},
	} {
		prepared := empty().with(namespace("default")).decide(t, test.request)
		if got := strings.Contains(strings.Join(prepared.Notes, "; "), note); got != test.want {
			t.Errorf("%s: the notes are %q", name, prepared.Notes)
		}
	}
}
