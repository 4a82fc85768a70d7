package rails

import (
	"fmt"
	"slices"
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"

	"helm-tenant/lists"
)

// AnnotationDrivers is set by an admin on a tenant's namespace. It has the CSI drivers,
// separated by commas, that inline volumes of pods there may have beside inlineDrivers.
const AnnotationDrivers = "helm-tenant/csi-drivers"

// inlineDrivers are the CSI drivers for which the pod's own service account, or Secrets
// of its own namespace, always decide the content of an inline volume. For any other
// driver, what a pod or its namespace writes may name a share, a bucket or a path of the
// node that the driver mounts with its own credentials. Among these are
// secrets-store.csi.k8s.io, whose SecretProviderClass may choose the identity of the node
// or of the provider
// (https://github.com/GoogleCloudPlatform/secrets-store-csi-driver-provider-gcp,
// docs/authentication.md, on provider-adc), and csi.cert-manager.io, which requests
// certificates with its own account unless useRequestToken is set. Kubernetes calls such
// drivers unsuitable for inline use, and leaves it to each driver not to be one
// (https://kubernetes-csi.github.io/docs/ephemeral-local-volumes.html#security-considerations).
var inlineDrivers = []string{
	"csi.sharedresource.openshift.io", "csi.spiffe.io", "gcsfuse.csi.storage.gke.io", "spiffe.csi.cert-manager.io",
}

// directStorage are the kinds of volumes in which a pod names a disk, or a path of a
// storage server, that the node mounts with its own network and rights: it could be
// another tenant's data, and no PersistentVolume of an admin is needed. PodSecurity
// refuses them at the level restricted. Not among them are azureFile, which needs the
// credentials of a Secret beside the pod, and image, which contains what a container of
// that image would.
var directStorage = []string{
	"awsElasticBlockStore", "azureDisk", "cephfs", "cinder", "fc", "flexVolume", "flocker", "gcePersistentDisk", "gitRepo", "glusterfs",
	"iscsi", "nfs", "photonPersistentDisk", "portworxVolume", "quobyte", "rbd", "scaleIO", "storageos", "vsphereVolume",
}

// DirectStorage returns the names of a pod's volumes of the kinds that the guard refuses
// because they name a disk or a storage server.
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

// InlineDrivers returns the CSI drivers of a pod's inline volumes, except those that any
// pod may use. The namespace's AnnotationDrivers may allow more of them.
func InlineDrivers(spec *corev1.PodSpec) []string {
	var drivers []string
	for i := range spec.Volumes {
		if csi := spec.Volumes[i].CSI; csi != nil && !slices.Contains(inlineDrivers, csi.Driver) && !slices.Contains(drivers, csi.Driver) {
			drivers = append(drivers, csi.Driver)
		}
	}
	return drivers
}

const (
	storageMessage = "a pod in a tenant's namespace can't mount a disk or storage server directly"
	// The name is enough: the volume shows its kind.
	storageMessageExpression = `"a pod here can't mount a disk or storage server directly, as volume " + variables.storage.map(v, v.name).join(", ") + ": use a PersistentVolumeClaim"`
	inlineMessage            = "a pod in a tenant's namespace can't have inline volumes of this CSI driver"
	inlineMessageExpression  = `"a pod here can't have inline volumes of the CSI driver " + variables.inline.map(v, v.csi.driver).join(", ") + ": use a PersistentVolumeClaim, or have the driver allowed by the namespace's annotation ` + AnnotationDrivers + `"`
)

func driversVariable() admissionv1.Variable {
	return admissionv1.Variable{Name: "drivers", Expression: celList(inlineDrivers) + ` + (` + quoted(AnnotationDrivers) + ` in variables.notes ? variables.notes[` + quoted(AnnotationDrivers) + `].split(",").map(d, d.trim()) : [])`}
}

func podStorageVariables() []admissionv1.Variable {
	return []admissionv1.Variable{
		driversVariable(),
		{Name: "storage", Expression: `!has(object.spec.volumes) ? [] : ` + direct("object.spec")},
		{Name: "inline", Expression: `!has(object.spec.volumes) ? [] : ` + inline("object.spec")},
	}
}

func podStorageRules() []admissionv1.Validation {
	return []admissionv1.Validation{
		rule(`variables.storage.size() == 0`, storageMessage, storageMessageExpression),
		rule(`variables.inline.size() == 0`, inlineMessage, inlineMessageExpression),
	}
}

// templateStorageVariables returns the variables of a template at that path of the object:
// its volumes now and before the update.
func templateStorageVariables(template string) []admissionv1.Variable {
	return []admissionv1.Variable{
		driversVariable(),
		{Name: "storage", Expression: volumesOf("object", template, direct)},
		{Name: "hadStorage", Expression: `oldObject == null ? [] : ` + volumesOf("oldObject", template, direct)},
		{Name: "inline", Expression: volumesOf("object", template, inline)},
		{Name: "hadInline", Expression: `oldObject == null ? [] : ` + volumesOf("oldObject", template, inline)},
	}
}

func templateStorageRules() []admissionv1.Validation {
	return []admissionv1.Validation{
		rule(`variables.storage.all(v, v in variables.hadStorage)`, storageMessage, storageMessageExpression),
		rule(`variables.inline.all(v, v in variables.hadInline)`, inlineMessage, inlineMessageExpression),
	}
}

// volumesOf returns a CEL expression for the volumes of a template that a filter of its
// spec finds.
func volumesOf(object, template string, filter func(spec string) string) string {
	exists, spec := present(object, template)
	return fmt.Sprintf(`!(%s && has(%s.volumes)) ? [] : %s`, exists, spec, filter(spec))
}

func direct(spec string) string {
	kinds := lists.Map(directStorage, func(kind string) string { return "has(v." + kind + ")" })
	return spec + ".volumes.filter(v, " + strings.Join(kinds, " || ") + ")"
}

func inline(spec string) string {
	return spec + ".volumes.filter(v, has(v.csi) && !(v.csi.driver in variables.drivers))"
}
