package attack

import "strings"

// guarding are attacks from the tenant's own namespaces on its neighbours, which the
// guard rails refuse that init gives every tenant.
var guarding = []attack{
	{name: "chart: Service with external IPs", as: onOwn, run: makes("apiVersion: v1\nkind: Service\nmetadata: {name: $ID}\nspec: {externalIPs: [192.0.2.1], ports: [{port: 443}]}\n")},
	{name: "chart: claim that names a volume", as: onOwn, run: makes(`
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: $ID}
spec: {accessModes: [ReadWriteOnce], storageClassName: "", volumeName: $ID, resources: {requests: {storage: 1Mi}}}
`)},
	{name: "chart: StatefulSet whose claims name a volume", as: onOwn, run: makes(controller("apps/v1", "StatefulSet",
		"\n  serviceName: none\n  volumeClaimTemplates: [{metadata: {name: data}, spec: {accessModes: [ReadWriteOnce], volumeName: $ID, resources: {requests: {storage: 1Mi}}}}]", ""))},
	{name: "chart: Pod with a volume of a storage server", as: onOwn, run: makes(podManifest("$OWN", "$ID", "\n  volumes: [{name: data, nfs: {server: 192.0.2.1, path: /}}]", pauseImage, "serve", ":65000"))},
	{name: "chart: Pod with an inline volume of a CSI driver", as: onOwn, run: makes(podManifest("$OWN", "$ID", inlineVolume, pauseImage, "serve", ":65000"))},
	{name: "chart: Pod of class system-node-critical", as: onOwn, run: makes(podManifest("$OWN", "$ID", criticalClass, pauseImage, "serve", ":65000"))},
	{name: "chart: Deployment of that class", as: onOwn, run: makes(controller("apps/v1", "Deployment", "", criticalClass))},
	{name: "chart: StatefulSet of that class", as: onOwn, run: makes(controller("apps/v1", "StatefulSet", "\n  serviceName: none", criticalClass))},
	{name: "chart: DaemonSet of that class", as: onOwn, run: makes(controller("apps/v1", "DaemonSet", "", criticalClass))},
	{name: "chart: ReplicationController of that class", as: onOwn, run: makes(replicationController(criticalClass))},
	{name: "chart: Job of that class", as: onOwn, run: makes(jobOf(criticalClass))},
	{name: "chart: CronJob of that class", as: onOwn, run: makes(cronJobOf(criticalClass))},
	{name: "chart: object that is labelled as protected by an admin", as: onOwn, run: makes("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: $ID, labels: {helm-tenant/protected: \"true\"}}\n")},
}

const (
	criticalClass = "\n  priorityClassName: system-node-critical"
	inlineVolume  = "\n  volumes: [{name: data, csi: {driver: nfs.csi.k8s.io, volumeAttributes: {server: 192.0.2.1, share: /}}}]"
)

// controller returns an object that creates pods; none is created, since the attack is to
// create the object.
func controller(apiVersion, kind, fields, pod string) string {
	replicas := "\n  replicas: 0"
	if kind == "DaemonSet" {
		replicas = ""
		pod += "\n  nodeSelector: {none: such}"
	}
	return `
apiVersion: ` + apiVersion + `
kind: ` + kind + `
metadata: {name: $ID}
spec:` + replicas + `
  selector: {matchLabels: {app: $ID}}` + fields + `
  template:
    metadata: {labels: {app: $ID}}
    spec:` + strings.ReplaceAll(pod, "\n  ", "\n      ") + `
      containers: [{name: main, image: "registry.k8s.io/pause:3.10"}]
`
}

func jobOf(pod string) string {
	return `
apiVersion: batch/v1
kind: Job
metadata: {name: $ID}
spec:
  suspend: true
  template:
    spec:` + strings.ReplaceAll(pod, "\n  ", "\n      ") + `
      restartPolicy: Never
      containers: [{name: main, image: "registry.k8s.io/pause:3.10"}]
`
}

func replicationController(pod string) string {
	return strings.Replace(controller("v1", "ReplicationController", "", pod), "{matchLabels: {app: $ID}}", "{app: $ID}", 1)
}

func cronJobOf(pod string) string {
	return `
apiVersion: batch/v1
kind: CronJob
metadata: {name: $ID}
spec:
  schedule: "0 0 1 1 *"
  jobTemplate:
    spec:
      template:
        spec:` + strings.ReplaceAll(pod, "\n  ", "\n          ") + `
          restartPolicy: Never
          containers: [{name: main, image: "registry.k8s.io/pause:3.10"}]
`
}
