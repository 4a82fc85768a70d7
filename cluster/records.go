package cluster

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"helm-tenant/tenant"
)

// TenantRecords returns the records of all tenants whose home is trusted. In other namespaces
// anybody can write a ConfigMap that looks like a record. A record that is too long is returned
// cut off.
//
// seen gets the namespaces that carry a tenant's label, from the same list.
func (c *Client) TenantRecords(ctx context.Context, seen ...func(*metav1.PartialObjectMetadata)) ([]corev1.ConfigMap, error) {
	homes := NewHomes()
	options := metav1.ListOptions{LabelSelector: tenant.LabelTenant}
	err := c.EachMeta(ctx, "Namespace", "", options, func(m *metav1.PartialObjectMetadata) {
		homes.AddNamespace(m)
		for _, f := range seen {
			f(m)
		}
	})
	if apierrors.IsForbidden(err) {
		// Who may not list these can seldom list the others, and is told once.
		needed := []Permission{{Verb: "list", Resource: "configmaps"}}
		if missing, asking := c.Missing(ctx, needed); asking == nil && len(missing) > 0 {
			err = fmt.Errorf("%w; to list configmaps is forbidden as well", err)
		}
	}
	if err != nil {
		return nil, err
	}
	err = Each(ctx, c, "ClusterRoleBinding", "", options, func(b *rbacv1.ClusterRoleBinding) {
		homes.addBinding(b.Labels[tenant.LabelTenant], b.Subjects)
	})
	if err != nil && !apierrors.IsForbidden(err) { // they only refer to homes of tenants of all namespaces
		return nil, err
	}
	var records []corev1.ConfigMap
	options.FieldSelector = "metadata.name=" + tenant.RecordName
	err = Each(ctx, c, "ConfigMap", "", options, func(m *corev1.ConfigMap) {
		if homes.TenantOf(m.Namespace) == m.Labels[tenant.LabelTenant] {
			records = append(records, BriefRecord(m))
		}
	})
	return records, err
}

// BriefRecord returns a record without the parts that are never looked at.
func BriefRecord(m *corev1.ConfigMap) corev1.ConfigMap {
	brief := corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: m.Name, Namespace: m.Namespace, Labels: m.Labels, Annotations: map[string]string{}}}
	if state, found := m.Annotations[tenant.AnnotationMigration]; found {
		brief.Annotations[tenant.AnnotationMigration] = state
	}
	if state, found := m.Annotations[tenant.AnnotationOwnership]; found {
		brief.Annotations[tenant.AnnotationOwnership] = state
	}
	if text, found := m.Data[tenant.RecordKey]; found {
		brief.Data = map[string]string{tenant.RecordKey: text[:min(len(text), tenant.MaxRecord+1)]}
	}
	return brief
}

// Homes returns the home namespaces of all tenants in the cluster, by tenant name: the
// namespaces that hold a record and are believed.
func (c *Client) Homes(ctx context.Context) (map[string][]string, error) {
	records, err := c.TenantRecords(ctx)
	if err != nil {
		return nil, err
	}
	homes := map[string][]string{}
	for _, record := range records {
		name := record.Labels[tenant.LabelTenant]
		homes[name] = append(homes[name], record.Namespace)
	}
	return homes, nil
}

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
