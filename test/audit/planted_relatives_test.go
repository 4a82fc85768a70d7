package audit

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"helm-tenant/rails"
)

// plantedRelatives are further ways of the kinds that others among the planted show: by
// another name for the same subject, by a subresource, by a controller in place of the API.
var plantedRelatives = []planting{
	{"a role without rights on pods", func(p *plant) {
		p.clusterRole("podless", "get,list,create,update,patch,delete secrets,configmaps", "get namespaces")
		p.init("beta", "--role", "podless")
		p.roleAgain("beta")
	}, []string{"HT081 beta ClusterRole podless"}},
	{"a role of Kubernetes' with which nothing can be installed", func(p *plant) {
		p.init("beta", "--role", "view")
		p.roleAgain("beta")
	}, []string{"HT081 beta ClusterRole view"}},
	{"a tenant's namespace that is gone", func(p *plant) {
		p.init("brief", "--namespaces", "brief-a,brief-b", "--create-namespaces", "--user", "bea")
		p.later(func() { p.helmTenant("destroy", "brief", "--yes", "--delete-namespaces") })
		p.removeNamespace("brief-b")
	}, []string{"HT042 brief namespace brief-b"}},
	{"a history without a bound, as recorded", func(p *plant) {
		p.init("alpha", "--history-max", "0")
		p.later(func() { p.init("alpha", "--history-max", "20") })
	}, []string{"HT056 alpha TILLER_HISTORY_MAX"}},
	{"an account that is named as a user", func(p *plant) {
		p.grant("alpha-tiller", "exec", []string{"create pods/exec"}, "user system:serviceaccount:outside:bot")
	}, []string{"HT012 alpha service account outside:bot"}},
	{"a deployer that is named as a user", func(p *plant) {
		p.bind("outside", "left", "ClusterRole", "edit", "user system:serviceaccount:alpha-tiller:tiller")
	}, []string{"HT005 alpha " + accountOfAlpha}},
	{"who is not logged in at all", func(p *plant) {
		p.grant("alpha-tiller", "secrets", []string{"get secrets"}, "user system:anonymous")
	}, []string{"HT013 alpha user system:anonymous"}},
	{"all accounts of a stranger's namespace", func(p *plant) {
		p.grant("alpha-tiller", "pods", []string{"patch apps:deployments tiller-deploy"}, "group system:serviceaccounts:outside")
	}, []string{"HT019 alpha group system:serviceaccounts:outside"}},
	{"workflows in the namespace of an account that is a member", func(p *plant) {
		p.robot()
		p.grant("ci", "flows", []string{"create argoproj.io:workflows"}, "user zoe")
	}, []string{"HT033 alpha service account ci:robot"}},
	{"a way to kube-system's accounts by a controller's objects", func(p *plant) {
		p.grant("kube-system", "flows", []string{"create tekton.dev:taskruns"}, "user zoe")
	}, []string{"HT021  user zoe"}},
	{"a way to kube-system's accounts by a revision of a StatefulSet there", func(p *plant) {
		p.emptySet("kube-system", "set")
		p.grant("kube-system", "revisions", []string{"create apps:controllerrevisions", "patch apps:statefulsets/status"}, "user zoe")
	}, []string{"HT021  user zoe"}},
	{"revisions in kube-system that no StatefulSet takes", func(p *plant) {
		p.emptySet("kube-system", "set")
		p.grant("kube-system", "revisions", []string{"create apps:controllerrevisions"}, "user zoe")
	}, nil},
	{"revisions in kube-system, which has no StatefulSet", func(p *plant) {
		p.grant("kube-system", "revisions", []string{"create,delete apps:controllerrevisions"}, "user zoe")
	}, nil},
	{"a mutating policy that is made anew by its name", func(p *plant) {
		p.grant("", "policies", []string{"create,delete admission:mutatingadmissionpolicies"}, "user zoe")
	}, []string{"HT022  user zoe"}},
	{"mutating policies, which nobody binds", func(p *plant) {
		p.grant("", "policies", []string{"create,get,list admission:mutatingadmissionpolicies"}, "user zoe")
	}, nil},
	{"an operator's subscription in a namespace of nobody's, by a ClusterRole", func(p *plant) {
		p.clusterRole("olm-edit", "create,update operators.coreos.com:subscriptions")
		p.bind("outside", "olm-edit", "ClusterRole", "olm-edit", "user zoe")
	}, []string{"HT079  user zoe"}},
	{"a cluster-scoped object of a controller, by a RoleBinding, which gives none", func(p *plant) {
		p.grant("outside", "operations", []string{"create ops.crossplane.io:operations"}, "user zoe")
	}, nil},
	{"a pod as Tiller's that names its ReplicaSet", func(p *plant) { p.impostor("alpha-tiller") }, []string{"HT009 alpha Pod old"}},
	{"a webhook that changes bindings", func(p *plant) {
		p.mutator("mutator", "rbac.authorization.k8s.io", "rolebindings", "outside")
	}, []string{"HT028  MutatingWebhookConfiguration mutator"}},
	{"a webhook that changes pods of kube-system", func(p *plant) { p.mutatorOf("mutator", "", "pods", "kube-system") }, []string{"HT028  MutatingWebhookConfiguration mutator"}},
	{"a webhook that changes RoleBindings of a tenant's namespace", func(p *plant) { p.mutatorOf("mutator", "rbac.authorization.k8s.io", "rolebindings", "beta-a") },
		[]string{"HT028  MutatingWebhookConfiguration mutator"}},
	{"a webhook that changes pods of a tenant's namespace", func(p *plant) { p.mutatorOf("mutator", "", "pods", "beta-a") }, nil},
	{"a webhook of one tenant that changes pods of another", func(p *plant) {
		p.mutatorIn("mutator", "", "pods", "alpha-a", &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: "beta-a"}})
	}, []string{"HT028  MutatingWebhookConfiguration mutator"}},
	{"a webhook of one tenant, found by its URL, that changes ConfigMaps of another", func(p *plant) {
		p.mutatorIn("mutator", "", "configmaps", "alpha-a", &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: "beta-a"}})
		p.answeredAt("mutator", "https://mutator.alpha-a.svc:443/")
	}, []string{"HT028  MutatingWebhookConfiguration mutator"}},
	{"a webhook of others, whose Service leads to a tenant", func(p *plant) {
		p.object("/api/v1/namespaces/outside/services", "mutator", `{"metadata":{"name":"mutator"},"spec":{"type":"ExternalName","externalName":"hook.alpha-a.svc.cluster.local"}}`)
		p.mutatorIn("mutator", "", "configmaps", "outside", &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: "beta-a"}})
	}, []string{"HT028  MutatingWebhookConfiguration mutator"}},
	{"a webhook of others, whose Service leads nowhere", func(p *plant) {
		p.object("/api/v1/namespaces/outside/services", "mutator", `{"metadata":{"name":"mutator"},"spec":{"type":"ExternalName","externalName":"hook.example.com"}}`)
		p.mutatorIn("mutator", "", "configmaps", "outside", &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: "beta-a"}})
	}, nil},
	{"a webhook of others, whose Service leads to the address of a tenant's", func(p *plant) {
		p.object("/api/v1/namespaces/alpha-a/services", "hook", `{"metadata":{"name":"hook"},"spec":{"clusterIP":"10.96.77.77","ports":[{"port":443}]}}`)
		p.object("/api/v1/namespaces/outside/services", "mutator", `{"metadata":{"name":"mutator"},"spec":{"type":"ExternalName","externalName":"10.96.77.77"}}`)
		p.mutatorIn("mutator", "", "configmaps", "outside", &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: "beta-a"}})
	}, []string{"HT028  MutatingWebhookConfiguration mutator"}},
	{"a webhook of others, to whose Service somebody adds a tenant's pod", func(p *plant) {
		p.pod("alpha-a", "hook", "", nil)
		p.address("alpha-a", "hook", "10.244.77.77")
		p.object("/api/v1/namespaces/outside/services", "mutator", `{"metadata":{"name":"mutator"},"spec":{"selector":{"app":"mutator"},"ports":[{"port":443}]}}`)
		p.object("/apis/discovery.k8s.io/v1/namespaces/outside/endpointslices", "added", `{"metadata":{"name":"added","labels":{"kubernetes.io/service-name":"mutator"}},"addressType":"IPv4","endpoints":[{"addresses":["10.244.77.77"]}]}`)
		p.mutatorIn("mutator", "", "configmaps", "outside", &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: "beta-a"}})
	}, []string{"HT028  MutatingWebhookConfiguration mutator"}},
	{"a webhook by a host that a tenant serves", func(p *plant) {
		p.object("/apis/networking.k8s.io/v1/namespaces/alpha-a/ingresses", "hook", `{"metadata":{"name":"hook"},"spec":{"rules":[{"host":"hook.example.com","http":{"paths":[{"path":"/","pathType":"Prefix","backend":{"service":{"name":"hook","port":{"number":80}}}}]}}]}}`)
		p.mutatorIn("mutator", "", "configmaps", "outside", &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: "beta-a"}})
		p.answeredAt("mutator", "https://hook.example.com/admit")
	}, []string{"HT028  MutatingWebhookConfiguration mutator"}},
	{"a webhook that changes labels of a tenant's namespace", func(p *plant) { p.mutatorOf("mutator", "", "namespaces/status", "beta-a") }, []string{"HT028  MutatingWebhookConfiguration mutator"}},
	{"a definition that a tenant converts", func(p *plant) { p.converts("alpha-a", "plants") }, []string{"HT028  CustomResourceDefinition plants.example.com"}},
	{"a definition that nobody's namespace converts", func(p *plant) { p.converts("outside", "stones") }, nil},
	{"an API that a tenant serves", func(p *plant) { p.serves("alpha-a") }, []string{"HT028  APIService v1.planted.example.com"}},
	{"an API of a controller's objects that whoever has its Service serves", func(p *plant) {
		ns := p.namespace(map[string]string{rails.LabelEnforce: "baseline"})
		p.servesGroup("argoproj.io", ns)
		p.grant(ns, "serve", []string{"patch services server"}, "user zoe")
	}, []string{"HT028  APIService v1.argoproj.io", "HT085  user zoe"}},
	{"an API that others serve", func(p *plant) { p.serves("outside") }, nil},
	{"a webhook of one tenant that changes its own pods", func(p *plant) {
		p.mutatorIn("mutator", "", "pods", "alpha-a", &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: "alpha-a"}})
	}, nil},
	{"a webhook that changes pods of a Tiller of no tenant", func(p *plant) {
		p.unmanaged(nil)
		p.mutatorOf("mutator", "", "pods", p.old)
	}, []string{"HT001  " + unmanagedTiller, "HT028  MutatingWebhookConfiguration mutator"}},
	{"a webhook that changes what homes do not have", func(p *plant) {
		p.mutator("mutator", "networking.k8s.io", "ingresses", "outside")
	}, nil},
	{"a policy that changes pods", func(p *plant) { p.changes("changer", "", "pods", true) }, []string{"HT028  MutatingAdmissionPolicy changer"}},
	{"a policy that changes pods, which nobody bound", func(p *plant) { p.changes("changer", "", "pods", false) }, nil},
	{"a policy that changes claims", func(p *plant) { p.changes("changer", "", "persistentvolumeclaims", true) }, nil},
	{"pods where a webhook is answered that changes Tiller's", func(p *plant) {
		ns := p.namespace(map[string]string{rails.LabelEnforce: "baseline"})
		p.mutator("mutator", "", "pods", ns)
		p.grant(ns, "pods", []string{"create pods"}, "user zoe")
	}, []string{"HT028  MutatingWebhookConfiguration mutator", "HT085  user zoe"}},
	{"the certificate and the Service of a webhook that changes members", func(p *plant) {
		ns := p.namespace(map[string]string{rails.LabelEnforce: "baseline"})
		p.mutator("mutator", "rbac.authorization.k8s.io", "rolebindings", ns)
		p.grant(ns, "serve", []string{"get secrets", "patch services mutator"}, "group webhooks")
	}, []string{"HT028  MutatingWebhookConfiguration mutator", "HT085  group webhooks"}},
	{"the certificate and EndpointSlices of a webhook's Service", func(p *plant) {
		ns := p.namespace(map[string]string{rails.LabelEnforce: "baseline"})
		p.mutator("mutator", "", "pods", ns)
		p.grant(ns, "serve", []string{"list secrets", "create discovery.k8s.io:endpointslices"}, "user zoe")
	}, []string{"HT028  MutatingWebhookConfiguration mutator", "HT085  user zoe"}},
	{"a priority class that the guard allows, made anew", func(p *plant) {
		p.init("alpha", "--priority-classes", "batch")
		p.later(func() { p.init("alpha", "--priority-classes", "") })
		p.grant("", "classes", []string{"delete scheduling.k8s.io:priorityclasses batch", "create scheduling.k8s.io:priorityclasses"}, "user zoe")
	}, []string{"HT020 alpha user zoe"}},
	{"a priority class that the guard allows, and that does not exist", func(p *plant) {
		p.init("alpha", "--priority-classes", "batch")
		p.later(func() { p.init("alpha", "--priority-classes", "") })
		p.grant("", "classes", []string{"create scheduling.k8s.io:priorityclasses"}, "user zoe")
	}, []string{"HT020 alpha user zoe"}},
	{"priority classes beside an allowed one, which exists", func(p *plant) {
		p.priorityClass("batch")
		p.init("alpha", "--priority-classes", "batch")
		p.later(func() { p.init("alpha", "--priority-classes", "") })
		p.grant("", "classes", []string{"create scheduling.k8s.io:priorityclasses", "get,patch,update scheduling.k8s.io:priorityclasses batch"}, "user zoe")
	}, nil},
	{"priority classes, of which the guard allows none", func(p *plant) {
		p.grant("", "classes", []string{"create,delete scheduling.k8s.io:priorityclasses"}, "user zoe")
	}, nil},
	{"Services where a webhook is answered", func(p *plant) {
		ns := p.namespace(map[string]string{rails.LabelEnforce: "baseline"})
		p.mutator("mutator", "", "pods", ns)
		p.grant(ns, "serve", []string{"get,list,update services", "get pods"}, "user zoe")
	}, []string{"HT028  MutatingWebhookConfiguration mutator"}},
	{"the policies of a Tiller that only a NetworkPolicy closes", func(p *plant) {
		p.mutateTiller("alpha-tiller", func(d *appsv1.Deployment) { container(d).Command[1] = "--listen=:44134" })
		p.grant("alpha-tiller", "network", []string{"create networking.k8s.io:networkpolicies"}, "user zoe")
	}, []string{"HT003 alpha " + tillerOfAlpha, "HT020 alpha user zoe"}},
	{"the policies of a Tiller on its loopback", func(p *plant) {
		p.grant("alpha-tiller", "network", []string{"* networking.k8s.io:networkpolicies"}, "user zoe")
	}, nil},
	{"pods in a namespace of nobody's that refuses no privileged ones", func(p *plant) {
		p.grant(p.namespace(nil), "pods", []string{"create pods"}, "user zoe")
	}, []string{"HT082  namespace old"}},
	{"workloads there, for a group", func(p *plant) {
		p.bind(p.namespace(map[string]string{rails.LabelEnforce: "privileged"}), "edit", "ClusterRole", "edit", "group builders")
	}, []string{"HT082  namespace old"}},
	{"pods in a namespace of nobody's that refuses privileged ones", func(p *plant) {
		p.grant(p.namespace(map[string]string{rails.LabelEnforce: "baseline"}), "pods", []string{"create pods"}, "user zoe")
	}, nil},
	{"a right to read there", func(p *plant) {
		p.bind(p.namespace(nil), "view", "ClusterRole", "view", "user zoe")
	}, nil},
}
