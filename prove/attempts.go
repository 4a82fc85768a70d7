package prove

import (
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// An Attempt is one thing that must be refused. test/attack does the same for real, from
// the same table.
type Attempt struct {
	ID   string // never used again for another attempt
	What string // the attempt, as the words after "can"
	Why  string // what success would give
	// Benchmarks are those of the retired Multi-Tenancy Benchmarks
	// (github.com/kubernetes-retired/multi-tenancy) that check the same.
	Benchmarks []string
	As         []Role
	// Each tries it in each of the tenant's namespaces, otherwise it is tried once.
	Each bool
	// Closes is the setting that refuses it if Kubernetes by itself would not.
	Closes string
	// Optional attempts may succeed: they must be refused only if required reports that
	// for the tenant and the namespace.
	Optional bool
	required func(t *Target, namespace string) bool

	// One of these makes the request.

	// pod changes a harmless pod; named is its name in PodSecurity's refusal.
	pod   func(*corev1.Pod)
	named []string
	// request makes any other request; nil if it does not apply to the target, for the reason
	// absent, or because there is no other tenant.
	request func(t *Target, namespace string) *ask
	absent  string
	// accepted reports, from the answer to the harmless pod, whether the attempt's pod
	// would have been mutated into something else, and by what.
	accepted func(*corev1.Pod) (by string, changed bool)
	// configured reports, from the facts of the namespace, whether it is refused.
	configured func(t *Target, namespace string) bool
}

const (
	closedByPodSecurity = "podSecurity: baseline"
	closedByRestricted  = "podSecurity: restricted"
	closedByGuard       = "guard: enforce"
)

var (
	onlyDeployer = []Role{Deployer}
	all          = []Role{Deployer, Member, Account, Reader}
	people       = []Role{Member, Account, Reader}
)

// Attempts returns all attempts, in the order of reports.
func Attempts() []*Attempt { return slices.Clone(table) }

var table = slices.Concat(onNode, inNamespaces, onCluster, onHome, byReaders, onOthers)

// onNode are pods that take over the node, and with it the pods of every tenant there.
var onNode = []*Attempt{
	{ID: "privileged-container", What: "run a privileged container", Why: "root on the node: every pod's token and disk",
		Benchmarks: []string{"MTB-PL1-BC-CPI-5 Block privileged containers"}, As: []Role{Deployer, Member, Account}, Each: true, Closes: closedByPodSecurity,
		named: []string{"privileged (container"},
		pod:   func(p *corev1.Pod) { security(p).Privileged, security(p).AllowPrivilegeEscalation = new(true), nil }},
	{ID: "host-path", What: "mount a folder of the node", Why: "the node's files: other pods' volumes and tokens, the kubelet's key",
		Benchmarks: []string{"MTB-PL1-BC-HI-1 Block use of host path volumes"}, As: onlyDeployer, Each: true, Closes: closedByPodSecurity,
		named: []string{"hostPath volumes (", `restricted volume type "hostPath"`},
		pod: func(p *corev1.Pod) {
			p.Spec.Volumes = append(p.Spec.Volumes, corev1.Volume{Name: "node", VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/"}}})
		}},
	{ID: "host-network", What: "use the node's network", Why: "traffic of other pods on the node, and ports that listen on its loopback",
		Benchmarks: []string{"MTB-PL1-BC-HI-3 Block use of host networking and ports"}, As: onlyDeployer, Each: true, Closes: closedByPodSecurity,
		named: []string{"hostNetwork=true"}, pod: func(p *corev1.Pod) { p.Spec.HostNetwork = true }},
	{ID: "host-port", What: "take a port of the node", Why: "connections that were meant for others",
		Benchmarks: []string{"MTB-PL1-BC-HI-3 Block use of host networking and ports"}, As: onlyDeployer, Each: true, Closes: closedByPodSecurity,
		named: []string{"hostPort (", "hostPorts ("},
		pod: func(p *corev1.Pod) {
			p.Spec.Containers[0].Ports = []corev1.ContainerPort{{ContainerPort: 65000, HostPort: 65000}}
		}},
	{ID: "host-pid", What: "see the node's processes", Why: "environment variables and files of other pods' processes",
		Benchmarks: []string{"MTB-PL1-BC-HI-4 Block use of host PID"}, As: onlyDeployer, Each: true, Closes: closedByPodSecurity,
		named: []string{"hostPID=true"}, pod: func(p *corev1.Pod) { p.Spec.HostPID = true }},
	{ID: "host-ipc", What: "use the node's shared memory", Why: "memory of other pods' processes",
		Benchmarks: []string{"MTB-PL1-BC-HI-5 Block use of host IPC"}, As: onlyDeployer, Each: true, Closes: closedByPodSecurity,
		named: []string{"hostIPC=true"}, pod: func(p *corev1.Pod) { p.Spec.HostIPC = true }},
	{ID: "capabilities", What: "add the capability SYS_ADMIN", Why: "most of what root on the node can do",
		Benchmarks: []string{"MTB-PL1-BC-CPI-3 Block add capabilities"}, As: onlyDeployer, Each: true, Closes: closedByPodSecurity,
		named: []string{"non-default capabilities (", "unrestricted capabilities ("},
		pod: func(p *corev1.Pod) {
			security(p).Capabilities, security(p).AllowPrivilegeEscalation = &corev1.Capabilities{Add: []corev1.Capability{"SYS_ADMIN"}}, nil
		}},
	{ID: "seccomp-unconfined", What: "call the kernel without a filter", Why: "system calls through which containers are left",
		As: onlyDeployer, Each: true, Closes: closedByPodSecurity, named: []string{"seccompProfile ("},
		pod: func(p *corev1.Pod) { p.Spec.SecurityContext.SeccompProfile.Type = corev1.SeccompProfileTypeUnconfined }},
	{ID: "run-as-root", What: "run as root in the container", Why: "one fault of the kernel less to find for whoever wants to leave it",
		Benchmarks: []string{"MTB-PL1-BC-CPI-4 Require run as non-root user"}, As: onlyDeployer, Each: true, Closes: closedByRestricted,
		Optional: true, required: isRestricted, named: []string{"runAsNonRoot != true", "runAsUser=0"},
		pod: func(p *corev1.Pod) {
			p.Spec.SecurityContext.RunAsNonRoot, p.Spec.SecurityContext.RunAsUser = nil, new(int64(0))
		}},
	{ID: "privilege-escalation", What: "gain rights by a set-user-ID program", Why: "root in the container from an account without rights",
		Benchmarks: []string{"MTB-PL1-BC-CPI-6 Block privilege escalation"}, As: onlyDeployer, Each: true, Closes: closedByRestricted,
		Optional: true, required: isRestricted, named: []string{"allowPrivilegeEscalation != false"},
		pod: func(p *corev1.Pod) { security(p).AllowPrivilegeEscalation = new(true) }},
	{ID: "cached-image", What: "run an image that the node has without the right to pull it", Why: "another tenant's private image",
		Benchmarks: []string{"MTB-PL1-CC-DI-1 Require always imagePullPolicy"}, As: onlyDeployer, Each: true, Closes: "the API server's admission plugin AlwaysPullImages",
		Optional: true,
		accepted: func(p *corev1.Pod) (string, bool) {
			return "AlwaysPullImages", len(p.Spec.Containers) > 0 && p.Spec.Containers[0].ImagePullPolicy == corev1.PullAlways
		}},
}

func security(p *corev1.Pod) *corev1.SecurityContext { return p.Spec.Containers[0].SecurityContext }

func isRestricted(t *Target, namespace string) bool { return t.Restricted[namespace] }

func hasQuota(t *Target, namespace string) bool { return len(t.Quotas[namespace]) > 0 }

// inNamespaces are objects in the tenant's own namespaces that reach beyond them.
var inNamespaces = []*Attempt{
	{ID: "priority", What: "run a pod of the class system-node-critical", Why: "evicts other tenants' pods from the node",
		As: onlyDeployer, Each: true, Closes: closedByGuard,
		request: createsPod(func(p *corev1.Pod) {
			p.Spec.PriorityClassName = "system-node-critical"
		})},
	{ID: "group-priority", What: "make a template of groups of pods with a high priority", Why: "evicts other tenants' pods from the node",
		As: onlyDeployer, Each: true, Closes: closedByGuard, absent: "the API server serves no groups of pods (scheduling.k8s.io Workload)",
		request: func(t *Target, ns string) *ask {
			if t.Workloads == "" {
				return nil
			}
			return create(pathIn("/apis/"+t.Workloads, ns, "workloads"), podGroups(t.Workloads, ns))
		}},
	{ID: "external-ips", What: "make a Service with external IPs", Why: "takes the traffic to any address, the API server's too",
		As: onlyDeployer, Each: true, Closes: closedByGuard,
		request: creates(coreAPI, "services", externalService)},
	{ID: "outsider-binding", What: "bind a Role to somebody who is no account of the tenant", Why: "lets in who is no member, and outlives a revoke",
		As: onlyDeployer, Each: true, Closes: closedByGuard,
		request: binds("view", "User", Name)},
	{ID: "claim-names-volume", What: "claim a volume by its name", Why: "the data of another tenant's released volume",
		As: onlyDeployer, Each: true, Closes: closedByGuard,
		request: creates(coreAPI, "persistentvolumeclaims", claim)},
	{ID: "direct-storage", What: "mount a path of a storage server by naming it", Why: "the data of every tenant's volumes on a server that trusts the nodes",
		As: onlyDeployer, Closes: closedByGuard,
		request: createsPod(func(p *corev1.Pod) {
			p.Spec.Volumes = append(p.Spec.Volumes, corev1.Volume{Name: "server", VolumeSource: corev1.VolumeSource{NFS: &corev1.NFSVolumeSource{Server: "192.0.2.1", Path: "/"}}})
		})},
	{ID: "inline-storage", What: "mount what a CSI driver serves by naming it in a pod", Why: "the data that the driver reaches with credentials of its own",
		As: onlyDeployer, Closes: closedByGuard,
		request: createsPod(func(p *corev1.Pod) {
			// No driver has this name: the attempt is whether the pod is accepted.
			p.Spec.Volumes = append(p.Spec.Volumes, corev1.Volume{Name: "share", VolumeSource: corev1.VolumeSource{CSI: &corev1.CSIVolumeSource{
				Driver: "prove.helm-tenant.example.com", VolumeAttributes: map[string]string{"server": "192.0.2.1", "share": "/"}}}})
		})},
	{ID: "own-binding", What: "delete the binding that makes the namespace the tenant's", Why: "what the admin put there is the tenant's to change",
		Benchmarks: []string{"MTB-PL1-BC-CPI-2 Block Multitenant Resources"}, As: onlyDeployer, Each: true, Closes: closedByGuard,
		request: func(t *Target, ns string) *ask { return remove(pathIn(rbacAPI, ns, "rolebindings/"+t.Binding)) }},
	{ID: "quota", What: "make a ResourceQuota", Why: "bounds that the admin set are the tenant's to change",
		Benchmarks: []string{"MTB-PL1-CC-TI-1 Block modification of resource quotas"}, As: onlyDeployer,
		request: creates(coreAPI, "resourcequotas", quota)},
	{ID: "label-namespace", What: "change the labels of the tenant's namespace", Why: "takes PodSecurity and the guard off",
		As: []Role{Deployer, Member, Reader},
		request: func(_ *Target, ns string) *ask {
			return merge("/api/v1/namespaces/"+ns, `{"metadata":{"labels":{"pod-security.kubernetes.io/enforce":"privileged"}}}`)
		}},
	{ID: "role-escalation", What: "bind cluster-admin in the tenant's namespace", Why: "more than the admin gave",
		Benchmarks: []string{"MTB-PL2-CC-TI-1 Block role privilege escalation"}, As: onlyDeployer,
		request: binds("cluster-admin", "ServiceAccount", "default")},
	{ID: "node-port", What: "open a port on every node", Why: "reached from wherever the nodes are, past any Ingress",
		Benchmarks: []string{"MTB-PL1-BC-HI-1 Block use of NodePort services"}, As: onlyDeployer, Closes: `quota: {services.nodeports: "0"}`,
		Optional: true, required: func(t *Target, ns string) bool { return t.Quotas[ns]["services.nodeports"] },
		request: creates(coreAPI, "services", nodePort)},
	{ID: "foreign-host", What: "serve a host name that is not the tenant's", Why: "another tenant's visitors, passwords and certificates",
		As: onlyDeployer, Closes: "hosts: [...]", Optional: true, required: func(t *Target, _ string) bool { return t.Hosts },
		request: creates(networkingAPI, "ingresses", ingress)},
	{ID: "metadata-egress", What: "let its pods reach the cloud's metadata service by a NetworkPolicy of its own", Why: "the node's credentials",
		As: onlyDeployer, Closes: "network: isolated", Optional: true, required: func(t *Target, _ string) bool { return t.Isolated },
		request: creates(networkingAPI, "networkpolicies", egress)},
	{ID: "no-quota", What: "use the cluster's resources without a bound", Why: "starves other tenants",
		Benchmarks: []string{"MTB-PL1-CC-FNS-1 Configure namespace resource quotas"}, As: onlyDeployer, Each: true, Closes: "quota: {...}",
		Optional: true, configured: hasQuota},
	{ID: "no-object-quota", What: "make objects without a bound", Why: "fills the API server's store for everybody",
		Benchmarks: []string{"MTB-PL1-CC-FNS-2 Configure namespace object limits"}, As: onlyDeployer, Each: true, Closes: `quota: {count/...: "N"}`,
		Optional: true, configured: countsObjects},
}

// countsObjects reports whether a quota bounds the number of objects of a kind.
func countsObjects(t *Target, namespace string) bool {
	for _, name := range []string{"pods", "services", "configmaps", "secrets", "persistentvolumeclaims", "replicationcontrollers"} {
		if t.Quotas[namespace][name] || t.Quotas[namespace]["count/"+name] {
			return true
		}
	}
	return false
}

// onCluster are cluster-scoped objects and those that serve everybody.
var onCluster = []*Attempt{
	{ID: "read-nodes", What: "list the cluster's nodes", Why: "what belongs to the cluster is no tenant's",
		Benchmarks: []string{"MTB-PL1-CC-CPI-1 Block access to cluster resources"}, As: onlyDeployer,
		request: lists("/api/v1/nodes")},
	{ID: "namespace", What: "make a Namespace", Why: "a place without guard rails", As: onlyDeployer,
		request: createsInCluster("/api/v1/namespaces", namespaceObject)},
	{ID: "cluster-binding", What: "bind cluster-admin in the whole cluster", Why: "everything", As: onlyDeployer,
		request: createsInCluster("/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", clusterBinding)},
	{ID: "node-volume", What: "make a PersistentVolume on the node's disk", Why: "the node's files, past PodSecurity", As: onlyDeployer,
		request: createsInCluster("/api/v1/persistentvolumes", volume)},
	{ID: "webhook", What: "make a webhook that sees every write", Why: "every tenant's Secrets as they are written", As: onlyDeployer,
		request: createsInCluster("/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations", webhook)},
	{ID: "crd", What: "make a CustomResourceDefinition", Why: "changes the API for everybody", As: onlyDeployer,
		request: createsInCluster("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", definition)},
	{ID: "kubelet", What: "reach the kubelets through the API server", Why: "runs commands in every pod", As: onlyDeployer,
		request: func(_ *Target, _ string) *ask { return review("get", "", "nodes", "proxy", "", "") }},
	{ID: "system-secrets", What: "read Secrets in kube-system", Why: "accounts that may do everything", As: onlyDeployer,
		request: lists("/api/v1/namespaces/kube-system/secrets")},
}

// onHome are ways to the deployer in the tenant's own home namespace.
var onHome = []*Attempt{
	{ID: "home-pod", What: "run a pod in the home namespace as the deployer", Why: "the deployer's token, which outlives a revoke", As: all,
		request: func(t *Target, _ string) *ask {
			pod := harmless(t.Home)
			pod.Spec.ServiceAccountName = t.Account
			return create(pathIn(coreAPI, t.Home, "pods"), pod)
		}},
	{ID: "home-secrets", What: "read Secrets in the home namespace", Why: "what every release was installed with", As: people,
		request: func(t *Target, _ string) *ask { return list(pathIn(coreAPI, t.Home, "secrets")) }},
	{ID: "token-secret", What: "make a Secret that gets the deployer's token", Why: "a token that never ends", As: onlyDeployer,
		request: func(t *Target, _ string) *ask { return create(pathIn(coreAPI, t.Home, "secrets"), tokenSecret(t)) }},
	{ID: "home-binding", What: "make a RoleBinding in the home namespace", Why: "makes members of whom it likes", As: onlyDeployer,
		request: func(t *Target, _ string) *ask { return bind(t.Home, "view", "User", Name) }},
	{ID: "token", What: "get a token of the deployer's account", Why: "acts as the deployer after a revoke", As: all,
		request: func(t *Target, _ string) *ask {
			return review("create", "", "serviceaccounts", "token", t.Home, t.Account)
		}},
	{ID: "home-exec", What: "run a command in a pod of the home namespace", Why: "the deployer's token", As: []Role{Member},
		request: func(t *Target, _ string) *ask { return review("create", "", "pods", "exec", t.Home, "") }},
	{ID: "record", What: "change the tenant's record", Why: "the next apply gives what it says", As: []Role{Member, Reader},
		request: func(t *Target, _ string) *ask {
			return merge(pathIn(coreAPI, t.Home, "configmaps/helm-tenant"), `{"metadata":{"annotations":{"`+Name+`":"true"}}}`)
		}},
	{ID: "deployer", What: "act as the tenant's deployer", Why: "all of the tenant's rights from any pod", As: []Role{Account},
		request: func(t *Target, _ string) *ask { return useDeployer(t.Home, t.Account, t.Tiller) }},
}

var onOthers = []*Attempt{
	{ID: "other-secrets", What: "read another tenant's Secrets", Why: "its passwords",
		Benchmarks: []string{"MTB-PL1-CC-TI-2 Block access to other tenant resources"}, As: all,
		request: onOther(func(o *Other) *ask { return list(pathIn(coreAPI, o.Namespace, "secrets")) })},
	{ID: "other-write", What: "write in another tenant's namespace", Why: "its workloads",
		Benchmarks: []string{"MTB-PL1-CC-TI-2 Block access to other tenant resources"}, As: onlyDeployer,
		request: onOther(func(o *Other) *ask {
			return create(pathIn(coreAPI, o.Namespace, "configmaps"), settings(o.Namespace))
		})},
	{ID: "other-deployer", What: "act as another tenant's deployer", Why: "all that the other tenant can do", As: []Role{Deployer, Member, Reader},
		request: onOther(func(o *Other) *ask { return useDeployer(o.Home, o.Account, o.Tiller) })},
}

// useDeployer returns a review of the right with which members use a deployer.
func useDeployer(home, account string, tiller bool) *ask {
	if tiller {
		return review("create", "", "pods", "portforward", home, "")
	}
	return review("impersonate", "", "serviceaccounts", "", home, account)
}

var onlyReader = []Role{Reader}

// controlReader is what readers are for: release records are Secrets.
var controlReader = &Attempt{ID: "control-reader", What: "list the tenant's releases", As: onlyReader,
	request: func(_ *Target, ns string) *ask { return list(pathIn(coreAPI, ns, "secrets")) }}

// byReaders are writes of the readers' account in the tenant's namespaces, where it may
// only read. There is one for each kind of right: creating objects, changing or deleting
// them, and the subresources that change a running pod.
var byReaders = []*Attempt{
	{ID: "reader-create", What: "make an object as a reader", Why: "a reader is let in to read", As: onlyReader, Each: true,
		request: creates(coreAPI, "configmaps", settings)},
	{ID: "reader-workload", What: "run a workload as a reader", Why: "runs with the rights of the tenant's accounts", As: onlyReader,
		request: creates(appsAPI, "deployments", deployment)},
	{ID: "reader-release", What: "write a release record as a reader", Why: "the next rollback installs what it says", As: onlyReader,
		request: creates(coreAPI, "secrets", releaseRecord)},
	{ID: "reader-change", What: "change an object as a reader", Why: "the tenant's configuration", As: onlyReader,
		request: func(_ *Target, ns string) *ask {
			return merge(pathIn(coreAPI, ns, "configmaps/"+everywhere), `{"metadata":{"annotations":{"`+Name+`":"true"}}}`)
		}},
	{ID: "reader-delete", What: "delete an object as a reader", Why: "the tenant's workloads", As: onlyReader,
		request: func(_ *Target, ns string) *ask { return remove(pathIn(coreAPI, ns, "configmaps/"+everywhere)) }},
	{ID: "reader-binding", What: "make a RoleBinding as a reader", Why: "gives rights away", As: onlyReader,
		request: binds("view", "ServiceAccount", "default")},
	readerMay("reader-exec", "run a command in a pod as a reader", "the pod's token and files", "create", "", "pods", "exec"),
	readerMay("reader-attach", "attach to a pod as a reader", "what the pod's program reads", "create", "", "pods", "attach"),
	readerMay("reader-debug", "add a container to a running pod as a reader", "the pod's token and files", "patch", "", "pods", "ephemeralcontainers"),
	readerMay("reader-port-forward", "reach a pod's ports as a reader", "what listens for its neighbours only", "create", "", "pods", "portforward"),
	readerMay("reader-proxy", "send requests to a Service as a reader", "what listens for its neighbours only", "create", "", "services", "proxy"),
	readerMay("reader-evict", "evict a pod as a reader", "stops the tenant's workloads", "create", "", "pods", "eviction"),
	readerMay("reader-scale", "scale a workload as a reader", "stops the tenant's workloads", "patch", "apps", "deployments", "scale"),
	readerMay("reader-status", "write an object's status as a reader", "takes a pod out of its Service", "patch", "", "pods", "status"),
	{ID: "reader-token", What: "get a token of the tenant's own account as a reader", Why: "acts as the account after a revoke", As: onlyReader,
		request: func(_ *Target, ns string) *ask {
			return review("create", "", "serviceaccounts", "token", ns, "default")
		}},
	{ID: "reader-deployer", What: "act as the tenant's deployer as a reader", Why: "all that a member can do", As: onlyReader,
		request: func(t *Target, _ string) *ask { return useDeployer(t.Home, t.Account, false) }},
}

// everywhere is a ConfigMap that Kubernetes keeps in each namespace.
const everywhere = "kube-root-ca.crt"

// readerMay returns an attempt that no dry run shows, in the tenant's first namespace.
func readerMay(id, title, why, verb, group, resource, subresource string) *Attempt {
	return &Attempt{ID: id, What: title, Why: why, As: onlyReader,
		request: func(_ *Target, ns string) *ask { return review(verb, group, resource, subresource, ns, "") }}
}

func deployment(namespace string) *appsv1.Deployment {
	pod := harmless(namespace)
	// A Deployment accepts no other policy.
	pod.Spec.RestartPolicy = corev1.RestartPolicyAlways
	labels := map[string]string{"app": Name}
	return &appsv1.Deployment{
		TypeMeta:   metav1.TypeMeta{APIVersion: appsv1.SchemeGroupVersion.String(), Kind: "Deployment"},
		ObjectMeta: meta(namespace),
		Spec: appsv1.DeploymentSpec{Replicas: new(int32(0)), Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: pod.Spec}},
	}
}

// releaseRecord returns a Secret in which Helm 3 would store a revision.
func releaseRecord(namespace string) *corev1.Secret {
	return &corev1.Secret{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
		ObjectMeta: metav1.ObjectMeta{Name: "sh.helm.release.v1." + Name + ".v1", Namespace: namespace,
			Labels: map[string]string{"owner": "helm", "name": Name, "status": "deployed", "version": "1"}},
		Type: "helm.sh/release.v1",
		Data: map[string][]byte{"release": []byte("e30=")},
	}
}
