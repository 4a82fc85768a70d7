package everyday

// Charts as people write them, one for each thing that guard rails could get in
// the way of. Each has, beside its templates, the ConfigMap that says which
// revision is in force.

// podTemplate is what most of them run.
const podTemplate = `
    metadata: {labels: {app: {{ .Release.Name }}}, annotations: {rev: "{{ .Values.rev }}"}}
    spec:
      containers:
      - {name: main, image: "registry.k8s.io/pause:3.10", ports: [{containerPort: 8080, name: http}]}
`

const deployment = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: {{ .Release.Name }}}
spec:
  selector: {matchLabels: {app: {{ .Release.Name }}}}
  template:` + podTemplate

const service = `
---
apiVersion: v1
kind: Service
metadata: {name: {{ .Release.Name }}}
spec: {selector: {app: {{ .Release.Name }}}, ports: [{port: 80, targetPort: http}]}
`

const ingress = `
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: {{ .Release.Name }}, annotations: {nginx.ingress.kubernetes.io/rewrite-target: /}}
spec:
  tls: [{hosts: ["{{ .Release.Name }}.example.com"], secretName: {{ .Release.Name }}-tls}]
  rules:
  - host: "{{ .Release.Name }}.example.com"
    http: {paths: [{path: /, pathType: Prefix, backend: {service: {name: {{ .Release.Name }}, port: {number: 80}}}}]}
`

// rbac grants the chart's own account the reads that it needs, as operators do.
const rbac = `
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: {{ .Release.Name }}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: {{ .Release.Name }}}
rules:
- {apiGroups: [""], resources: [pods, configmaps, secrets, services], verbs: [get, list, watch, create, update, patch, delete]}
- {apiGroups: [apps], resources: [deployments, statefulsets], verbs: [get, list, watch, create, update, patch, delete]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: {{ .Release.Name }}}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: {{ .Release.Name }}}
subjects: [{kind: ServiceAccount, name: {{ .Release.Name }}, namespace: {{ .Release.Namespace }}}]
`

// job returns a Job; a chart uses it as a hook.
func job(name, annotations string) string {
	return `
---
apiVersion: batch/v1
kind: Job
metadata: {name: {{ .Release.Name }}-` + name + `, annotations: {` + annotations + `}}
spec:
  backoffLimit: 0
  template:
    spec: {restartPolicy: Never, containers: [{name: main, image: "registry.k8s.io/pause:3.10"}]}
`
}

func hook(name, events string) string {
	return job(name, `helm.sh/hook: "`+events+`", helm.sh/hook-delete-policy: "before-hook-creation,hook-succeeded"`)
}

func statefulSet(name, more string) string {
	return `
---
apiVersion: v1
kind: Service
metadata: {name: {{ .Release.Name }}-` + name + `}
spec: {clusterIP: None, selector: {app: {{ .Release.Name }}}, ports: [{port: 6379}]}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: {{ .Release.Name }}-` + name + `}
spec:
  serviceName: {{ .Release.Name }}-` + name + `
  selector: {matchLabels: {app: {{ .Release.Name }}}}` + more + `
  template:` + podTemplate
}

const claims = `
  volumeClaimTemplates: [{metadata: {name: data}, spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}}]`

// pod returns a Deployment with a pod of these fields.
func pod(fields string) string {
	return `
apiVersion: apps/v1
kind: Deployment
metadata: {name: {{ .Release.Name }}}
spec:
  selector: {matchLabels: {app: {{ .Release.Name }}}}
  template:
    metadata: {labels: {app: {{ .Release.Name }}}, annotations: {rev: "{{ .Values.rev }}"}}
    spec:` + fields
}

func serviceOf(fields string) string {
	return "\n---\napiVersion: v1\nkind: Service\nmetadata: {name: {{ .Release.Name }}}\nspec: {selector: {app: {{ .Release.Name }}}, ports: [{port: 80}], " + fields + "}\n"
}

func policyOf(spec string) string {
	return "\n---\napiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: {{ .Release.Name }}}\nspec: " + spec + "\n"
}

var charts = map[string]string{
	"web":              deployment + service + ingress,
	"web-rbac":         deployment + service + ingress + rbac,
	"operator":         pod("\n      serviceAccountName: {{ .Release.Name }}\n      containers: [{name: main, image: \"registry.k8s.io/pause:3.10\"}]\n") + rbac,
	"database":         statefulSet("db", claims),
	"cache":            statefulSet("primary", "") + statefulSet("replica", "\n  replicas: 2"),
	"cron":             "\napiVersion: batch/v1\nkind: CronJob\nmetadata: {name: {{ .Release.Name }}}\nspec:\n  schedule: \"0 {{ .Values.rev }} * * *\"\n  jobTemplate: {spec: {template: {spec: {restartPolicy: OnFailure, containers: [{name: main, image: \"registry.k8s.io/pause:3.10\"}]}}}}\n",
	"job":              job("once-{{ .Values.rev }}", ""),
	"indexed-job":      "\napiVersion: batch/v1\nkind: Job\nmetadata: {name: \"{{ .Release.Name }}-{{ .Values.rev }}\"}\nspec:\n  completions: 2\n  parallelism: 2\n  completionMode: Indexed\n  ttlSecondsAfterFinished: 600\n  template: {spec: {restartPolicy: Never, containers: [{name: main, image: \"registry.k8s.io/pause:3.10\"}]}}\n",
	"install-hooks":    deployment + hook("before", "pre-install") + hook("after", "post-install"),
	"migrations":       deployment + hook("migrate", "pre-install,pre-upgrade,pre-rollback"),
	"delete-hook":      deployment + hook("clean", "pre-delete"),
	"hook-with-rbac":   deployment + hookAccount + hook("setup", "post-install,post-upgrade"),
	"load-balancer":    deployment + serviceOf("type: LoadBalancer"),
	"node-port":        deployment + serviceOf("type: NodePort"),
	"external-name":    "\napiVersion: v1\nkind: Service\nmetadata: {name: {{ .Release.Name }}}\nspec: {type: ExternalName, externalName: db.example.com}\n",
	"daemon":           "\napiVersion: apps/v1\nkind: DaemonSet\nmetadata: {name: {{ .Release.Name }}}\nspec:\n  selector: {matchLabels: {app: {{ .Release.Name }}}}\n  template:" + podTemplate,
	"disruption":       deployment + "\n---\napiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: {name: {{ .Release.Name }}}\nspec: {minAvailable: 1, selector: {matchLabels: {app: {{ .Release.Name }}}}}\n",
	"autoscaling":      deployment + "\n---\napiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {name: {{ .Release.Name }}}\nspec:\n  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: {{ .Release.Name }}}\n  minReplicas: 1\n  maxReplicas: 3\n  metrics: [{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 80}}}]\n",
	"network-ingress":  deployment + policyOf("{podSelector: {matchLabels: {app: {{ .Release.Name }}}}, policyTypes: [Ingress], ingress: [{from: [{podSelector: {}}], ports: [{port: 8080}]}]}"),
	"network-egress":   deployment + policyOf("{podSelector: {matchLabels: {app: {{ .Release.Name }}}}, policyTypes: [Egress], egress: [{to: [{namespaceSelector: {}}], ports: [{port: 53, protocol: UDP}]}]}"),
	"configuration":    pod("\n      containers: [{name: main, image: \"registry.k8s.io/pause:3.10\", envFrom: [{configMapRef: {name: {{ .Release.Name }}-env}}, {secretRef: {name: {{ .Release.Name }}}}]}]\n") + "\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: {{ .Release.Name }}-env}\ndata: {REV: \"{{ .Values.rev }}\"}\n---\napiVersion: v1\nkind: Secret\nmetadata: {name: {{ .Release.Name }}}\nstringData: {password: s3cret}\n",
	"sidecar":          pod("\n      initContainers: [{name: init, image: \"registry.k8s.io/pause:3.10\"}]\n      containers:\n      - {name: main, image: \"registry.k8s.io/pause:3.10\"}\n      - {name: proxy, image: \"registry.k8s.io/pause:3.10\"}\n"),
	"claim":            pod("\n      containers: [{name: main, image: \"registry.k8s.io/pause:3.10\", volumeMounts: [{name: data, mountPath: /data}]}]\n      volumes: [{name: data, persistentVolumeClaim: {claimName: {{ .Release.Name }}}}]\n") + "\n---\napiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: {{ .Release.Name }}}\nspec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}\n",
	"volumes":          pod("\n      containers: [{name: main, image: \"registry.k8s.io/pause:3.10\"}]\n      volumes:\n      - {name: scratch, emptyDir: {}}\n      - {name: about, downwardAPI: {items: [{path: name, fieldRef: {fieldPath: metadata.name}}]}}\n      - {name: token, projected: {sources: [{serviceAccountToken: {path: token}}]}}\n      - {name: disk, ephemeral: {volumeClaimTemplate: {spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}}}}\n"),
	"resources":        pod("\n      containers: [{name: main, image: \"registry.k8s.io/pause:3.10\", resources: {requests: {cpu: 10m, memory: 16Mi}, limits: {memory: 64Mi}}}]\n"),
	"hardened":         pod("\n      securityContext: {runAsNonRoot: true, runAsUser: 1000, seccompProfile: {type: RuntimeDefault}}\n      containers: [{name: main, image: \"registry.k8s.io/pause:3.10\", securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}}]\n"),
	"root-low-port":    pod("\n      securityContext: {runAsUser: 0}\n      containers: [{name: main, image: \"registry.k8s.io/pause:3.10\", securityContext: {capabilities: {add: [NET_BIND_SERVICE, CHOWN]}}}]\n"),
	"spread":           pod("\n      affinity: {podAntiAffinity: {preferredDuringSchedulingIgnoredDuringExecution: [{weight: 1, podAffinityTerm: {topologyKey: kubernetes.io/hostname, labelSelector: {matchLabels: {app: {{ .Release.Name }}}}}}]}}\n      tolerations: [{key: spot, operator: Exists}]\n      containers: [{name: main, image: \"registry.k8s.io/pause:3.10\"}]\n"),
	"private-registry": pod("\n      serviceAccountName: {{ .Release.Name }}\n      containers: [{name: main, image: \"registry.k8s.io/pause:3.10\"}]\n") + "\n---\napiVersion: v1\nkind: ServiceAccount\nmetadata: {name: {{ .Release.Name }}}\nimagePullSecrets: [{name: {{ .Release.Name }}}]\n---\napiVersion: v1\nkind: Secret\ntype: kubernetes.io/dockerconfigjson\nmetadata: {name: {{ .Release.Name }}}\nstringData: {.dockerconfigjson: '{\"auths\":{}}'}\n",
	"leader-election":  pod("\n      containers: [{name: main, image: \"registry.k8s.io/pause:3.10\"}]\n") + "\n---\napiVersion: rbac.authorization.k8s.io/v1\nkind: RoleBinding\nmetadata: {name: {{ .Release.Name }}}\nroleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: edit}\nsubjects: [{kind: ServiceAccount, name: default, namespace: {{ .Release.Namespace }}}]\n",
}

// hookAccount is what hooks with RBAC of their own bring along.
const hookAccount = `
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: {{ .Release.Name }}-hook, annotations: {helm.sh/hook: "post-install,post-upgrade", helm.sh/hook-weight: "-5", helm.sh/hook-delete-policy: before-hook-creation}}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: {{ .Release.Name }}-hook, annotations: {helm.sh/hook: "post-install,post-upgrade", helm.sh/hook-weight: "-4", helm.sh/hook-delete-policy: before-hook-creation}}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}
subjects: [{kind: ServiceAccount, name: {{ .Release.Name }}-hook, namespace: {{ .Release.Namespace }}}]
`

// revision is in every chart.
const revision = "\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: {{ .Release.Name }}-revision}\ndata: {rev: \"{{ .Values.rev }}\"}\n"
