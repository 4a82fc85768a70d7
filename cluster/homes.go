package cluster

import (
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"helm-tenant/tenant"
)

// Homes tells which namespaces are believed to be tenants' homes. Whoever may create a
// namespace can label it as a home, and put a record, an account and a token into it. It
// is believed where what only admins write leads to it: the annotation on another
// namespace of that tenant, or the ClusterRoleBinding of a tenant of all namespaces.
// Where nothing leads anywhere, the label has to do: the tenant's namespaces may be gone.
type Homes struct {
	// labelled are the tenants' names by the namespaces that say that they are a home.
	labelled map[string]string
	// marked counts, by tenant, the namespaces that carry the label of homes as well.
	marked map[string]map[string]bool
	// claims are the namespaces to which something leads, by tenant.
	claims map[string]map[string]bool
}

// NewHomes knows of no namespace yet.
func NewHomes() *Homes {
	return &Homes{labelled: map[string]string{}, marked: map[string]map[string]bool{}, claims: map[string]map[string]bool{}}
}

// AddNamespace takes in a namespace with its labels and annotations.
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

// AddDeployer records that a ClusterRoleBinding with the tenant's label names a service
// account of that namespace.
func (h *Homes) AddDeployer(name, namespace string) { put(h.claims, name, namespace) }

// addBinding takes in a ClusterRoleBinding with a tenant's label.
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

// TenantOf is the tenant whose home a namespace is believed to be; empty where it is
// none's.
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

// Leads reports whether something that only admins write leads from the tenant to that home
// namespace.
func (h *Homes) Leads(name, home string) bool { return h.claims[name][home] }
