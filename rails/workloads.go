package rails

import (
	"fmt"
	"slices"
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
)

// workloads are the policies for pods and for what makes pods: controllers are not
// held, so the templates are judged as pods are.
func workloads(p Priorities) []policy {
	all := []policy{pods(p)}
	for _, w := range []struct{ kind, group, template string }{
		{"deployments", "apps", "spec.template"},
		{"replicasets", "apps", "spec.template"},
		{"daemonsets", "apps", "spec.template"},
		{"statefulsets", "apps", "spec.template"},
		{"jobs", "batch", "spec.template"},
		{"cronjobs", "batch", "spec.jobTemplate.spec.template"},
		{"replicationcontrollers", "", "spec.template"},
		{"podtemplates", "", "template"},
	} {
		one := policy{
			kind: w.kind, groups: []string{w.group}, resources: []string{w.kind}, operations: onWrite,
			variables: append(allowedClasses(p),
				admissionv1.Variable{Name: "class", Expression: classIn("object", w.template)},
				admissionv1.Variable{Name: "was", Expression: `oldObject == null ? "" : ` + classIn("oldObject", w.template)},
				admissionv1.Variable{Name: "volumes", Expression: volumesIn("object", w.template)},
				admissionv1.Variable{Name: "wereVolumes", Expression: `oldObject == null ? [] : ` + volumesIn("oldObject", w.template)},
				admissionv1.Variable{Name: "storage", Expression: storageIn("object", w.template)},
				admissionv1.Variable{Name: "hadStorage", Expression: `oldObject == null ? [] : ` + storageIn("oldObject", w.template)},
			),
			rules: []admissionv1.Validation{
				rule(`variables.class == "" || variables.class in variables.classes || variables.class == variables.was`, classMessage, classMessageExpression("variables.class")),
				rule(`variables.volumes.all(v, v in variables.wereVolumes)`, volumeMessage, volumeMessageExpression),
				rule(`variables.storage.all(v, v in variables.hadStorage)`, storageMessage, storageMessageExpression),
			},
		}
		if w.kind == "statefulsets" {
			one.variables = append(one.variables,
				admissionv1.Variable{Name: "claimed", Expression: claimedVolumes("object")},
				admissionv1.Variable{Name: "wereClaimed", Expression: `oldObject == null ? [] : ` + claimedVolumes("oldObject")})
			one.rules = append(one.rules, rule(`variables.claimed.all(v, v in variables.wereClaimed)`, volumeMessage,
				`"a claim's template here can't name a volume, as " + variables.claimed.join(", ") + ": leave volumeName out"`))
		}
		all = append(all, one)
	}
	return all
}

const (
	classMessage            = "a pod in a tenant's namespace can't have a priority above the cluster's default, unless its class is allowed"
	volumeMessage           = "a claim in a tenant's namespace can't name its volume"
	storageMessage          = "a pod in a tenant's namespace can't mount a disk or storage server directly"
	volumeMessageExpression = `"a claim's template here can't name a volume, as " + variables.volumes.join(", ") + ": leave volumeName out"`
	// The name only: which kind it is, the volume says.
	storageMessageExpression = `"a pod here can't mount a disk or storage server directly, as volume " + variables.storage.map(v, v.name).join(", ") + ": use a PersistentVolumeClaim"`
)

func classMessageExpression(class string) string {
	return `"a pod here can't have the priority class " + ` + class + ` + "; allowed: " + (variables.allowed.size() == 0 ? "none but the cluster's default" : variables.allowed.join(", "))`
}

// allowedClasses are the names of classes that a pod may have.
func allowedClasses(p Priorities) []admissionv1.Variable {
	return []admissionv1.Variable{
		{Name: "allowed", Expression: quoted(annotationClasses) + ` in variables.notes ? variables.notes[` + quoted(annotationClasses) + `].split(",") : []`},
		{Name: "classes", Expression: `variables.allowed + ` + celList(slices.Sorted(slices.Values(p.Harmless)))},
	}
}

// present is a CEL expression that all fields on the way to a template and its spec
// are there, and the path of that spec.
func present(object, template string) (exists, spec string) {
	var checks []string
	path := object
	for _, field := range strings.Split(template+".spec", ".") {
		path += "." + field
		checks = append(checks, "has("+path+")")
	}
	return strings.Join(checks, " && "), path
}

func classIn(object, template string) string {
	exists, spec := present(object, template)
	return fmt.Sprintf(`%s && has(%s.priorityClassName) ? %s.priorityClassName : ""`, exists, spec, spec)
}

// volumesIn is a CEL expression for the volumes that ephemeral claims of a pod name.
func volumesIn(object, template string) string {
	exists, spec := present(object, template)
	return fmt.Sprintf(`!(%s && has(%s.volumes)) ? [] : %s`, exists, spec, ephemeral(spec))
}

// directStorage are the kinds of volumes by which a pod names a disk, or a path of a
// storage server, that the node mounts with its own network and rights: another tenant's
// data, without the PersistentVolume that an admin would have to make. PodSecurity refuses
// them at the level restricted. Not among them are azureFile, which needs the credentials
// of a Secret beside the pod, and csi, which a driver has to allow (CSIDriver,
// volumeLifecycleModes).
var directStorage = []string{
	"awsElasticBlockStore", "azureDisk", "cephfs", "cinder", "fc", "flexVolume", "flocker", "gcePersistentDisk", "gitRepo", "glusterfs",
	"iscsi", "nfs", "photonPersistentDisk", "portworxVolume", "quobyte", "rbd", "scaleIO", "storageos", "vsphereVolume",
}

// DirectStorage returns the names of a pod's volumes that are of the kinds that the guard
// refuses because they name a disk or a storage server.
func DirectStorage(spec *corev1.PodSpec) []string {
	var names []string
	for i := range spec.Volumes {
		v := &spec.Volumes[i]
		if v.AWSElasticBlockStore != nil || v.AzureDisk != nil || v.CephFS != nil || v.Cinder != nil || v.FC != nil || v.FlexVolume != nil ||
			v.Flocker != nil || v.GCEPersistentDisk != nil || v.GitRepo != nil || v.Glusterfs != nil || v.ISCSI != nil || v.NFS != nil ||
			v.PhotonPersistentDisk != nil || v.PortworxVolume != nil || v.Quobyte != nil || v.RBD != nil || v.ScaleIO != nil || v.StorageOS != nil || v.VsphereVolume != nil {
			names = append(names, v.Name)
		}
	}
	return names
}

// storageIn is a CEL expression for the volumes of a pod that are directStorage.
func storageIn(object, template string) string {
	exists, spec := present(object, template)
	return fmt.Sprintf(`!(%s && has(%s.volumes)) ? [] : %s`, exists, spec, direct(spec))
}

func direct(spec string) string {
	var kinds []string
	for _, kind := range directStorage {
		kinds = append(kinds, "has(v."+kind+")")
	}
	return spec + ".volumes.filter(v, " + strings.Join(kinds, " || ") + ")"
}

func ephemeral(spec string) string {
	const claim = `v.ephemeral.volumeClaimTemplate.spec`
	return spec + `.volumes.filter(v, has(v.ephemeral) && has(v.ephemeral.volumeClaimTemplate) && has(` + claim + `.volumeName) && ` + claim + `.volumeName != "").map(v, ` + claim + `.volumeName)`
}

func claimedVolumes(object string) string {
	return `!has(` + object + `.spec.volumeClaimTemplates) ? [] : ` + object +
		`.spec.volumeClaimTemplates.filter(c, has(c.spec) && has(c.spec.volumeName) && c.spec.volumeName != "").map(c, c.spec.volumeName)`
}

// pods are judged when they are created: what they ask for can't be changed later. The
// priority is filled in before the policy sees it.
func pods(p Priorities) policy {
	return policy{
		kind: "pods", groups: []string{""}, resources: []string{"pods"}, operations: onCreate,
		variables: append(allowedClasses(p),
			admissionv1.Variable{Name: "class", Expression: `has(object.spec.priorityClassName) ? object.spec.priorityClassName : ""`},
			admissionv1.Variable{Name: "volumes", Expression: `!has(object.spec.volumes) ? [] : ` + ephemeral("object.spec")},
			admissionv1.Variable{Name: "storage", Expression: `!has(object.spec.volumes) ? [] : ` + direct("object.spec")},
		),
		rules: []admissionv1.Validation{
			rule(fmt.Sprintf(`!has(object.spec.priority) || object.spec.priority <= %d || variables.class in variables.allowed`, p.Default), classMessage, classMessageExpression("variables.class")),
			rule(`variables.volumes.size() == 0`, volumeMessage, volumeMessageExpression),
			rule(`variables.storage.size() == 0`, storageMessage, storageMessageExpression),
		},
	}
}
