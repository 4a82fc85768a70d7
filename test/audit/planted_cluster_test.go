package audit

import (
	"context"
	"fmt"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// plantedCluster are misconfigurations of homes, Tiller and the rest of the cluster.
var plantedCluster = []planting{
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
	{"a webhook that leaves homes out, and not kube-system", func(p *plant) { p.webhookBeside("listener", "secrets", tenantHome, "nowhere") },
		[]string{"HT028  ValidatingWebhookConfiguration listener"}},
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
		if r := p.w.run(p.w.Admin(), "audit", "--fail-on", "high"); r.Code != 4 {
			p.Errorf("exit code %d\n%s", r.Code, r.Stdout)
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
		if r := p.w.run(p.w.Admin(), "audit", "--fail-on", "critical"); r.Code != 4 || strings.Contains(r.Stdout, "  high") {
			p.Errorf("exit code %d\n%s", r.Code, r.Stdout)
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
