package migrate

import "slices"

// clusterKinds are kinds of objects outside namespaces that charts make, of Kubernetes and
// of what is installed in most clusters.
var clusterKinds = []string{
	"APIService", "CertificateSigningRequest", "ClusterIssuer", "ClusterRole", "ClusterRoleBinding", "CSIDriver", "CSINode",
	"CustomResourceDefinition", "FlowSchema", "IngressClass", "MutatingWebhookConfiguration", "Namespace", "Node", "PersistentVolume",
	"PodSecurityPolicy", "PriorityClass", "PriorityLevelConfiguration", "RuntimeClass", "StorageClass", "ThirdPartyResource",
	"ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding", "ValidatingWebhookConfiguration", "VolumeSnapshotClass",
}

// ClusterScoped says whether objects of that kind are known to be outside namespaces. What
// an API server serves tells it of all kinds; this is for where none can be asked, or where
// it does not serve the kind any more.
func ClusterScoped(kind string) bool { return slices.Contains(clusterKinds, kind) }
