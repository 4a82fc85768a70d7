package apitest

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

func TestAllNamespaces(t *testing.T) {
	t.Parallel()
	w, team := start(t), newTeam()
	team.home = "kube-system"
	t.Cleanup(func() { w.forget(t, team.name, "kube-system") })
	admin := w.admin(t)
	before := w.versions(t, team)
	command := []string{"init", team.name, "--home-namespace", "kube-system", "--all-namespaces", "--wait=false"}
	admin.fails(t, 1, []string{"all namespaces", "--accept-risk=cluster-wide", team.name}, command...)
	for _, other := range []string{"shared-home", "system-namespace", "everyone", "open-records"} {
		admin.fails(t, 1, []string{"--accept-risk=cluster-wide"}, append(slices.Clone(command), "--accept-risk="+other)...)
	}
	admin.wroteNothing(t)
	same(t, "objects after the refusal", before, w.versions(t, team))

	admin.must(t, append(slices.Clone(command), "--accept-risk=cluster-wide", "--user", "operator")...)
	same(t, "writes", lines(`
		update namespaces kube-system
		create configmaps kube-system/helm-tenant
		create serviceaccounts kube-system/tiller
		create roles kube-system/helm-tenant-records
		create roles kube-system/helm-tenant-member
		create rolebindings kube-system/helm-tenant-records
		create rolebindings kube-system/helm-tenant-member
		create networkpolicies kube-system/helm-tenant
		create clusterrolebindings helm-tenant.`+team.name+`.cluster-admin
		create deployments kube-system/tiller-deploy
	`), writes(admin.requests(t)))
	// The neighbours notice nothing.
	ns, err := w.root.CoreV1().Namespaces().Get(t.Context(), "kube-system", metav1.GetOptions{})
	must(t, err)
	same(t, "labels of kube-system", map[string]string{"kubernetes.io/metadata.name": "kube-system", "helm-tenant/tenant": team.name}, ns.Labels)
	policy, err := w.root.NetworkingV1().NetworkPolicies("kube-system").Get(t.Context(), "helm-tenant", metav1.GetOptions{})
	must(t, err)
	same(t, "pods that the NetworkPolicy selects", map[string]string{"app": "helm", "name": "tiller"}, policy.Spec.PodSelector.MatchLabels)
	after := w.versions(t, team)
	for key, version := range before {
		if key != "namespaces /kube-system" && after[key] != version {
			t.Errorf("%s changed from %s to %q", key, version, after[key])
		}
	}
	binding, err := w.root.RbacV1().ClusterRoleBindings().Get(t.Context(), "helm-tenant."+team.name+".cluster-admin", metav1.GetOptions{})
	must(t, err)
	same(t, "what is bound in the cluster", fmt.Sprint("cluster-admin", []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: "kube-system", Name: "tiller"}}),
		fmt.Sprint(binding.RoleRef.Name, binding.Subjects))

	second := w.admin(t)
	second.must(t, append(slices.Clone(command), "--accept-risk=cluster-wide")...)
	second.wroteNothing(t)
	// No other tenant can have a Tiller there.
	other := newTeam()
	second.fails(t, 1, []string{"kube-system", team.name, "--home-namespace"},
		"init", other.name, "--namespaces", other.a, "--create-namespaces", "--home-namespace", "kube-system", "--accept-risk=shared-home", "--wait=false")
	second.wroteNothing(t)
}

func TestSystemNamespace(t *testing.T) {
	t.Parallel()
	w, team := start(t), newTeam()
	admin := w.admin(t)
	for _, ns := range []string{"kube-system", "kube-public", "kube-node-lease"} {
		admin.fails(t, 1, []string{ns, "--accept-risk=system-namespace"}, "init", team.name, "--namespaces", team.a+","+ns, "--create-namespaces", "--wait=false", "--accept-risk=cluster-wide")
	}
	admin.wroteNothing(t)
	admin.must(t, "init", team.name, "--namespaces", team.a+",kube-node-lease", "--create-namespaces", "--accept-risk=system-namespace", "--wait=false")
	w.bound(t, "kube-node-lease", team, "admin")
	w.forget(t, team.name, "kube-node-lease")
}

// forget removes a tenant from a namespace that outlives the test, so that the
// test can run again.
func (w *world) forget(t *testing.T, tenant, namespace string) {
	ctx := context.Background() // the test's own context has ended at cleanup
	for _, resource := range own {
		if resource.Resource == "services" {
			continue // has no deletecollection, and there is none
		}
		err := w.dynamic.Resource(resource).Namespace(namespace).DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{LabelSelector: "helm-tenant/tenant=" + tenant})
		if err != nil {
			t.Error(err)
		}
	}
	_, err := w.root.CoreV1().Namespaces().Patch(ctx, namespace, types.MergePatchType, []byte(`{"metadata":{"labels":{"helm-tenant/tenant":null},"annotations":null}}`), metav1.PatchOptions{})
	if err != nil {
		t.Error(err)
	}
}

func TestSharedHome(t *testing.T) {
	t.Parallel()
	w := start(t)
	for _, c := range []struct {
		name string
		make func(t *testing.T, ns string)
	}{
		{"Secret", func(t *testing.T, ns string) {
			_, err := w.root.CoreV1().Secrets(ns).Create(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "theirs"}}, metav1.CreateOptions{})
			must(t, err)
		}},
		{"Service", func(t *testing.T, ns string) {
			_, err := w.root.CoreV1().Services(ns).Create(t.Context(), &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "theirs"},
				Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 80}}}}, metav1.CreateOptions{})
			must(t, err)
		}},
		{"Pod", func(t *testing.T, ns string) {
			eventually(t, "a pod", func() error { // as soon as its service account exists
				_, err := w.root.CoreV1().Pods(ns).Create(t.Context(), &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "theirs"},
					Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "x", Image: "example.com/x"}}}}, metav1.CreateOptions{})
				return err
			})
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			team := newTeam()
			w.namespace(t, team.home)
			c.make(t, team.home)
			admin := w.admin(t)
			command := initArgs(team, "--home-namespace", team.home)
			admin.fails(t, 1, []string{team.home, "other things", "--accept-risk=shared-home"}, command...)
			admin.fails(t, 1, []string{"--accept-risk=shared-home"}, append(slices.Clone(command), "--adopt", "--accept-risk=everyone", "--accept-risk=cluster-wide")...)
			admin.wroteNothing(t)
			admin.must(t, append(command, "--accept-risk=shared-home")...)
			ns, err := w.root.CoreV1().Namespaces().Get(t.Context(), team.home, metav1.GetOptions{})
			must(t, err)
			for label := range ns.Labels {
				if strings.HasPrefix(label, "pod-security") {
					t.Errorf("the shared namespace is labelled %s", label)
				}
			}
			policy, err := w.root.NetworkingV1().NetworkPolicies(team.home).Get(t.Context(), "helm-tenant", metav1.GetOptions{})
			must(t, err)
			same(t, "pods that the NetworkPolicy selects", map[string]string{"app": "helm", "name": "tiller"}, policy.Spec.PodSelector.MatchLabels)
		})
	}
}

func TestConfigMapStorage(t *testing.T) {
	t.Parallel()
	w, team := start(t), newTeam()
	admin := w.admin(t)
	admin.must(t, initArgs(team, "--storage", "configmap")...)
	role, err := w.root.RbacV1().Roles(team.home).Get(t.Context(), "helm-tenant-records", metav1.GetOptions{})
	must(t, err)
	same(t, "what Tiller may do at home", []rbacv1.PolicyRule{rule("", "configmaps", "get", "list", "create", "update", "delete")}, role.Rules)
	deployment, err := w.root.AppsV1().Deployments(team.home).Get(t.Context(), "tiller-deploy", metav1.GetOptions{})
	must(t, err)
	if args := deployment.Spec.Template.Spec.Containers[0].Command; !slices.Contains(args, "--storage=configmap") {
		t.Errorf("Tiller is started as %q", args)
	}
	// Tiller would not find its releases again.
	admin.requests(t)
	admin.fails(t, 1, []string{team.name, "configmaps"}, initArgs(team, "--storage", "secret")...)
	admin.wroteNothing(t)
	admin.must(t, initArgs(team)...)
	admin.wroteNothing(t)
}

// TestServerWithoutAdmissionPolicies simulates Kubernetes before 1.30, which answers a request
// for the kind as for any unknown kind.
func TestServerWithoutAdmissionPolicies(t *testing.T) {
	t.Parallel()
	w, team := start(t), newTeam()
	admin := w.admin(t)
	old := admin.through(t, func(_ http.ResponseWriter, r *http.Request) bool {
		r.URL.Path = strings.Replace(r.URL.Path, "/validatingadmissionpolic", "/nosuchpolic", 1)
		return false
	})
	old.fails(t, 1, []string{"ConfigMap", "--accept-risk=open-records"}, initArgs(team, "--storage", "configmap")...)
	admin.wroteNothing(t)
	r := old.must(t, initArgs(team)...)
	if !strings.Contains(r.Stderr, "no ValidatingAdmissionPolicy") {
		t.Errorf("it does not say what is missing: %v", r)
	}
	same(t, "what it wrote", made(team.name, team.home, team.a, team.b), writes(admin.requests(t)))
	second := newTeam()
	old.must(t, initArgs(second, "--storage", "configmap", "--accept-risk=open-records")...)
}
