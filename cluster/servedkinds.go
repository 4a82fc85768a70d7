package cluster

import (
	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

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
