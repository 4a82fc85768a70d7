package audit

import (
	"context"
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/rand"

	"helm-tenant/test/records"
)

// pod makes one that nothing else makes.
func (p *plant) pod(ns, name, account string, labels map[string]string) {
	p.Helper()
	must(p.T, create(p.w.root.CoreV1().Pods(ns).Create(context.Background(), &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels}, Spec: restricted(account)}, metav1.CreateOptions{})))
	p.later(func() { p.gone(p.w.root.CoreV1().Pods(ns).Delete(context.Background(), name, metav1.DeleteOptions{})) })
}

// address gives a pod an address, as its kubelet does.
func (p *plant) address(ns, name, address string) {
	p.Helper()
	patch := `{"status":{"podIP":"` + address + `","podIPs":[{"ip":"` + address + `"}]}}`
	_, err := p.w.root.CoreV1().Pods(ns).Patch(context.Background(), name, types.MergePatchType, []byte(patch), metav1.PatchOptions{}, "status")
	must(p.T, err)
}

// job makes a Job, and waits for its pod, which is called "old" in what is wanted.
func (p *plant) job(ns, account string) {
	p.Helper()
	spec, name, background := restricted(account), "job-"+rand.String(5), metav1.DeletePropagationBackground
	spec.RestartPolicy = corev1.RestartPolicyNever
	must(p.T, create(p.w.root.BatchV1().Jobs(ns).Create(context.Background(), &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: batchv1.JobSpec{Template: corev1.PodTemplateSpec{Spec: spec}}}, metav1.CreateOptions{})))
	p.later(func() {
		p.gone(p.w.root.BatchV1().Jobs(ns).Delete(context.Background(), name, metav1.DeleteOptions{PropagationPolicy: &background}))
	})
	p.await("a pod of the Job", func() bool {
		p.old = p.podOf(ns, name+"-")
		return p.old != ""
	})
}

// emptySet makes a StatefulSet without pods.
func (p *plant) emptySet(ns, name string) {
	p.Helper()
	p.object("/apis/apps/v1/namespaces/"+ns+"/statefulsets", name, `{"metadata":{"name":"`+name+`"},"spec":{"replicas":0,"serviceName":"set",
		"selector":{"matchLabels":{"a":"b"}},"template":{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"c","image":"i"}]}}}}`)
}

// withoutPods deletes the pods of a namespace and has a quota refuse new ones.
func (p *plant) withoutPods(ns string) {
	p.Helper()
	ctx := context.Background()
	must(p.T, create(p.w.root.CoreV1().ResourceQuotas(ns).Create(ctx, &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Name: "no-pods"},
		Spec: corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{corev1.ResourcePods: resource.MustParse("0")}}}, metav1.CreateOptions{})))
	p.await("no pods, and a refusal of one", func() bool {
		must(p.T, p.w.root.CoreV1().Pods(ns).DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{}))
		sets, err := p.w.root.AppsV1().ReplicaSets(ns).List(ctx, metav1.ListOptions{})
		must(p.T, err)
		refused := func(c appsv1.ReplicaSetCondition) bool {
			return c.Type == appsv1.ReplicaSetReplicaFailure && c.Status == corev1.ConditionTrue
		}
		return len(p.podsAt(ns)) == 0 && slices.ContainsFunc(sets.Items, func(s appsv1.ReplicaSet) bool { return slices.ContainsFunc(s.Status.Conditions, refused) })
	})
}

func (p *plant) podsAt(ns string) []corev1.Pod {
	p.Helper()
	pods, err := p.w.root.CoreV1().Pods(ns).List(context.Background(), metav1.ListOptions{})
	must(p.T, err)
	return pods.Items
}

// podOf returns the pod whose name has that prefix, empty if there is none.
func (p *plant) podOf(ns, prefix string) string {
	for _, pod := range p.podsAt(ns) {
		if strings.HasPrefix(pod.Name, prefix) {
			return pod.Name
		}
	}
	return ""
}

// tillerPod returns the Tiller's at that home.
func (p *plant) tillerPod(home string) (name string) {
	p.Helper()
	p.await("a pod of the Tiller", func() bool {
		name = p.podOf(home, "tiller-deploy-")
		return name != ""
	})
	return name
}

// impostor makes a pod of the Tiller's account that is the Tiller's by its specification and its
// owner reference. That names no API, so that nobody deletes the pod, and another UID.
func (p *plant) impostor(home string) {
	p.Helper()
	ctx := context.Background()
	real, err := p.w.root.CoreV1().Pods(home).Get(ctx, p.tillerPod(home), metav1.GetOptions{})
	must(p.T, err)
	owner := metav1.OwnerReference{APIVersion: "example.com/v1", Kind: "ReplicaSet", Name: real.OwnerReferences[0].Name, UID: "5d5f0000-0000-4000-8000-000000000000", Controller: new(true)}
	p.old = "impostor"
	created := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: p.old, Labels: real.Labels, OwnerReferences: []metav1.OwnerReference{owner}}, Spec: real.Spec}
	created.Spec.NodeName = ""
	must(p.T, create(p.w.root.CoreV1().Pods(home).Create(ctx, created, metav1.CreateOptions{})))
	p.later(func() { p.gone(p.w.root.CoreV1().Pods(home).Delete(ctx, "impostor", metav1.DeleteOptions{})) })
}

// priorityClass makes one.
func (p *plant) priorityClass(name string) {
	p.Helper()
	classes := p.w.root.SchedulingV1().PriorityClasses()
	must(p.T, create(classes.Create(context.Background(), &schedulingv1.PriorityClass{ObjectMeta: metav1.ObjectMeta{Name: name}, Value: 10}, metav1.CreateOptions{})))
	p.later(func() { p.gone(classes.Delete(context.Background(), name, metav1.DeleteOptions{})) })
}

// podAgain has the Tiller's pod made again at the end.
func (p *plant) podAgain(home string) {
	p.later(func() {
		p.gone(p.w.root.CoreV1().Pods(home).Delete(context.Background(), p.old, metav1.DeleteOptions{}))
		p.tillerPod(home)
	})
}

// robot makes alpha's member account one again at the end: what the finding says
// is to revoke it.
func (p *plant) robot() {
	p.later(func() { p.helmTenant("grant", "alpha", "--service-account", "ci:robot") })
}

// deployment makes one of pods that run as the account.
func (p *plant) deployment(ns, name, account string, replicas int32) {
	p.Helper()
	labels := map[string]string{"is": name}
	must(p.T, create(p.w.root.AppsV1().Deployments(ns).Create(context.Background(), &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: appsv1.DeploymentSpec{
		Replicas: &replicas, Selector: &metav1.LabelSelector{MatchLabels: labels}, Template: corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: labels}, Spec: restricted(account)}}}, metav1.CreateOptions{})))
	p.later(func() {
		p.gone(p.w.root.AppsV1().Deployments(ns).Delete(context.Background(), name, metav1.DeleteOptions{}))
	})
}

// cronJob makes one that is suspended.
func (p *plant) cronJob(ns, account string) {
	p.Helper()
	yes, spec := true, restricted(account)
	spec.RestartPolicy = corev1.RestartPolicyNever
	must(p.T, create(p.w.root.BatchV1().CronJobs(ns).Create(context.Background(), &batchv1.CronJob{ObjectMeta: metav1.ObjectMeta{Name: "sleeper"}, Spec: batchv1.CronJobSpec{
		Schedule: "0 0 1 1 *", Suspend: &yes, JobTemplate: batchv1.JobTemplateSpec{Spec: batchv1.JobSpec{Template: corev1.PodTemplateSpec{Spec: spec}}}}}, metav1.CreateOptions{})))
	p.later(func() {
		p.gone(p.w.root.BatchV1().CronJobs(ns).Delete(context.Background(), "sleeper", metav1.DeleteOptions{}))
	})
}

// applies makes a suspended CronJob that applies a ConfigMap with a cluster-admin's
// account.
func (p *plant) applies(ns, account, file string) {
	p.Helper()
	p.account(ns, account)
	p.bind("", account, "ClusterRole", "cluster-admin", "account "+ns+":"+account)
	p.cronJob(ns, account)
	const patch = `{"spec":{"jobTemplate":{"spec":{"template":{"spec":{"containers":[{"name":"%s","args":["apply","-f","/etc/tenants.yaml"],"image":"registry.example.com/helm-tenant:1.0.0"}],"volumes":[{"name":"file","configMap":{"name":"%s"}}]}}}}}}`
	_, err := p.w.root.BatchV1().CronJobs(ns).Patch(context.Background(), "sleeper", types.StrategicMergePatchType, fmt.Appendf(nil, patch, restricted(account).Containers[0].Name, file), metav1.PatchOptions{})
	must(p.T, err)
}

// identities makes the ConfigMap by which EKS knows people.
func (p *plant) identities() {
	p.Helper()
	must(p.T, create(p.w.root.CoreV1().ConfigMaps("kube-system").Create(context.Background(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "aws-auth"}}, metav1.CreateOptions{})))
	p.later(func() {
		p.gone(p.w.root.CoreV1().ConfigMaps("kube-system").Delete(context.Background(), "aws-auth", metav1.DeleteOptions{}))
	})
}

func (p *plant) clusterRole(name string, what ...string) {
	p.Helper()
	must(p.T, create(p.w.root.RbacV1().ClusterRoles().Create(context.Background(), &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: name}, Rules: rules(what...)}, metav1.CreateOptions{})))
	p.later(func() {
		p.gone(p.w.root.RbacV1().ClusterRoles().Delete(context.Background(), name, metav1.DeleteOptions{}))
	})
}

// aggregates creates a ClusterRole that is aggregated into those roles. They keep its rules for
// a moment after it is deleted.
func (p *plant) aggregates(name string, what []string, into ...string) {
	p.Helper()
	p.later(func() { p.w.clean(p.T) })
	p.clusterRole(name, what...)
	for _, role := range into {
		p.merge("/apis/rbac.authorization.k8s.io/v1/clusterroles/"+name, `{"metadata":{"labels":{"rbac.authorization.k8s.io/aggregate-to-`+role+`":"true"}}}`)
	}
}

// roleAgain gives tenants the role admin again at the end: what the finding says is to
// give them another.
func (p *plant) roleAgain(names ...string) {
	for _, name := range names {
		p.later(func() { p.init(name, "--role", "admin", "--accept-risk=namespace-writer") })
	}
}

// aggregated gives zoe a ClusterRole that has only aggregated rules.
func (p *plant) aggregated() {
	ctx := context.Background()
	p.grant("", "part", []string{"list secrets"}, "user nobody-in-particular")
	p.merge("/apis/rbac.authorization.k8s.io/v1/clusterroles/part", `{"metadata":{"labels":{"aggregate":"here"}}}`)
	p.gone(p.w.root.RbacV1().ClusterRoleBindings().Delete(ctx, "part", metav1.DeleteOptions{}))
	p.grant("", "sum", []string{"get nothings"}, "user zoe")
	p.merge("/apis/rbac.authorization.k8s.io/v1/clusterroles/sum", `{"aggregationRule":{"clusterRoleSelectors":[{"matchLabels":{"aggregate":"here"}}]}}`)
	p.await("the aggregated role", func() bool {
		role, err := p.w.root.RbacV1().ClusterRoles().Get(ctx, "sum", metav1.GetOptions{})
		must(p.T, err)
		return len(role.Rules) == 1 && role.Rules[0].Resources[0] == "secrets"
	})
}

// release writes the record of a release, as Tiller does.
func (p *plant) release(home, name, ns string) { p.revision(home, name, 1, "DEPLOYED", ns) }

func (p *plant) revision(home, name string, number int, status, ns string) {
	p.Helper()
	ctx := context.Background()
	record := records.Secret(records.Release{Name: name, Namespace: ns, Revision: number, Status: status})
	must(p.T, create(p.w.root.CoreV1().Secrets(home).Create(ctx, record, metav1.CreateOptions{})))
	p.later(func() { p.gone(p.w.root.CoreV1().Secrets(home).Delete(ctx, record.Name, metav1.DeleteOptions{})) })
}

// answeredAt has a mutating webhook answered at an address instead of by a Service.
func (p *plant) answeredAt(name, address string) {
	p.Helper()
	patch := `[{"op":"replace","path":"/webhooks/0/clientConfig","value":{"url":"` + address + `"}}]`
	_, err := p.w.root.AdmissionregistrationV1().MutatingWebhookConfigurations().Patch(context.Background(), name, types.JSONPatchType, []byte(patch), metav1.PatchOptions{})
	must(p.T, err)
}

// converts makes the definition of a kind with two versions, which a Service of that namespace
// converts. To go takes a definition a moment: each needs a name of its own.
func (p *plant) converts(namespace, plural string) {
	p.Helper()
	const schema = `"schema":{"openAPIV3Schema":{"type":"object"}}`
	p.object("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", plural+".example.com", `{"apiVersion":"apiextensions.k8s.io/v1","kind":"CustomResourceDefinition","metadata":{"name":"`+plural+`.example.com"},
		"spec":{"group":"example.com","scope":"Namespaced","names":{"plural":"`+plural+`","kind":"Kind`+plural+`"},"versions":[{"name":"v1","served":true,"storage":true,`+schema+`},{"name":"v2","served":true,"storage":false,`+schema+`}],
		"conversion":{"strategy":"Webhook","webhook":{"conversionReviewVersions":["v1"],"clientConfig":{"service":{"namespace":"`+namespace+`","name":"converter"}}}}}}`)
}

// serves makes an API that a Service of that namespace serves.
func (p *plant) serves(namespace string) { p.servesGroup("planted.example.com", namespace) }

// servesGroup makes an API of that group that a Service of that namespace serves, whoever that is.
func (p *plant) servesGroup(group, namespace string) {
	p.Helper()
	p.object("/apis/apiregistration.k8s.io/v1/apiservices", "v1."+group, `{"apiVersion":"apiregistration.k8s.io/v1","kind":"APIService","metadata":{"name":"v1.`+group+`"},
		"spec":{"group":"`+group+`","version":"v1","groupPriorityMinimum":1,"versionPriority":1,"insecureSkipTLSVerify":true,"service":{"namespace":"`+namespace+`","name":"server"}}}`)
	p.await("the group "+group, func() bool {
		groups, err := p.w.root.CoreV1().RESTClient().Get().AbsPath("/apis").SetHeader("Accept", "application/json").DoRaw(context.Background())
		must(p.T, err)
		return strings.Contains(string(groups), `"`+group+`"`)
	})
}

// object creates an object by the path of its kind.
func (p *plant) object(path, name, body string) {
	p.Helper()
	client := p.w.root.CoreV1().RESTClient()
	must(p.T, client.Post().AbsPath(path).SetHeader("Content-Type", "application/json").Body([]byte(body)).Do(context.Background()).Error())
	p.later(func() { p.gone(client.Delete().AbsPath(path + "/" + name).Do(context.Background()).Error()) })
}
