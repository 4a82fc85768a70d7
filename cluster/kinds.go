package cluster

import (
	"errors"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// kind is what must be known of one kind of objects to read, compare and write
// it.
type kind struct {
	resource   schema.GroupVersionResource
	namespaced bool
	// outsideHome says that a tenant may have objects of this kind in namespaces other
	// than its home.
	outsideHome bool
	// phase orders the writes: those of one phase go side by side.
	phase int
	// fields are those, beside labels and annotations, that are ours entirely.
	fields []string
	// immutable is a field of which a change needs a new object.
	immutable string
}

// Phases of writes. Namespaces first, since the rest stands in them and since a
// tenant's claim on a namespace must be settled before anybody gets rights
// there; a Tiller when all that holds it back is in place; then what goes, and
// what a later run needs to find the rest by at the very end.
const (
	phaseNamespaces = iota
	phaseEarlyRemoval
	phaseObjects
	phaseBindings
	phaseNarrowing
	phaseWorkload
	phaseRemoval
	phaseLast
	phaseUnclaim
)

var kinds = map[string]kind{
	"Namespace":          {resource: gvr("", "v1", "namespaces"), phase: phaseNamespaces},
	"ServiceAccount":     {resource: gvr("", "v1", "serviceaccounts"), namespaced: true, phase: phaseObjects, fields: []string{"automountServiceAccountToken"}},
	"ConfigMap":          {resource: gvr("", "v1", "configmaps"), namespaced: true, phase: phaseObjects, fields: []string{"data", "binaryData"}},
	"Role":               {resource: gvr("rbac.authorization.k8s.io", "v1", "roles"), namespaced: true, phase: phaseObjects, fields: []string{"rules"}},
	"RoleBinding":        {resource: gvr("rbac.authorization.k8s.io", "v1", "rolebindings"), namespaced: true, outsideHome: true, phase: phaseBindings, fields: []string{"subjects", "roleRef"}, immutable: "roleRef"},
	"ClusterRoleBinding": {resource: gvr("rbac.authorization.k8s.io", "v1", "clusterrolebindings"), phase: phaseBindings, fields: []string{"subjects", "roleRef"}, immutable: "roleRef"},
	"NetworkPolicy":      {resource: gvr("networking.k8s.io", "v1", "networkpolicies"), namespaced: true, phase: phaseObjects, fields: []string{"spec"}},
	"Deployment":         {resource: gvr("apps", "v1", "deployments"), namespaced: true, phase: phaseWorkload, fields: []string{"spec"}},
	"ValidatingAdmissionPolicy": {
		resource: gvr("admissionregistration.k8s.io", "v1", "validatingadmissionpolicies"), phase: phaseObjects, fields: []string{"spec"}},
	"ValidatingAdmissionPolicyBinding": {
		resource: gvr("admissionregistration.k8s.io", "v1", "validatingadmissionpolicybindings"), phase: phaseObjects, fields: []string{"spec"}},

	// Read, never written.
	"ClusterRole": {resource: gvr("rbac.authorization.k8s.io", "v1", "clusterroles")},
	"Pod":         {resource: gvr("", "v1", "pods"), namespaced: true},
	"Secret":      {resource: gvr("", "v1", "secrets"), namespaced: true},
	"ReplicaSet":  {resource: gvr("apps", "v1", "replicasets"), namespaced: true},
	"Service":     {resource: gvr("", "v1", "services"), namespaced: true},
	"StatefulSet": {resource: gvr("apps", "v1", "statefulsets"), namespaced: true},
	"DaemonSet":   {resource: gvr("apps", "v1", "daemonsets"), namespaced: true},
}

// tenantKinds are those that may carry a tenant's label, beside the ConfigMap.
var tenantKinds = []string{"Namespace", "ServiceAccount", "Role", "RoleBinding", "ClusterRoleBinding", "NetworkPolicy", "Deployment"}

func gvr(group, version, resource string) schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: group, Version: version, Resource: resource}
}

func asStatus(err error, status *apierrors.APIStatus) bool { return errors.As(err, status) }
