package apitest

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"helm-tenant/test/records"
)

// tokenOf makes a token of a service account, and a client that has it.
func (w *world) tokenOf(t *testing.T, namespace, account string) *kubernetes.Clientset {
	t.Helper()
	created, err := w.root.CoreV1().ServiceAccounts(namespace).CreateToken(t.Context(), account, &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	must(t, err)
	config := w.RootConfig(t)
	config = rest.AnonymousClientConfig(config)
	config.BearerToken = created.Status.Token
	return kubernetes.NewForConfigOrDie(config)
}

// TestSquattedHome: before the tenant is made, somebody else creates a namespace that looks
// like its home, with an account of which they have a token.
func TestSquattedHome(t *testing.T) {
	t.Parallel()
	w, made := start(t), newTeam()
	ctx, admin, home := t.Context(), w.admin(t), made.name+"-helm"
	admin.env = append(admin.env, "HELM_BIN="+w.Bin("helm3"))
	w.namespace(t, made.a)
	labels := map[string]string{"helm-tenant/tenant": made.name, "app.kubernetes.io/managed-by": "helm-tenant"}
	meta := func(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Name: name, Labels: labels} }
	inHome := meta(home)
	inHome.Labels = map[string]string{"helm-tenant/tenant": made.name, "helm-tenant/home": "impersonation", "app.kubernetes.io/managed-by": "helm-tenant"}
	_, err := w.root.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: inHome}, metav1.CreateOptions{})
	must(t, err)
	_, err = w.root.CoreV1().ServiceAccounts(home).Create(ctx, &corev1.ServiceAccount{ObjectMeta: meta("helm")}, metav1.CreateOptions{})
	must(t, err)
	_, err = w.root.CoreV1().ConfigMaps(home).Create(ctx, &corev1.ConfigMap{ObjectMeta: meta("helm-tenant"),
		Data: map[string]string{"tenant.yaml": "name: " + made.name + "\nnamespaces: [" + made.a + "]\nengine: impersonation\nrole: cluster-admin\n"}}, metav1.CreateOptions{})
	must(t, err)
	_, err = w.root.RbacV1().RoleBindings(home).Create(ctx, &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "mine"},
		RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "admin"}, Subjects: []rbacv1.Subject{{Kind: "User", APIGroup: rbacv1.GroupName, Name: "mallory"}}}, metav1.CreateOptions{})
	must(t, err)
	// An owner reference is the word of whoever writes it, and hides nothing.
	record, err := w.root.CoreV1().ConfigMaps(home).Get(ctx, "helm-tenant", metav1.GetOptions{})
	must(t, err)
	_, err = w.root.RbacV1().RoleBindings(home).Create(ctx, &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "owned", OwnerReferences: []metav1.OwnerReference{
		{APIVersion: "v1", Kind: "ConfigMap", Name: record.Name, UID: record.UID, Controller: new(true)}}},
		RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "admin"}, Subjects: []rbacv1.Subject{{Kind: "User", APIGroup: rbacv1.GroupName, Name: "mallory"}}}, metav1.CreateOptions{})
	must(t, err)
	stolen := w.tokenOf(t, home, "helm")
	works := func() error {
		_, err := stolen.CoreV1().ConfigMaps(made.a).List(ctx, metav1.ListOptions{})
		return err
	}
	if err := works(); !apierrors.IsForbidden(err) {
		t.Fatalf("before there is a tenant the token gets %v", err)
	}

	before := w.versions(t, team{home: home, a: made.a})
	admin.fails(t, 1, []string{"labelled as the home of tenant", "ServiceAccount helm", "RoleBinding mine", "RoleBinding owned", "--adopt"}, "init", made.name, "--namespaces", made.a)
	same(t, "what is there", before, w.versions(t, team{home: home, a: made.a}))

	r := admin.must(t, "init", made.name, "--namespaces", made.a, "--adopt")
	warned, wrote := strings.Index(r.Stderr, "RoleBinding mine"), strings.Index(r.Stderr, "replaced")
	if warned < 0 || wrote < warned {
		t.Errorf("what is in it is not named before it writes: %v", r)
	}
	if !strings.Contains(r.Stderr, "replaced ServiceAccount helm") {
		t.Errorf("the account is not made anew: %v", r)
	}
	eventually(t, "the stranger's token is refused", func() error {
		if err := works(); !apierrors.IsUnauthorized(err) {
			return fmt.Errorf("it gets %v", err)
		}
		return nil
	})
	fresh := w.tokenOf(t, home, "helm")
	if _, err := fresh.CoreV1().ConfigMaps(made.a).List(ctx, metav1.ListOptions{}); err != nil {
		t.Errorf("the tenant's own account gets %v", err)
	}
	binding, err := w.root.RbacV1().RoleBindings(made.a).List(ctx, metav1.ListOptions{LabelSelector: "helm-tenant/tenant=" + made.name})
	must(t, err)
	if len(binding.Items) != 1 || binding.Items[0].RoleRef.Name != "admin" {
		t.Errorf("the stranger's role is bound: %v", binding.Items)
	}
	if r := admin.must(t, "init", made.name, "--namespaces", made.a); strings.Contains(r.Stderr, "replaced") {
		t.Errorf("the same again makes it anew: %v", r)
	}
}

// TestSquattedTenant: somebody else creates the home, and a namespace with the annotation that
// only admins should write; their record names the admin's namespace, too. The admin gets a
// warning before the tenant gets anything.
func TestSquattedTenant(t *testing.T) {
	t.Parallel()
	w, team := start(t), newTeam()
	ctx, admin, home, theirs := t.Context(), w.admin(t), team.name+"-helm", team.name+"-theirs"
	admin.env = append(admin.env, "HELM_BIN="+w.Bin("helm3"))
	w.namespace(t, team.a)
	labels := map[string]string{"helm-tenant/tenant": team.name, "app.kubernetes.io/managed-by": "helm-tenant"}
	for _, meta := range []metav1.ObjectMeta{
		{Name: home, Labels: map[string]string{"helm-tenant/tenant": team.name, "helm-tenant/home": "impersonation", "app.kubernetes.io/managed-by": "helm-tenant"}},
		{Name: theirs, Labels: labels, Annotations: map[string]string{"helm-tenant/home-namespace": home}},
	} {
		_, err := w.root.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: meta}, metav1.CreateOptions{})
		must(t, err)
	}
	_, err := w.root.CoreV1().ServiceAccounts(home).Create(ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "helm", Labels: labels}}, metav1.CreateOptions{})
	must(t, err)
	_, err = w.root.CoreV1().ConfigMaps(home).Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "helm-tenant", Labels: labels},
		Data: map[string]string{"tenant.yaml": "name: " + team.name + "\nnamespaces: [" + theirs + ", " + team.a + "]\nengine: impersonation\nrole: admin\n"}}, metav1.CreateOptions{})
	must(t, err)
	stolen := w.tokenOf(t, home, "helm")
	file := filepath.Join(t.TempDir(), "tenants.yaml")
	must(t, os.WriteFile(file, []byte("apiVersion: helm-tenant/v1\ntenants:\n- {name: "+team.name+", namespaces: ["+team.a+"], engine: impersonation}\n"), 0o600))
	for _, args := range [][]string{{"init", team.name, "--namespaces", team.a, "--dry-run"}, {"apply", "-f", file, "--dry-run"}} {
		r := admin.must(t, args...)
		if !strings.Contains(r.Stderr+r.Stdout, "already exists, with the home namespace") || !strings.Contains(r.Stderr+r.Stdout, theirs) {
			t.Errorf("the tenant is not named: %v", r)
		}
	}
	if _, err := stolen.CoreV1().ConfigMaps(team.a).List(ctx, metav1.ListOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("the stranger's token gets %v", err)
	}
	r := admin.must(t, "init", team.name, "--namespaces", team.a)
	warned, wrote := strings.Index(r.Stderr, "already exists, with the home namespace"), strings.Index(r.Stderr, "updated")
	if warned < 0 || wrote < warned {
		t.Errorf("the tenant is not named before it gets the namespace: %v", r)
	}
}

// TestTwoHomes: both conventional homes have a record of the tenant, one a stranger's.
func TestTwoHomes(t *testing.T) {
	t.Parallel()
	w, team := start(t), newTeam()
	alice := w.newUser(t, "alice")
	w.makeTenant(t, team, "--user", alice.name)
	squatted := team.name + "-helm"
	w.namespace(t, squatted)
	_, err := w.root.CoreV1().ConfigMaps(squatted).Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "helm-tenant"},
		Data: map[string]string{"tenant.yaml": "name: " + team.name + "\nnamespaces: [theirs]\nengine: impersonation\n"}}, metav1.CreateOptions{})
	must(t, err)
	w.allow(t, alice, squatted, rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"configmaps"}, Verbs: []string{"get"}})
	for _, helm := range []string{"helm2", "helm3"} {
		alice.env = []string{"HELM_BIN=" + w.Bin(helm)}
		alice.fails(t, 1, []string{squatted, team.home, "theirs", team.a, "--home-namespace"}, "use", team.name)
		// A namespace that is named spares no asking.
		for _, args := range [][]string{{"list"}, {"install", "x", "y", "--namespace", team.a}, {"get", "manifest", "x", "--namespace", team.a}} {
			if helm == "helm2" && args[0] == "get" {
				args = args[:3]
			}
			alice.fails(t, 1, []string{squatted, team.home, "theirs", team.a, "--home-namespace"}, append([]string{"--tenant", team.name}, args...)...)
			alice.env = append(alice.env, "HELM_TENANT="+team.name)
			alice.fails(t, 1, []string{squatted, team.home, "--home-namespace"}, args...)
			alice.env = alice.env[:1]
		}
	}
	alice.env = nil
	alice.must(t, "use", team.name, "--home-namespace", team.home)
}

// TestSquattedConvention: a tenant has an unconventional home, and somebody else has a
// namespace with the conventional name and a record that a member can read.
func TestSquattedConvention(t *testing.T) {
	t.Parallel()
	w, team := start(t), newTeam()
	alice := w.newUser(t, "alice")
	home := team.name + "-house"
	admin := w.admin(t)
	admin.must(t, "init", team.name, "--namespaces", team.a, "--create-namespaces", "--home-namespace", home, "--wait=false")
	r := admin.must(t, "grant", team.name, "--user", alice.name)
	w.authorized(t, alice.name, access("get", "", "configmaps", "", home, "helm-tenant"))
	handed := "helm tenant use " + team.name + " --home-namespace=" + home
	if !strings.Contains(r.Stderr, handed) {
		t.Errorf("the command to hand over is not printed: %v", r)
	}
	squatted := team.name + "-tiller"
	w.namespace(t, squatted)
	_, err := w.root.CoreV1().ConfigMaps(squatted).Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "helm-tenant"},
		Data: map[string]string{"tenant.yaml": "name: " + team.name + "\nnamespaces: [" + team.a + "]\n"}}, metav1.CreateOptions{})
	must(t, err)
	w.allow(t, alice, squatted, rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"configmaps"}, Verbs: []string{"get"}})
	alice.env = []string{"HELM_BIN=" + w.Bin("helm2")}
	w.allow(t, alice, team.a, rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"namespaces"}, Verbs: []string{"get"}})
	alice.fails(t, 1, []string{squatted, home, team.a, "--home-namespace=" + home}, "use", team.name)
	alice.must(t, "use", team.name, "--home-namespace", home)
	alice.must(t, "use", team.name) // it is remembered
}

// TestNamespaceMadeAgain: a namespace of the tenant's was deleted, and made again by
// somebody else.
func TestNamespaceMadeAgain(t *testing.T) {
	t.Parallel()
	w, team := start(t), newTeam()
	admin := w.makeTenant(t, team)
	must(t, w.root.CoreV1().Namespaces().Delete(t.Context(), team.b, metav1.DeleteOptions{}))
	eventually(t, "the namespace is gone", func() error {
		_, err := w.root.CoreV1().Namespaces().Get(t.Context(), team.b, metav1.GetOptions{})
		if !apierrors.IsNotFound(err) {
			return fmt.Errorf("it gets %v", err)
		}
		return nil
	})
	w.namespace(t, team.b)
	// The API server's admission may take the new namespace for the old one for a moment.
	eventually(t, "a binding in the new namespace", func() error {
		_, err := w.root.RbacV1().RoleBindings(team.b).Create(t.Context(), &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "theirs"},
			RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "admin"}, Subjects: []rbacv1.Subject{{Kind: "User", APIGroup: rbacv1.GroupName, Name: "mallory"}}}, metav1.CreateOptions{})
		return err
	})
	r := admin.must(t, "init", team.name, "--wait=false")
	if !strings.Contains(r.Stderr, "made again") || !strings.Contains(r.Stderr, "RoleBinding theirs") {
		t.Errorf("the binding is not named: %v", r)
	}
}

// TestNamespaceWithoutItsAnnotation: a tenant's namespace that lost its annotation is no
// second home, whatever a member puts there.
func TestNamespaceWithoutItsAnnotation(t *testing.T) {
	t.Parallel()
	w, team := start(t), newTeam()
	admin := w.makeTenant(t, team, "--user", "alice")
	ns, err := w.root.CoreV1().Namespaces().Get(t.Context(), team.b, metav1.GetOptions{})
	must(t, err)
	ns.Annotations = nil
	_, err = w.root.CoreV1().Namespaces().Update(t.Context(), ns, metav1.UpdateOptions{})
	must(t, err)
	_, err = w.root.CoreV1().ConfigMaps(team.b).Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "helm-tenant", Labels: map[string]string{"helm-tenant/tenant": team.name}},
		Data: map[string]string{"tenant.yaml": "name: " + team.name + "\nnamespaces: [x]\nhomeNamespace: " + team.b + "\n"}}, metav1.CreateOptions{})
	must(t, err)
	admin.must(t, "revoke", team.name, "--user", "alice")
	same(t, "members", []string{}, w.members(t, team))
}

// TestUnreadableRecord: a record of a newer helm-tenant's keeps nobody from revoking, and
// nobody else from being exported.
func TestUnreadableRecord(t *testing.T) {
	t.Parallel()
	w, team, other := start(t), newTeam(), newTeam()
	admin := w.makeTenant(t, team, "--user", "alice", "--user", "bob")
	w.makeTenant(t, other)
	record, err := w.root.CoreV1().ConfigMaps(team.home).Get(t.Context(), "helm-tenant", metav1.GetOptions{})
	must(t, err)
	record.Data["tenant.yaml"] = "namespaces: {a: b}\n"
	_, err = w.root.CoreV1().ConfigMaps(team.home).Update(t.Context(), record, metav1.UpdateOptions{})
	must(t, err)

	r := admin.must(t, "revoke", team.name, "--user", "alice")
	same(t, "members", []string{"User bob"}, w.members(t, team))
	if !strings.Contains(r.Stderr, "can't be read") {
		t.Errorf("the record is not told of: %v", r)
	}
	r = admin.run(t, "export", team.name, other.name)
	if r.Code != 3 || !strings.Contains(r.Stdout, "name: "+other.name) || strings.Contains(r.Stdout, team.name) || !strings.Contains(r.Stderr, team.name) {
		t.Errorf("it exports: %v", r)
	}
	if r := admin.run(t, "export", team.name); r.Code != 1 || r.Stdout != "" {
		t.Errorf("it exports: %v", r)
	}
}

// TestExplodingRecords: records that unpack to a thousand times their size are reported, and do
// not prevent describe and destroy.
func TestExplodingRecords(t *testing.T) {
	t.Parallel()
	w, team := start(t), newTeam()
	admin := w.makeTenant(t, team)
	w.stored(t, team, records.Release{Name: "web", Namespace: team.a, Revision: 1, Status: "DEPLOYED"})
	bomb := records.Secret(records.Release{Name: "bomb", Namespace: team.a, Revision: 1, Status: "DEPLOYED"})
	var zipped bytes.Buffer
	zip := gzip.NewWriter(&zipped)
	for range 64 {
		_, err := zip.Write(bytes.Repeat([]byte{0x1a, 0}, 1<<19))
		must(t, err)
	}
	must(t, zip.Close())
	bomb.Data["release"] = []byte(base64.StdEncoding.EncodeToString(zipped.Bytes()))
	_, err := w.root.CoreV1().Secrets(team.home).Create(t.Context(), bomb, metav1.CreateOptions{})
	must(t, err)
	r := admin.must(t, "describe", team.name)
	if !strings.Contains(r.Stdout, "unpacks to more than") || !strings.Contains(r.Stdout, "hello-0.1.0") {
		t.Errorf("it describes: %v", r)
	}
	r = admin.run(t, "audit", team.name)
	if !strings.Contains(r.Stdout, "bomb.v1") {
		t.Errorf("the audit says: %v", r)
	}
	admin.must(t, "destroy", team.name, "--keep-releases", "--yes", "--wait=false", "--backup", t.TempDir()+"/backup.yaml")
}

// TestPreparedReaders: somebody who may create namespaces prepared the account of readers in the
// home, with the tenant's label or without, and holds a token of it.
func TestPreparedReaders(t *testing.T) {
	t.Parallel()
	w := start(t)
	for _, label := range []string{"", "t"} {
		team := newTeam()
		ctx, admin, home := t.Context(), w.admin(t), team.name+"-helm"
		admin.env = append(admin.env, "HELM_BIN="+w.Bin("helm3"))
		w.namespace(t, team.a)
		w.namespace(t, home)
		meta := metav1.ObjectMeta{Name: "helm-reader"}
		if label != "" {
			meta.Labels = map[string]string{"helm-tenant/tenant": team.name}
		}
		_, err := w.root.CoreV1().ServiceAccounts(home).Create(ctx, &corev1.ServiceAccount{ObjectMeta: meta}, metav1.CreateOptions{})
		must(t, err)
		stranger := w.tokenOf(t, home, "helm-reader")
		file := filepath.Join(t.TempDir(), "tenants.yaml")
		must(t, os.WriteFile(file, []byte("apiVersion: helm-tenant/v1\ntenants:\n- name: "+team.name+"\n  namespaces: ["+team.a+"]\n  engine: impersonation\n  readers: {users: [pam]}\n"), 0o600))
		admin.must(t, "apply", "-f", file, "--adopt", "--accept-risk=reads-secrets,shared-home")
		eventually(t, "the stranger's token is refused", func() error {
			if _, err := stranger.CoreV1().Pods(team.a).List(ctx, metav1.ListOptions{}); !apierrors.IsUnauthorized(err) {
				return fmt.Errorf("with the label %q it gets %v", label, err)
			}
			return nil
		})
	}
}
