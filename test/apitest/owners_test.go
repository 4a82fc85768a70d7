package apitest

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/retry"

	"helm-tenant/test/harness"
)

// ownerOf makes an owner of the tenant. When the grant ends, it is in force, and the admission
// policy limits what the owner writes.
func (w *world) ownerOf(t *testing.T, team team, more ...string) *user {
	t.Helper()
	dana := w.newUser(t, "dana")
	w.admin(t).must(t, append([]string{"grant", team.name, "--owner", "--user", dana.name, "--home-namespace", team.home}, more...)...)
	err := dana.writePeople(t, team, "helm-tenant-member", func(b *rbacv1.RoleBinding) {
		b.Subjects = append(b.Subjects, rbacv1.Subject{Kind: "Group", APIGroup: rbacGroup, Name: "system:authenticated"})
	}, metav1.DryRunAll)
	if err == nil || !strings.Contains(err.Error(), "an owner can't let in") {
		t.Errorf("whom an owner lets in is limited from the start: %v", err)
	}
	dana.requests(t)
	return dana
}

// writePeople changes a binding of people as kubectl edit does, and returns the answer.
func (u *user) writePeople(t *testing.T, team team, name string, change func(*rbacv1.RoleBinding), dryRun ...string) error {
	t.Helper()
	return retry.RetryOnConflict(retry.DefaultRetry, func() error {
		b, err := u.RbacV1().RoleBindings(team.home).Get(t.Context(), name, metav1.GetOptions{})
		if err == nil {
			change(b)
			_, err = u.RbacV1().RoleBindings(team.home).Update(t.Context(), b, metav1.UpdateOptions{DryRun: dryRun})
		}
		return err
	})
}

// TestOwners: an owner grants and revokes members and readers, reads nothing outside the
// home namespace, and can do no more with the verbs.
func TestOwners(t *testing.T) {
	t.Parallel()
	w, team := start(t), newTeam()
	team.home = team.name + "-helm"
	w.makeTenant(t, team, "--engine", "impersonation", "--user", "alice")
	dana := w.ownerOf(t, team)

	r := dana.must(t, "grant", team.name, "--user", "bob")
	if want := "user bob can now use tenant " + team.name + "\n"; r.Stdout != want {
		t.Errorf("it said %q, not %q", r.Stdout, want)
	}
	dana.must(t, "grant", team.name, "--user", "oncall", "--for", "1h")
	dana.must(t, "grant", team.name, "--reader", "--user", "pam", "--accept-risk=reads-secrets")
	if r := dana.must(t, "revoke", team.name, "--user", "alice,pam"); !strings.Contains(r.Stderr, "you may not read the owners") || !strings.Contains(r.Stderr, "is not known") {
		t.Errorf("what was not looked at is not said: %v", r)
	}
	dana.must(t, "revoke", team.name, "--user", "oncall", "--dry-run")
	same(t, "members", []string{"User bob", "User oncall"}, w.members(t, team))
	dana.must(t, "revoke", team.name, "--user", "bob,oncall")
	same(t, "members, and the binding stays", []string{}, w.members(t, team))
	dana.must(t, "grant", team.name, "--user", "bob")
	if r := dana.must(t, "describe", team.name); !strings.Contains(r.Stdout, "user bob") || strings.Contains(r.Stdout, "user "+dana.name) {
		t.Errorf("describe shows an owner: %v", r)
	}
	var requests []string
	for _, request := range dana.requests(t) {
		if request.ObjectRef.Resource != "" && !strings.HasSuffix(request.ObjectRef.Resource, "reviews") && request.ObjectRef.Namespace != team.home &&
			request.ObjectRef.Namespace != team.a && request.ObjectRef.Namespace != team.b { // describe looks at these
			requests = append(requests, request.String())
		}
	}
	slices.Sort(requests)
	if requests = slices.Compact(requests); len(requests) > 0 && !slices.Equal(requests, []string{"get configmaps " + team.name + "-tiller/helm-tenant"}) {
		t.Errorf("it asked for %q", requests)
	}

	dana.fails(t, 1, []string{"helm-tenant-owner"}, "grant", team.name, "--owner", "--user", "eve")
	dana.fails(t, 1, []string{"helm-tenant-owner"}, "revoke", team.name, "--owner", "--user", dana.name)
	dana.fails(t, 1, []string{"the cluster"}, "init", team.name, "--role", "cluster-admin", "--wait=false")
	dana.wroteNothing(t)
	dana.fails(t, 1, []string{"an owner can't let in a user or group of Kubernetes' own"}, "grant", team.name, "--group", "system:authenticated", "--accept-risk=everyone")

	// An owner may read until when they are a reader themselves.
	dana.must(t, "grant", team.name, "--reader", "--user", dana.name, "--for", "1h", "--reason", "INC-7", "--accept-risk=reads-secrets")
	w.authorized(t, dana.name, access("impersonate", "", "serviceaccounts", "", team.home, "helm-reader"))
	dana.must(t, "use", team.name)
	if r := dana.must(t, "whoami"); !strings.Contains(r.Stdout, "INC-7") || !strings.Contains(r.Stdout, "grant and revoke its members") {
		t.Errorf("whoami of a reader for a time: %v", r)
	}
	dana.must(t, "revoke", team.name, "--reader", "--user", dana.name)

	// The admin takes away everything that somebody is; narrowed, that alone.
	admin := w.admin(t)
	admin.must(t, "grant", team.name, "--user", dana.name)
	r = admin.must(t, "revoke", team.name, "--user", dana.name, "--member")
	if !strings.Contains(r.Stderr, "can still reach it") || !strings.Contains(r.Stderr, "helm-tenant-owner") {
		t.Errorf("that an owner can let themselves in is not said: %v", r)
	}
	admin.must(t, "grant", team.name, "--user", dana.name)
	r = admin.must(t, "revoke", team.name, "--user", dana.name)
	same(t, "revoke", []string{"user " + dana.name + " can no longer grant and revoke members of tenant " + team.name, "user " + dana.name + " can no longer use tenant " + team.name}, lines(r.Stdout))
	eventually(t, "an owner no longer", func() error {
		return dana.may(t, false, access("update", rbacGroup, "rolebindings", "", team.home, "helm-tenant-member"))
	})
}

// TestOwnersWithoutLabels: an owner can grant and revoke although a binding lost a label that
// an owner may not write. If it is the tenant's label, the error names the administrator's
// command.
func TestOwnersWithoutLabels(t *testing.T) {
	t.Parallel()
	w, team := start(t), newTeam()
	team.home = team.name + "-helm"
	w.makeTenant(t, team, "--engine", "impersonation", "--user", "alice")
	dana := w.ownerOf(t, team)
	root := &user{Clientset: w.root}
	lose := func(label string) {
		t.Helper()
		must(t, root.writePeople(t, team, "helm-tenant-member", func(b *rbacv1.RoleBinding) { delete(b.Labels, label) }))
	}
	lose("app.kubernetes.io/managed-by")
	dana.must(t, "grant", team.name, "--user", "bob")
	dana.must(t, "revoke", team.name, "--user", "alice")
	same(t, "members", []string{"User bob"}, w.members(t, team))
	lose("helm-tenant/tenant")
	command := "helm tenant init " + team.name + " --adopt"
	dana.fails(t, 1, []string{"helm-tenant/tenant is missing", command}, "revoke", team.name, "--user", "bob")
	admin := w.admin(t)
	admin.fails(t, 1, []string{"helm-tenant/tenant is missing", command}, "grant", team.name, "--user", "carol")
	admin.must(t, append(strings.Fields(command)[2:], "--wait=false")...)
	dana.must(t, "revoke", team.name, "--user", "bob")
	same(t, "members", []string{}, w.members(t, team))
	if r := admin.must(t, "describe", team.name); strings.Contains(r.Stdout, "Differs") {
		t.Errorf("init restores not every label: %v", r)
	}
}

// TestOwnersRisks: where being an owner gives more than members and readers.
func TestOwnersRisks(t *testing.T) {
	t.Parallel()
	w, team := start(t), newTeam()
	admin := w.admin(t)
	admin.must(t, "init", team.name, "--all-namespaces", "--accept-risk=cluster-wide", "--engine", "impersonation", "--wait=false")
	admin.requests(t)
	admin.fails(t, 1, []string{"all namespaces", "--accept-risk=owner-of-cluster"}, "grant", team.name, "--owner", "--user", "dana")
	admin.fails(t, 2, []string{"--reader and --owner"}, "grant", team.name, "--owner", "--reader", "--user", "dana")
	admin.fails(t, 1, []string{"--accept-risk=everyone"}, "grant", team.name, "--owner", "--group", "system:authenticated", "--accept-risk=owner-of-cluster")
	admin.wroteNothing(t)
	admin.must(t, "grant", team.name, "--owner", "--user", "dana", "--accept-risk=owner-of-cluster")
	admin.must(t, "destroy", team.name, "--yes", "--wait=false")

	shared := newTeam()
	shared.home = shared.name + "-shared"
	w.namespace(t, shared.home)
	if _, err := w.root.CoreV1().ConfigMaps(shared.home).Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "theirs"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	w.makeTenant(t, shared, "--home-namespace", shared.home, "--accept-risk=shared-home")
	admin.requests(t)
	admin.fails(t, 1, []string{"holds objects of others", "--accept-risk=owner-of-cluster"}, "grant", shared.name, "--owner", "--user", "dana")
	admin.wroteNothing(t)
	w.ownerOf(t, shared, "--accept-risk=owner-of-cluster")
}

// TestMembersFrom: a tenants file leaves members to the owners, or takes them back.
func TestMembersFrom(t *testing.T) {
	t.Parallel()
	w, team := start(t), newTeam()
	admin, dana := w.admin(t), w.newUser(t, "dana")
	file := filepath.Join(t.TempDir(), "tenants.yaml")
	apply := func(more string) harness.Result {
		t.Helper()
		text := fmt.Sprintf("apiVersion: helm-tenant/v1\ntenants:\n- name: %s\n  namespaces: [%s, %s]\n  owners: {users: [%s]}\n%s", team.name, team.a, team.b, dana.name, more)
		must(t, os.WriteFile(file, []byte(text), 0o600))
		return admin.must(t, "apply", "-f", file, "--create-namespaces", "--wait=false")
	}
	apply("  membersFrom: owners\n")
	eventually(t, "an owner", func() error {
		return dana.may(t, true, access("update", rbacGroup, "rolebindings", "", team.home, "helm-tenant-member"))
	})
	dana.must(t, "grant", team.name, "--user", "bob")
	dana.must(t, "grant", team.name, "--user", "oncall", "--for", "1h")
	admin.requests(t)
	if r := apply("  membersFrom: owners\n"); !strings.Contains(r.Stderr, "granted by the owners and kept: user bob, user oncall (until") {
		t.Errorf("whom the owners let in is not said: %v", r)
	}
	admin.wroteNothing(t)
	same(t, "members", []string{"User bob", "User oncall"}, w.members(t, team))

	// The export makes the same tenant, and does not name the members that owners added.
	exported := admin.must(t, "export", team.name).Stdout
	if !strings.Contains(exported, "membersFrom: owners") || !strings.Contains(exported, dana.name) || strings.Contains(exported, "bob") || strings.Contains(exported, "oncall") {
		t.Errorf("exported was %s", exported)
	}
	must(t, os.WriteFile(file, []byte(exported), 0o600))
	admin.requests(t)
	admin.must(t, "apply", "-f", file, "--wait=false")
	admin.wroteNothing(t)

	if r := apply("  members: {users: [alice]}\n"); !strings.Contains(r.Stderr, "no longer members: user bob, user oncall") || !strings.Contains(r.Stderr, "membersFrom: owners") {
		t.Errorf("that the file takes out whom the owners let in is not said: %v", r)
	}
	same(t, "members by the file", []string{"User alice"}, w.members(t, team))
}
