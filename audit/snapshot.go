// Package audit finds, from a cluster's objects, which subjects can reach which deployer, by
// which path, the rights of the deployers, and what is wrong. It reads no cluster: it makes a
// Report of a Snapshot.
package audit

import (
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"helm-tenant/rails"
	"helm-tenant/tenant"
)

// Snapshot has the relevant parts of a cluster's objects, so that those of a large cluster fit
// into memory.
type Snapshot struct {
	// Version is the API server's, Server its behaviour.
	Version string
	Server  Server
	// Taken is when it was read, by the API server's clock.
	Taken time.Time

	// APIGroups are the API server's groups.
	APIGroups []string
	// Identities is how it takes people from a cloud.
	Identities IdentityMap
	Webhooks   []Webhook
	// WebhookNames are the names of webhook configurations, by kind, including those without
	// any webhook; a kind that was not read is missing.
	WebhookNames map[string][]string

	Namespaces []Namespace
	Records    []Record
	// Disbelieved are records in namespaces that do not say that they are the home.
	Disbelieved []Record
	Roles       []Role
	Bindings    []Binding
	Workloads   []Workload
	Pods        []Pod
	ReplicaSets []ReplicaSet
	Accounts    []ServiceAccount
	Tokens      []Token
	Services    []Service
	Policies    []NetworkPolicy
	// Limits are the quotas and limit ranges of tenants whose records have some.
	Limits   []Limit
	Releases []Release
	// RecordNames are the names of all release records of Tillers.
	RecordNames []ObjectRef
	// Admission says how the admission policy of home namespaces is.
	Admission Admission
	// OwnersAdmission is the state of the admission policy of owners.
	OwnersAdmission Admission
	// Guard is how the admission policies helm-tenant-guard are.
	Guard GuardState
	// Priorities are the priority classes that the guard allows to everybody.
	Priorities rails.Priorities
	// PriorityClasses are the names of all priority classes, unless Priorities are unknown.
	PriorityClasses []string
	// Volumes are the PersistentVolumes that any claim can bind.
	Volumes []Volume
	// Demands are what objects ask for that the guard judges, in addition to workloads, pods
	// and network policies.
	Demands []Demand

	// File has the tenants of the tenants file; nil without one.
	File []tenant.Located
	// Unseen is what could not be read.
	Unseen []Unseen
}

// ObjectRef names an object.
type ObjectRef struct {
	Kind, Namespace, Name string
}

// String returns a readable name: "Role x in namespace y".
func (o ObjectRef) String() string { return objectName(o.Kind, o.Namespace, o.Name) }

// short returns the object without its namespace.
func (o ObjectRef) short() string { return o.Kind + " " + o.Name }

// The ConfigMap in which Amazon's EKS maps people and machines of the cloud to users and
// groups, including system:masters.
const (
	IdentityMapNamespace = "kube-system"
	IdentityMapName      = "aws-auth"
)

// IdentityMap says whether the API server uses that map, and whether it exists.
type IdentityMap struct{ Used, Exists bool }

// MutatingPolicy is the kind of policies that change objects without a webhook.
const MutatingPolicy = "MutatingAdmissionPolicy"

// Definition is the kind of definitions of kinds whose versions a webhook converts, AggregatedAPI
// that of groups that another server serves.
const (
	Definition    = "CustomResourceDefinition"
	AggregatedAPI = "APIService"
)

// Webhook is one of an admission configuration's, a bound MutatingAdmissionPolicy, the conversion
// webhook of a CustomResourceDefinition, or the server of an APIService.
type Webhook struct {
	// Kind is MutatingWebhookConfiguration, ValidatingWebhookConfiguration, MutatingPolicy,
	// Definition or AggregatedAPI, Configuration its name.
	Kind, Configuration string
	// Server is what is called: "service NAME in namespace NS", or a URL. Service is that
	// service; zero for a URL.
	Server                            string
	Service                           ObjectRef
	Rules                             []admissionv1.RuleWithOperations
	NamespaceSelector, ObjectSelector *metav1.LabelSelector
	// Selectors are those by which the Services of Service and Leads find their pods, where they
	// have some.
	Selectors map[ObjectRef]map[string]string
	// Leads are what answers beside Service: the Services and pods where a URL, an ExternalName
	// or EndpointSlices lead.
	Leads []ObjectRef
	// Unverified says that the API server does not verify the certificate of what answers; only
	// an AggregatedAPI can be so.
	Unverified bool
	// Conditional says that it has matchConditions: CEL that may exclude some of the matching
	// objects. They are not evaluated.
	Conditional bool
}

// Unseen is something that the caller may not read.
type Unseen struct {
	// Resource is the name of the API's resource: "rolebindings".
	Resource string `json:"-"`
	// What could not be read, such as "rolebindings in all namespaces".
	What string `json:"what"`
	// Why it could not be.
	Why string `json:"why"`
	// Matters is what is therefore not known.
	Matters string `json:"matters"`
}

// Demand is what an object asks for that the guard judges.
type Demand struct {
	Object ObjectRef
	Asks   *rails.Demand
}

// Namespace is one namespace.
type Namespace struct {
	Name                string
	Labels, Annotations map[string]string
	// Terminating says that it is being deleted.
	Terminating bool
}

// Record is a tenant's record in its home namespace. Its members are in the member binding.
type Record struct {
	Namespace string
	Tenant    tenant.Tenant
	// Problem is the reason why the record can't be read; empty if it can.
	Problem string
	// Migrating is the state of the tenant's migration; nil if there is none.
	Migrating *tenant.Migration
	// Moved are the releases that have a record which helm-tenant wrote, sorted: they came
	// from Tiller. OwnershipSet says that their objects named their releases afterwards.
	Moved        []ObjectRef
	OwnershipSet bool
}

// Role is a Role, or a ClusterRole if Namespace is empty.
type Role struct {
	Namespace, Name string
	Rules           []rbacv1.PolicyRule
	// Labels are a ClusterRole's, Aggregates what chooses those whose rules it has.
	Labels     map[string]string
	Aggregates []metav1.LabelSelector
}

// Binding is a RoleBinding, or a ClusterRoleBinding if Namespace is empty.
type Binding struct {
	Namespace, Name    string
	RoleKind, RoleName string
	Subjects           []Subject
	// Tenant is the value of the tenant's label.
	Tenant string
	// Terms are the grants of a tenant's people that are limited in time, TermsProblem why
	// they can't be read.
	Terms        tenant.Terms
	TermsProblem string
	// Unended reports whether connections of subjects that were removed from it must still be
	// ended.
	Unended bool
}

// Workload is something that makes pods.
type Workload struct {
	Kind, Namespace, Name string
	// UID is empty if it is not known.
	UID string
	// Tenant is the value of the tenant's label.
	Tenant string
	// Account is the service account of its pods; empty for the default one.
	Account string
	// Template is its pod template; nil if it is no Tiller.
	Template *corev1.PodTemplateSpec
	// Deployment is the whole specification, of Tillers that are Deployments.
	Deployment *appsv1.DeploymentSpec
	// Demand is what its template asks for that the guard judges; nil for nothing.
	Demand *rails.Demand
	// AppliesFrom are the ConfigMaps and Secrets that its pods read if they run helm-tenant's
	// apply.
	AppliesFrom []ObjectRef
	// MadeBy is, of a ReplicaSet that differs from its Deployment, the Deployment's name: the
	// ReplicaSet is of an earlier revision, or somebody wrote the owner reference. It is empty
	// for others.
	MadeBy string
	// Sets are the Deployment's ReplicaSets that ask for something that the guard judges, and
	// are not workloads of their own. They stay when the Deployment's template changes.
	Sets []string
	// OfPod is one of its pods if only pods were read: the pod's owner reference is then the
	// only source.
	OfPod string
}

// Pod is one pod.
type Pod struct {
	Namespace, Name string
	Account         string
	Labels          map[string]string
	// Owner is the controller that made it, as the pod itself says: anybody who makes
	// pods can name any object. It is zero for none. OwnerUID is the UID that the pod names: a
	// ReplicaSet's controller takes its labels from a pod that names its UID, or deletes it.
	Owner    ObjectRef
	OwnerUID string
	// Addresses are those that no other pod has; none in the node's network.
	Addresses []string
	// Node is the node on which it runs; empty before it is scheduled.
	Node string
	// Spec is nil if it is no Tiller.
	Spec *corev1.PodSpec
	// Demand is what it asks for that the guard judges; nil for nothing.
	Demand *rails.Demand
}

// ReplicaSet is a Deployment's ReplicaSet with the labels of a Tiller.
type ReplicaSet struct {
	Namespace, Name, UID, Deployment string
	Template                         *corev1.PodTemplateSpec
}

// ServiceAccount is a service account.
type ServiceAccount struct {
	Namespace, Name string
	// Mounts reports whether its token is in every pod that does not refuse it.
	Mounts bool
}

// Token is a Secret with a service account token that never expires.
type Token struct {
	Namespace, Name, Account string
}

// Service is a Service that accepts connections from outside the cluster.
type Service struct {
	Namespace, Name string
	Selector        map[string]string
}

// NetworkPolicy is a NetworkPolicy.
type NetworkPolicy struct {
	Namespace, Name string
	Spec            networkingv1.NetworkPolicySpec
}

// Limit is a ResourceQuota or a LimitRange with a tenant's label; one of Quota and Range
// is set.
type Limit struct {
	Object ObjectRef
	Quota  *corev1.ResourceQuotaSpec
	Range  *corev1.LimitRangeSpec
}

// Release is a release that is not deleted, from its record of a Tiller.
type Release struct {
	// Home is the namespace of the record, Namespace that of the release.
	Home, Name, Namespace string
	// Record is the Secret or ConfigMap.
	Record ObjectRef
	// Problem is the reason why the record can't be read; empty if it can.
	Problem string
	// Tried says that its first install failed, and nothing came after.
	Tried bool
	// ClusterObjects are the first of the objects outside namespaces in its manifest.
	ClusterObjects []string
}

// Admission is how the ValidatingAdmissionPolicy of home namespaces is.
type Admission string

const (
	AdmissionUnknown  Admission = ""
	AdmissionUnserved Admission = "not served"
	AdmissionMissing  Admission = "missing"
	AdmissionChanged  Admission = "changed"
	AdmissionInForce  Admission = "in force"
)
