package preflight

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
)

// A corpus of charts: some with each kind of problem, and some without. R is replaced by the
// release's name, NS by its namespace, OTHER by a namespace of another tenant.

// trouble is a kind of what stands against a chart.
type trouble struct {
	id string
	// init are more arguments of the tenant's init.
	init []string
	// prepare has objects of an admin that exist before.
	prepare string
	// sorts are charts, each a template or, with FILE lines, several files.
	sorts []string
	// release is the release's name; empty for one of the test's own.
	release string
	// only is the major version of Helm for which it is a problem; 0 for all.
	only string
	// args are more arguments of helm's.
	args []string
}

const pause = `image: "registry.k8s.io/pause:3.10"`

// workload returns one of a kind with that pod spec.
func workload(kind, spec string) string {
	template := "metadata: {labels: {app: R}}, spec: {" + spec + "}"
	switch kind {
	case "Pod":
		return "apiVersion: v1\nkind: Pod\nmetadata: {name: R}\nspec: {" + spec + "}\n"
	case "Job":
		return "apiVersion: batch/v1\nkind: Job\nmetadata: {name: R}\nspec: {template: {" + strings.Replace(template, "spec: {", "spec: {restartPolicy: Never, ", 1) + "}}\n"
	case "StatefulSet":
		return "apiVersion: apps/v1\nkind: StatefulSet\nmetadata: {name: R}\nspec: {serviceName: R, selector: {matchLabels: {app: R}}, template: {" + template + "}}\n"
	}
	return "apiVersion: apps/v1\nkind: " + kind + "\nmetadata: {name: R}\nspec: {selector: {matchLabels: {app: R}}, template: {" + template + "}}\n"
}

func container(more string) string {
	return "containers: [{name: main, " + pause + more + "}]"
}

// each makes a chart of every pod spec, in turn of every kind of workload.
func each(kinds []string, specs ...string) []string {
	var all []string
	for i, spec := range specs {
		all = append(all, workload(kinds[i%len(kinds)], spec))
	}
	return all
}

var makers = []string{"Deployment", "StatefulSet", "Job", "Pod"}

func rbac(kind, rules string) string {
	return "apiVersion: rbac.authorization.k8s.io/v1\nkind: " + kind + "\nmetadata: {name: R}\nrules: [" + rules + "]\n"
}

func binding(kind, roleKind, role, subjects string) string {
	return "apiVersion: rbac.authorization.k8s.io/v1\nkind: " + kind + "\nmetadata: {name: R}\nroleRef: {apiGroup: rbac.authorization.k8s.io, kind: " + roleKind + ", name: " + role + "}\nsubjects: [" + subjects + "]\n"
}

const crd = `apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: things.R.example.com}
spec:
  group: R.example.com
  scope: Namespaced
  names: {kind: Thing, plural: things}
  versions:
  - {name: v1, served: true, storage: true, schema: {openAPIV3Schema: {type: object, properties: {spec: {type: object, properties: {size: {type: integer}}}}}}}
`

const configMap = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: R}\ndata: {a: b}\n"

func hookOf(text, events string) string {
	return strings.Replace(text, "metadata: {name: R", `metadata: {annotations: {helm.sh/hook: "`+events+`"}, name: R`, 1)
}

// generated leaves the object's name to the API server.
func generated(text string) string {
	return strings.Replace(text, "name: R", "generateName: R-", 1)
}

func in(namespace, text string) string {
	return strings.Replace(text, "metadata: {", "metadata: {namespace: "+namespace+", ", 1)
}

// troubles returns all kinds.
func troubles() []trouble {
	return []trouble{
		{id: "api-not-served", sorts: []string{
			"apiVersion: extensions/v1beta1\nkind: Ingress\nmetadata: {name: R}\nspec: {backend: {serviceName: R, servicePort: 80}}\n",
			"apiVersion: policy/v1beta1\nkind: PodDisruptionBudget\nmetadata: {name: R}\nspec: {minAvailable: 1, selector: {matchLabels: {app: R}}}\n",
			"apiVersion: batch/v1beta1\nkind: CronJob\nmetadata: {name: R}\nspec: {schedule: '* * * * *'}\n",
			strings.Replace(workload("Deployment", container("")), "apps/v1", "apps/v1beta2", 1),
			"apiVersion: autoscaling/v2beta2\nkind: HorizontalPodAutoscaler\nmetadata: {name: R}\nspec: {maxReplicas: 2, scaleTargetRef: {kind: Deployment, name: R}}\n",
			"apiVersion: networking.k8s.io/v1beta1\nkind: Ingress\nmetadata: {name: R}\nspec: {}\n",
			strings.Replace(rbac("Role", ""), "/v1", "/v1beta1", 1),
			"apiVersion: monitoring.coreos.com/v1\nkind: ServiceMonitor\nmetadata: {name: R}\nspec: {}\n",
			"apiVersion: cert-manager.io/v1\nkind: Certificate\nmetadata: {name: R}\nspec: {}\n",
			"apiVersion: policy/v1beta1\nkind: PodSecurityPolicy\nmetadata: {name: R}\nspec: {}\n",
			hookOf("apiVersion: batch/v1beta1\nkind: CronJob\nmetadata: {name: R}\nspec: {schedule: '* * * * *'}\n", "pre-install"),
			"apiVersion: v1\nkind: List\nitems:\n- {apiVersion: extensions/v1beta1, kind: DaemonSet, metadata: {name: R}, spec: {}}\n",
			`{{- if .Capabilities.APIVersions.Has "policy/v1" }}` + "\napiVersion: policy/v1alpha1\nkind: PodDisruptionBudget\nmetadata: {name: R}\n{{- end }}\n",
		}},
		{id: "cluster-scoped", sorts: []string{
			rbac("ClusterRole", "{apiGroups: [''], resources: [pods], verbs: [get]}"),
			binding("ClusterRoleBinding", "ClusterRole", "view", "{kind: ServiceAccount, name: default, namespace: NS}"),
			crd, "FILE crds/a.yaml\n" + crd,
			"apiVersion: scheduling.k8s.io/v1\nkind: PriorityClass\nmetadata: {name: R}\nvalue: 5\n",
			"apiVersion: storage.k8s.io/v1\nkind: StorageClass\nmetadata: {name: R}\nprovisioner: example.com/x\n",
			"apiVersion: v1\nkind: Namespace\nmetadata: {name: R}\n",
			"apiVersion: networking.k8s.io/v1\nkind: IngressClass\nmetadata: {name: R}\nspec: {controller: example.com/x}\n",
			"apiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingWebhookConfiguration\nmetadata: {name: R}\nwebhooks: []\n",
			"apiVersion: v1\nkind: PersistentVolume\nmetadata: {name: R}\nspec: {capacity: {storage: 1Gi}, accessModes: [ReadWriteOnce], hostPath: {path: /x}}\n",
			hookOf(rbac("ClusterRole", "{apiGroups: [''], resources: [pods], verbs: [get]}"), "pre-install"),
			"FILE charts/sub/Chart.yaml\napiVersion: v2\nname: sub\nversion: 1.0.0\nFILE charts/sub/templates/a.yaml\n" + rbac("ClusterRole", ""),
			"apiVersion: v1\nkind: List\nitems:\n- {apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: R}, rules: []}\n",
			"FILE charts/sub/Chart.yaml\napiVersion: v2\nname: sub\nversion: 1.0.0\nFILE charts/sub/crds/a.yaml\n" + crd,
		}},
		{id: "foreign-namespace", sorts: []string{
			in("kube-system", configMap), in("default", configMap), in("OTHER", configMap), in("nowhere-R", configMap),
			in("kube-system", rbac("Role", "")), in("kube-system", hookOf(configMap, "pre-install")), in("kube-public", workload("Deployment", container(""))),
			"apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: ConfigMap, metadata: {name: R, namespace: kube-system}}\n",
			in("{{ .Values.where }}", configMap),
		}},
		{id: "rights", init: []string{"--role", "thin"}, sorts: []string{
			workload("Deployment", container("")), "apiVersion: v1\nkind: Service\nmetadata: {name: R}\nspec: {ports: [{port: 80}]}\n", hookOf(workload("Job", container("")), "post-install"),
			"apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: R}\n", rbac("Role", ""),
			"apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: R}\nspec: {podSelector: {}}\n",
			"apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: R}\nspec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}\n",
			"apiVersion: v1\nkind: LimitRange\nmetadata: {name: R}\nspec: {limits: []}\n",
			"apiVersion: coordination.k8s.io/v1\nkind: Lease\nmetadata: {name: R}\n",
		}},
		{id: "rights", only: "4", init: []string{"--role", "no-patch"}, sorts: []string{
			"apiVersion: v1\nkind: Service\nmetadata: {name: R}\nspec: {ports: [{port: 80}]}\n", "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: R}\n",
		}},
		{id: "escalation", sorts: []string{
			rbac("Role", "{apiGroups: [''], resources: [nodes], verbs: [get]}"), rbac("Role", "{apiGroups: ['*'], resources: ['*'], verbs: ['*']}"),
			rbac("Role", "{apiGroups: [''], resources: [resourcequotas], verbs: [delete]}"), rbac("Role", "{apiGroups: [example.com], resources: [things], verbs: [get]}"),
			rbac("Role", "{apiGroups: [rbac.authorization.k8s.io], resources: [roles], verbs: [escalate]}"),
			hookOf(rbac("Role", "{apiGroups: [''], resources: [namespaces], verbs: [update]}"), "pre-install"),
			rbac("Role", "{apiGroups: [''], resources: [nodes], verbs: [get]}") + "---\n" + binding("RoleBinding", "Role", "R", "{kind: ServiceAccount, name: default, namespace: NS}"),
			binding("RoleBinding", "ClusterRole", "cluster-admin", "{kind: ServiceAccount, name: default, namespace: NS}"),
			binding("RoleBinding", "ClusterRole", "system:node", "{kind: ServiceAccount, name: default, namespace: NS}"),
		}},
		{id: "guard", init: []string{"--hosts", "*.mine.example.com"}, sorts: []string{
			binding("RoleBinding", "ClusterRole", "view", "{kind: User, name: mallory}"), binding("RoleBinding", "ClusterRole", "view", "{kind: Group, name: everybody}"),
			binding("RoleBinding", "ClusterRole", "view", "{kind: ServiceAccount, name: x, namespace: kube-system}"),
			rbac("Role", "{apiGroups: [''], resources: [pods], verbs: [get]}") + "---\n" + binding("RoleBinding", "Role", "R", "{kind: User, name: mallory}"),
			"apiVersion: v1\nkind: Service\nmetadata: {name: R}\nspec: {ports: [{port: 80}], externalIPs: [192.0.2.1]}\n",
			"apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: R}\nspec: {volumeName: pv, accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}\n",
			"apiVersion: networking.k8s.io/v1\nkind: Ingress\nmetadata: {name: R}\nspec: {rules: [{host: bank.example.com, http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: R, port: {number: 80}}}}]}}]}\n",
			"apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: helm-tenant-R}\nspec: {podSelector: {}}\n",
			"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: R, labels: {helm-tenant/tenant: x}}\n",
			workload("Deployment", "priorityClassName: system-cluster-critical, "+container("")),
			workload("Deployment", container("")+", volumes: [{name: v, ephemeral: {volumeClaimTemplate: {spec: {volumeName: pv, accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}}}}]"),
		}},
		{id: "pod-security", sorts: append(each(makers,
			"hostNetwork: true, "+container(""), container(", securityContext: {privileged: true}"), container("")+", volumes: [{name: v, hostPath: {path: /}}]",
			container(", ports: [{containerPort: 80, hostPort: 80}]"), container(", securityContext: {capabilities: {add: [SYS_ADMIN]}}"), "hostPID: true, "+container(""),
			"securityContext: {sysctls: [{name: kernel.msgmax, value: '1'}]}, "+container(""), container(", securityContext: {seccompProfile: {type: Unconfined}}"),
			"initContainers: [{name: i, "+pause+", securityContext: {privileged: true}}], "+container("")),
			hookOf(workload("Job", "hostIPC: true, "+container("")), "pre-install"))},
		{id: "pod-security", init: []string{"--pod-security", "restricted"}, sorts: each(makers, container(""), "securityContext: {runAsNonRoot: true}, "+container(""),
			container(", securityContext: {allowPrivilegeEscalation: false}"), "serviceAccountName: R, "+container(""))},
		{id: "quota", init: []string{"--quota", "pods=2,services=1,services.nodeports=0,requests.memory=1Gi,persistentvolumeclaims=1,count/jobs.batch=1"}, sorts: []string{
			strings.Replace(workload("Deployment", container(", resources: {requests: {memory: 1Mi}}")), "spec: {", "spec: {replicas: 3, ", 1),
			strings.Replace(workload("StatefulSet", container(", resources: {requests: {memory: 1Mi}}")), "spec: {", "spec: {podManagementPolicy: Parallel, replicas: 5, ", 1),
			workload("Deployment", container(", resources: {requests: {memory: 2Gi}}")), workload("Deployment", container("")),
			strings.Replace(workload("Deployment", container(", resources: {requests: {memory: 700Mi}}")), "spec: {", "spec: {replicas: 2, ", 1),
			"apiVersion: v1\nkind: Service\nmetadata: {name: R}\nspec: {ports: [{port: 80}]}\n---\napiVersion: v1\nkind: Service\nmetadata: {name: R-2}\nspec: {ports: [{port: 80}]}\n",
			"apiVersion: v1\nkind: Service\nmetadata: {name: R}\nspec: {type: NodePort, ports: [{port: 80}]}\n",
		}},
		{id: "limit-range", init: []string{"--limits", "max.memory=64Mi"}, sorts: each(makers, container(", resources: {limits: {memory: 1Gi}}"), container(", resources: {limits: {memory: 65Mi}}"),
			"initContainers: [{name: i, "+pause+", resources: {limits: {memory: 2Gi}}}], "+container(", resources: {limits: {memory: 1Mi}}"))},
		{id: "exists", prepare: "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: taken}\n---\napiVersion: v1\nkind: Secret\nmetadata: {name: taken}\n---\napiVersion: v1\nkind: ServiceAccount\nmetadata: {name: taken, labels: {app.kubernetes.io/managed-by: Helm}, annotations: {meta.helm.sh/release-name: somebody, meta.helm.sh/release-namespace: NS}}\n", sorts: []string{
			strings.Replace(configMap, "R", "taken", 1), "apiVersion: v1\nkind: Secret\nmetadata: {name: taken}\n", "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: taken}\n",
			hookOf("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: R}\n", "pre-install") + "---\n" + strings.Replace(configMap, "R", "taken", 1),
		}},
		{id: "exists", only: "3", prepare: "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: taken}\n", sorts: []string{ // Helm 4 applies the hook over it
			strings.Replace(strings.Replace(configMap, "R", "taken", 1), "metadata: {", `metadata: {annotations: {helm.sh/hook: pre-install, helm.sh/hook-delete-policy: hook-succeeded}, `, 1),
		}},
		{id: "duplicate", only: "3", sorts: []string{configMap + "---\n" + configMap, configMap + "---\n" + in("NS", configMap),
			"apiVersion: v1\nkind: List\nitems: [{apiVersion: v1, kind: Secret, metadata: {name: R}}, {apiVersion: v1, kind: Secret, metadata: {name: R}}]\n"}},
		{id: "name", release: strings.Repeat("a", 54), sorts: []string{configMap, workload("Deployment", container(""))}},
		{id: "name", release: "Capital", sorts: []string{configMap}},
		{id: "record-size", sorts: []string{"FILE files/big.txt\n" + noise(1_200_000)}},
		{id: "service-account", sorts: each(makers, "serviceAccountName: nobody, "+container(""), "serviceAccountName: R-x, "+container(""), "serviceAccountName: nobody, "+container(""))},
		{id: "priority-class", init: []string{"--priority-classes", "nowhere"}, sorts: each([]string{"Deployment", "StatefulSet", "Job"}, "priorityClassName: nowhere, "+container(""), "priorityClassName: nowhere, "+container(""))},
		{id: "invalid", sorts: []string{
			generated(hookOf(configMap, "pre-install")), generated(configMap),
			generated(strings.Replace(hookOf(configMap, "pre-install"), "annotations: {", "annotations: {helm.sh/hook-delete-policy: hook-succeeded, ", 1)),
			strings.Replace(configMap, "name: R", "name: R_Under", 1), strings.Replace(configMap, "name: R", "labels: {a: 'not a label!'}, name: R", 1),
			"apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: R}\nspec: {template: {spec: {" + container("") + "}}}\n",
			"apiVersion: v1\nkind: Service\nmetadata: {name: R}\nspec: {ports: [{port: eighty}]}\n",
			"apiVersion: v1\nkind: Service\nmetadata: {name: R}\nspec: {ports: []}\n", "apiVersion: v1\nkind: ConfigMap\ndata: {a: b}\n",
			workload("Deployment", "containers: []"), workload("Job", container(", env: [{name: A, value: 3}]")),
			binding("RoleBinding", "Role", "nowhere", "{kind: ServiceAccount, name: default, namespace: NS}"),
			strings.Replace(configMap, "name: R", "name: R, labels: {release: "+strings.Repeat("x", 64)+"}", 1),
		}},
	}
}

// noise is text that can't be packed to much less.
func noise(size int) string {
	random := rand.New(rand.NewPCG(1, 2))
	text := make([]byte, size)
	for i := range text {
		text[i] = byte('0' + random.IntN(75))
		if text[i] == '{' || text[i] == '\\' {
			text[i] = '.'
		}
	}
	return string(text)
}

// fitting are charts against which nothing stands.
func fitting() []string {
	ours := []string{
		configMap, workload("Deployment", container("")), workload("StatefulSet", container("")), workload("Job", container("")), workload("DaemonSet", container("")), workload("Pod", container("")),
		"apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: R}\n---\n" + workload("Deployment", "serviceAccountName: R, "+container("")),
		"apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: R}\n---\n" + rbac("Role", "{apiGroups: [''], resources: [pods, secrets], verbs: [get, list, watch, create]}") + "---\n" +
			binding("RoleBinding", "Role", "R", "{kind: ServiceAccount, name: R, namespace: NS}"),
		binding("RoleBinding", "ClusterRole", "view", "{kind: ServiceAccount, name: default, namespace: NS}"),
		hookOf("apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: R}\n", "pre-install,post-upgrade") + "---\n" + configMap, hookOf(workload("Job", container("")), "test"),
		hookOf(configMap, "pre-install"), "FILE templates/NOTES.txt\nThanks\n---\nkind: nonsense\n",
		`{{- if .Capabilities.APIVersions.Has "policy/v1beta1" }}` + "\napiVersion: policy/v1beta1\nkind: PodSecurityPolicy\nmetadata: {name: R}\nspec: {}\n{{- end }}\n---\n" + configMap,
		`{{- if .Capabilities.APIVersions.Has "extensions/v1beta1/Ingress" }}` + "\napiVersion: extensions/v1beta1\n{{- else }}\napiVersion: networking.k8s.io/v1\n{{- end }}\nkind: Ingress\nmetadata: {name: R}\nspec: {defaultBackend: {service: {name: R, port: {number: 80}}}}\n",
		`{{- if not (lookup "v1" "ServiceAccount" .Release.Namespace "default") }}` + "\napiVersion: policy/v1beta1\nkind: PodDisruptionBudget\nmetadata: {name: R}\n{{- end }}\n---\n" + configMap,
		"apiVersion: v1\nkind: Service\nmetadata: {name: R}\nspec: {selector: {app: R}, ports: [{port: 80}]}\n---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: R}\nspec: {podSelector: {}}\n",
		"apiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: {name: R}\nspec: {minAvailable: 1, selector: {matchLabels: {app: R}}}\n---\napiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {name: R}\nspec: {maxReplicas: 2, scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: R}}\n",
		strings.Replace(workload("StatefulSet", container(", volumeMounts: [{name: data, mountPath: /x}]")), "spec: {serviceName", "spec: {volumeClaimTemplates: [{metadata: {name: data}, spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}}], serviceName", 1),
		"apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: ConfigMap, metadata: {name: R}}\n- {apiVersion: v1, kind: Secret, metadata: {name: R}, stringData: {a: b}}\n",
		"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: R, annotations: {helm.sh/resource-policy: keep}}\n",
		"apiVersion: batch/v1\nkind: CronJob\nmetadata: {name: R}\nspec: {schedule: '0 0 * * *', jobTemplate: {spec: {template: {spec: {restartPolicy: Never, " + container("") + "}}}}}\n",
		"# nothing but a comment\n", in("NS", configMap), "FILE values.schema.json\n{}\nFILE templates/_helpers.tpl\n{{- define \"x\" }}a{{ end }}\n",
	}
	return ours
}

// placeholder is R as a word of its own.
var placeholder = regexp.MustCompile(`\bR\b`)

// charts returns count charts of some sorts: each sort once, and then with additional harmless
// objects, of kinds that every role may write if role is set.
func charts(sorts []string, count int, role bool) []string {
	around := fitting()
	if role {
		around = []string{configMap, "apiVersion: v1\nkind: Secret\nmetadata: {name: R}\n"}
	}
	var all []string
	for i := range count {
		text := sorts[i%len(sorts)]
		if i >= len(sorts) {
			text += fmt.Sprintf("\nFILE templates/more.yaml\n%s", placeholder.ReplaceAllString(around[i%min(7, len(around))], "R-more"))
		}
		all = append(all, text)
	}
	return all
}
