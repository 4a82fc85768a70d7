package apitest

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"helm-tenant/test/records"
)

// sharedTiller makes what helm init makes, with a cluster-admin's account and records as
// ConfigMaps, and returns its namespace.
func (w *world) sharedTiller(t *testing.T, releases ...records.Release) string {
	t.Helper()
	from := newTeam().a
	w.namespace(t, from)
	deployment, service := w.helmInit(t, from)
	_, err := w.root.CoreV1().ServiceAccounts(from).Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "tiller"}}, metav1.CreateOptions{})
	must(t, err)
	_, err = w.root.AppsV1().Deployments(from).Create(t.Context(), deployment, metav1.CreateOptions{})
	must(t, err)
	_, err = w.root.CoreV1().Services(from).Create(t.Context(), service, metav1.CreateOptions{})
	must(t, err)
	w.bind(t, "", "tiller-"+from, "ClusterRole", "cluster-admin", rbacv1.Subject{Kind: "ServiceAccount", Namespace: from, Name: "tiller"})
	for _, r := range releases {
		_, err := w.root.CoreV1().ConfigMaps(from).Create(t.Context(), records.ConfigMap(r), metav1.CreateOptions{})
		must(t, err)
		if r.Status == "DEPLOYED" {
			created := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: r.Name}, Data: map[string]string{"greeting": fmt.Sprint(r.Revision)}}
			_, err := w.root.CoreV1().ConfigMaps(r.Namespace).Create(t.Context(), created, metav1.CreateOptions{})
			must(t, err)
		}
	}
	return from
}

// tillerRecords returns Tiller's records in a namespace with their content, by kind and name.
func (w *world) tillerRecords(t *testing.T, namespace string) map[string]string {
	t.Helper()
	found := map[string]string{}
	options := metav1.ListOptions{LabelSelector: "OWNER=TILLER"}
	secrets, err := w.root.CoreV1().Secrets(namespace).List(t.Context(), options)
	must(t, err)
	for _, s := range secrets.Items {
		found["Secret "+s.Name] = string(s.Data["release"])
	}
	configMaps, err := w.root.CoreV1().ConfigMaps(namespace).List(t.Context(), options)
	must(t, err)
	for _, m := range configMaps.Items {
		found["ConfigMap "+m.Name] = m.Data["release"]
	}
	return found
}

func (w *world) replicas(t *testing.T, namespace string) int32 {
	t.Helper()
	d, err := w.root.AppsV1().Deployments(namespace).Get(t.Context(), "tiller-deploy", metav1.GetOptions{})
	must(t, err)
	return *d.Spec.Replicas
}

// TestSplit: the releases of one Tiller are copied byte for byte to the homes of tenants, one
// of which exists and runs; with --finish, and with --abort.
func TestSplit(t *testing.T) {
	t.Parallel()
	w, one, two, nobody := start(t), newTeam(), newTeam(), newTeam()
	admin := w.admin(t)
	w.namespace(t, one.a, one.b, two.a, nobody.a)
	from := w.sharedTiller(t,
		records.Release{Name: "web", Namespace: one.a, Revision: 1, Status: "SUPERSEDED"}, records.Release{Name: "web", Namespace: one.a, Revision: 2, Status: "DEPLOYED"},
		records.Release{Name: "db", Namespace: two.a, Revision: 3, Status: "DEPLOYED"}, records.Release{Name: "old", Namespace: two.a, Revision: 1, Status: "DELETED"},
		records.Release{Name: "rest", Namespace: nobody.a, Revision: 1, Status: "DEPLOYED"})
	admin.must(t, "init", two.name, "--namespaces", two.a, "--wait=false")
	w.stored(t, two, records.Release{Name: "own", Namespace: two.a, Revision: 1, Status: "DEPLOYED"})
	own, before := w.tillerRecords(t, two.home), w.tillerRecords(t, from)
	file := tenantsFile(t, fmt.Sprintf("- name: %s\n  namespaces: [%s, %s]\n- name: %s\n  namespaces: [%s]\n", one.name, one.a, one.b, two.name, two.a))

	var plan struct {
		Kind, Storage string
		Releases      []struct{ Name, Tenant, Home string }
	}
	must(t, json.Unmarshal([]byte(admin.must(t, "split", "-f", file, "--from", from, "--dry-run", "-o", "json").Stdout), &plan))
	got := map[string]string{}
	for _, r := range plan.Releases {
		got[r.Name] = r.Home
	}
	if want := map[string]string{"web": one.home, "db": two.home, "old": two.home, "rest": ""}; plan.Kind != "Split" || plan.Storage != "configmap" || !maps.Equal(got, want) {
		t.Errorf("the plan is %+v", plan)
	}
	if !maps.Equal(before, w.tillerRecords(t, from)) || w.replicas(t, from) != 1 {
		t.Fatal("a dry run changed something")
	}

	copied := func() {
		t.Helper()
		want := map[string]string{"Secret web.v1": before["ConfigMap web.v1"], "Secret web.v2": before["ConfigMap web.v2"]}
		if !maps.Equal(w.tillerRecords(t, one.home), want) {
			t.Error("the copies of one are not the originals")
		}
		want = map[string]string{"Secret db.v3": before["ConfigMap db.v3"], "Secret old.v1": before["ConfigMap old.v1"], "Secret own.v1": own["Secret own.v1"]}
		if !maps.Equal(w.tillerRecords(t, two.home), want) {
			t.Error("the copies of two are not the originals")
		}
	}
	split := []string{"split", "-f", file, "--from", from, "--wait=false", "--backup", backupFile(t)}
	r := admin.must(t, split...)
	if !strings.Contains(r.Stdout, "gave 3 releases, 4 revisions, to tenants") || !strings.Contains(r.Stderr, "helm tenant split --finish --from="+from) {
		t.Errorf("it says %v", r)
	}
	copied()
	if !maps.Equal(before, w.tillerRecords(t, from)) || w.replicas(t, from) != 0 || w.replicas(t, one.home) != 1 || w.replicas(t, two.home) != 1 {
		t.Error("the old Tiller is not stopped, or has lost records, or the tenants have no Tiller")
	}

	file2 := backupFile(t)
	admin.must(t, "split", "--abort", "--from", from, "--wait=false", "--backup", file2)
	if !maps.Equal(before, w.tillerRecords(t, from)) || !maps.Equal(own, w.tillerRecords(t, two.home)) || len(w.tillerRecords(t, one.home)) != 0 || w.replicas(t, from) != 1 {
		t.Error("after the abort not everything is as it was")
	}
	if count := kept(t, file2); count["Secret"] != 4 {
		t.Errorf("the backup has %v", count)
	}

	admin.must(t, split...)
	copied()
	admin.fails(t, 1, []string{"there is no terminal to confirm it on", "add --yes"}, "split", "--finish", "--from", from)
	file3 := backupFile(t)
	r = admin.must(t, "split", "--finish", "--from", from, "--yes", "--wait=false", "--backup", file3)
	copied()
	if left := w.tillerRecords(t, from); !maps.Equal(left, map[string]string{"ConfigMap rest.v1": before["ConfigMap rest.v1"]}) || w.replicas(t, from) != 1 {
		t.Errorf("the old Tiller has %q and %d replicas", slices.Collect(maps.Keys(left)), w.replicas(t, from))
	}
	if count := kept(t, file3); count["ConfigMap"] != 4 || !strings.Contains(r.Stderr, "It runs for what stays: rest") ||
		!strings.Contains(r.Stderr, "helm tenant init ops --home-namespace="+from+" --adopt --namespaces="+nobody.a) {
		t.Errorf("the backup has %v: %v", count, r)
	}
	admin.fails(t, 1, []string{"no split is under way there", "helm tenant split -f tenants.yaml --from=" + from}, "split", "--finish", "--from", from, "--yes")
	if r := admin.must(t, "apply", "-f", file); !strings.Contains(r.Stdout, "2 tenants unchanged") {
		t.Errorf("apply finds %v", r)
	}
}

// TestSplitOfForgedRecords: what does not match the cluster, or is another tenant's, is
// listed, needs its risk by name, and can be left.
func TestSplitOfForgedRecords(t *testing.T) {
	t.Parallel()
	w, one, two := start(t), newTeam(), newTeam()
	admin := w.admin(t)
	w.namespace(t, one.a, two.a)
	from := w.sharedTiller(t, records.Release{Name: "good", Namespace: one.a, Revision: 1, Status: "DEPLOYED"})
	for _, r := range []records.Release{
		{Name: "thief", Namespace: one.a, Revision: 1, Status: "DEPLOYED", Manifest: "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: good}\ndata: {greeting: evil}\n"},
		{Name: "reach", Namespace: one.a, Revision: 1, Status: "DEPLOYED", Manifest: "apiVersion: v1\nkind: Secret\nmetadata: {name: x, namespace: " + two.a + "}\n---\napiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: view}\n"},
	} {
		_, err := w.root.CoreV1().ConfigMaps(from).Create(t.Context(), records.ConfigMap(r), metav1.CreateOptions{})
		must(t, err)
	}
	file := tenantsFile(t, fmt.Sprintf("- name: %s\n  namespaces: [%s]\n- name: %s\n  namespaces: [%s]\n  members: {users: [%s-member]}\n", one.name, one.a, two.name, two.a, two.name))
	split := []string{"split", "-f", file, "--from", from, "--wait=false", "--backup", backupFile(t)}
	admin.fails(t, 1, []string{"Secret x in namespace " + two.a + " of release reach", "ClusterRole view of release reach", "add --accept-risk=cluster-objects"}, split...)
	admin.fails(t, 1, []string{"release thief: ConfigMap good in namespace " + one.a + " has another data.greeting", "release thief: ConfigMap good in namespace " + one.a + " is held by release good, too", "add --accept-risk=unmatched-records"},
		append(split, "--accept-risk=cluster-objects")...)
	admin.must(t, append(split, "--leave", "thief,reach")...)
	if got := slices.Collect(maps.Keys(w.tillerRecords(t, one.home))); !slices.Equal(got, []string{"Secret good.v1"}) {
		t.Errorf("the tenant got %q", got)
	}
	// A member reaches neither the copies, nor the originals, nor another tenant's Tiller.
	member := w.acting(t, two.name+"-member")
	if _, err := member.CoreV1().ConfigMaps(two.home).Get(t.Context(), "helm-tenant", metav1.GetOptions{}); err != nil {
		t.Errorf("the member can't read the tenant's record: %v", err)
	}
	if _, err := member.CoreV1().Secrets(one.home).Get(t.Context(), "good.v1", metav1.GetOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("reading a copy: %v", err)
	}
	if _, err := member.CoreV1().Pods(one.home).List(t.Context(), metav1.ListOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("looking for another tenant's Tiller: %v", err)
	}
	if _, err := member.CoreV1().ConfigMaps(from).Get(t.Context(), "good.v1", metav1.GetOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("reading an original: %v", err)
	}
	forged := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "helm-tenant-split"}}
	if _, err := member.CoreV1().ConfigMaps(from).Update(t.Context(), forged, metav1.UpdateOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("writing the state of the split: %v", err)
	}
}

// TestSplitNarrow: --finish --narrow makes the old Tiller a tenant of the namespaces of what
// stays: its account is no admin of the cluster any more.
func TestSplitNarrow(t *testing.T) {
	t.Parallel()
	w, one, nobody, ops := start(t), newTeam(), newTeam(), newTeam()
	admin := w.admin(t)
	w.namespace(t, one.a, nobody.a)
	from := w.sharedTiller(t, records.Release{Name: "web", Namespace: one.a, Revision: 1, Status: "DEPLOYED"}, records.Release{Name: "rest", Namespace: nobody.a, Revision: 1, Status: "DEPLOYED"})
	file := tenantsFile(t, fmt.Sprintf("- name: %s\n  namespaces: [%s]\n", one.name, one.a))
	admin.must(t, "split", "-f", file, "--from", from, "--wait=false", "--backup", backupFile(t))
	r := admin.must(t, "split", "--finish", "--narrow", ops.name, "--from", from, "--dry-run")
	if !strings.Contains(r.Stdout, "would be created: RoleBinding helm-tenant."+ops.name+".admin in namespace "+nobody.a) {
		t.Errorf("the dry run says %v", r)
	}
	r = admin.must(t, "split", "--finish", "--narrow", ops.name, "--from", from, "--yes", "--wait=false", "--backup", backupFile(t))
	if !strings.Contains(r.Stderr, "It is tenant "+ops.name+" now") {
		t.Errorf("it says %v", r)
	}
	if left := slices.Collect(maps.Keys(w.tillerRecords(t, from))); !slices.Equal(left, []string{"ConfigMap rest.v1"}) || w.replicas(t, from) != 1 {
		t.Errorf("the old Tiller has %q", left)
	}
	if _, err := w.root.RbacV1().ClusterRoleBindings().Get(t.Context(), "tiller-"+from, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("its account is still an admin of the cluster: %v", err)
	}
	var described struct {
		Namespaces    []string
		HomeNamespace string
	}
	must(t, json.Unmarshal([]byte(admin.must(t, "describe", ops.name, "-o", "json").Stdout), &described))
	if !slices.Equal(described.Namespaces, []string{nobody.a}) || described.HomeNamespace != from {
		t.Errorf("the tenant is %+v", described)
	}
}
