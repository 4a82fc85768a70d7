package preflight

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"

	"helm-tenant/tenant"
)

func sorted(words []string) string { return strings.Join(slices.Sorted(slices.Values(words)), " ") }

// served returns the kinds of a current API server.
func served() Kinds {
	kinds := Kinds{}
	for _, kind := range []string{"v1 ConfigMap", "v1 Secret", "v1 Service", "v1 ServiceAccount", "v1 Pod", "v1 PersistentVolumeClaim", "apps/v1 Deployment", "apps/v1 StatefulSet", "batch/v1 Job",
		"batch/v1 CronJob", "networking.k8s.io/v1 Ingress", "networking.k8s.io/v1 NetworkPolicy", "policy/v1 PodDisruptionBudget", "rbac.authorization.k8s.io/v1 Role", "rbac.authorization.k8s.io/v1 RoleBinding",
		"autoscaling/v1 HorizontalPodAutoscaler", "autoscaling/v2 HorizontalPodAutoscaler", "autoscaling/v2beta9 HorizontalPodAutoscaler"} {
		version, name, _ := strings.Cut(kind, " ")
		kinds[schema.FromAPIVersionAndKind(version, name)] = Served{Namespaced: true}
	}
	for _, name := range []string{"ClusterRole", "ClusterRoleBinding"} {
		kinds[schema.FromAPIVersionAndKind("rbac.authorization.k8s.io/v1", name)] = Served{}
	}
	kinds[schema.FromAPIVersionAndKind("v1", "Namespace")] = Served{}
	kinds[schema.FromAPIVersionAndKind("apiextensions.k8s.io/v1", "CustomResourceDefinition")] = Served{}
	return kinds
}

func parse(t *testing.T, text string) Rendered {
	t.Helper()
	r, err := ParseTemplate(2, []byte(text))
	if err != nil || len(r.Broken) > 0 {
		t.Fatal(err, r.Broken)
	}
	return r
}

func question() Question {
	return Question{Major: 3, Release: "web", Namespace: "a", Namespaces: []string{"a", "b"}, Deployer: "system:serviceaccount:team-helm:helm"}
}

func generated(annotations string) string {
	return "apiVersion: v1\nkind: ConfigMap\nmetadata: {generateName: x-, annotations: {" + annotations + "}}\n"
}

func major(version int) func(*Question) { return func(q *Question) { q.Major = version } }

func TestJudge(t *testing.T) {
	for _, c := range []struct {
		name, text string
		q          func(*Question)
		want       string // the IDs and parts of the remedies
		do         string
		try        int
	}{
		{name: "served", text: "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n", try: 1},
		{name: "same group", text: "apiVersion: policy/v1beta1\nkind: PodDisruptionBudget\nmetadata: {name: x}\n", want: "api-not-served", do: "use policy/v1,"},
		{name: "another group", text: "apiVersion: extensions/v1beta1\nkind: Ingress\nmetadata: {name: x}\n", want: "api-not-served", do: "use networking.k8s.io/v1,"},
		{name: "stable before beta", text: "apiVersion: autoscaling/v2beta1\nkind: HorizontalPodAutoscaler\nmetadata: {name: x}\n", want: "api-not-served", do: "use autoscaling/v2,"},
		{name: "gone", text: "apiVersion: policy/v1beta1\nkind: PodSecurityPolicy\nmetadata: {name: x}\n", want: "api-not-served", do: "PodSecurity labels"},
		{name: "an operator's", text: "apiVersion: cert-manager.io/v1\nkind: Certificate\nmetadata: {name: x}\n", want: "api-not-served", do: "CustomResourceDefinition"},
		{name: "misspelled", text: "apiVersion: v1\nkind: ConfigMop\nmetadata: {name: x}\n", want: "api-not-served", do: "spelling"},
		{name: "twice", text: "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: x, namespace: a}\n", want: "duplicate", do: "leave one", try: 1},
		{name: "twice, applied", q: func(q *Question) { q.ServerSide = true }, text: "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n", try: 2},
		{name: "a hook that remains", text: "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: x, annotations: {helm.sh/hook: \"pre-install,pre-upgrade\"}}\n", want: "duplicate", do: "another name", try: 1},
		{name: "a hook that remains, applied", q: func(q *Question) { q.ServerSide = true }, text: "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: x, annotations: {helm.sh/hook: \"pre-install\"}}\n", try: 2},
		{name: "a hook that is deleted", text: "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: x, annotations: {helm.sh/hook: \"pre-install\", helm.sh/hook-delete-policy: \"hook-succeeded\"}}\n", try: 2},
		{name: "a hook that comes later", text: "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: x, annotations: {helm.sh/hook: \"post-install\"}}\n", try: 2},
		{name: "of two namespaces", text: "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: x, namespace: b}\n", try: 2},
		{name: "no name", text: "apiVersion: v1\nkind: ConfigMap\n", want: "invalid", do: "mend"},
		{name: "generated name", text: generated(""), want: "invalid", do: "metadata.name"},
		{name: "generated name, Helm 2", q: major(2), text: generated(""), try: 1},
		{name: "generated name, Helm 4", q: major(4), text: generated(""), try: 1},
		{name: "generated name, applied", q: func(q *Question) { q.Major, q.ServerSide = 4, true }, text: generated(""), want: "invalid", do: "--server-side=false"},
		{name: "generated name of a hook", text: generated("helm.sh/hook: pre-install"), want: "invalid", do: "metadata.name"},
		{name: "generated name of a hook, Helm 2", q: major(2), text: generated("helm.sh/hook: pre-install"), try: 1},
		{name: "generated name of a hook, Helm 4", q: major(4), text: generated("helm.sh/hook: pre-install, helm.sh/hook-delete-policy: hook-succeeded"), want: "invalid", do: "metadata.name"},
		{name: "no name of an object", text: "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a/b}\n", want: "invalid", do: "mend"},
		{name: "own kind", text: "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: things.x.com}\nspec: {group: x.com, scope: Namespaced, names: {kind: Thing, plural: things}}\n---\napiVersion: x.com/v1\nkind: Thing\nmetadata: {name: x}\n", try: 1},
	} {
		q := question()
		if c.q != nil {
			c.q(&q)
		}
		plan := q.Judge(served(), parse(t, c.text).Objects)
		var got []string
		for _, f := range plan.Findings {
			got = append(got, string(f.ID))
			if !strings.Contains(f.Do, c.do) {
				t.Errorf("%s: what to do is %q, wanted %q", c.name, f.Do, c.do)
			}
		}
		if sorted(got) != c.want || len(plan.Try) != c.try {
			t.Errorf("%s: found %q, wanted %q; %d to try, wanted %d", c.name, got, c.want, len(plan.Try), c.try)
		}
	}
}

// answered returns an error of the API server.
func answered(code int32, reason metav1.StatusReason, message string) error {
	return &apierrors.StatusError{ErrStatus: metav1.Status{Code: code, Reason: reason, Message: message, Status: metav1.StatusFailure}}
}

func TestRefusal(t *testing.T) {
	const user = `User "system:serviceaccount:team-helm:helm"`
	for _, c := range []struct {
		kind, namespace, verb string
		err                   error
		want                  ID
		why                   string
		q                     func(*Question)
	}{
		{"ConfigMap", "a", "create", answered(403, metav1.StatusReasonForbidden, `configmaps is forbidden: `+user+` cannot create resource "configmaps" in API group "" in the namespace "a"`), Rights, "may not create", nil},
		{"ConfigMap", "z", "create", answered(403, metav1.StatusReasonForbidden, `configmaps is forbidden: `+user+` cannot create resource "configmaps" in API group "" in the namespace "z"`), ForeignNamespace, `"z"`, nil},
		{"ClusterRole", "", "get", answered(403, metav1.StatusReasonForbidden, `clusterroles is forbidden: `+user+` cannot get resource "clusterroles" in API group "r" at the cluster scope`), ClusterScoped, "cluster-scoped", nil},
		{"ConfigMap", "a", "patch", answered(403, metav1.StatusReasonForbidden, `configmaps "x" is forbidden: `+user+` cannot patch resource "configmaps" in API group "" in the namespace "a"`), Rights, "server-side apply", func(q *Question) { q.ServerSide = true }},
		{"Role", "a", "create", answered(403, metav1.StatusReasonForbidden, `roles "x" is forbidden: user "u" is attempting to grant RBAC permissions not currently held:`+"\n"+`{APIGroups:[""], Resources:["nodes"], Verbs:["get"]}`), Escalation, `Resources:["nodes"]`, nil},
		{"Deployment", "a", "create", answered(403, metav1.StatusReasonForbidden, `pods "x" is forbidden: violates PodSecurity "baseline:latest": privileged (container "main" ...)`), PodSecurity, `PodSecurity "baseline": privileged`, nil},
		{"Service", "a", "create", answered(403, metav1.StatusReasonForbidden, `services "x" is forbidden: exceeded quota: helm-tenant, requested: services=1, used: services=1, limited: services=1`), Quota, "helm-tenant", nil},
		{"Deployment", "a", "create", answered(403, metav1.StatusReasonForbidden, `pods "x" is forbidden: failed quota: q: must specify memory for: main`), Quota, "quota q", nil},
		{"Pod", "a", "create", answered(403, metav1.StatusReasonForbidden, `pods "x" is forbidden: maximum memory usage per Container is 64Mi, but limit is 1Gi`), LimitRange, "a LimitRange of the namespace does not allow it: maximum memory usage per Container is 64Mi, but limit is 1Gi", nil},
		{"Pod", "a", "create", answered(403, metav1.StatusReasonForbidden, `pods "x" is forbidden: [maximum cpu usage per Pod is 1, but limit is 2, memory max limit to request ratio per Container is 2, but provided ratio is 3.000000]`), LimitRange, "LimitRange", nil},
		{"RoleBinding", "a", "create", answered(403, metav1.StatusReasonForbidden, `rolebindings.rbac.authorization.k8s.io "x" is forbidden: ValidatingAdmissionPolicy 'helm-tenant-guard-rolebindings' with binding 'helm-tenant-guard-rolebindings' denied request: no outsiders; ask x`), Guard, "a guard rail of the tenant refuses it: no outsiders; ask x", nil},
		{"Pod", "a", "create", answered(403, metav1.StatusReasonForbidden, `pods "x" is forbidden: error looking up service account a/x: serviceaccount "x" not found`), ServiceAccount, "account", nil},
		{"Pod", "a", "create", answered(403, metav1.StatusReasonForbidden, `pods "x" is forbidden: no PriorityClass with name high was found`), PriorityClass, "priority", nil},
		{"ConfigMap", "a", "create", answered(400, metav1.StatusReasonBadRequest, `admission webhook "x.example.com" denied the request: User "a" cannot get resource "b"`), Admission, `webhook x.example.com refuses it: User "a" cannot get resource "b"`, nil},
		{"ConfigMap", "a", "create", answered(400, metav1.StatusReasonBadRequest, `admission webhook "x.example.com" denied the request without explanation`), Admission, "webhook x.example.com refuses it: admission webhook", nil},
		{"ConfigMap", "a", "create", answered(403, metav1.StatusReasonForbidden, `configmaps "x" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: set an owner`), Admission, "admission policy p refuses it: set an owner", nil},
		{"Pod", "a", "create", answered(403, metav1.StatusReasonForbidden, `pods "x" is forbidden: pod node label selector conflicts with its namespace node label selector`), Admission, "refuses it: pod node label selector conflicts", nil},
		{"ConfigMap", "nowhere", "create", answered(404, metav1.StatusReasonNotFound, `namespaces "nowhere" not found`), ForeignNamespace, "no namespace", nil},
		{"RoleBinding", "a", "create", answered(404, metav1.StatusReasonNotFound, `roles.rbac.authorization.k8s.io "x" not found`), Invalid, "role", nil},
		{"ConfigMap", "a", "create", answered(422, metav1.StatusReasonInvalid, `ConfigMap "X" is invalid: metadata.name: Invalid value`), Invalid, "does not take it: metadata.name: Invalid value", nil},
		{"Deployment", "a", "create", answered(400, metav1.StatusReasonBadRequest, `Deployment in version "v1" cannot be handled as a Deployment: json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas of type int32`), Invalid, "does not take it: json: cannot unmarshal string into Go struct field DeploymentSpec.spec.replicas", nil},
		{"ConfigMap", "a", "create", answered(403, metav1.StatusReasonForbidden, `configmaps "x" is forbidden: ValidatingAdmissionPolicy 'helm-tenant-guard-frozen' with binding 'helm-tenant-guard-frozen' denied request: tenant team is frozen: INC-1; ask x`), Guard, "tenant team is frozen: INC-1; ask x", nil},
		{"ConfigMap", "a", "create", answered(400, metav1.StatusReasonBadRequest, `admission webhook "x" does not support dry run`), NotTried, "dry runs", nil},
		{"Service", "a", "patch", answered(500, metav1.StatusReasonInternalError, `failed to create typed patch object (a/x; /v1, Kind=Service): .spec.ports: expected numeric (int or float), got string`), Invalid, "does not take it: .spec.ports: expected numeric (int or float), got string", nil},
		{"ConfigMap", "a", "create", answered(500, metav1.StatusReasonInternalError, "etcd"), NotTried, "no answer", nil},
		{"ConfigMap", "a", "create", answered(429, metav1.StatusReasonTooManyRequests, "later"), NotTried, "no answer", nil},
		{"ConfigMap", "a", "create", errors.New("connection refused"), NotTried, "no answer", nil},
	} {
		q := question()
		if c.q != nil {
			c.q(&q)
		}
		o := Object{Unstructured: &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": c.kind, "metadata": map[string]any{"name": "x"}}}, File: "f"}
		o.SetNamespace(c.namespace)
		f := q.Refusal(o, c.verb, c.err)
		if f.ID != c.want || !strings.Contains(f.Why, c.why) || f.Do == "" || f.File != "f" {
			t.Errorf("%v: %+v, wanted %s, %q", c.err, f, c.want, c.why)
		}
		if (f.Result == Untried) != (c.want == NotTried) {
			t.Errorf("%v: %s", c.err, f.Result)
		}
	}
}

// TestWarnings: what refuses an object does not warn of it as well.
func TestWarnings(t *testing.T) {
	const frozen = "tenant team is frozen: INC-1"
	warning := "Validation failed for ValidatingAdmissionPolicy 'helm-tenant-guard-frozen' with binding 'helm-tenant-guard-frozen-warn': " + frozen
	o := Object{Unstructured: &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "ConfigMap"}}}
	refusal := question().Refusal(o, "create", answered(403, metav1.StatusReasonForbidden,
		`configmaps "x" is forbidden: ValidatingAdmissionPolicy 'helm-tenant-guard-frozen' with binding 'helm-tenant-guard-frozen' denied request: `+frozen))
	for _, c := range []struct {
		name  string
		found []Finding
		want  int
	}{
		{"with the refusal", []Finding{refusal}, 0},
		{"without a refusal", nil, 1},
		{"with another refusal", []Finding{refused(o, Invalid, "why", "do", "it is wrong")}, 1},
	} {
		if got := question().Warnings(o, []string{warning}, c.found, false); len(got) != c.want {
			t.Errorf("%s: %+v", c.name, got)
		}
	}
}

func TestExisting(t *testing.T) {
	live := func(release, namespace string) *unstructured.Unstructured {
		u := &unstructured.Unstructured{}
		u.SetLabels(map[string]string{labelManagedBy: "Helm"})
		u.SetAnnotations(map[string]string{annotationRelease: release, annotationNamespace: namespace})
		return u
	}
	object := func(notes map[string]string, hook bool, file string) Object {
		o := Object{Unstructured: &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "ConfigMap"}}, File: file, Hook: hook, notes: notes}
		o.SetAnnotations(notes)
		o.SetNamespace("a")
		return o
	}
	plain := object(nil, false, "c/templates/a.yaml")
	inCRDs := object(nil, false, "c/crds/a.yaml")
	inCRDs.CRDFolder = true
	for _, c := range []struct {
		name string
		o    Object
		live *unstructured.Unstructured
		want Result
		take bool
	}{
		{"the release's own", plain, live("web", "a"), "", false},
		{"another namespace's release", plain, live("web", "b"), Refused, false},
		{"another release's", plain, live("db", "a"), Refused, false},
		{"nobody's", plain, &unstructured.Unstructured{}, Refused, false},
		{"taken over", plain, &unstructured.Unstructured{}, "", true},
		{"a hook that is replaced", object(map[string]string{annotationHook: "pre-install"}, true, "h"), &unstructured.Unstructured{}, Warned, false},
		{"a hook that is not", object(map[string]string{annotationHook: "pre-install", annotationDeletePolicy: "hook-failed"}, true, "h"), &unstructured.Unstructured{}, Refused, false},
		{"a hook that is written over", object(map[string]string{annotationHook: "pre-install", annotationDeletePolicy: "hook-failed"}, true, "applied"), &unstructured.Unstructured{}, Warned, false},
		{"of the crds folder", inCRDs, &unstructured.Unstructured{}, "", false},
	} {
		q := question()
		q.TakeOwnership, q.ServerSide = c.take, c.o.File == "applied"
		got := Result("")
		if f := q.Existing(c.o, c.live, nil); len(f) > 0 {
			got = f[0].Result
		}
		if got != c.want {
			t.Errorf("%s: %q, wanted %q", c.name, got, c.want)
		}
	}
	if f := question().Existing(plain, nil, answered(404, metav1.StatusReasonNotFound, "not found")); len(f) > 0 {
		t.Errorf("one that is not there: %v", f)
	}
}

func TestOver(t *testing.T) {
	quota := corev1.ResourceQuota{}
	quota.Namespace, quota.Name = "a", "q"
	list := func(text string) corev1.ResourceList {
		all := corev1.ResourceList{}
		for part := range strings.FieldsSeq(text) {
			name, amount, _ := strings.Cut(part, "=")
			all[corev1.ResourceName(name)] = resource.MustParse(amount)
		}
		return all
	}
	pod := func(memory string) *corev1.Pod {
		p := &corev1.Pod{}
		p.Spec.Containers = []corev1.Container{{Name: "x", Resources: corev1.ResourceRequirements{Requests: list("memory=" + memory)}}}
		return p
	}
	use := func(text, resources string, p *corev1.Pod) Use {
		o := parse(t, text).Objects[0]
		o.SetNamespace("a")
		return Use{Object: o, New: true, Resource: resources, Pod: p}
	}
	deployment := "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: x}\nspec: {replicas: 3}\n"
	autoscaler := func(least int) Use {
		return use(fmt.Sprintf("apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {name: y}\nspec: {minReplicas: %d, scaleTargetRef: {kind: Deployment, name: x}}\n", least), "horizontalpodautoscalers", nil)
	}
	for _, c := range []struct {
		name, hard, used string
		uses             []Use
		want             string
	}{
		{"room", "pods=3 requests.memory=3Mi", "pods=0", []Use{use(deployment, "deployments", pod("1Mi"))}, ""},
		{"pods", "pods=5", "pods=3", []Use{use(deployment, "deployments", pod("1Mi"))}, "pods"},
		{"memory of all", "requests.memory=5Mi memory=5Mi", "", []Use{use(deployment, "deployments", pod("2Mi"))}, "memory requests.memory"},
		{"together", "services=1", "services=0", []Use{use("apiVersion: v1\nkind: Service\nmetadata: {name: a}\n", "services", nil), use("apiVersion: v1\nkind: Service\nmetadata: {name: b}\n", "services", nil)}, "services"},
		{"node ports", "services.nodeports=1 services.loadbalancers=0", "", []Use{use("apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {type: LoadBalancer, ports: [{port: 1}, {port: 2}]}\n", "services", nil)}, "services.loadbalancers services.nodeports"},
		{"count", "count/deployments.apps=0", "", []Use{use(deployment, "deployments", nil)}, "count/deployments.apps"},
		{"what is not asked for", "persistentvolumeclaims=0", "persistentvolumeclaims=2", []Use{use(deployment, "deployments", nil)}, ""},
		{"claims of a set", "requests.storage=2Gi persistentvolumeclaims=3", "", []Use{use("apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {name: x}\nspec: {replicas: 3, volumeClaimTemplates: [{metadata: {name: d}, spec: {resources: {requests: {storage: 1Gi}}}}]}\n", "statefulsets", nil)}, "requests.storage"},
		{"no more at once than complete", "pods=2", "", []Use{use("apiVersion: batch/v1\nkind: Job\nmetadata: {name: x}\nspec: {parallelism: 9, completions: 2}\n", "jobs", pod("1Mi"))}, ""},
		{"at once, of many that complete", "pods=2", "", []Use{use("apiVersion: batch/v1\nkind: Job\nmetadata: {name: x}\nspec: {parallelism: 3, completions: 9}\n", "jobs", pod("1Mi"))}, "pods"},
		{"at once, of any number", "pods=2", "", []Use{use("apiVersion: batch/v1\nkind: Job\nmetadata: {name: x}\nspec: {parallelism: 3}\n", "jobs", pod("1Mi"))}, "pods"},
		{"a Job that is suspended", "pods=0", "", []Use{use("apiVersion: batch/v1\nkind: Job\nmetadata: {name: x}\nspec: {suspend: true}\n", "jobs", pod("1Mi"))}, ""},
		{"what an autoscaler scales", "pods=4", "", []Use{use(deployment, "deployments", pod("1Mi")), autoscaler(5)}, "pods"},
		{"what an autoscaler need not scale", "pods=3", "", []Use{use(deployment, "deployments", pod("1Mi")), autoscaler(2)}, ""},
		{"none, which an autoscaler leaves alone", "pods=3", "", []Use{use(strings.Replace(deployment, "3", "0", 1), "deployments", pod("1Mi")), autoscaler(5)}, ""},
		{"a Deployment's ReplicaSet", "count/replicasets.apps=0", "", []Use{use(deployment, "deployments", nil)}, "count/replicasets.apps"},
		{"an upgrade", "pods=3", "pods=3", []Use{{Object: use(deployment, "", nil).Object, Resource: "deployments", Pod: pod("1Mi"), Before: pod("1Mi"), BeforeReplicas: 3}}, ""},
	} {
		quota.Status.Hard, quota.Status.Used = list(c.hard), list(c.used)
		var got []string
		for _, f := range question().Over([]corev1.ResourceQuota{quota}, c.uses) {
			got = append(got, strings.Fields(f.Why[strings.Index(f.Why, " more ")+6:])[0])
		}
		for i := range got {
			got[i] = strings.TrimSuffix(got[i], ";")
		}
		if sorted(got) != c.want {
			t.Errorf("%s: %q, wanted %q", c.name, got, c.want)
		}
	}
	quota.Spec.Scopes = []corev1.ResourceQuotaScope{corev1.ResourceQuotaScopeBestEffort}
	quota.Status.Hard, quota.Status.Used = list("pods=1"), nil
	if f := question().Over([]corev1.ResourceQuota{quota}, []Use{use(deployment, "deployments", pod("1Mi"))}); len(f) > 0 {
		t.Errorf("pods that the quota does not count: %v", f)
	}
}

func TestStandIn(t *testing.T) {
	plan := question().Judge(served(), parse(t, `
apiVersion: v1
kind: ServiceAccount
metadata: {name: own}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: r}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: r}
rules: [{verbs: [get], apiGroups: [""], resources: [nodes]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: role}
roleRef: {kind: Role, name: r}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: cluster}
roleRef: {kind: ClusterRole, name: r}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: other}
roleRef: {kind: ClusterRole, name: view}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: s}
spec:
  volumeClaimTemplates: [{metadata: {name: data}}]
  template: {metadata: {labels: {a: b}}, spec: {serviceAccountName: own, containers: []}}
---
apiVersion: v1
kind: Pod
metadata: {name: p}
spec: {serviceAccountName: theirs}
`).Objects)
	roles := map[string]string{}
	for _, o := range plan.Try {
		standIn, role := plan.StandIn(o)
		if o.GetKind() == "RoleBinding" {
			roles[o.GetName()], _, _ = unstructured.NestedString(standIn.Object, "roleRef", "name")
			if (role != nil) != (o.GetName() == "cluster") {
				t.Errorf("the role of %s is %v", o.GetName(), role)
			}
			if role != nil && (role.GetKind() != "Role" || role.GetNamespace() != "a") {
				t.Errorf("its rules are tried as %v", role.Object)
			}
		}
		if account, _, _ := unstructured.NestedString(standIn.Object, "spec", "serviceAccountName"); o.GetKind() == "Pod" && account != "theirs" {
			t.Errorf("the pod's account becomes %s", account)
		}
		if pod, found := plan.Pod(o); found {
			text, err := yaml.Marshal(pod.Object)
			if err != nil || !strings.Contains(string(text), "serviceAccountName: default") || !strings.Contains(string(text), "claimName: data") || !strings.Contains(string(text), "a: b") {
				t.Errorf("the pod of %s is %s", o.GetName(), text)
			}
		}
	}
	if diff := cmp.Diff(map[string]string{"role": harmlessRole, "cluster": harmlessRole, "other": "view"}, roles); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestJudgeRelease(t *testing.T) {
	for name, fitting := range map[string]string{"": "", "web": "web", "a.b-c": "a.b-c", "Web": "web", "-x-": "x", "web_1": "web-1", "ä": "release-name",
		strings.Repeat("a", 53): strings.Repeat("a", 53), strings.Repeat("a", 54): strings.Repeat("a", 53), strings.Repeat("a", 52) + "-b": strings.Repeat("a", 52)} {
		findings, got := JudgeRelease(name)
		if got != fitting || (len(findings) == 0) != (name == fitting) {
			t.Errorf("%q: %v, %q, wanted %q", name, findings, got, fitting)
		}
	}
}

func TestJudgeStatically(t *testing.T) {
	record := &tenant.Tenant{Name: "team", Rails: tenant.Rails{Guard: tenant.GuardEnforce, PodSecurity: tenant.PodSecurityBaseline}}
	for _, c := range []struct {
		name, text, want string
		record           *tenant.Tenant
		all              bool
		// more is the number of untried findings in addition to those of every preflight with
		// Helm 2.
		more int
	}{
		{name: "nothing", text: "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\n", record: record},
		{name: "cluster-scoped", text: "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: x}\n", want: "cluster-scoped", record: record},
		{name: "allowed", text: "apiVersion: rbac.authorization.k8s.io/v1\nkind: ClusterRole\nmetadata: {name: x}\n", all: true, record: record},
		{name: "foreign", text: "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x, namespace: z}\n", want: "foreign-namespace", record: record},
		{name: "outsider", text: "apiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {name: x}\nsubjects: [{kind: User, name: u}]\nroleRef: {kind: Role, name: r}\n", want: "guard", record: record},
		{name: "own account", text: "apiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {name: x}\nsubjects: [{kind: ServiceAccount, name: u, namespace: b}]\nroleRef: {kind: Role, name: r}\n", record: record},
		{name: "external IP", text: "apiVersion: v1\nkind: Service\nmetadata: {name: x}\nspec: {externalIPs: [192.0.2.1]}\n", want: "guard", record: record},
		{name: "privileged", text: "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: x}\nspec: {template: {spec: {hostNetwork: true, containers: [{name: x}]}}}\n", want: "pod-security", record: record},
		{name: "storage server", text: "apiVersion: v1\nkind: Pod\nmetadata: {name: x}\nspec: {containers: [{name: x}], volumes: [{name: v, nfs: {server: s, path: /}}]}\n", want: "guard", record: record},
		{name: "inline volume", text: "apiVersion: v1\nkind: Pod\nmetadata: {name: x}\nspec: {containers: [{name: x}], volumes: [{name: v, csi: {driver: nfs.csi.k8s.io}}]}\n", record: record, more: 1},
		{name: "inline volume of a harmless driver", text: "apiVersion: v1\nkind: Pod\nmetadata: {name: x}\nspec: {containers: [{name: x}], volumes: [{name: v, csi: {driver: csi.spiffe.io}}]}\n", record: record},
		{name: "no record", text: "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: x}\nspec: {template: {spec: {hostNetwork: true, containers: [{name: x}]}}}\n", more: 1},
		{name: "a name with an underscore", text: "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a_b}\n", want: "invalid", record: record},
		{name: "a role's name with a colon", text: "apiVersion: rbac.authorization.k8s.io/v1\nkind: Role\nmetadata: {name: 'a:B_c'}\n", record: record},
		{name: "a name of two labels", text: "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a.b}\n", record: record},
		{name: "a service's name of two labels", text: "apiVersion: v1\nkind: Service\nmetadata: {name: a.b}\n", want: "invalid", record: record},
		{name: "a large map", text: "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\ndata: {a: " + strings.Repeat("x", 1<<19) + ", b: " + strings.Repeat("y", 1<<19+1) + "}\n", want: "invalid", record: record},
		{name: "a map that just fits", text: "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\ndata: {a: " + strings.Repeat("x", 1<<20) + "}\n", record: record},
		{name: "a secret that fits when decoded", text: "apiVersion: v1\nkind: Secret\nmetadata: {name: x}\ndata: {a: " + strings.Repeat("eHh4", 300000) + "}\n", record: record},
		{name: "a large secret", text: "apiVersion: v1\nkind: Secret\nmetadata: {name: x}\ndata: {a: " + strings.Repeat("eHh4", 400000) + "}\n", want: "invalid", record: record},
		{name: "another selector", text: "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: x}\nspec: {selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: c}}, spec: {containers: [{name: x}]}}}\n", want: "invalid", record: record},
		{name: "a selector of some labels", text: "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: x}\nspec: {selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b, c: d}}, spec: {containers: [{name: x}]}}}\n", record: record},
		{name: "a kept name", text: "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: helm-tenant}\n", want: "guard", record: record},
		{name: "a system priority", text: "apiVersion: v1\nkind: Pod\nmetadata: {name: x}\nspec: {priorityClassName: system-node-critical, containers: [{name: x}]}\n", want: "guard", record: record},
		{name: "a priority of the cluster's", text: "apiVersion: v1\nkind: Pod\nmetadata: {name: x}\nspec: {priorityClassName: low, containers: [{name: x}]}\n", record: record},
		{name: "label", text: "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x, labels: {a: 'b c'}}\n", want: "invalid", record: record},
	} {
		q := question()
		q.Major, q.AllNamespaces = 2, c.all
		plan := q.Judge(served(), parse(t, c.text).Objects)
		var got []string
		untried := 0
		for _, f := range q.JudgeStatically(served(), plan, c.record) {
			if f.Result == Untried {
				untried++
			} else {
				got = append(got, string(f.ID))
			}
		}
		if sorted(got) != c.want || untried != 4+c.more {
			t.Errorf("%s: %q, %d not tried", c.name, got, untried)
		}
	}
}

func TestMend(t *testing.T) {
	pod := parse(t, "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: {serviceAccountName: x, serviceAccount: x, priorityClassName: high}\n").Objects[0].Unstructured
	for id, want := range map[ID]map[string]any{
		ServiceAccount: {"serviceAccountName": "default", "priorityClassName": "high"},
		PriorityClass:  {"serviceAccountName": "x"},
		PodSecurity:    nil,
	} {
		mend, mended := Mend(pod, Finding{ID: id})
		if mended != (want != nil) {
			t.Errorf("%s: %v", id, mended)
		}
		if want == nil {
			continue
		}
		if diff := cmp.Diff(want, mend.Object["spec"]); diff != "" {
			t.Errorf("%s: -want +got:\n%s", id, diff)
		}
		if _, second := Mend(mend, Finding{ID: id}); second {
			t.Errorf("%s is mended twice", id)
		}
	}
}

func TestIdle(t *testing.T) {
	for text, want := range map[string]bool{
		"kind: Deployment\nspec: {replicas: 0}":  true,
		"kind: Deployment\nspec: {}":             false,
		"kind: StatefulSet\nspec: {replicas: 0}": true,
		"kind: Job\nspec: {suspend: true}":       true,
		"kind: Job\nspec: {parallelism: 0}":      true,
		"kind: CronJob\nspec: {suspend: true}":   false,
		"kind: DaemonSet":                        false,
		"kind: Pod":                              false,
	} {
		if got := Idle(parse(t, "apiVersion: v1\nmetadata: {name: x}\n"+text+"\n").Objects[0].Unstructured); got != want {
			t.Errorf("%q: %t", text, got)
		}
	}
}

func TestRefusedHosts(t *testing.T) {
	allowed := []string{"shop.example.com", "*.team.example.com"}
	for spec, want := range map[string]int{
		"rules: [{host: shop.example.com}]":                                   0,
		"rules: [{host: a.team.example.com}]":                                 0,
		"rules: [{host: '*.team.example.com'}]":                               0,
		"rules: [{host: a.b.team.example.com}]":                               1,
		"rules: [{host: team.example.com}]":                                   1,
		"rules: [{host: evilteam.example.com}]":                               1,
		"rules: [{host: other.example.com}, {host: shop.example.com}]":        1,
		"rules: [{http: {paths: []}}]":                                        1,
		"defaultBackend: {service: {name: x, port: {number: 80}}}":            1,
		"tls: [{secretName: s}]":                                              1,
		"tls: [{hosts: [shop.example.com]}]":                                  0,
		"tls: [{hosts: [other.example.com]}], rules: [{host: x.example.com}]": 2,
	} {
		o := parse(t, "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: x}\nspec: {"+spec+"}\n").Objects[0]
		if got := refusedHosts(o, allowed); len(got) != want {
			t.Errorf("%s: %q", spec, got)
		}
		if got := refusedHosts(o, nil); len(got) > 0 {
			t.Errorf("%s without a restriction: %q", spec, got)
		}
	}
	for annotation, want := range map[string]int{
		"nginx.ingress.kubernetes.io/server-alias: other.example.com":  1,
		"nginx.ingress.kubernetes.io/server-alias: a.team.example.com": 0,
		"example.com/owner: other.example.com":                         0,
	} {
		o := parse(t, "apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: x, annotations: {"+annotation+"}}\nspec: {rules: [{host: shop.example.com}]}\n").Objects[0]
		if got := refusedHosts(o, allowed); len(got) != want {
			t.Errorf("%s: %q", annotation, got)
		}
	}
}
