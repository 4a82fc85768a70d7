package apitest

import (
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// account returns a client that acts as a service account.
func (w *world) account(t *testing.T, namespace, name string) *kubernetes.Clientset {
	t.Helper()
	config := w.RootConfig(t)
	config.Impersonate = rest.ImpersonationConfig{
		UserName: "system:serviceaccount:" + namespace + ":" + name,
		Groups:   []string{"system:serviceaccounts", "system:serviceaccounts:" + namespace, "system:authenticated"},
	}
	return kubernetes.NewForConfigOrDie(config)
}

// releaseSecret returns a record as Helm 2.17 stores it
// (k8s.io/helm/pkg/storage/driver/secrets.go, newSecretsObject).
func releaseSecret(name string) *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: releaseLabels(name)},
		Data:       map[string][]byte{"release": []byte("H4sIAAAAAAAC")},
	}
}

func releaseConfigMap(name string) *corev1.ConfigMap {
	return &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: releaseLabels(name)},
		Data:       map[string]string{"release": "H4sIAAAAAAAC"},
	}
}

func releaseLabels(name string) map[string]string {
	release, version, _ := strings.Cut(name, ".v")
	return map[string]string{"NAME": release, "OWNER": "TILLER", "STATUS": "DEPLOYED", "VERSION": version, "CREATED_AT": "1600000000"}
}

// asPolicy checks that it was our policy that refused.
func asPolicy(err error) error {
	switch {
	case err == nil:
		return fmt.Errorf("it is allowed")
	case !strings.Contains(err.Error(), "ValidatingAdmissionPolicy 'helm-tenant-records'"):
		return fmt.Errorf("it is refused by something else: %w", err)
	}
	return nil
}

// TestTheAdmissionPolicy acts as a tenant's Tiller to which somebody granted every right in its
// home namespace by mistake: only the policy can refuse then.
func TestTheAdmissionPolicy(t *testing.T) {
	t.Parallel()
	for _, storage := range []string{"secret", "configmap"} {
		t.Run(storage, func(t *testing.T) {
			w, team := start(t), newTeam()
			w.makeTenant(t, team, "--storage", storage)
			tiller := w.account(t, team.home, "tiller")
			secrets, configMaps := tiller.CoreV1().Secrets(team.home), tiller.CoreV1().ConfigMaps(team.home)
			ctx := t.Context()

			// Tiller's normal work, with its normal rights.
			record := func(name string) error {
				if storage == "secret" {
					_, err := secrets.Create(ctx, releaseSecret(name), metav1.CreateOptions{})
					return err
				}
				_, err := configMaps.Create(ctx, releaseConfigMap(name), metav1.CreateOptions{})
				return err
			}
			eventually(t, "Tiller's first record", func() error {
				err := record("web.v1")
				if apierrors.IsAlreadyExists(err) {
					return nil
				}
				return err
			})
			must(t, record("web.v2"))
			must(t, record("my-release.with.dots.v12"))
			must(t, record(strings.Repeat("r", 53)+".v100"))
			if storage == "secret" {
				second := releaseSecret("web.v1")
				second.Labels["STATUS"], second.Labels["MODIFIED_AT"] = "SUPERSEDED", "1600000001"
				second.Data["release"] = []byte("H4sIAAAAAAAD")
				_, err := secrets.Update(ctx, second, metav1.UpdateOptions{})
				must(t, err)
				must(t, secrets.Delete(ctx, "web.v1", metav1.DeleteOptions{}))
			} else {
				second := releaseConfigMap("web.v1")
				second.Labels["STATUS"], second.Labels["MODIFIED_AT"] = "SUPERSEDED", "1600000001"
				_, err := configMaps.Update(ctx, second, metav1.UpdateOptions{})
				must(t, err)
				must(t, configMaps.Delete(ctx, "web.v1", metav1.DeleteOptions{}))
			}

			w.role(t, team.home, "everything", rule("*", "*", "*"))
			w.bind(t, team.home, "everything", "Role", "everything", rbacv1.Subject{Kind: "ServiceAccount", Namespace: team.home, Name: "tiller"})
			w.authorized(t, "system:serviceaccount:"+team.home+":tiller", access("create", "", "pods", "", team.home))
			eventually(t, "the policy", func() error {
				_, err := tiller.CoreV1().Secrets(team.home).Create(ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "first"}}, metav1.CreateOptions{})
				return asPolicy(err)
			})
			// What it changes and deletes must be there.
			_, err := w.root.CoreV1().Secrets(team.home).Create(ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "theirs"}}, metav1.CreateOptions{})
			must(t, err)
			must(t, record("theirs.v1"))

			secret := func(name string, change func(*corev1.Secret)) error {
				s := releaseSecret(name)
				if change != nil {
					change(s)
				}
				_, err := secrets.Create(ctx, s, metav1.CreateOptions{})
				return err
			}
			configMap := func(name string, change func(*corev1.ConfigMap)) error {
				c := releaseConfigMap(name)
				if change != nil {
					change(c)
				}
				_, err := configMaps.Create(ctx, c, metav1.CreateOptions{})
				return err
			}
			patchRecord := func(patch string) error {
				var err error
				if storage == "secret" {
					_, err = secrets.Patch(ctx, "theirs.v1", types.MergePatchType, []byte(patch), metav1.PatchOptions{})
				} else {
					_, err = configMaps.Patch(ctx, "theirs.v1", types.MergePatchType, []byte(patch), metav1.PatchOptions{})
				}
				return err
			}
			for what, try := range map[string]func() error{
				"a token of its own": func() error {
					return secret("token", func(s *corev1.Secret) {
						s.Type, s.Data, s.Labels = corev1.SecretTypeServiceAccountToken, nil, nil
						s.Annotations = map[string]string{corev1.ServiceAccountNameKey: "tiller"}
					})
				},
				"a token that looks like a record": func() error {
					return secret("token.v1", func(s *corev1.Secret) {
						s.Type = corev1.SecretTypeServiceAccountToken
						s.Annotations = map[string]string{corev1.ServiceAccountNameKey: "tiller"}
					})
				},
				"a Secret of another type": func() error {
					return secret("pull.v1", func(s *corev1.Secret) { s.Type = "example.com/other" })
				},
				"a Secret without labels":     func() error { return secret("bare.v1", func(s *corev1.Secret) { s.Labels = nil }) },
				"a Secret of another owner":   func() error { return secret("other.v1", func(s *corev1.Secret) { s.Labels["OWNER"] = "tiller" }) },
				"a Secret that is no version": func() error { return secret("web", nil) },
				"a version that is no number": func() error { return secret("web.v1x", nil) },
				"a name that is only version": func() error { return secret("v1", nil) },
				"a name that the server makes": func() error {
					return secret("", func(s *corev1.Secret) { s.GenerateName = "web.v" })
				},
				"one more key": func() error { return secret("keys.v1", func(s *corev1.Secret) { s.Data["token"] = []byte("x") }) },
				"one more key as text": func() error {
					return secret("text.v1", func(s *corev1.Secret) { s.StringData = map[string]string{"token": "x"} })
				},
				"no data": func() error { return secret("empty.v1", func(s *corev1.Secret) { s.Data = nil }) },
				"a finalizer": func() error {
					return secret("stays.v1", func(s *corev1.Secret) { s.Finalizers = []string{"example.com/stay"} })
				},
				"an owner": func() error {
					return secret("owned.v1", func(s *corev1.Secret) {
						s.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "ConfigMap", Name: "helm-tenant", UID: "1"}}
					})
				},
				"a ConfigMap":             func() error { return configMap("settings", func(c *corev1.ConfigMap) { c.Labels = nil }) },
				"a ConfigMap of more":     func() error { return configMap("more.v1", func(c *corev1.ConfigMap) { c.Data["more"] = "x" }) },
				"deleting another Secret": func() error { return secrets.Delete(ctx, "theirs", metav1.DeleteOptions{}) },
				"changing another Secret": func() error {
					_, err := secrets.Update(ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "theirs"}, Data: map[string][]byte{"a": []byte("b")}}, metav1.UpdateOptions{})
					return err
				},
				"making another Secret a record": func() error {
					_, err := secrets.Patch(ctx, "theirs", types.MergePatchType, []byte(`{"metadata":{"labels":{"OWNER":"TILLER"}}}`), metav1.PatchOptions{})
					return err
				},
				"deleting the tenant's record": func() error { return configMaps.Delete(ctx, "helm-tenant", metav1.DeleteOptions{}) },
				"changing the tenant's record": func() error {
					_, err := configMaps.Patch(ctx, "helm-tenant", types.MergePatchType, []byte(`{"data":{"tenant.yaml":"name: x"}}`), metav1.PatchOptions{})
					return err
				},
				"replacing the tenant's record": func() error {
					c := releaseConfigMap("helm-tenant")
					_, err := configMaps.Update(ctx, c, metav1.UpdateOptions{})
					return err
				},
				"deleting all ConfigMaps": func() error {
					return configMaps.DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{FieldSelector: "metadata.name=helm-tenant"})
				},
				"taking a record's label away": func() error { return patchRecord(`{"metadata":{"labels":{"OWNER":null}}}`) },
				"taking all labels away":       func() error { return patchRecord(`{"metadata":{"labels":null}}`) },
				"a finalizer put on a record":  func() error { return patchRecord(`{"metadata":{"finalizers":["example.com/stay"]}}`) },
				"a pod": func() error {
					_, err := tiller.CoreV1().Pods(team.home).Create(ctx, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "x"},
						Spec: w.tiller(t, team).Spec.Template.Spec}, metav1.CreateOptions{})
					return err
				},
				"a service account": func() error {
					_, err := tiller.CoreV1().ServiceAccounts(team.home).Create(ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "x"}}, metav1.CreateOptions{})
					return err
				},
				"a binding": func() error {
					_, err := tiller.RbacV1().RoleBindings(team.home).Create(ctx, &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "x"},
						RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "everything"}}, metav1.CreateOptions{})
					return err
				},
				"deleting its own Deployment": func() error {
					return tiller.AppsV1().Deployments(team.home).Delete(ctx, "tiller-deploy", metav1.DeleteOptions{})
				},
				"scaling its own Deployment": func() error {
					_, err := tiller.AppsV1().Deployments(team.home).Patch(ctx, "tiller-deploy", types.MergePatchType, []byte(`{"spec":{"replicas":5}}`), metav1.PatchOptions{}, "scale")
					return err
				},
				"deleting the NetworkPolicy": func() error {
					return tiller.NetworkingV1().NetworkPolicies(team.home).Delete(ctx, "helm-tenant", metav1.DeleteOptions{})
				},
			} {
				if err := asPolicy(try()); err != nil {
					t.Errorf("%s: %v", what, err)
				}
			}
		})
	}
}

func TestAdmissionPolicyForOthers(t *testing.T) {
	t.Parallel()
	w, team, other := start(t), newTeam(), newTeam()
	w.makeTenant(t, team)
	w.makeTenant(t, other)
	ctx := t.Context()
	everything := func(namespace, account string) *kubernetes.Clientset {
		w.bind(t, namespace, "everything-"+account, "ClusterRole", "cluster-admin", rbacv1.Subject{Kind: "ServiceAccount", Namespace: namespace, Name: account})
		return w.account(t, namespace, account)
	}
	// The policy is at work.
	tiller := everything(team.home, "tiller")
	eventually(t, "the policy", func() error {
		_, err := tiller.CoreV1().Secrets(team.home).Create(ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "first"}}, metav1.CreateOptions{})
		return asPolicy(err)
	})
	for what, c := range map[string]struct {
		client    *kubernetes.Clientset
		namespace string
	}{
		"an admin in a home namespace":                          {w.root, team.home},
		"another account of the home namespace":                 {everything(team.home, "backup"), team.home},
		"an account called tiller in a namespace that is none":  {everything(team.a, "tiller"), team.a},
		"the tenant's Tiller in one of the tenant's namespaces": {w.account(t, team.home, "tiller"), team.b},
	} {
		eventually(t, what, func() error {
			s, err := c.client.CoreV1().Secrets(c.namespace).Create(ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{GenerateName: "any-"}}, metav1.CreateOptions{})
			if err != nil {
				return err
			}
			if _, err := c.client.CoreV1().ConfigMaps(c.namespace).Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{GenerateName: "any-"}}, metav1.CreateOptions{}); err != nil {
				return err
			}
			return c.client.CoreV1().Secrets(c.namespace).Delete(ctx, s.Name, metav1.DeleteOptions{})
		})
	}
	// The other Tiller is refused by RBAC already.
	_, err := w.account(t, other.home, "tiller").CoreV1().Secrets(team.home).Create(ctx, releaseSecret("web.v1"), metav1.CreateOptions{})
	if !apierrors.IsForbidden(err) || asPolicy(err) == nil {
		t.Errorf("another tenant's Tiller writes a record here: %v", err)
	}
}
