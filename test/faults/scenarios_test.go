package faults

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"
)

// one is a tenant of two namespaces and two members.
const one = `
- name: NAME
  namespaces: [NAME-a, NAME-b]
  members: {users: [alice, bob]}
`

var scenarios = []*scenario{
	{
		name: "init of the first tenant", prefix: "ka", about: []string{"NAME"}, policy: true,
		args: "init NAME --namespaces NAME-a,NAME-b --create-namespaces --user alice --user bob --group devs --service-account NAME-a:ci --wait=false",
	},
	{
		name: "init of another tenant", prefix: "kb", about: []string{"NAME"}, every: true,
		args: "init NAME --namespaces NAME-a,NAME-b --create-namespaces --user alice --wait=false",
	},
	{
		name: "init to a narrower role, with a namespace more and one less", prefix: "kc", about: []string{"NAME"}, tenants: one,
		args: "init NAME --namespaces NAME-b,NAME-c --prune --create-namespaces --role edit --user carol --wait=false",
	},
	{
		name: "init to a wider role", prefix: "kd", about: []string{"NAME"}, tenants: one + "  role: view\n",
		args: "init NAME --role admin --group devs --wait=false",
	},
	{
		name: "init to a role that is neither wider nor narrower", prefix: "ke", about: []string{"NAME"}, tenants: one + "  role: " + roleOne + "\n", loses: true,
		args: "init NAME --namespaces NAME-b,NAME-c --prune --create-namespaces --role " + roleTwo + " --user carol --wait=false",
	},
	{
		name: "apply of the policy", prefix: "kf", about: []string{"NAME"}, tenants: one, policy: true,
		args: "apply -f -", input: "apiVersion: helm-tenant/v1\ntenants:" + one,
	},
	{
		name: "apply of three tenants", prefix: "kg", about: []string{"NAMEx", "NAMEy", "NAMEz"},
		tenants: `
- name: NAMEx
  namespaces: [NAMEx-a, NAMEx-b]
  members: {users: [alice, bob]}
- name: NAMEz
  namespaces: [NAMEz-a]
  members: {users: [carol]}
`,
		args: "apply -f - --create-namespaces",
		input: `
apiVersion: helm-tenant/v1
tenants:
- name: NAMEx
  namespaces: [NAMEx-b]
  role: edit
  members: {users: [bob]}
- name: NAMEy
  namespaces: [NAMEy-a]
  members: {users: [alice], groups: [devs]}
- name: NAMEz
  namespaces: [NAMEz-a]
  members: {users: [carol]}
`,
	},
	{
		name: "grant", prefix: "kh", about: []string{"NAME"}, tenants: one,
		args: "grant NAME --user carol --group devs --service-account NAME-a:ci",
	},
	{
		name: "revoke", prefix: "ki", about: []string{"NAME"}, tenants: one,
		args: "revoke NAME --user alice --user bob",
	},
	{
		name: "grant for a time", prefix: "kx", about: []string{"NAME"}, tenants: one, renews: true,
		args: "grant NAME --user carol --group devs --for 1000h --reason INC-12",
	},
	{
		name: "revoke of what is over", prefix: "ky", about: []string{"NAME"},
		tenants: one, prepare: overSince,
		args: "revoke NAME --expired",
	},
	{
		name: "revoke of what is over in all tenants", prefix: "lq", about: []string{"NAMEx", "NAMEy", "NAMEz"}, alone: true,
		tenants: `
- name: NAMEx
  namespaces: [NAMEx-a]
  members: {users: [alice, bob]}
- name: NAMEy
  namespaces: [NAMEy-a]
  members: {users: [bob, carol]}
- name: NAMEz
  namespaces: [NAMEz-a]
  members: {users: [bob]}
`,
		// Nobody's time is over in the third.
		prepare: func(ctx context.Context, w *world, name string) error {
			return errors.Join(overSince(ctx, w, name+"x"), overSince(ctx, w, name+"y"))
		},
		args: "revoke --expired --all",
	},
	{
		name: "grant of the first reader", prefix: "kz", about: []string{"NAME"}, tenants: one + "  engine: both\n", prepare: withSecretsRole,
		args: "grant NAME --reader --user pam --group support --accept-risk=reads-secrets",
	},
	{
		name: "revoke of a member and reader", prefix: "la", about: []string{"NAME"}, tenants: one + "  engine: both\n", prepare: alsoReading,
		args: "revoke NAME --user bob",
	},
	{
		name: "freeze of the first tenant", prefix: "lb", about: []string{"NAME"}, tenants: one, policy: true,
		args: "freeze NAME --reason INC-12",
	},
	{
		name: "freeze", prefix: "lc", about: []string{"NAME"}, tenants: one + "  engine: both\n", prepare: withFreezing, every: true,
		args: "freeze NAME --reason INC-12",
	},
	{
		name: "freeze for another reason", prefix: "ld", about: []string{"NAME"}, tenants: one, prepare: frozen,
		args: "freeze NAME --reason INC-13",
	},
	{
		name: "thaw", prefix: "le", about: []string{"NAME"}, tenants: one, prepare: frozen, every: true,
		args: "thaw NAME",
	},
	{
		name: "grant of the first owner", prefix: "lo", about: []string{"NAME"}, tenants: one, prepare: withOwnersPolicy,
		args: "grant NAME --owner --user dana --group leads",
	},
	{
		name: "revoke of a member and owner", prefix: "lp", about: []string{"NAME"}, tenants: one, prepare: alsoOwning,
		args: "revoke NAME --user bob",
	},
	{
		name: "init for Helm 3", prefix: "km", about: []string{"NAME"},
		args: "init NAME --namespaces NAME-a,NAME-b --create-namespaces --user alice --group devs --engine impersonation --home-namespace NAME-tiller",
	},
	{
		name: "init of a second engine", prefix: "kn", about: []string{"NAME"}, tenants: one,
		args: "init NAME --engine both --wait=false",
	},
	{
		name: "init without the Tiller that it had", prefix: "ko", about: []string{"NAME"}, tenants: one + "  engine: both\n",
		args: "init NAME --engine impersonation",
	},
	{
		name: "init without the second engine again", prefix: "kq", about: []string{"NAME"}, tenants: one + "  engine: both\n",
		args: "init NAME --engine tiller --wait=false",
	},
	{
		name: "destroy for Helm 3", prefix: "kr", about: []string{"NAME"}, tenants: one + "  engine: impersonation\n  homeNamespace: NAME-tiller\n",
		args: "destroy NAME --yes",
	},
	{
		name: "destroy", prefix: "kj", about: []string{"NAME"}, tenants: one, prepare: addReleases, first: backedUp,
		args: "destroy NAME --keep-releases --yes",
	},
	{
		name: "destroy with namespaces", prefix: "kk", about: []string{"NAME"}, tenants: one, prepare: addReleases, first: backedUp,
		args: "destroy NAME --keep-releases --delete-namespaces --yes --backup backup.yaml",
	},
	{
		name: "destroy in a home that others use, too", prefix: "kl", about: []string{"NAME"}, tenants: one,
		prepare: func(ctx context.Context, w *world, name string) error {
			theirs := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "theirs"}}
			if _, err := w.root.CoreV1().ConfigMaps(name+"-tiller").Create(ctx, theirs, metav1.CreateOptions{}); err != nil {
				return err
			}
			return addReleases(ctx, w, name)
		},
		first: backedUp,
		args:  "destroy NAME --keep-releases --yes",
	},
	{
		name: "destroy with releases", prefix: "ks", about: []string{"NAME"}, tenants: one + "  engine: impersonation\n  homeNamespace: NAME-tiller\n",
		prepare: installed, first: helmBackedUp,
		args: "destroy NAME --delete-releases --yes",
	},
	{
		name: "apply that prunes", prefix: "kt", about: []string{"NAME"}, alone: true,
		tenants: "\n- name: NAME\n  namespaces: [NAME-a]\n  members: {users: [alice]}\n",
		args:    "apply -f - --prune --yes",
	},
	{
		name: "adoption of the account of a Tiller", prefix: "ku", about: []string{"NAME"},
		prepare: func(ctx context.Context, w *world, name string) error { return handMade(ctx, w, name, "tiller") },
		args:    adopt,
	},
	{
		name: "adoption of the account of a Helm 3", prefix: "kv", about: []string{"NAME"},
		prepare: func(ctx context.Context, w *world, name string) error { return handMade(ctx, w, name, "helm") },
		args:    adopt + " --engine impersonation",
	},
	{
		name: "adoption of a Tiller", prefix: "kw", about: []string{"NAME"}, prepare: handMadeTiller,
		args: adopt,
	},
}

const adopt = "init NAME --namespaces NAME-a,NAME-b --create-namespaces --user alice --home-namespace NAME-tiller --adopt --wait=false"

// withSecretsRole makes the ClusterRole that all tenants with readers share, so that each
// run makes the same writes.
func withSecretsRole(ctx context.Context, w *world, _ string) error {
	role := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "helm-tenant-reads-secrets", Labels: map[string]string{"app.kubernetes.io/managed-by": "helm-tenant"}},
		Rules: []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"secrets"}, Verbs: []string{"get", "list"}}}}
	_, err := w.root.RbacV1().ClusterRoles().Create(ctx, role, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	return err
}

// alsoReading makes a member a reader as well.
func alsoReading(ctx context.Context, w *world, name string) error {
	if err := w.must(w.run(w.direct, w.folder(), "", "grant", name, "--reader", "--user", "pam", "--accept-risk=reads-secrets")); err != nil {
		return err
	}
	patch := `{"subjects":[{"kind":"User","apiGroup":"rbac.authorization.k8s.io","name":"bob"}]}`
	_, err := w.root.RbacV1().RoleBindings(name+"-tiller").Patch(ctx, "helm-tenant-reader", types.MergePatchType, []byte(patch), metav1.PatchOptions{})
	return err
}

// alsoOwning makes a member an owner as well.
func alsoOwning(_ context.Context, w *world, name string) error {
	return w.must(w.run(w.direct, w.folder(), "", "grant", name, "--owner", "--user", "bob"))
}

// withOwnersPolicy makes the admission policy that all tenants with owners share, so that
// each run makes the same writes, and leaves the tenant without owners.
func withOwnersPolicy(ctx context.Context, w *world, name string) error {
	if err := alsoOwning(ctx, w, name); err != nil {
		return err
	}
	rbac := w.root.RbacV1()
	if err := rbac.RoleBindings(name+"-tiller").Delete(ctx, "helm-tenant-owner", metav1.DeleteOptions{}); err != nil {
		return err
	}
	return rbac.Roles(name+"-tiller").Delete(ctx, "helm-tenant-owner", metav1.DeleteOptions{})
}

// overSince makes the grant of one of a tenant's members an expired one.
func overSince(ctx context.Context, w *world, name string) error {
	patch := `{"metadata":{"annotations":{"helm-tenant/temporary":"[{\"user\":\"bob\",\"until\":\"2020-01-31T12:00:00Z\"}]"}}}`
	_, err := w.root.RbacV1().RoleBindings(name+"-tiller").Patch(ctx, "helm-tenant-member", types.MergePatchType, []byte(patch), metav1.PatchOptions{})
	return err
}

// handMade makes a home namespace with an account in it that is an admin of the
// cluster, as guides of Helm 2's days had it.
func handMade(ctx context.Context, w *world, name, account string) error {
	home := name + "-tiller"
	if err := w.makeNamespace(home); err != nil {
		return err
	}
	if _, err := w.root.CoreV1().ServiceAccounts(home).Create(ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: account}}, metav1.CreateOptions{}); err != nil {
		return err
	}
	_, err := w.root.RbacV1().ClusterRoleBindings().Create(ctx, &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: name + "-by-hand"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cluster-admin"},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: home, Name: account}},
	}, metav1.CreateOptions{})
	return err
}

// handMadeTiller also creates the objects of helm init there.
func handMadeTiller(ctx context.Context, w *world, name string) error {
	if err := handMade(ctx, w, name, "tiller"); err != nil {
		return err
	}
	labels := map[string]string{"app": "helm", "name": "tiller"}
	meta := metav1.ObjectMeta{Name: "tiller-deploy", Namespace: name + "-tiller", Labels: labels}
	deployment := &appsv1.Deployment{ObjectMeta: meta, Spec: appsv1.DeploymentSpec{
		Selector: &metav1.LabelSelector{MatchLabels: labels},
		Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: corev1.PodSpec{
			ServiceAccountName: "tiller",
			Containers: []corev1.Container{{Name: "tiller", Image: "registry.example.com/tiller:v2.16.12",
				Env: []corev1.EnvVar{{Name: "TILLER_NAMESPACE", Value: meta.Namespace}, {Name: "TILLER_HISTORY_MAX", Value: "0"}}}},
		}},
	}}
	if _, err := w.root.AppsV1().Deployments(meta.Namespace).Create(ctx, deployment, metav1.CreateOptions{}); err != nil {
		return err
	}
	service := &corev1.Service{ObjectMeta: meta, Spec: corev1.ServiceSpec{Selector: labels, Ports: []corev1.ServicePort{{Name: "tiller", Port: 44134}}}}
	_, err := w.root.CoreV1().Services(meta.Namespace).Create(ctx, service, metav1.CreateOptions{})
	return err
}

// installed creates a Helm 3 release and its objects in each of a tenant's namespaces.
func installed(ctx context.Context, w *world, name string) error {
	for _, ns := range []string{name + "-a", name + "-b"} {
		configMap := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "web"}}
		if _, err := w.root.CoreV1().ConfigMaps(ns).Create(ctx, configMap, metav1.CreateOptions{}); err != nil {
			return err
		}
		text, err := json.Marshal(map[string]any{
			"name": "web", "namespace": ns, "version": 1, "manifest": "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: web\n",
			"info":  map[string]any{"status": "deployed"},
			"chart": map[string]any{"metadata": map[string]any{"name": "web", "version": "1.0.0", "apiVersion": "v2"}},
		})
		if err != nil {
			return err
		}
		record := &corev1.Secret{Type: "helm.sh/release.v1",
			ObjectMeta: metav1.ObjectMeta{Name: "sh.helm.release.v1.web.v1", Labels: map[string]string{"name": "web", "owner": "helm", "status": "deployed", "version": "1"}},
			Data:       map[string][]byte{"release": packed(text)}}
		if _, err := w.root.CoreV1().Secrets(ns).Create(ctx, record, metav1.CreateOptions{}); err != nil {
			return err
		}
	}
	return nil
}

// onlyBackup returns the records in the one backup file of a folder.
func onlyBackup(folder string) ([]corev1.Secret, error) {
	files, err := filepath.Glob(filepath.Join(folder, "*.yaml"))
	if err != nil || len(files) != 1 {
		return nil, fmt.Errorf("before the first write there should be one backup, not %q", files)
	}
	text, err := os.ReadFile(files[0])
	if err != nil {
		return nil, err
	}
	var backup corev1.SecretList
	if err := yaml.UnmarshalStrict(text, &backup); err != nil {
		return nil, fmt.Errorf("the backup can't be read: %w\n%s", err, text)
	}
	return backup.Items, nil
}

// helmBackedUp checks that a folder has a backup file that holds these releases.
func helmBackedUp(_ context.Context, _ *world, name, folder string) error {
	records, err := onlyBackup(folder)
	if err != nil {
		return err
	}
	var names []string
	for _, record := range records {
		names = append(names, record.Namespace)
	}
	slices.Sort(names)
	if !slices.Equal(names, []string{name + "-a", name + "-b"}) {
		return fmt.Errorf("the backup has records of namespaces %q", names)
	}
	return nil
}

// addReleases puts two release records into a tenant's home, as Helm 2.17's
// Tiller writes them (k8s.io/helm/pkg/storage/driver, secrets.go).
func addReleases(ctx context.Context, w *world, name string) error {
	for i, release := range []string{"web", "db"} {
		record := &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Name: release + ".v1", Labels: map[string]string{
				"NAME": release, "OWNER": "TILLER", "STATUS": "DEPLOYED", "VERSION": "1", "CREATED_AT": fmt.Sprint(1600000000 + i)}},
			Data: map[string][]byte{"release": encoded(release, "apps")},
		}
		if _, err := w.root.CoreV1().Secrets(name+"-tiller").Create(ctx, record, metav1.CreateOptions{}); err != nil {
			return err
		}
	}
	return nil
}

// encoded returns a release with a name, a version and a namespace: base64 of gzip of
// the protobuf (k8s.io/helm/_proto/hapi/release/release.proto: fields 1, 7, 8).
func encoded(release, namespace string) []byte {
	var message bytes.Buffer
	text := func(field byte, value string) {
		message.Write([]byte{field<<3 | 2, byte(len(value))})
		message.WriteString(value)
	}
	text(1, release)
	message.Write([]byte{7 << 3, 1})
	text(8, namespace)
	return packed(message.Bytes())
}

// packed is how a helm stores a release.
func packed(plain []byte) []byte {
	var zipped bytes.Buffer
	zip := gzip.NewWriter(&zipped)
	_, _ = zip.Write(plain) // into memory
	_ = zip.Close()
	return []byte(base64.StdEncoding.EncodeToString(zipped.Bytes()))
}

// backedUp checks that a folder has a backup file that holds every release record
// of the tenant.
func backedUp(ctx context.Context, w *world, name, folder string) error {
	backup, err := onlyBackup(folder)
	if err != nil {
		return err
	}
	saved := map[string]corev1.Secret{}
	for _, record := range backup {
		saved[record.Name] = record
	}
	records, err := w.root.CoreV1().Secrets(name+"-tiller").List(ctx, metav1.ListOptions{LabelSelector: "OWNER=TILLER"})
	if err != nil {
		return err
	}
	if len(records.Items) != 2 || len(saved) != 2 {
		return fmt.Errorf("%d records, and %d in the backup", len(records.Items), len(saved))
	}
	for _, record := range records.Items {
		current := saved[record.Name]
		if !bytes.Equal(current.Data["release"], record.Data["release"]) || current.Labels["NAME"] != record.Labels["NAME"] || current.Namespace != record.Namespace {
			return fmt.Errorf("the backup of %s is not what is stored", record.Name)
		}
	}
	return nil
}
