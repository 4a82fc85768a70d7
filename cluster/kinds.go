package cluster

import (
	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"helm-tenant/rbac"
)

// kind describes how objects of one kind are read, compared and written.
type kind struct {
	resource   schema.GroupVersionResource
	namespaced bool
	// outsideHome reports whether a tenant may have objects of this kind outside its home
	// namespace.
	outsideHome bool
	// phase is the place in the order of writes; writes in one phase are concurrent.
	phase Phase
	// fields are the fields that helm-tenant owns entirely, beside labels and
	// annotations.
	fields []string
	// immutable is a field that can be changed only by creating the object again.
	immutable string
	// before is the API version that older API servers have instead of resource's, with the
	// same fields as far as they are read; empty if there is none.
	before string
	// brief reports whether Each reads only a part of such objects, as JSON, into a type of this
	// package; few fit into a page.
	brief bool
}

func (k kind) phaseOf(key Key) Phase {
	if k.phase == PhaseBindings && key.Name == rbac.OwnerName {
		return PhaseOwners
	}
	return k.phase
}

// older returns the kind in the version of older API servers; false if there is none.
func (k kind) older() (kind, bool) {
	older := k
	older.resource.Version, older.before = k.before, ""
	return older, k.before != ""
}

// These are the kinds of admission policies in CEL, and of their bindings.
const (
	KindPolicy        = "ValidatingAdmissionPolicy"
	KindPolicyBinding = KindPolicy + "Binding"
)

// Phase orders the writes of a plan. The writes of one phase are made concurrently, after
// those of the phases before it.
type Phase int

const (
	// PhaseTaking is the first, before a claim leads to a home: what others prepared in it is
	// replaced, so that an interrupted run leaves nothing of theirs that the next one believes.
	// PhaseTakingBindings is for bindings, whose roles must exist.
	PhaseTaking Phase = iota - 2
	PhaseTakingBindings
	// PhaseNamespaces is the first of other plans: all other objects are in namespaces, and a
	// tenant's claim on a namespace is settled before anybody gets rights there.
	PhaseNamespaces
	// PhaseEarlyRemoval takes rights away before new ones are granted.
	PhaseEarlyRemoval
	PhaseObjects
	PhaseBindings
	// PhaseOwners gives a tenant's owners their rights: after the admission policy that limits
	// what they write, and after the binding of members, by which Plan.BeforeOwners tries it.
	PhaseOwners
	// PhaseNarrowing takes excess rights from an adopted Tiller: after the new
	// bindings, and before its Deployment is labelled, which marks the adoption as
	// complete.
	PhaseNarrowing
	// PhaseWorkload writes a Tiller's Deployment, after all that restricts it.
	PhaseWorkload
	PhaseRemoval
	// PhaseLast deletes what a later run needs to find the rest.
	PhaseLast
	// PhaseUnclaim takes the label from a home that stays: a later run trusts the
	// objects in it by that label.
	PhaseUnclaim
)

var kinds = map[string]kind{
	"Namespace":          {resource: gvr("", "v1", "namespaces"), phase: PhaseNamespaces},
	"ServiceAccount":     {resource: gvr("", "v1", "serviceaccounts"), namespaced: true, phase: PhaseObjects, fields: []string{"automountServiceAccountToken"}},
	"ConfigMap":          {resource: gvr("", "v1", "configmaps"), namespaced: true, phase: PhaseObjects, fields: []string{"data", "binaryData"}},
	"Role":               {resource: gvr("rbac.authorization.k8s.io", "v1", "roles"), namespaced: true, phase: PhaseObjects, fields: []string{"rules"}},
	"RoleBinding":        {resource: gvr("rbac.authorization.k8s.io", "v1", "rolebindings"), namespaced: true, outsideHome: true, phase: PhaseBindings, fields: []string{"subjects", "roleRef"}, immutable: "roleRef"},
	"ClusterRoleBinding": {resource: gvr("rbac.authorization.k8s.io", "v1", "clusterrolebindings"), phase: PhaseBindings, fields: []string{"subjects", "roleRef"}, immutable: "roleRef"},
	"NetworkPolicy":      {resource: gvr("networking.k8s.io", "v1", "networkpolicies"), namespaced: true, outsideHome: true, phase: PhaseObjects, fields: []string{"spec"}},
	"ResourceQuota":      {resource: gvr("", "v1", "resourcequotas"), namespaced: true, outsideHome: true, phase: PhaseObjects, fields: []string{"spec"}},
	"LimitRange":         {resource: gvr("", "v1", "limitranges"), namespaced: true, outsideHome: true, phase: PhaseObjects, fields: []string{"spec"}},
	"Deployment":         {resource: gvr("apps", "v1", "deployments"), namespaced: true, phase: PhaseWorkload, fields: []string{"spec"}, immutable: "spec.selector"},
	KindPolicy: {
		resource: gvr("admissionregistration.k8s.io", "v1", "validatingadmissionpolicies"), phase: PhaseObjects, fields: []string{"spec"}},
	KindPolicyBinding: {
		resource: gvr("admissionregistration.k8s.io", "v1", "validatingadmissionpolicybindings"), phase: PhaseObjects, fields: []string{"spec"}},

	"ClusterRole": {resource: gvr("rbac.authorization.k8s.io", "v1", "clusterroles"), phase: PhaseObjects, fields: []string{"rules"}},

	// These are read, never written.
	"Pod":                   {resource: gvr("", "v1", "pods"), namespaced: true},
	"Secret":                {resource: gvr("", "v1", "secrets"), namespaced: true},
	"Job":                   {resource: gvr("batch", "v1", "jobs"), namespaced: true},
	"CronJob":               {resource: gvr("batch", "v1", "cronjobs"), namespaced: true, before: "v1beta1"}, // Kubernetes 1.21
	"ReplicationController": {resource: gvr("", "v1", "replicationcontrollers"), namespaced: true},
	"PodTemplate":           {resource: gvr("", "v1", "podtemplates"), namespaced: true},
	"PriorityClass":         {resource: gvr("scheduling.k8s.io", "v1", "priorityclasses")},
	"PersistentVolumeClaim": {resource: gvr("", "v1", "persistentvolumeclaims"), namespaced: true},
	"Ingress":               {resource: gvr("networking.k8s.io", "v1", "ingresses"), namespaced: true, before: "v1beta1"}, // Kubernetes 1.19
	"PersistentVolume":      {resource: gvr("", "v1", "persistentvolumes")},
	"ReplicaSet":            {resource: gvr("apps", "v1", "replicasets"), namespaced: true},
	"Service":               {resource: gvr("", "v1", "services"), namespaced: true},
	"StatefulSet":           {resource: gvr("apps", "v1", "statefulsets"), namespaced: true},
	"DaemonSet":             {resource: gvr("apps", "v1", "daemonsets"), namespaced: true},
	"MutatingWebhookConfiguration": {
		resource: gvr("admissionregistration.k8s.io", "v1", "mutatingwebhookconfigurations")},
	"MutatingAdmissionPolicy": {
		resource: gvr("admissionregistration.k8s.io", "v1", "mutatingadmissionpolicies"), before: "v1beta1"}, // Kubernetes 1.36
	"MutatingAdmissionPolicyBinding": {
		resource: gvr("admissionregistration.k8s.io", "v1", "mutatingadmissionpolicybindings"), before: "v1beta1"},
	"ValidatingWebhookConfiguration": {
		resource: gvr("admissionregistration.k8s.io", "v1", "validatingwebhookconfigurations")},
	"CustomResourceDefinition": {resource: gvr(definitionsVersion.Group, definitionsVersion.Version, "customresourcedefinitions"), brief: true},
	"EndpointSlice":            {resource: gvr(slicesVersion.Group, slicesVersion.Version, "endpointslices"), namespaced: true, brief: true, before: "v1beta1"}, // Kubernetes 1.21
	"APIService":               {resource: gvr(aggregationVersion.Group, aggregationVersion.Version, "apiservices"), brief: true},
}

// tenantKinds are the kinds that may carry a tenant's label, beside ConfigMap.
var tenantKinds = []string{"Namespace", "ServiceAccount", "Role", "RoleBinding", "ClusterRoleBinding", "NetworkPolicy", "ResourceQuota", "LimitRange", "Deployment"}

func gvr(group, version, resource string) schema.GroupVersionResource {
	return schema.GroupVersionResource{Group: group, Version: version, Resource: resource}
}

// Resource describes a kind of objects that helm-tenant reads or writes.
type Resource struct {
	Kind       string
	Namespaced bool
	// Written reports whether helm-tenant creates, updates and deletes such objects;
	// others are only read.
	Written bool
}

// Resources returns all kinds that helm-tenant reads or writes.
func Resources() map[schema.GroupVersionResource]Resource {
	all := make(map[schema.GroupVersionResource]Resource, len(kinds))
	for name, k := range kinds {
		all[k.resource] = Resource{name, k.namespaced, len(k.fields) > 0 || name == "Namespace"}
	}
	return all
}

var (
	definitionsVersion = schema.GroupVersion{Group: "apiextensions.k8s.io", Version: "v1"}
	aggregationVersion = schema.GroupVersion{Group: "apiregistration.k8s.io", Version: "v1"}
	slicesVersion      = schema.GroupVersion{Group: "discovery.k8s.io", Version: "v1"}
)

// CustomResourceDefinition is the part of such an object that says what converts its kind.
type CustomResourceDefinition struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              struct {
		Versions []struct {
			Name string `json:"name"`
		} `json:"versions"`
		Conversion *struct {
			Webhook *struct {
				ClientConfig *admissionv1.WebhookClientConfig `json:"clientConfig"`
			} `json:"webhook"`
		} `json:"conversion"`
	} `json:"spec"`
}

// CustomResourceDefinitionList is a list of them.
type CustomResourceDefinitionList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata"`
	Items           []CustomResourceDefinition `json:"items"`
}

// APIService is the part of such an object that says which server answers.
type APIService struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              struct {
		Service *admissionv1.ServiceReference `json:"service"`
		// InsecureSkipTLSVerify says that the API server does not verify who answers.
		InsecureSkipTLSVerify bool `json:"insecureSkipTLSVerify"`
	} `json:"spec"`
}

// APIServiceList is a list of them.
type APIServiceList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata"`
	Items           []APIService `json:"items"`
}

// LabelOfService is the label of an EndpointSlice that names its Service.
const LabelOfService = "kubernetes.io/service-name"

// LabelOfSliceMaker is the label of an EndpointSlice that names its maker. SliceController is
// Kubernetes' controller: from slices that name it, it removes the addresses of pods that the
// Service does not select.
const (
	LabelOfSliceMaker = "endpointslice.kubernetes.io/managed-by"
	SliceController   = "endpointslice-controller.k8s.io"
)

// EndpointSlice is the part of such an object that says where its Service leads.
type EndpointSlice struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Endpoints         []struct {
		Addresses []string `json:"addresses"`
	} `json:"endpoints"`
}

// EndpointSliceList is a list of them.
type EndpointSliceList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata"`
	Items           []EndpointSlice `json:"items"`
}

// These types are only read: a shallow copy is enough.

// DeepCopyObject implements runtime.Object.
func (d *CustomResourceDefinition) DeepCopyObject() runtime.Object { c := *d; return &c }

// DeepCopyObject implements runtime.Object.
func (l *CustomResourceDefinitionList) DeepCopyObject() runtime.Object { c := *l; return &c }

// DeepCopyObject implements runtime.Object.
func (s *APIService) DeepCopyObject() runtime.Object { c := *s; return &c }

// DeepCopyObject implements runtime.Object.
func (l *APIServiceList) DeepCopyObject() runtime.Object { c := *l; return &c }

// DeepCopyObject implements runtime.Object.
func (s *EndpointSlice) DeepCopyObject() runtime.Object { c := *s; return &c }

// DeepCopyObject implements runtime.Object.
func (l *EndpointSliceList) DeepCopyObject() runtime.Object { c := *l; return &c }

func addServed(scheme *runtime.Scheme) error {
	scheme.AddKnownTypes(definitionsVersion, &CustomResourceDefinition{}, &CustomResourceDefinitionList{})
	scheme.AddKnownTypes(aggregationVersion, &APIService{}, &APIServiceList{})
	scheme.AddKnownTypes(slicesVersion, &EndpointSlice{}, &EndpointSliceList{})
	metav1.AddToGroupVersion(scheme, definitionsVersion)
	metav1.AddToGroupVersion(scheme, slicesVersion)
	metav1.AddToGroupVersion(scheme, aggregationVersion)
	return nil
}
