package cluster

import (
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"helm-tenant/tenant"
)

// Homes decides which namespaces are believed to be tenants' homes. Whoever may create a
// namespace can label it as a home, and put a record, an account and a token into it. So
// a home is believed if an object that only admins write refers to it: an annotation on
// another namespace of that tenant, or the ClusterRoleBinding of a tenant of all
// namespaces. If no object refers to any home of the tenant, the label is believed: the
// tenant's namespaces may have been deleted.
type Homes struct {
	// labelled has the names of the tenants, by the namespaces that are labelled as their
	// homes.
	labelled map[string]string
	// marked has, by tenant, the namespaces that also carry the label helm-tenant/home.
	marked map[string]map[string]bool
	// claims has, by tenant, the namespaces to which an object of admins refers.
	claims map[string]map[string]bool
}

// NewHomes returns a Homes without namespaces.
func NewHomes() *Homes {
	return &Homes{labelled: map[string]string{}, marked: map[string]map[string]bool{}, claims: map[string]map[string]bool{}}
}

// AddNamespace adds a namespace with its labels and annotations.
func (h *Homes) AddNamespace(namespace metav1.Object) {
	labels := namespace.GetLabels()
	name := labels[tenant.LabelTenant]
	if name == "" {
		return
	}
	home := namespace.GetAnnotations()[tenant.AnnotationHome]
	if home != "" && home != namespace.GetName() {
		put(h.claims, name, home)
		return
	}
	h.labelled[namespace.GetName()] = name
	if _, marked := labels[tenant.LabelHome]; marked {
		put(h.marked, name, namespace.GetName())
	}
}

// AddDeployer records that a ClusterRoleBinding with the tenant's label has a service
// account of that namespace as a subject.
func (h *Homes) AddDeployer(name, namespace string) { put(h.claims, name, namespace) }

// addBinding adds a ClusterRoleBinding with a tenant's label.
func (h *Homes) addBinding(name string, subjects []rbacv1.Subject) {
	for _, s := range subjects {
		if s.Kind == rbacv1.ServiceAccountKind {
			h.AddDeployer(name, s.Namespace)
		}
	}
}

func put(sets map[string]map[string]bool, name, namespace string) {
	if sets[name] == nil {
		sets[name] = map[string]bool{}
	}
	sets[name][namespace] = true
}

// TenantOf returns the tenant whose home a namespace is believed to be, empty if it is no
// home.
func (h *Homes) TenantOf(namespace string) string {
	name := h.labelled[namespace]
	believed := h.claims[name]
	if len(believed) == 0 {
		believed = h.marked[name]
	}
	if len(believed) > 0 && !believed[namespace] {
		return ""
	}
	return name
}
