package audit

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// unmanaged makes a Tiller that is no tenant's, hardened but for what change
// does to it.
func (p *plant) unmanaged(change func(*appsv1.Deployment)) {
	p.Helper()
	ctx := context.Background()
	ns := p.namespace(nil)
	labels := map[string]string{"app": "helm", "name": "tiller"}
	spec := restricted("default")
	spec.Containers[0].Name, spec.Containers[0].Image = "tiller", "ghcr.io/helm/tiller:v2.17.0"
	spec.Containers[0].Command = []string{"/tiller", "--listen=localhost:44134"}
	d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: "tiller-deploy", Namespace: ns, Labels: labels}, Spec: appsv1.DeploymentSpec{
		Selector: &metav1.LabelSelector{MatchLabels: labels}, Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: spec}}}
	if change != nil {
		change(d)
	}
	must(p.T, create(p.w.root.AppsV1().Deployments(ns).Create(ctx, d, metav1.CreateOptions{})))
	p.later(func() { p.gone(p.w.root.AppsV1().Deployments(ns).Delete(ctx, d.Name, metav1.DeleteOptions{})) })
}

func relabel(d *appsv1.Deployment) {
	other := map[string]string{"x": "y"}
	d.Labels, d.Spec.Selector.MatchLabels, d.Spec.Template.Labels = nil, other, other
}

func container(d *appsv1.Deployment) *corev1.Container { return &d.Spec.Template.Spec.Containers[0] }

// tiller returns a plant that changes alpha's Tiller.
func tiller(change func(*appsv1.Deployment)) func(*plant) {
	return func(p *plant) { p.mutateTiller("alpha-tiller", change) }
}

const (
	tillerOfAlpha   = "Deployment tiller-deploy in namespace alpha-tiller"
	accountOfAlpha  = "service account alpha-tiller:tiller"
	unmanagedTiller = "service account old:default"
)

// planting is a misconfiguration, and the exact findings that an audit must report for it.
type planting struct {
	name  string
	plant func(*plant)
	want  []string // "ID tenants subject"
}

// allPlanted returns all of them.
func allPlanted() []planting {
	return slices.Concat(planted, plantedPeople, plantedCluster, plantedRails, plantedRelatives)
}

// planted are misconfigurations of Tillers, deployers and their pods.
var planted = []planting{
	{"unmanaged Tiller, by its labels", func(p *plant) { p.unmanaged(nil) }, []string{"HT001  " + unmanagedTiller}},
	{"unmanaged Tiller, by its image", func(p *plant) {
		p.unmanaged(func(d *appsv1.Deployment) {
			relabel(d)
			container(d).Name, container(d).Image = "server", "registry.example:5000/team/helm-tiller:v2.17.0"
			container(d).Command, container(d).Args = nil, []string{"--listen=localhost:44134"}
		})
	}, []string{"HT001  " + unmanagedTiller}},
	{"unmanaged Tiller that another program starts, nobody knows how", func(p *plant) {
		p.unmanaged(func(d *appsv1.Deployment) {
			relabel(d)
			container(d).Name, container(d).Image, container(d).Command = "server", "registry.example:5000/team/helm-tiller:v2.17.0", []string{"/bin/start", "--listen=localhost:44134"}
		})
	}, []string{"HT001  " + unmanagedTiller, "HT003  Deployment tiller-deploy in namespace old"}},
	{"unmanaged Tiller, by its command", func(p *plant) {
		p.unmanaged(func(d *appsv1.Deployment) {
			relabel(d)
			container(d).Name, container(d).Image, container(d).Command = "server", "example/tools:1", []string{"sh", "-c", "exec /usr/bin/tiller --listen=localhost:44134"}
		})
	}, []string{"HT001  " + unmanagedTiller}},
	{"unmanaged Tiller, a pod by itself", func(p *plant) {
		ns := p.namespace(nil)
		spec := restricted("default")
		spec.Containers[0].Command = []string{"/tiller", "--listen=127.0.0.1:44134"}
		must(p.T, create(p.w.root.CoreV1().Pods(ns).Create(context.Background(), &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "alone"}, Spec: spec}, metav1.CreateOptions{})))
		p.later(func() {
			p.gone(p.w.root.CoreV1().Pods(ns).Delete(context.Background(), "alone", metav1.DeleteOptions{}))
		})
	}, []string{"HT001  " + unmanagedTiller}},
	{"unmanaged Tiller in a StatefulSet", func(p *plant) {
		ns := p.namespace(nil)
		spec := restricted("default")
		spec.Containers[0].Command = []string{"/tiller", "--listen=127.0.0.1:44134"}
		labels := map[string]string{"is": "set"}
		must(p.T, create(p.w.root.AppsV1().StatefulSets(ns).Create(context.Background(), &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Name: "set"}, Spec: appsv1.StatefulSetSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels}, Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: spec}}}, metav1.CreateOptions{})))
		p.later(func() {
			p.gone(p.w.root.AppsV1().StatefulSets(ns).Delete(context.Background(), "set", metav1.DeleteOptions{}))
		})
	}, []string{"HT001  " + unmanagedTiller}},
	{"unmanaged Tiller that is cluster-admin", func(p *plant) {
		p.unmanaged(nil)
		p.bind("", "tiller", "ClusterRole", "cluster-admin", "account "+p.old+":default")
	}, []string{"HT001  " + unmanagedTiller, "HT002  " + unmanagedTiller}},
	{"unmanaged Tiller with rights over the cluster", func(p *plant) {
		p.unmanaged(nil)
		p.bind("", "tiller", "ClusterRole", "edit", "account "+p.old+":default")
	}, []string{"HT001  " + unmanagedTiller, "HT022  " + unmanagedTiller}},
	{"unmanaged Tiller as helm init makes it, open on the network", func(p *plant) {
		p.unmanaged(func(d *appsv1.Deployment) { container(d).Command = nil })
	}, []string{"HT001  " + unmanagedTiller, "HT003  Deployment tiller-deploy in namespace old"}},
	{"unmanaged Tiller of an old release", func(p *plant) {
		p.unmanaged(func(d *appsv1.Deployment) { container(d).Image = "gcr.io/kubernetes-helm/tiller:v2.9.1" })
	}, []string{"HT001  " + unmanagedTiller, "HT004  Deployment tiller-deploy in namespace old"}},
	{"unmanaged Tiller that asks for certificates", func(p *plant) {
		p.unmanaged(func(d *appsv1.Deployment) {
			container(d).Command, container(d).Env = nil, []corev1.EnvVar{{Name: "TILLER_TLS_VERIFY", Value: "1"}}
		})
	}, []string{"HT001  " + unmanagedTiller}},

	{"a tenant's Tiller that is cluster-admin", func(p *plant) {
		p.bind("", "too-much", "ClusterRole", "cluster-admin", "account alpha-tiller:tiller")
	}, []string{"HT002 alpha " + accountOfAlpha}},
	{"a tenant for all namespaces, by a role that is less than cluster-admin", func(p *plant) {
		p.helmTenant("init", "everyw", "--all-namespaces", "--role", "edit", "--user", "eve", "--wait=false", "--accept-risk=cluster-wide")
		p.later(func() { p.helmTenant("destroy", "everyw", "--yes") })
	}, []string{"HT002 everyw service account everyw-tiller:tiller"}},
	{"all accounts of a home are cluster-admin", func(p *plant) {
		p.bind("", "too-much", "ClusterRole", "cluster-admin", "group system:serviceaccounts:beta-tiller")
	}, []string{"HT002 beta service account beta-tiller:tiller", "HT022  group system:serviceaccounts:beta-tiller"}},
	{"Tiller listens on all interfaces", tiller(func(d *appsv1.Deployment) { container(d).Command = []string{"/tiller", "--storage=secret"} }),
		[]string{"HT003 alpha " + tillerOfAlpha}},
	{"Tiller listens on all interfaces, and nothing holds others off", func(p *plant) {
		p.delete("/apis/networking.k8s.io/v1/namespaces/alpha-tiller/networkpolicies/helm-tenant")
		tiller(func(d *appsv1.Deployment) { container(d).Command = []string{"/tiller", "--storage=secret"} })(p)
	}, []string{"HT003 alpha " + tillerOfAlpha}},
	{"old Tiller", tiller(func(d *appsv1.Deployment) { container(d).Image = "ghcr.io/helm/tiller:v2.14.3" }), []string{"HT004 alpha " + tillerOfAlpha}},
	{"a deployer with rights in a namespace of nobody's", func(p *plant) {
		p.bind("outside", "left", "ClusterRole", "edit", "account alpha-tiller:tiller")
	}, []string{"HT005 alpha " + accountOfAlpha}},
	{"a deployer with two roles in a namespace of nobody's", func(p *plant) {
		p.bind("outside", "a-view", "ClusterRole", "view", "account alpha-tiller:tiller")
		p.bind("outside", "b-edit", "ClusterRole", "edit", "account alpha-tiller:tiller")
		if r := p.w.run(p.w.Admin(), "audit", "--fail-on", "high"); r.code != 4 {
			p.Errorf("exit code %d\n%s", r.code, r.stdout)
		}
	}, []string{"HT005 alpha " + accountOfAlpha, "HT005 alpha " + accountOfAlpha}},
	{"a deployer with rights over the whole cluster", func(p *plant) {
		p.grant("", "wide", []string{"get,list,create customthings"}, "account alpha-tiller:tiller")
	}, []string{"HT005 alpha " + accountOfAlpha}},
	{"a deployer in another's namespace", func(p *plant) {
		p.bind("beta-a", "left", "ClusterRole", "edit", "account alpha-tiller:tiller")
	}, []string{"HT005 alpha " + accountOfAlpha}},
	{"a deployer in another's home", func(p *plant) {
		p.grant("beta-tiller", "left", []string{"create pods/exec"}, "account alpha-tiller:tiller")
	}, []string{"HT012 beta " + accountOfAlpha}},
	{"a deployer in its own home", func(p *plant) {
		p.grant("alpha-tiller", "own", []string{"create pods"}, "account alpha-tiller:tiller")
	}, []string{"HT006 alpha " + accountOfAlpha}},
	{"a deployer by its records' role in its own home", func(p *plant) {
		p.merge("/apis/rbac.authorization.k8s.io/v1/namespaces/alpha-tiller/roles/helm-tenant-records",
			`{"rules":[{"apiGroups":[""],"resources":["secrets","pods"],"verbs":["get","list","create","update","delete"]}]}`)
		p.again("alpha")
	}, []string{"HT006 alpha " + accountOfAlpha}},
	{"a deployer that may give itself rights", func(p *plant) {
		p.grant("alpha-a", "more", []string{"bind,escalate rbac:roles"}, "account alpha-tiller:tiller")
	}, []string{"HT007 alpha " + accountOfAlpha}},

	{"a tenant without its record", func(p *plant) {
		p.later(func() { p.init("gamma", "--engine", "impersonation", "--namespaces", "gamma-a") })
		p.delete("/api/v1/namespaces/gamma-helm/configmaps/helm-tenant")
	}, []string{"HT008 gamma service account gamma-helm:helm"}},
	{"a tenant with a Tiller without its record", func(p *plant) {
		p.later(func() { p.init("alpha", "--engine", "tiller", "--namespaces", "alpha-a,alpha-b") })
		p.delete("/api/v1/namespaces/alpha-tiller/configmaps/helm-tenant")
	}, []string{"HT008 alpha " + accountOfAlpha}},
	{"a tenant whose home does not say that it is", func(p *plant) {
		p.later(func() {
			p.merge("/api/v1/namespaces/gamma-helm", `{"metadata":{"labels":{"helm-tenant/tenant":"gamma"}}}`)
		})
		p.merge("/api/v1/namespaces/gamma-helm", `{"metadata":{"labels":{"helm-tenant/tenant":null}}}`)
	}, []string{"HT008 gamma service account gamma-helm:helm"}},

	{"a pod that Helm 2 takes for the Tiller, with its account", func(p *plant) {
		p.pod("alpha-tiller", "impostor", "tiller", map[string]string{"app": "helm", "name": "tiller"})
	}, []string{"HT009 alpha Pod impostor"}},
	{"a pod that Helm 2 takes for the Tiller, with no rights", func(p *plant) {
		p.pod("alpha-tiller", "impostor", "default", map[string]string{"app": "helm", "name": "tiller"})
	}, []string{"HT009 alpha Pod impostor"}},
	{"a pod with the Tiller's account", func(p *plant) { p.pod("alpha-tiller", "stowaway", "tiller", nil) }, []string{"HT009 alpha Pod stowaway"}},
	{"a pod with the account of Helm 3", func(p *plant) { p.pod("gamma-helm", "stowaway", "helm", nil) }, []string{"HT009 gamma Pod stowaway"}},
	{"a Job with the Tiller's account", func(p *plant) { p.job("alpha-tiller", "tiller") }, []string{"HT009 alpha Pod old"}},
	{"the live Tiller's image is another", func(p *plant) {
		p.old = p.tillerPod("alpha-tiller")
		pod, err := p.w.root.CoreV1().Pods("alpha-tiller").Get(context.Background(), p.old, metav1.GetOptions{})
		must(p.T, err)
		pod.Spec.Containers[0].Image = "evil.example/tiller:v2.17.0"
		must(p.T, create(p.w.root.CoreV1().Pods("alpha-tiller").Update(context.Background(), pod, metav1.UpdateOptions{})))
		p.podAgain("alpha-tiller")
	}, []string{"HT009 alpha Pod old"}},
	{"the live Tiller has a container more", func(p *plant) {
		p.old = p.tillerPod("alpha-tiller")
		debug := restricted("tiller").Containers[0]
		pod, err := p.w.root.CoreV1().Pods("alpha-tiller").Get(context.Background(), p.old, metav1.GetOptions{})
		must(p.T, err)
		pod.Spec.EphemeralContainers = []corev1.EphemeralContainer{{EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: "debug", Image: debug.Image, SecurityContext: debug.SecurityContext}}}
		must(p.T, create(p.w.root.CoreV1().Pods("alpha-tiller").UpdateEphemeralContainers(context.Background(), p.old, pod, metav1.UpdateOptions{})))
		p.podAgain("alpha-tiller")
	}, []string{"HT009 alpha Pod old"}},

	{"a member with more rights", func(p *plant) { p.grant("alpha-tiller", "more", []string{"create pods/exec"}, "user alice") }, []string{"HT030 alpha user alice"}},
	{"a group of members with more rights", func(p *plant) {
		p.grant("alpha-tiller", "more", []string{"get secrets", "list secrets"}, "group alpha-devs")
	},
		[]string{"HT030 alpha group alpha-devs"}},
	{"a member role that gives more", func(p *plant) {
		p.merge("/apis/rbac.authorization.k8s.io/v1/namespaces/alpha-tiller/roles/helm-tenant-member",
			`{"rules":[{"apiGroups":[""],"resources":["pods","pods/portforward","configmaps"],"verbs":["get","list","create"]}]}`)
		p.again("alpha")
	}, []string{"HT030 alpha every member"}},
	{"everybody is a member", func(p *plant) {
		p.helmTenant("grant", "alpha", "--group", "system:authenticated", "--accept-risk=everyone")
		p.later(func() { p.helmTenant("revoke", "alpha", "--group", "system:authenticated") })
	}, []string{"HT031 alpha group system:authenticated"}},
	{"every pod of a namespace is a member", func(p *plant) {
		p.helmTenant("grant", "alpha", "--group", "system:serviceaccounts:ci", "--accept-risk=everyone")
		p.later(func() { p.helmTenant("revoke", "alpha", "--group", "system:serviceaccounts:ci") })
	}, []string{"HT031 alpha group system:serviceaccounts:ci"}},
	{"a member of two tenants", func(p *plant) {
		p.helmTenant("grant", "beta", "--user", "alice")
		p.later(func() { p.helmTenant("revoke", "beta", "--user", "alice") })
	}, []string{"HT032 alpha,beta user alice"}},
	{"a member account that others can use, by a pod", func(p *plant) {
		p.robot()
		p.grant("ci", "pods", []string{"create pods"}, "user builder")
	}, []string{"HT033 alpha service account ci:robot"}},
	{"a member account that others can use, by its token", func(p *plant) {
		p.robot()
		p.grant("ci", "token", []string{"create serviceaccounts/token robot"}, "group builders")
	}, []string{"HT033 alpha service account ci:robot"}},
	{"a member account that others can use, by impersonation", func(p *plant) {
		p.robot()
		p.grant("ci", "token", []string{"impersonate serviceaccounts robot"}, "user builder")
	}, []string{"HT033 alpha service account ci:robot"}},
	{"a member account that does not exist", func(p *plant) {
		p.helmTenant("grant", "alpha", "--service-account", "ci:ghost")
		p.later(func() { p.helmTenant("revoke", "alpha", "--service-account", "ci:ghost") })
	}, []string{"HT034 alpha service account ci:ghost"}},
	{"revoked, but still able", func(p *plant) {
		p.bind("alpha-tiller", "kept", "Role", "helm-tenant-member", "user zoe")
	}, []string{"HT035 alpha user zoe"}},
	{"an account of readers that can change something", func(p *plant) {
		p.helmTenant("init", "readable", "--namespaces", "readable-a", "--create-namespaces", "--engine", "impersonation")
		p.later(func() { p.helmTenant("destroy", "readable", "--yes", "--delete-namespaces") })
		p.helmTenant("grant", "readable", "--reader", "--user", "pam", "--accept-risk=reads-secrets")
		p.bind("readable-a", "more", "ClusterRole", "edit", "account readable-helm:helm-reader")
	}, []string{"HT037 readable service account readable-helm:helm-reader"}},
	{"an outsider who reads", func(p *plant) {
		p.helmTenant("init", "legible", "--namespaces", "legible-a", "--create-namespaces", "--engine", "impersonation")
		p.later(func() { p.helmTenant("destroy", "legible", "--yes", "--delete-namespaces") })
		p.helmTenant("grant", "legible", "--reader", "--user", "pam", "--accept-risk=reads-secrets")
		p.bind("legible-helm", "kept", "Role", "helm-tenant-reader", "user zoe")
	}, []string{"HT038 legible user zoe"}},
	{"owners whom no policy limits", func(p *plant) {
		p.helmTenant("grant", "alpha", "--owner", "--user", "olaf")
		p.later(func() { p.helmTenant("revoke", "alpha", "--owner", "--user", "olaf") })
		p.delete("/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings/helm-tenant-owners")
	}, []string{"HT039 alpha every owner"}},
	{"owners as they are meant to be", func(p *plant) {
		p.helmTenant("grant", "alpha", "--owner", "--user", "olaf")
		p.later(func() { p.helmTenant("revoke", "alpha", "--owner", "--user", "olaf") })
	}, nil},
	{"everybody is an owner", func(p *plant) {
		p.helmTenant("grant", "alpha", "--owner", "--group", "system:authenticated", "--accept-risk=everyone")
		p.later(func() { p.helmTenant("revoke", "alpha", "--owner", "--group", "system:authenticated") })
	}, []string{"HT031 alpha group system:authenticated"}},
	{"an owner with more rights than that", func(p *plant) {
		p.helmTenant("grant", "alpha", "--owner", "--user", "olaf")
		p.later(func() { p.helmTenant("revoke", "alpha", "--owner", "--user", "olaf") })
		p.grant("alpha-tiller", "more", []string{"create pods/exec"}, "user olaf")
	}, []string{"HT012 alpha user olaf"}},
	{"a grant that is over and still in force", func(p *plant) {
		p.helmTenant("grant", "alpha", "--user", "oncall", "--for", "1h", "--reason", "INC-12")
		p.later(func() { p.helmTenant("revoke", "alpha", "--expired") })
		p.merge("/apis/rbac.authorization.k8s.io/v1/namespaces/alpha-tiller/rolebindings/helm-tenant-member",
			`{"metadata":{"annotations":{"helm-tenant/temporary":"[{\"user\":\"oncall\",\"until\":\"2026-01-31T12:00:00Z\",\"reason\":\"INC-12\"}]"}}}`)
	}, []string{"HT036 alpha user oncall"}},
	{"a grant whose end can't be read", func(p *plant) {
		const binding = "/apis/rbac.authorization.k8s.io/v1/namespaces/alpha-tiller/rolebindings/helm-tenant-member"
		p.merge(binding, `{"metadata":{"annotations":{"helm-tenant/temporary":"soon"}}}`)
		p.later(func() { p.merge(binding, `{"metadata":{"annotations":{"helm-tenant/temporary":null}}}`) })
	}, []string{"HT036 alpha RoleBinding helm-tenant-member in namespace alpha-tiller"}},

	{"a foreign binding in a tenant's namespace", func(p *plant) { p.bind("alpha-a", "foreign", "ClusterRole", "edit", "user zoe") }, []string{"HT040 alpha user zoe"}},
	{"a foreign binding that only reads", func(p *plant) { p.bind("alpha-b", "foreign", "ClusterRole", "view", "group auditors") }, []string{"HT040 alpha group auditors"}},
	{"a foreign binding of an account elsewhere", func(p *plant) { p.bind("alpha-b", "foreign", "ClusterRole", "edit", "account outside:bot") },
		[]string{"HT040 alpha service account outside:bot"}},
	{"a foreign subject in our own binding", func(p *plant) {
		p.merge("/apis/rbac.authorization.k8s.io/v1/namespaces/alpha-a/rolebindings/helm-tenant.alpha.admin",
			`{"subjects":[{"kind":"ServiceAccount","namespace":"alpha-tiller","name":"tiller"},{"kind":"User","apiGroup":"rbac.authorization.k8s.io","name":"zoe"}]}`)
		p.again("alpha")
	}, []string{"HT040 alpha user zoe"}},
	{"a chart's own account in the tenant's namespace", func(p *plant) { p.bind("alpha-a", "chart", "ClusterRole", "edit", "account alpha-b:web") }, nil},
	{"a namespace in two tenants", func(p *plant) {
		p.init("beta", "--namespaces", "beta-a,alpha-a", "--share")
		p.later(func() { p.init("beta", "--namespaces", "beta-a", "--prune") })
	}, []string{"HT041 alpha,beta namespace alpha-a"}},

	{"a binding of the deployer is gone", func(p *plant) {
		p.delete("/apis/rbac.authorization.k8s.io/v1/namespaces/alpha-b/rolebindings/helm-tenant.alpha.admin")
		p.again("alpha")
	}, []string{"HT042 alpha RoleBinding helm-tenant.alpha.admin in namespace alpha-b"}},
	{"a second role of the deployer in a namespace", func(p *plant) {
		p.bind("alpha-b", "second", "ClusterRole", "view", "account alpha-tiller:tiller")
	}, []string{"HT042 alpha RoleBinding second in namespace alpha-b"}},
	{"a tenant that is being migrated", func(p *plant) {
		before := p.w.env
		p.later(func() { p.w.env = before })
		p.w.env = append(slices.Clone(before), "HELM_BIN="+p.w.Bin("helm3"))
		p.helmTenant("init", "moving", "--engine", "tiller", "--namespaces", "moving-a", "--create-namespaces", "--wait=false")
		p.later(func() { p.helmTenant("destroy", "moving", "--yes") })
		p.helmTenant("migrate", "moving")
		p.later(func() { p.helmTenant("migrate", "moving", "--finish", "--yes") })
	}, []string{"HT042 moving tenant moving"}},
	{"a tenant's namespace without its label", func(p *plant) {
		p.merge("/api/v1/namespaces/alpha-b", `{"metadata":{"labels":{"helm-tenant/tenant":null}}}`)
		p.again("alpha")
	}, []string{"HT042 alpha namespace alpha-b"}},
	{"a namespace with the tenant's label that is none of its namespaces", func(p *plant) {
		const label = `{"metadata":{"labels":{"helm-tenant/tenant":%s},"annotations":{"helm-tenant/home-namespace":%s}}}`
		p.merge("/api/v1/namespaces/outside", fmt.Sprintf(label, `"alpha"`, `"alpha-tiller"`))
		p.later(func() { p.merge("/api/v1/namespaces/outside", fmt.Sprintf(label, "null", "null")) })
	}, []string{"HT042 alpha namespace outside"}},
	{"the home's label that the admission policy goes by is gone", func(p *plant) {
		p.merge("/api/v1/namespaces/alpha-tiller", `{"metadata":{"labels":{"helm-tenant/home":null}}}`)
		p.again("alpha")
	}, []string{"HT042 alpha namespace alpha-tiller"}},
	{"the member role is gone", func(p *plant) {
		p.delete("/apis/rbac.authorization.k8s.io/v1/namespaces/beta-tiller/roles/helm-tenant-member")
		p.again("beta")
	}, []string{"HT042 beta Role helm-tenant-member in namespace beta-tiller"}},
	{"the Tiller is gone", func(p *plant) {
		p.delete("/apis/apps/v1/namespaces/beta-tiller/deployments/tiller-deploy")
		for len(p.podsAt("beta-tiller")) > 0 {
			wait()
		}
		p.again("beta")
	}, []string{"HT042 beta Deployment tiller-deploy in namespace beta-tiller"}},
	{"another image", tiller(func(d *appsv1.Deployment) { container(d).Image = "registry.example/tiller:v2.17.0" }), []string{"HT042 alpha " + tillerOfAlpha}},
	{"a second container", tiller(func(d *appsv1.Deployment) {
		second := *container(d).DeepCopy()
		second.Name, second.Image, second.Command, second.Ports, second.LivenessProbe, second.ReadinessProbe = "second", "example/x:1", []string{"x"}, nil, nil, nil
		d.Spec.Template.Spec.Containers = append(d.Spec.Template.Spec.Containers, second)
	}), []string{"HT042 alpha " + tillerOfAlpha}},
	{"a record that can't be read", func(p *plant) {
		p.helmTenant("init", "broken", "--namespaces", "broken-a", "--create-namespaces", "--wait=false")
		p.merge("/api/v1/namespaces/broken-tiller/configmaps/helm-tenant", `{"data":{"tenant.yaml":"name: [broken"}}`)
		p.later(func() {
			p.merge("/api/v1/namespaces/broken-tiller/configmaps/helm-tenant", `{"data":{"tenant.yaml":"name: broken\nnamespaces: [broken-a]\nrole: admin\nengine: tiller\n"}}`)
			p.helmTenant("destroy", "broken", "--yes")
		})
	}, []string{"HT042 broken ConfigMap helm-tenant in namespace broken-tiller"}},

	{"a release outside its tenant", func(p *plant) { p.release("alpha-tiller", "stray", "outside") }, []string{"HT044 alpha release stray"}},
	{"somebody who can read an older revision's record", func(p *plant) {
		p.revision("alpha-tiller", "web", 1, "SUPERSEDED", "alpha-b")
		p.grant("alpha-tiller", "one", []string{"get secrets web.v1"}, "user zoe")
	}, []string{"HT013 alpha user zoe"}},
	{"a failed release outside its tenant", func(p *plant) { p.revision("alpha-tiller", "stray", 1, "FAILED", "outside") }, []string{"HT044 alpha release stray"}},
	{"a deleted release outside its tenant", func(p *plant) {
		p.revision("alpha-tiller", "gone", 1, "FAILED", "outside")
		p.revision("alpha-tiller", "gone", 2, "DELETED", "outside")
	}, nil},
	{"a release whose record can't be read", func(p *plant) {
		p.release("alpha-tiller", "odd", "alpha-b")
		p.merge("/api/v1/namespaces/alpha-tiller/secrets/odd.v1", `{"data":{"release":"b2Rk"}}`)
	}, []string{"HT044 alpha Secret odd.v1"}},
	{"a release with objects outside namespaces", func(p *plant) {
		record := records.Secret(records.Release{Name: "wide", Namespace: "alpha-b", Revision: 1, Status: "DEPLOYED",
			Manifest: "---\napiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata:\n  name: reader\n"})
		must(p.T, create(p.w.root.CoreV1().Secrets("alpha-tiller").Create(context.Background(), record, metav1.CreateOptions{})))
		p.later(func() {
			p.gone(p.w.root.CoreV1().Secrets("alpha-tiller").Delete(context.Background(), "wide.v1", metav1.DeleteOptions{}))
		})
	}, []string{"HT062 alpha release wide"}},
	{"a release that an earlier helm-tenant moved from Tiller", func(p *plant) {
		text := `{"name":"moved","namespace":"gamma-a","version":1,"info":{"status":"deployed","first_deployed":"2026-01-01T00:00:00Z","last_deployed":"2026-01-01T00:00:00Z"}}`
		record := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "sh.helm.release.v1.moved.v1", Labels: map[string]string{"owner": "helm", "name": "moved", "version": "1", "status": "deployed"}},
			Type: "helm.sh/release.v1", Data: map[string][]byte{"release": []byte(base64.StdEncoding.EncodeToString([]byte(text)))}}
		must(p.T, create(p.w.root.CoreV1().Secrets("gamma-a").Create(context.Background(), record, metav1.CreateOptions{FieldManager: "helm-tenant"})))
		p.later(func() {
			p.gone(p.w.root.CoreV1().Secrets("gamma-a").Delete(context.Background(), record.Name, metav1.DeleteOptions{}))
		})
	}, []string{"HT061 gamma release moved"}},
	{"a release where it should be", func(p *plant) { p.release("alpha-tiller", "fine", "alpha-b") }, nil},
	{"a home without PodSecurity", func(p *plant) {
		p.merge("/api/v1/namespaces/alpha-tiller", `{"metadata":{"labels":{"pod-security.kubernetes.io/enforce":"baseline"}}}`)
		p.again("alpha")
	}, []string{"HT050 alpha namespace alpha-tiller"}},
	{"a home without NetworkPolicy", func(p *plant) {
		p.delete("/apis/networking.k8s.io/v1/namespaces/alpha-tiller/networkpolicies/helm-tenant")
		p.again("alpha")
	}, []string{"HT051 alpha namespace alpha-tiller"}},
	{"a NetworkPolicy that lets others in", func(p *plant) {
		port := intstr.FromInt32(44134)
		must(p.T, create(p.w.root.NetworkingV1().NetworkPolicies("alpha-tiller").Create(context.Background(), &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Name: "door"},
			Spec: networkingv1.NetworkPolicySpec{Ingress: []networkingv1.NetworkPolicyIngressRule{{Ports: []networkingv1.NetworkPolicyPort{{Port: &port}}}}}}, metav1.CreateOptions{})))
		p.later(func() {
			p.gone(p.w.root.NetworkingV1().NetworkPolicies("alpha-tiller").Delete(context.Background(), "door", metav1.DeleteOptions{}))
		})
	}, []string{"HT051 alpha NetworkPolicy door"}},
	{"releases in ConfigMaps", tiller(func(d *appsv1.Deployment) { container(d).Command[2] = "--storage=configmap" }), []string{"HT052 alpha --storage"}},
	{"Tiller as root", tiller(func(d *appsv1.Deployment) {
		root, no := int64(0), false
		d.Spec.Template.Spec.SecurityContext.RunAsUser, d.Spec.Template.Spec.SecurityContext.RunAsNonRoot = &root, &no
	}), []string{"HT053 alpha runAsNonRoot"}},
	{"Tiller that may gain rights", tiller(func(d *appsv1.Deployment) { container(d).SecurityContext.AllowPrivilegeEscalation = nil }), []string{"HT053 alpha allowPrivilegeEscalation"}},
	{"Tiller that may write its files", tiller(func(d *appsv1.Deployment) { container(d).SecurityContext.ReadOnlyRootFilesystem = nil }), []string{"HT053 alpha readOnlyRootFilesystem"}},
	{"Tiller with capabilities", tiller(func(d *appsv1.Deployment) { container(d).SecurityContext.Capabilities = nil }), []string{"HT053 alpha capabilities"}},
	{"Tiller with all system calls", tiller(func(d *appsv1.Deployment) { d.Spec.Template.Spec.SecurityContext.SeccompProfile = nil }), []string{"HT053 alpha seccompProfile"}},
	{"Tiller in the node's network", tiller(func(d *appsv1.Deployment) { d.Spec.Template.Spec.HostNetwork = true }), []string{"HT054 alpha hostNetwork"}},
	{"Tiller with the node's disk", tiller(func(d *appsv1.Deployment) {
		d.Spec.Template.Spec.Volumes = []corev1.Volume{{Name: "disk", VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/"}}}}
	}), []string{"HT054 alpha volume disk"}},
	{"Tiller without a limit", tiller(func(d *appsv1.Deployment) { delete(container(d).Resources.Limits, "memory") }), []string{"HT055 alpha limits.memory"}},
	{"Tiller with unbounded history", tiller(func(d *appsv1.Deployment) { container(d).Env[1].Value = "0" }), []string{"HT056 alpha TILLER_HISTORY_MAX"}},
	{"no admission policy", func(p *plant) {
		p.delete("/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings/helm-tenant-records")
		p.again("alpha")
	}, []string{"HT057  ValidatingAdmissionPolicy helm-tenant-records"}},
	{"no admission policy, and the first tenant has no Tiller", func(p *plant) {
		p.helmTenant("init", "aaa", "--engine", "impersonation", "--namespaces", "aaa-a", "--create-namespaces", "--user", "ann")
		p.later(func() { p.helmTenant("destroy", "aaa", "--yes") })
		p.delete("/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings/helm-tenant-records")
		p.again("alpha")
	}, []string{"HT057  ValidatingAdmissionPolicy helm-tenant-records"}},
	{"an admission policy that only warns", func(p *plant) {
		p.merge("/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings/helm-tenant-records", `{"spec":{"validationActions":["Warn"]}}`)
		p.again("alpha")
	}, []string{"HT057  ValidatingAdmissionPolicy helm-tenant-records"}},
	{"a workload beside the Tiller", func(p *plant) {
		labels := map[string]string{"is": "beside"}
		must(p.T, create(p.w.root.AppsV1().Deployments("alpha-tiller").Create(context.Background(), &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: "beside"}, Spec: appsv1.DeploymentSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels}, Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: restricted("default")}}}, metav1.CreateOptions{})))
		p.later(func() { p.delete("/apis/apps/v1/namespaces/alpha-tiller/deployments/beside") })
	}, []string{"HT058 alpha namespace alpha-tiller"}},
	{"a Job beside the Tiller", func(p *plant) { p.job("alpha-tiller", "default") }, []string{"HT058 alpha namespace alpha-tiller"}},
	{"a token of the deployer that never ends", func(p *plant) {
		must(p.T, create(p.w.root.CoreV1().Secrets("alpha-tiller").Create(context.Background(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "forever",
			Annotations: map[string]string{corev1.ServiceAccountNameKey: "tiller"}}, Type: corev1.SecretTypeServiceAccountToken}, metav1.CreateOptions{})))
		p.later(func() {
			p.gone(p.w.root.CoreV1().Secrets("alpha-tiller").Delete(context.Background(), "forever", metav1.DeleteOptions{}))
		})
	}, []string{"HT059 alpha Secret forever"}},
	{"the deployer's token in every pod", func(p *plant) {
		p.merge("/api/v1/namespaces/alpha-tiller/serviceaccounts/tiller", `{"automountServiceAccountToken":true}`)
		p.again("alpha")
	}, []string{"HT060 alpha " + accountOfAlpha}},

	{"cluster-admins of one's own", func(p *plant) { p.bind("", "ops", "ClusterRole", "cluster-admin", "group ops") }, []string{"HT022  group ops"}},
	{"one that looks like Kubernetes' own by its label", func(p *plant) {
		p.bind("", "system:controller:evil", "ClusterRole", "cluster-admin", "account outside:evil")
		p.merge("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/system:controller:evil", `{"metadata":{"labels":{"kubernetes.io/bootstrapping":"rbac-defaults"}}}`)
	}, []string{"HT022  service account outside:evil"}},
	{"somebody beside Kubernetes' own in its own binding", func(p *plant) {
		p.merge("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/system:controller:job-controller",
			`{"subjects":[{"kind":"ServiceAccount","namespace":"kube-system","name":"job-controller"},{"kind":"User","apiGroup":"rbac.authorization.k8s.io","name":"zoe"}]}`)
		p.later(func() {
			p.merge("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/system:controller:job-controller", `{"subjects":[{"kind":"ServiceAccount","namespace":"kube-system","name":"job-controller"}]}`)
		})
	}, []string{"HT022  user zoe"}},
	{"everybody, by a widened role of Kubernetes' own", func(p *plant) {
		p.grant("", "everybody", []string{"create pods/portforward"}, "group system:authenticated")
	}, []string{"HT022  group system:authenticated"}},
	{"an addon with rights over the cluster", func(p *plant) {
		p.grant("", "addon", []string{"get,list secrets"}, "account kube-system:addon")
	}, []string{"HT022  service account kube-system:addon"}},
	{"rights by an aggregated role", func(p *plant) {
		p.aggregated()
	}, []string{"HT022  user zoe"}},
	{"somebody who can use Kubernetes' own accounts", func(p *plant) {
		p.grant("kube-system", "debug", []string{"create pods"}, "user zoe")
	}, []string{"HT021  user zoe"}},
	{"somebody who can have a token of Kubernetes' own accounts put into a Secret", func(p *plant) {
		p.grant("kube-system", "tokens", []string{"create,get secrets"}, "user zoe")
	}, []string{"HT021  user zoe"}},
	{"somebody who can write Secrets of kube-system, and not read them", func(p *plant) {
		p.grant("kube-system", "tokens", []string{"create,update,patch,delete secrets"}, "user zoe")
	}, nil},
	{"somebody who can list and make all of kube-system by the empty name", func(p *plant) {
		p.grant("kube-system", "tokens", []string{"create,list secrets EMPTY"}, "user zoe")
	}, []string{"HT021  user zoe"}},
	{"somebody who can bind roles in kube-system", func(p *plant) {
		p.grant("kube-system", "binder", []string{"create rbac:rolebindings", "bind rbac:clusterroles edit"}, "user zoe")
	}, []string{"HT021  user zoe"}},
	{"somebody who can write roles in kube-system", func(p *plant) {
		p.grant("kube-system", "writer", []string{"create,escalate rbac:roles"}, "group writers")
	}, []string{"HT021  group writers"}},
	{"somebody who can enter the pods of kube-system", func(p *plant) {
		p.grant("kube-system", "enter", []string{"create pods/exec"}, "user zoe")
	}, []string{"HT021  user zoe"}},
	{"somebody who can only look at kube-system", func(p *plant) {
		p.grant("kube-system", "look", []string{"get,list,watch pods", "get,list configmaps", "get pods/log"}, "user zoe")
	}, nil},
	{"somebody who can change an addon's Deployment", func(p *plant) {
		p.deployment("kube-system", "addon", "default", 0)
		p.grant("kube-system", "change", []string{"patch apps:deployments addon"}, "user zoe")
	}, []string{"HT021  user zoe"}},
	{"somebody who can change a Deployment that is not there", func(p *plant) {
		p.grant("kube-system", "change", []string{"patch apps:deployments no-such-addon"}, "user zoe")
	}, nil},
	{"somebody who can enter the pod of an administrator's account", func(p *plant) {
		p.account("outside", "bot")
		p.bind("", "bot", "ClusterRole", "cluster-admin", "account outside:bot")
		p.pod("outside", "robot", "bot", nil)
		p.grant("outside", "enter", []string{"create pods/exec robot"}, "user zoe")
	}, []string{"HT021  user zoe", "HT022  service account outside:bot"}},
	{"somebody who can enter another pod", func(p *plant) {
		p.account("outside", "bot")
		p.bind("", "bot", "ClusterRole", "cluster-admin", "account outside:bot")
		p.pod("outside", "other", "default", nil)
		p.grant("outside", "enter", []string{"create pods/exec other"}, "user zoe")
	}, []string{"HT022  service account outside:bot"}},
	{"somebody who can write the file of an apply with an administrator's account", func(p *plant) {
		p.applies("outside", "bot", "tenants")
		p.grant("outside", "write", []string{"patch configmaps tenants"}, "user zoe")
	}, []string{"HT022  service account outside:bot", "HT029  user zoe"}},
	{"somebody who can write another ConfigMap beside such an apply", func(p *plant) {
		p.applies("outside", "bot", "tenants")
		p.grant("outside", "write", []string{"patch configmaps others"}, "user zoe")
	}, []string{"HT022  service account outside:bot"}},
	{"somebody who can name administrators in the cloud's map", func(p *plant) {
		p.identities()
		p.grant("kube-system", "map", []string{"patch configmaps aws-auth"}, "user zoe")
	}, []string{"HT023  user zoe"}},
	{"somebody who can write another ConfigMap of kube-system", func(p *plant) {
		p.identities()
		p.grant("kube-system", "map", []string{"patch configmaps coredns", "get configmaps"}, "user zoe")
	}, nil},
	{"somebody who can write a map that is not there", func(p *plant) {
		p.grant("kube-system", "map", []string{"patch configmaps aws-auth"}, "user zoe")
	}, nil},
	{"Flux, as it ships", func(p *plant) {
		p.aggregates("flux-edit", []string{"create,update,patch,delete helm.toolkit.fluxcd.io:helmreleases"}, "admin", "edit")
		p.roleAgain("alpha", "beta", "gamma")
	}, []string{"HT024  ClusterRole flux-edit"}},
	{"metrics that everybody may read", func(p *plant) {
		p.aggregates("metrics-reader", []string{"get,list,watch metrics.k8s.io:pods"}, "view", "edit", "admin")
		p.roleAgain("alpha", "beta", "gamma")
	}, []string{"HT024  ClusterRole metrics-reader"}},
	{"a role that lets tenants write their namespaces", func(p *plant) {
		p.aggregates("labeller", []string{"patch namespaces/status"}, "admin")
		p.roleAgain("alpha", "beta", "gamma")
	}, []string{"HT024  ClusterRole labeller"}},
	{"a role of operators that no tenant has", func(p *plant) {
		p.aggregates("operators", []string{"create,update helm.toolkit.fluxcd.io:helmreleases"}, "operator")
	}, nil},
	{"a tenant's role that writes what a controller carries out", func(p *plant) {
		p.clusterRole("ci-role", "get,list,create,update,patch,delete secrets,configmaps", "get namespaces", "get,list,watch pods", "create,patch,delete apps:deployments", "create argoproj.io:applications")
		p.init("beta", "--role", "ci-role")
		p.roleAgain("beta")
	}, []string{"HT025 beta ClusterRole ci-role"}},
	{"a tenant's role that came to write namespaces", func(p *plant) {
		p.clusterRole("ns-role", "get,list,create,update,patch,delete secrets,configmaps", "get namespaces", "get,list,watch pods", "create,patch,delete apps:deployments")
		p.init("beta", "--role", "ns-role")
		p.roleAgain("beta")
		p.merge("/apis/rbac.authorization.k8s.io/v1/clusterroles/ns-role", `{"rules":[{"apiGroups":[""],"resources":["namespaces/finalize"],"verbs":["update"]}]}`)
	}, []string{"HT026 beta ClusterRole ns-role", "HT081 beta ClusterRole ns-role"}},
	{"somebody who can write what Flux carries out, everywhere", func(p *plant) {
		p.grant("", "flux", []string{"create helm.toolkit.fluxcd.io:helmreleases"}, "user zoe")
	}, []string{"HT079  user zoe"}},
	{"somebody who can write what Flux carries out, in a namespace of nobody's", func(p *plant) {
		p.grant("outside", "flux", []string{"patch kustomize.toolkit.fluxcd.io:kustomizations"}, "user zoe")
	}, []string{"HT079  user zoe"}},
	{"an account of Flux's own, and somebody who reads", func(p *plant) {
		p.grant("", "flux", []string{"* helm.toolkit.fluxcd.io:*"}, "account flux-system:source-controller")
		p.grant("", "reads", []string{"get,list,watch,delete helm.toolkit.fluxcd.io:helmreleases"}, "user zoe")
	}, nil},
	{"somebody who can write certificates, and applications outside Argo CD's namespace", func(p *plant) {
		p.grant("", "certs", []string{"create cert-manager.io:certificates"}, "user zoe")
		p.grant("outside", "apps", []string{"create argoproj.io:applications"}, "user zoe")
	}, nil},
	{"somebody who can have pods made in every namespace, by workflows", func(p *plant) {
		p.grant("", "flows", []string{"create argoproj.io:workflows"}, "user zoe")
	}, []string{"HT022  user zoe"}},
	{"somebody who can make namespaces, on which helm-tenant's labels are reserved", func(p *plant) {
		p.grant("", "spaces", []string{"create,get,list namespaces"}, "user zoe")
	}, nil},
	{"somebody who can make namespaces and claim them", func(p *plant) {
		p.grant("", "spaces", []string{"create,get,list namespaces", "claim helm-tenant:namespaces"}, "user zoe")
	}, []string{"HT027  user zoe"}},
	{"a webhook that is sent every Secret", func(p *plant) { p.webhook("listener", "secrets", "") }, []string{"HT028  ValidatingWebhookConfiguration listener"}},
	{"a webhook that is sent everything", func(p *plant) { p.webhook("listener", "*/*", "") }, []string{"HT028  ValidatingWebhookConfiguration listener"}},
	{"a webhook that leaves homes out", func(p *plant) { p.webhook("listener", "secrets", tenantHome) }, nil},
	{"a webhook whose conditions may leave homes out", func(p *plant) { p.webhook("listener", "secrets", "", `!request.namespace.endsWith("-tiller")`) },
		[]string{"HT028  ValidatingWebhookConfiguration listener"}},
	{"a webhook that is sent ConfigMaps", func(p *plant) { p.webhook("listener", "configmaps", "") }, nil},
	{"every node is a member", func(p *plant) {
		p.helmTenant("grant", "alpha", "--group", "system:nodes", "--accept-risk=everyone")
		p.later(func() { p.helmTenant("revoke", "alpha", "--group", "system:nodes") })
	}, []string{"HT031 alpha group system:nodes"}},
	{"whoever holds a bootstrap token is a member", func(p *plant) {
		p.helmTenant("grant", "alpha", "--group", "system:bootstrappers:workers", "--accept-risk=everyone")
		p.later(func() { p.helmTenant("revoke", "alpha", "--group", "system:bootstrappers:workers") })
	}, []string{"HT031 alpha group system:bootstrappers:workers"}},
	{"somebody who can impersonate a member of a tenant of Helm 3", func(p *plant) {
		p.grant("", "be", []string{"impersonate users gail"}, "user zoe")
	}, nil},
	{"a role for everybody in a tenant's namespace", func(p *plant) {
		p.bind("alpha-a", "all", "ClusterRole", "view", "group system:authenticated")
		if r := p.w.run(p.w.Admin(), "audit", "--fail-on", "high"); r.code != 4 {
			p.Errorf("exit code %d\n%s", r.code, r.stdout)
		}
	}, []string{"HT040 alpha group system:authenticated"}},
	{"a CronJob that makes pods with the Tiller's account, and none now", func(p *plant) { p.cronJob("alpha-tiller", "tiller") }, []string{"HT009 alpha CronJob sleeper"}},
	{"a CronJob beside the Tiller that makes no pods now", func(p *plant) { p.cronJob("alpha-tiller", "default") }, []string{"HT058 alpha namespace alpha-tiller"}},
	{"a Deployment of no pods with the account of Helm 3", func(p *plant) { p.deployment("gamma-helm", "sleeper", "helm", 0) }, []string{"HT009 gamma Deployment sleeper"}},
	{"two records of one tenant", func(p *plant) {
		ns := p.namespace(map[string]string{"helm-tenant/tenant": "beta", "helm-tenant/home": "true"})
		record, err := p.w.root.CoreV1().ConfigMaps("beta-tiller").Get(context.Background(), "helm-tenant", metav1.GetOptions{})
		must(p.T, err)
		text := strings.Replace(record.Data["tenant.yaml"], "beta-a", "outside", 1) + "homeNamespace: " + ns + "\n"
		// It is trusted because a namespace refers to it, as beta-a refers to the other.
		const label = `{"metadata":{"labels":{"helm-tenant/tenant":%s},"annotations":{"helm-tenant/home-namespace":%s}}}`
		p.merge("/api/v1/namespaces/outside", fmt.Sprintf(label, `"beta"`, `"`+ns+`"`))
		p.later(func() { p.merge("/api/v1/namespaces/outside", fmt.Sprintf(label, "null", "null")) })
		must(p.T, create(p.w.root.CoreV1().ConfigMaps(ns).Create(context.Background(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "helm-tenant", Labels: record.Labels}, Data: map[string]string{"tenant.yaml": text}}, metav1.CreateOptions{})))
	}, []string{"HT045 beta tenant beta",
		// The record is the only object of the tenant.
		"HT042 beta Deployment tiller-deploy in namespace old", "HT042 beta ServiceAccount tiller in namespace old", "HT042 beta namespace old", "HT050 beta namespace old",
		"HT042 beta Role helm-tenant-member in namespace old", "HT042 beta RoleBinding helm-tenant-member in namespace old",
		"HT042 beta Role helm-tenant-records in namespace old", "HT042 beta RoleBinding helm-tenant-records in namespace old",
		"HT042 beta RoleBinding helm-tenant.beta.admin in namespace outside", "HT072 beta namespace outside"}},
	{"somebody who can impersonate the administrators", func(p *plant) {
		p.grant("", "be", []string{"impersonate groups system:masters", "impersonate users root-of-all"}, "user zoe")
	}, []string{"HT016  user zoe"}},
	{"somebody who can impersonate the administrators, and accounts in a namespace of theirs", func(p *plant) {
		p.grant("", "be", []string{"impersonate groups system:masters"}, "user zoe")
		p.bind("outside", "be", "ClusterRole", "edit", "user zoe")
	}, []string{"HT016  user zoe"}},
	{"somebody who can impersonate a group of members, and accounts in a namespace of theirs", func(p *plant) {
		p.grant("", "be", []string{"impersonate groups alpha-devs"}, "user zoe")
		p.bind("outside", "be", "ClusterRole", "edit", "user zoe")
	}, []string{"HT016 alpha user zoe"}},
	{"somebody who can reach the nodes", func(p *plant) {
		p.grant("", "nodes", []string{"create nodes/proxy some-node"}, "group monitoring")
	}, []string{"HT018  group monitoring"}},
	{"somebody who can write every ConfigMap", func(p *plant) {
		p.grant("", "maps", []string{"update configmaps"}, "user zoe")
	}, []string{"HT020  user zoe"}},
	{"somebody who can write every ConfigMap, and read Secrets", func(p *plant) {
		p.grant("", "maps", []string{"update configmaps", "get secrets"}, "user zoe")
	}, []string{"HT022  user zoe"}},
	{"somebody who can impersonate an administrator of one's own", func(p *plant) {
		p.bind("", "ops", "ClusterRole", "cluster-admin", "user chief")
		p.grant("", "be", []string{"impersonate users chief"}, "user zoe")
	}, []string{"HT016  user zoe", "HT022  user chief"}},
	{"everybody at a home", func(p *plant) {
		p.grant("alpha-tiller", "door", []string{"create pods/exec"}, "group system:authenticated", "user system:anonymous")
		if r := p.w.run(p.w.Admin(), "audit", "--fail-on", "critical"); r.code != 4 || strings.Contains(r.stdout, "  high") {
			p.Errorf("exit code %d\n%s", r.code, r.stdout)
		}
	}, []string{"HT012 alpha group system:authenticated", "HT012 alpha user system:anonymous"}},
	{"an outsider to the deployer of Helm 3", func(p *plant) {
		p.grant("gamma-helm", "be", []string{"impersonate serviceaccounts helm"}, "user zoe")
	}, []string{"HT015 gamma user zoe"}},
	{"a port-forward where there is no Tiller", func(p *plant) { p.grant("gamma-helm", "forward", []string{"create pods/portforward"}, "user zoe") }, nil},
	{"an outsider's token of the deployer of Helm 3", func(p *plant) {
		p.grant("gamma-helm", "token", []string{"create serviceaccounts/token"}, "group others")
	}, []string{"HT014 gamma group others"}},
}

const tenantHome = "helm-tenant/home"

// webhook makes one that is sent a resource, but of namespaces with the label without.
func (p *plant) webhook(name, owner, without string, conditions ...string) {
	p.Helper()
	none, ignore, url := admissionv1.SideEffectClassNone, admissionv1.Ignore, "https://webhook.example/"
	selector := &metav1.LabelSelector{}
	if without != "" {
		selector.MatchExpressions = []metav1.LabelSelectorRequirement{{Key: without, Operator: metav1.LabelSelectorOpDoesNotExist}}
	}
	var matched []admissionv1.MatchCondition
	for i, condition := range conditions {
		matched = append(matched, admissionv1.MatchCondition{Name: fmt.Sprintf("condition-%d", i), Expression: condition})
	}
	// One second is enough for a refusal; nothing answers.
	second := int32(1)
	must(p.T, create(p.w.root.AdmissionregistrationV1().ValidatingWebhookConfigurations().Create(context.Background(), &admissionv1.ValidatingWebhookConfiguration{ObjectMeta: metav1.ObjectMeta{Name: name},
		Webhooks: []admissionv1.ValidatingWebhook{{Name: "listener.example.com", AdmissionReviewVersions: []string{"v1"}, SideEffects: &none, FailurePolicy: &ignore, TimeoutSeconds: &second, NamespaceSelector: selector, MatchConditions: matched,
			ClientConfig: admissionv1.WebhookClientConfig{URL: &url},
			Rules:        []admissionv1.RuleWithOperations{{Operations: []admissionv1.OperationType{"UPDATE"}, Rule: admissionv1.Rule{APIGroups: []string{""}, APIVersions: []string{"v1"}, Resources: []string{owner}}}}}}}, metav1.CreateOptions{})))
	p.later(func() {
		p.gone(p.w.root.AdmissionregistrationV1().ValidatingWebhookConfigurations().Delete(context.Background(), name, metav1.DeleteOptions{}))
	})
}

// TestEveryFindingIsPlanted: each kind of finding is expected by one of the tests.
func TestEveryFindingIsPlanted(t *testing.T) {
	w := start(t)
	var sarif struct {
		Runs []struct {
			Tool struct {
				Driver struct {
					Rules []struct {
						ID string `json:"id"`
					} `json:"rules"`
				} `json:"driver"`
			} `json:"tool"`
		} `json:"runs"`
	}
	must(t, json.Unmarshal([]byte(w.run(w.Admin(), "audit", "-o", "sarif").stdout), &sarif))
	wanted := map[string]bool{}
	add := func(want string) { id, _, _ := strings.Cut(want, " "); wanted[id] = true }
	for _, test := range allPlanted() {
		for _, want := range test.want {
			add(want)
		}
	}
	for _, test := range differing {
		for _, want := range test.want {
			add(want)
		}
	}
	for _, way := range ways {
		add(way.want)
	}
	if len(allPlanted()) < 40 || len(sarif.Runs) != 1 || len(sarif.Runs[0].Tool.Driver.Rules) < 40 {
		t.Fatalf("%d are planted, and the audit says of itself: %+v", len(allPlanted()), sarif)
	}
	for _, rule := range sarif.Runs[0].Tool.Driver.Rules {
		if !wanted[rule.ID] {
			t.Errorf("%s is planted nowhere", rule.ID)
		}
	}
}

// TestPlanted plants one misconfiguration after the other, and types the command
// with which the finding says it can be mended.
func TestPlanted(t *testing.T) {
	w := start(t)
	w.clean(t)
	for _, test := range allPlanted() {
		t.Run(test.name, func(t *testing.T) {
			p := w.plant(t)
			test.plant(p)
			got := w.audit(t)
			p.same(got.Findings, test.want)
			typed.saw(got.Findings)
			if !t.Failed() {
				p.fix(got.Findings)
			}
		})
	}
}

// A tenant without a record is audited by its name, and it is answered who reaches it.
func TestTenantWithoutRecord(t *testing.T) {
	w := start(t)
	w.clean(t)
	p := w.plant(t)
	p.later(func() { p.init("gamma", "--engine", "impersonation", "--namespaces", "gamma-a") })
	p.delete("/api/v1/namespaces/gamma-helm/configmaps/helm-tenant")
	p.same(w.audit(t, "gamma").Findings, []string{"HT008 gamma service account gamma-helm:helm"})
	reached := w.audit(t, "--can-reach", "gail").CanReach
	if len(reached) != 1 || reached[0].Tenant != "gamma" || !reached[0].Member || len(reached[0].Paths) != 1 {
		t.Errorf("gail reaches %+v", reached)
	}
}

// A tenant that does not exist is reported as by the other verbs.
func TestNoSuchTenant(t *testing.T) {
	w := start(t)
	exported, got := w.run(w.Admin(), "export", "nobody"), w.run(w.Admin(), "audit", "nobody")
	want := strings.Replace(exported.stderr, "Error: export: ", "Error: audit: ", 1)
	if got.code != exported.code || got.stderr != want || !strings.Contains(want, "helm tenant tenants") {
		t.Errorf("exit code %d, not %d:\n%s\nnot\n%s", got.code, exported.code, got.stderr, want)
	}
}
