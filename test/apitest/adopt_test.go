package apitest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"helm-tenant/test/harness"
)

// TestForeignObjects puts an object of somebody else's where one of the tenant's
// goes.
func TestForeignObjects(t *testing.T) {
	t.Parallel()
	w, reference, inConfigMaps := start(t), newTeam(), newTeam()
	w.admin(t).must(t, initArgs(reference)...)
	w.admin(t).must(t, initArgs(inConfigMaps, "--storage", "configmap")...)
	for _, c := range []struct {
		name string
		make func(t *testing.T, made team) (refusal string)
	}{
		{"home namespace", func(_ *testing.T, made team) string {
			return "Namespace " + made.home
		}},
		{"service account", func(t *testing.T, made team) string {
			_, err := w.root.CoreV1().ServiceAccounts(made.home).Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "tiller"}}, metav1.CreateOptions{})
			must(t, err)
			return "ServiceAccount tiller in namespace " + made.home
		}},
		{"Tiller of helm init", func(t *testing.T, made team) string {
			deployment, service := w.helmInit(t, made.home)
			_, err := w.root.AppsV1().Deployments(made.home).Create(t.Context(), deployment, metav1.CreateOptions{})
			must(t, err)
			_, err = w.root.CoreV1().Services(made.home).Create(t.Context(), service, metav1.CreateOptions{})
			must(t, err)
			// As every guide of those days has it.
			w.bind(t, "", "tiller-"+made.name, "ClusterRole", "cluster-admin", rbacv1.Subject{Kind: "ServiceAccount", Namespace: made.home, Name: "tiller"})
			return "Deployment tiller-deploy in namespace " + made.home
		}},
		{"binding to another role", func(t *testing.T, made team) string {
			w.namespace(t, made.a)
			w.bind(t, made.a, "helm-tenant."+made.name+".admin", "ClusterRole", "view", rbacv1.Subject{Kind: "User", APIGroup: rbacv1.GroupName, Name: "somebody"})
			return "RoleBinding helm-tenant." + made.name + ".admin in namespace " + made.a
		}},
		{"record role and binding", func(t *testing.T, made team) string {
			w.role(t, made.home, "helm-tenant-records", rule("*", "*", "*"))
			w.bind(t, made.home, "helm-tenant-records", "Role", "helm-tenant-records", rbacv1.Subject{Kind: "User", APIGroup: rbacv1.GroupName, Name: "somebody"})
			return "Role helm-tenant-records in namespace " + made.home
		}},
		{"network policy", func(t *testing.T, made team) string {
			_, err := w.root.NetworkingV1().NetworkPolicies(made.home).Create(t.Context(), &networkingv1.NetworkPolicy{
				ObjectMeta: metav1.ObjectMeta{Name: "helm-tenant"},
				Spec:       networkingv1.NetworkPolicySpec{Ingress: []networkingv1.NetworkPolicyIngressRule{{}}},
			}, metav1.CreateOptions{})
			must(t, err)
			return "NetworkPolicy helm-tenant in namespace " + made.home
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			team := newTeam()
			w.namespace(t, team.home)
			refusal := c.make(t, team)
			before := w.versions(t, team)
			admin := w.admin(t)
			// A home namespace that the admin names may exist already; its content still needs
			// --adopt.
			if c.name != "home namespace" {
				admin.fails(t, 1, []string{refusal, "not made by helm-tenant", "--adopt", team.name}, initArgs(team, "--home-namespace", team.home)...)
			}
			admin.fails(t, 1, []string{"Namespace " + team.home, "not made by helm-tenant", "--adopt", "--home-namespace"}, initArgs(team)...)
			admin.wroteNothing(t)
			same(t, "objects after the refusal", before, w.versions(t, team))

			admin.must(t, initArgs(team, "--adopt")...)
			want, got := w.dump(t, reference), w.dump(t, team)
			if c.name == "Tiller of helm init" {
				want = w.dump(t, inConfigMaps) // where its releases already are
			}
			// The namespace existed before, which is recorded: helm-tenant must not delete it.
			key := "Namespace /TEAM-tiller"
			if label := `"app.kubernetes.io/managed-by"`; strings.Contains(got[key], label) {
				t.Errorf("the home namespace, which was there, is labelled as made by helm-tenant:\n%s", got[key])
			}
			got[key] = want[key]
			if _, err := w.root.CoreV1().Namespaces().Get(t.Context(), team.a, metav1.GetOptions{}); err == nil {
				got["Namespace /TEAM-a"] = want["Namespace /TEAM-a"]
			}
			same(t, "the tenant", want, got)
			if _, err := w.root.RbacV1().ClusterRoleBindings().Get(t.Context(), "tiller-"+team.name, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
				t.Errorf("the Tiller that was taken over is still an admin of the cluster (%v)", err)
			}
			after := w.admin(t)
			after.must(t, initArgs(team)...)
			after.wroteNothing(t)
		})
	}
}

// TestAdoptTillerMadeByHand: the storage of its releases is found however it is started. A
// Tiller that is started with another storage finds none of them.
func TestAdoptTillerMadeByHand(t *testing.T) {
	t.Parallel()
	w := start(t)
	for _, c := range []struct {
		name    string
		start   func(*corev1.Container)
		storage string
	}{
		{"a shell", func(c *corev1.Container) {
			c.Command, c.Args = []string{"sh", "-c", "exec /tiller --storage=secret --listen=localhost:44134"}, nil
		}, "secret"},
		{"a shell with two words", func(c *corev1.Container) {
			c.Command, c.Args = []string{"/bin/sh", "-c"}, []string{"cd /tmp && exec /tiller --storage 'secret'"}
		}, "secret"},
		{"arguments of the image's own command", func(c *corev1.Container) { c.Command, c.Args = nil, []string{"--storage", "secret"} }, "secret"},
		{"a shell, Tiller's own default", func(c *corev1.Container) { c.Command, c.Args = []string{"sh", "-c", "exec /tiller"}, nil }, "configmap"},
		{"a database", func(c *corev1.Container) {
			c.Command, c.Args = []string{"sh", "-c", "exec /tiller --storage=sql --sql-connection-string=$DSN"}, nil
		}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			team := newTeam()
			w.namespace(t, team.home)
			deployment, _ := w.helmInit(t, team.home)
			c.start(&deployment.Spec.Template.Spec.Containers[0])
			// A neighbour in its pod is not it.
			deployment.Spec.Template.Spec.Containers = append([]corev1.Container{{Name: "proxy", Image: "example.com/proxy:1", Args: []string{"--storage=memory"}}}, deployment.Spec.Template.Spec.Containers...)
			_, err := w.root.AppsV1().Deployments(team.home).Create(t.Context(), deployment, metav1.CreateOptions{})
			must(t, err)
			admin := w.admin(t)
			if c.storage == "" {
				admin.fails(t, 1, []string{team.home, `"sql"`, "secret or configmap"}, initArgs(team, "--adopt")...)
				admin.wroteNothing(t)
				return
			}
			other := map[string]string{"secret": "configmap", "configmap": "secret"}[c.storage]
			admin.fails(t, 1, []string{team.home, c.storage + "s", "say --storage=" + c.storage}, initArgs(team, "--adopt", "--storage", other)...)
			admin.wroteNothing(t)
			admin.fails(t, 1, []string{"proxy of Deployment tiller-deploy", "--accept-risk=other-containers"}, initArgs(team, "--adopt")...)
			admin.wroteNothing(t)
			admin.must(t, initArgs(team, "--adopt", "--accept-risk=other-containers")...)
			deployment, err = w.root.AppsV1().Deployments(team.home).Get(t.Context(), "tiller-deploy", metav1.GetOptions{})
			must(t, err)
			if len(deployment.Spec.Template.Spec.Containers) != 1 || !slices.Contains(deployment.Spec.Template.Spec.Containers[0].Command, "--storage="+c.storage) {
				t.Errorf("Tiller is started as %+v", deployment.Spec.Template.Spec.Containers)
			}
			role, err := w.root.RbacV1().Roles(team.home).Get(t.Context(), "helm-tenant-records", metav1.GetOptions{})
			must(t, err)
			same(t, "what Tiller may do at home", []rbacv1.PolicyRule{rule("", c.storage+"s", "get", "list", "create", "update", "delete")}, role.Rules)
		})
	}
}

var must = harness.Must

// TestAdoptKeepsTillersSettings: settings that a tenant's Tiller can have are kept, and the
// others are reported. A tenants file must list all settings that are to stay.
func TestAdoptKeepsTillersSettings(t *testing.T) {
	t.Parallel()
	w := start(t)
	hand := func(t *testing.T) team {
		team := newTeam()
		w.namespace(t, team.home)
		d, _ := w.helmInit(t, team.home)
		pod := &d.Spec.Template.Spec
		d.Spec.Replicas = new(int32)
		*d.Spec.Replicas = 2
		pod.NodeSelector = map[string]string{"pool": "system"}
		pod.ImagePullSecrets = []corev1.LocalObjectReference{{Name: "registry"}}
		pod.Tolerations = []corev1.Toleration{{Key: "system", Operator: corev1.TolerationOpExists}}
		c := &pod.Containers[0]
		c.Image = "registry.example.com/tiller:v2.16.12"
		c.Resources.Requests = corev1.ResourceList{"memory": resource.MustParse("512Mi")}
		c.Env = []corev1.EnvVar{{Name: "TILLER_NAMESPACE", Value: team.home}, {Name: "TILLER_HISTORY_MAX", Value: "7"}, {Name: "TILLER_TLS_ENABLE", Value: "1"}, {Name: "HTTPS_PROXY", Value: "proxy"}}
		_, err := w.root.AppsV1().Deployments(team.home).Create(t.Context(), d, metav1.CreateOptions{})
		must(t, err)
		return team
	}
	says := func(t *testing.T, r harness.Result, words ...string) {
		t.Helper()
		for _, word := range words {
			if !strings.Contains(r.Stderr+r.Stdout, word) {
				t.Errorf("%q is not said: %v", word, r)
			}
		}
	}
	settings := func(t *testing.T, made team) string {
		d := w.tiller(t, made)
		pod := d.Spec.Template.Spec
		c := pod.Containers[0]
		return fmt.Sprint(c.Image, " ", *d.Spec.Replicas, " ", pod.NodeSelector, " ", pod.ImagePullSecrets, " ", c.Resources.Requests.Memory(), " ", c.Resources.Limits.Memory(), " ", c.Env[1].Value)
	}
	lost := []string{"Tiller no longer uses TLS", "loses settings that a tenant's Tiller can't have: environment variable HTTPS_PROXY, environment variable TILLER_TLS_ENABLE, tolerations"}
	t.Run("init", func(t *testing.T) {
		team := hand(t)
		admin := w.admin(t)
		command := initArgs(team, "--adopt", "--storage", "configmap", "--replicas", "3")
		says(t, admin.must(t, append(slices.Clone(command), "--dry-run")...), lost...)
		r := admin.must(t, command...)
		says(t, r, append(lost, "Tiller's replicas: 2 becomes 3")...)
		if n := strings.Count(r.Stderr, "becomes"); n != 1 {
			t.Errorf("more is said to change than was asked for: %v", r)
		}
		want := "registry.example.com/tiller:v2.16.12 3 map[pool:system] [{registry}] 512Mi 512Mi 7"
		same(t, "Tiller's settings", want, settings(t, team))
		second := w.admin(t)
		second.must(t, "init", team.name, "--wait=false")
		second.wroteNothing(t)
		same(t, "Tiller's settings", want, settings(t, team))
	})
	t.Run("apply", func(t *testing.T) {
		team := hand(t)
		admin := w.admin(t)
		file := filepath.Join(t.TempDir(), "tenants.yaml")
		text := "apiVersion: helm-tenant/v1\ntenants:\n- name: " + team.name + "\n  namespaces: [" + team.a + "]\n  homeNamespace: " + team.home + "\n  tiller: {storage: configmap, historyMax: 7}\n"
		must(t, os.WriteFile(file, []byte(text), 0o600))
		command := []string{"apply", "-f", file, "--create-namespaces", "--adopt"}
		changes := append(slices.Clone(lost), "Tiller's image: registry.example.com/tiller:v2.16.12 becomes ghcr.io/helm/tiller:v2.17.0", "Tiller's replicas: 2 becomes 1",
			"Tiller's resources: [requests.memory:512Mi] becomes none", "Tiller's node-selector: [pool:system] becomes none", "Tiller's image-pull-secret: [registry] becomes none")
		says(t, admin.must(t, append(slices.Clone(command), "--dry-run")...), changes...)
		r := admin.must(t, command...)
		says(t, r, changes...)
		if strings.Contains(r.Stderr, "history-max") {
			t.Errorf("what stays is said to change: %v", r)
		}
		same(t, "Tiller's settings", "ghcr.io/helm/tiller:v2.17.0 1 map[] [] 64Mi 256Mi 7", settings(t, team))
	})
}

// TestAdoptTakesForeignRights: the rights of an account made by hand are removed, in whatever
// state the account is and whatever an interrupted run left. Without --adopt they are reported.
func TestAdoptTakesForeignRights(t *testing.T) {
	t.Parallel()
	w := start(t)
	for _, c := range []struct {
		name, engine, account string
		make                  bool // the account exists
		labelled              bool // the account was adopted before
	}{
		{"no account yet", "tiller", "tiller", false, false},
		{"account tiller and no Deployment", "tiller", "tiller", true, false},
		{"account tiller, killed", "tiller", "tiller", true, true},
		{"account helm", "impersonation", "helm", true, false},
		{"account helm, killed", "impersonation", "helm", true, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			team := newTeam()
			if c.make {
				w.namespace(t, team.home)
				account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: c.account}}
				if c.labelled {
					account.Labels = map[string]string{"helm-tenant/tenant": team.name, "app.kubernetes.io/managed-by": "helm-tenant"}
					w.patch(t, "namespaces", "", team.home, fmt.Sprintf(`{"metadata":{"labels":{"helm-tenant/tenant":%q}}}`, team.name))
				}
				_, err := w.root.CoreV1().ServiceAccounts(team.home).Create(t.Context(), account, metav1.CreateOptions{})
				must(t, err)
			}
			subject := rbacv1.Subject{Kind: "ServiceAccount", Namespace: team.home, Name: c.account}
			somebody := rbacv1.Subject{Kind: "User", APIGroup: rbacv1.GroupName, Name: "somebody"}
			w.bind(t, "", "hand-"+team.name, "ClusterRole", "cluster-admin", subject)
			w.bind(t, "", "hand-"+team.name+"-too", "ClusterRole", "view", somebody, rbacv1.Subject{Kind: "User", APIGroup: rbacv1.GroupName, Name: "system:serviceaccount:" + team.home + ":" + c.account})

			admin := w.admin(t)
			command := initArgs(team, "--engine", c.engine, "--home-namespace", team.home)
			if !c.make {
				r := admin.must(t, command...)
				for _, word := range []string{"Note: service account " + c.account, team.home, "--adopt", "ClusterRoleBinding hand-" + team.name + " -> ClusterRole cluster-admin", "ClusterRoleBinding hand-" + team.name + "-too"} {
					if !strings.Contains(r.Stderr, word) {
						t.Errorf("%q is not said: %v", word, r)
					}
				}
			}
			r := admin.must(t, append(command, "--adopt")...)
			for _, word := range []string{
				"taken from service account " + c.account + ": ClusterRoleBinding hand-" + team.name + " -> ClusterRole cluster-admin",
				"taken from service account " + c.account + ", and left to its 1 other subject: ClusterRoleBinding hand-" + team.name + "-too",
			} {
				if !strings.Contains(r.Stderr, word) {
					t.Errorf("%q is not said: %v", word, r)
				}
			}
			if _, err := w.root.RbacV1().ClusterRoleBindings().Get(t.Context(), "hand-"+team.name, metav1.GetOptions{}); !apierrors.IsNotFound(err) {
				t.Errorf("the account is still an admin of the cluster (%v)", err)
			}
			left, err := w.root.RbacV1().ClusterRoleBindings().Get(t.Context(), "hand-"+team.name+"-too", metav1.GetOptions{})
			must(t, err)
			same(t, "subjects of a binding that others have, too", []rbacv1.Subject{somebody}, left.Subjects)
			second := w.admin(t)
			r = second.must(t, append(command, "--adopt")...)
			second.wroteNothing(t)
			if strings.Contains(r.Stderr, "Note:") {
				t.Errorf("there is nothing left to tell: %v", r)
			}
		})
	}
}

// TestWhatIsAnotherTenants is never taken over.
func TestObjectsOfOtherTenants(t *testing.T) {
	t.Parallel()
	w, team := start(t), newTeam()
	w.namespace(t, team.home)
	_, err := w.root.CoreV1().ServiceAccounts(team.home).Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{
		Name: "tiller", Labels: map[string]string{"helm-tenant/tenant": "others"}}}, metav1.CreateOptions{})
	must(t, err)
	admin := w.admin(t)
	for _, flags := range [][]string{{"--home-namespace", team.home}, {"--adopt"}, {"--adopt", "--share"}} {
		words := []string{team.home}
		if !slices.Contains(flags, "--home-namespace") {
			words = []string{"ServiceAccount tiller in namespace " + team.home, `belongs to tenant "others"`}
		}
		admin.fails(t, 1, words, initArgs(team, flags...)...)
	}
	admin.wroteNothing(t)
}

// helmInit is what `helm init` of Helm 2.17 makes.
func (w *world) helmInit(t *testing.T, namespace string) (*appsv1.Deployment, *corev1.Service) {
	t.Helper()
	cmd := exec.Command(w.helm, "init", "-o", "yaml", "--service-account", "tiller", "--tiller-namespace", namespace, "--history-max", "20")
	cmd.Env = []string{"HOME=" + filepath.Join(dir, "home")}
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("helm init: %v", err)
	}
	deployment, service := &appsv1.Deployment{}, &corev1.Service{}
	for _, text := range strings.Split(strings.TrimSuffix(strings.TrimSpace(string(out)), "..."), "---\n") {
		var into any = deployment
		if strings.Contains(text, "kind: Service\n") {
			into = service
		}
		if err := yaml.UnmarshalStrict([]byte(text), into); err != nil {
			t.Fatalf("helm init: %v\n%s", err, out)
		}
	}
	if deployment.Name != "tiller-deploy" || service.Name != "tiller-deploy" {
		t.Fatalf("helm init makes other objects than it did:\n%s", out)
	}
	return deployment, service
}

// TestForgedRecord: somebody who may write in a namespace put a forged record there, to
// mislead the verbs of admins.
func TestForgedRecord(t *testing.T) {
	t.Parallel()
	w, made := start(t), newTeam()
	admin := w.makeTenant(t, made, "--user", "alice")
	w.namespace(t, made.c)
	forged := metav1.ObjectMeta{Name: "helm-tenant", Labels: map[string]string{"helm-tenant/tenant": made.name, "app.kubernetes.io/managed-by": "helm-tenant"}}
	_, err := w.root.CoreV1().ConfigMaps(made.c).Create(t.Context(), &corev1.ConfigMap{ObjectMeta: forged,
		Data: map[string]string{"tenant.yaml": "name: " + made.name + "\nnamespaces: [kube-system]\nhomeNamespace: " + made.c + "\nrole: admin\nengine: tiller\n"}}, metav1.CreateOptions{})
	must(t, err)
	before := w.versions(t, team{home: made.c, a: made.a, b: made.b})

	admin.must(t, "grant", made.name, "--user", "bob")
	admin.must(t, "revoke", made.name, "--user", "alice")
	same(t, "members", []string{"User bob"}, w.members(t, made))
	admin.must(t, "init", made.name, "--wait=false")
	same(t, "writes", []string{"update rolebindings " + made.home + "/helm-tenant-member", "update rolebindings " + made.home + "/helm-tenant-member"}, writes(admin.requests(t)))
	same(t, "the other namespaces", before, w.versions(t, team{home: made.c, a: made.a, b: made.b}))
}
