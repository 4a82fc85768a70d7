// Package install makes the wanted objects of a tenant's home namespace and the Tiller in
// it, and judges the rollout of a live Tiller. It reads and writes no cluster.
package install

import (
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"helm-tenant/rbac"
	"helm-tenant/recognise"
	"helm-tenant/tenant"
)

// PolicyName is the NetworkPolicy in the home namespace.
const PolicyName = "helm-tenant"

// PodSecurityLabels returns the labels of a home namespace that belongs to the tenant
// alone: https://kubernetes.io/docs/concepts/security/pod-security-admission/
func PodSecurityLabels() []string {
	return []string{"pod-security.kubernetes.io/enforce", "pod-security.kubernetes.io/enforce-version"}
}

// Home returns the home namespace. If it is shared, or existed before, it only gets the
// labels that name its tenant.
func Home(t tenant.Tenant, shared, created bool) *corev1.Namespace {
	labels := map[string]string{tenant.LabelTenant: t.Name}
	if !t.AllNamespaces {
		// The admission policy restricts a Tiller to its own records by this label. A Tiller
		// for all namespaces also installs charts here.
		labels[tenant.LabelHome] = string(t.Engine)
	}
	if created {
		labels[tenant.LabelManagedBy] = tenant.ManagedBy
	}
	if !shared {
		for i, value := range []string{"restricted", "latest"} {
			labels[PodSecurityLabels()[i]] = value
		}
	}
	return &corev1.Namespace{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Namespace"},
		ObjectMeta: metav1.ObjectMeta{Name: t.Home(), Labels: labels},
	}
}

// Namespace returns one of the tenant's namespaces.
func Namespace(t tenant.Tenant, name string, created bool) *corev1.Namespace {
	labels := map[string]string{tenant.LabelTenant: t.Name}
	if created {
		labels[tenant.LabelManagedBy] = tenant.ManagedBy
	}
	return &corev1.Namespace{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Namespace"},
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: labels,
			Annotations: map[string]string{tenant.AnnotationHome: t.Home()}},
	}
}

// Record returns the ConfigMap with the tenant's record.
func Record(t tenant.Tenant) (*corev1.ConfigMap, error) {
	text, err := t.Record()
	if err != nil {
		return nil, err
	}
	return &corev1.ConfigMap{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"},
		ObjectMeta: metav1.ObjectMeta{Name: tenant.RecordName, Namespace: t.Home(), Labels: rbac.Labels(t.Name)},
		Data:       map[string]string{tenant.RecordKey: text},
	}, nil
}

// NetworkPolicy returns the policy that allows no ingress: a member's port-forward comes
// from the kubelet through the pod's own loopback, and probes come from the node, which
// policies do not restrict. In a shared home it selects Tiller's pods only.
func NetworkPolicy(t tenant.Tenant, shared bool) *networkingv1.NetworkPolicy {
	var selected metav1.LabelSelector
	if shared {
		selected.MatchLabels = recognise.Labels()
	}
	return &networkingv1.NetworkPolicy{
		TypeMeta:   metav1.TypeMeta{APIVersion: networkingv1.SchemeGroupVersion.String(), Kind: "NetworkPolicy"},
		ObjectMeta: metav1.ObjectMeta{Name: PolicyName, Namespace: t.Home(), Labels: rbac.Labels(t.Name)},
		Spec: networkingv1.NetworkPolicySpec{
			PodSelector: selected,
			PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress},
		},
	}
}
