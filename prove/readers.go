package prove

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

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
