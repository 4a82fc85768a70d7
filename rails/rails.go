// Package rails makes the wanted objects of tenants' guard rails: the labels and
// annotations of a namespace, its ResourceQuota, LimitRange and NetworkPolicy, and the
// cluster's admission policies helm-tenant-guard. It reads and writes no cluster.
package rails

import (
	"maps"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"helm-tenant/rbac"
	"helm-tenant/tenant"
)

const (
	// ObjectName is the name of the ResourceQuota, the LimitRange and the NetworkPolicy
	// in a tenant's namespace.
	ObjectName = "helm-tenant"
	// labelReachable with the value "true" is set by an admin on a namespace whose pods
	// may reach isolated tenants: that of the ingress controller, or of the monitoring.
	labelReachable = "helm-tenant/reachable"
	// LabelProtected with the value "true" is set by an admin on an object that only
	// those can change who may update its namespace.
	LabelProtected = "helm-tenant/protected"
)

// Name returns the name of the tenant's ResourceQuota, LimitRange and NetworkPolicy in a
// namespace: ObjectName if the namespace carries the tenant's label, otherwise one of its
// own.
func Name(t tenant.Tenant, owner string) string {
	if owner == "" || owner == t.Name {
		return ObjectName
	}
	return ObjectName + "-" + t.Name
}

// IsName reports whether an object of that kind and name is one that Objects makes for
// the tenant.
func IsName(kind, name, tenantName string) bool {
	switch kind {
	case "ResourceQuota", "LimitRange", "NetworkPolicy":
		return name == ObjectName || name == ObjectName+"-"+tenantName
	}
	return false
}

// Objects returns the ResourceQuota, LimitRange and NetworkPolicy of the tenant in a
// namespace; owner is the tenant whose label the namespace carries.
func Objects(t tenant.Tenant, namespace, owner string) []runtime.Object {
	meta := metav1.ObjectMeta{Name: Name(t, owner), Namespace: namespace, Labels: rbac.Labels(t.Name)}
	var objects []runtime.Object
	if len(t.Quota) > 0 {
		objects = append(objects, &corev1.ResourceQuota{
			TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "ResourceQuota"},
			ObjectMeta: meta,
			Spec:       corev1.ResourceQuotaSpec{Hard: quantities(t.Quota)},
		})
	}
	if t.Limits != nil {
		objects = append(objects, &corev1.LimitRange{
			TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "LimitRange"},
			ObjectMeta: meta,
			Spec:       corev1.LimitRangeSpec{Limits: []corev1.LimitRangeItem{limits(*t.Limits)}},
		})
	}
	if t.Network == tenant.NetworkIsolated {
		policy := Isolation(t, namespace)
		policy.ObjectMeta = meta
		objects = append(objects, policy)
	}
	return objects
}

// quantities parses quantities that tenant.Validate has accepted.
func quantities(values map[string]string) corev1.ResourceList {
	if len(values) == 0 {
		return nil
	}
	list := corev1.ResourceList{}
	for key, value := range values {
		// In the API server's form: a wanted 1000m would differ from a live 1 for ever.
		list[corev1.ResourceName(key)] = resource.MustParse(value)
	}
	return list
}

// limits returns the item of a LimitRange for containers, with the API server's defaults
// (k8s.io/kubernetes/pkg/apis/core/v1, SetDefaults_LimitRangeItem).
func limits(l tenant.Limits) corev1.LimitRangeItem {
	fill := func(values, from corev1.ResourceList) corev1.ResourceList {
		for key, value := range from {
			if _, set := values[key]; !set {
				if values == nil {
					values = corev1.ResourceList{}
				}
				values[key] = value
			}
		}
		return values
	}
	item := corev1.LimitRangeItem{Type: corev1.LimitTypeContainer, Max: quantities(l.Max)}
	item.Default = fill(quantities(l.Default), item.Max)
	item.DefaultRequest = fill(quantities(l.DefaultRequest), item.Default)
	return item
}

// Isolation returns the NetworkPolicy of an isolated tenant's namespace. It allows
// ingress from the tenant's own namespaces, those that an admin labelled labelReachable,
// and allowFrom, and egress to everything except the clouds' metadata services and
// networkExcept.
func Isolation(t tenant.Tenant, namespace string) *networkingv1.NetworkPolicy {
	from := []networkingv1.NetworkPolicyPeer{
		// By name, since a shared namespace carries another tenant's label.
		{NamespaceSelector: &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{
			Key: corev1.LabelMetadataName, Operator: metav1.LabelSelectorOpIn, Values: slices.Sorted(slices.Values(t.Namespaces)),
		}}}},
		{NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{labelReachable: "true"}}},
	}
	for _, block := range slices.Sorted(slices.Values(t.AllowFrom)) {
		from = append(from, networkingv1.NetworkPolicyPeer{IPBlock: &networkingv1.IPBlock{CIDR: block}})
	}
	v4, v6 := splitFamilies(withNAT64(egressExcept(t.Rails)))
	return &networkingv1.NetworkPolicy{
		TypeMeta:   metav1.TypeMeta{APIVersion: networkingv1.SchemeGroupVersion.String(), Kind: "NetworkPolicy"},
		ObjectMeta: metav1.ObjectMeta{Name: ObjectName, Namespace: namespace, Labels: rbac.Labels(t.Name)},
		Spec: networkingv1.NetworkPolicySpec{
			PodSelector: metav1.LabelSelector{},
			Ingress:     []networkingv1.NetworkPolicyIngressRule{{From: from}},
			Egress: []networkingv1.NetworkPolicyEgressRule{{To: []networkingv1.NetworkPolicyPeer{
				{IPBlock: &networkingv1.IPBlock{CIDR: "0.0.0.0/0", Except: v4}},
				{IPBlock: &networkingv1.IPBlock{CIDR: "::/0", Except: v6}},
				// Some networks apply address blocks only to addresses outside the
				// cluster.
				{NamespaceSelector: &metav1.LabelSelector{}},
			}}},
			PolicyTypes: []networkingv1.PolicyType{networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress},
		},
	}
}

// egressExcept returns the address blocks that an isolated tenant's pods can't reach.
func egressExcept(r tenant.Rails) []string {
	blocks := map[string]bool{}
	for _, block := range slices.Concat(tenant.MetadataBlocks(), r.NetworkExcept) {
		blocks[block] = true
	}
	return slices.Sorted(maps.Keys(blocks))
}

// withNAT64 adds to address blocks those of IPv6 by which a network with NAT64 leads to the IPv4
// ones.
func withNAT64(blocks []string) []string {
	all := slices.Clone(blocks)
	for _, block := range blocks {
		if translated, ok := nat64(block); ok && !slices.Contains(all, translated) {
			all = append(all, translated)
		}
	}
	slices.Sort(all)
	return all
}

const nat64Prefix = "64:ff9b::"

// nat64 returns the IPv6 addresses of the well-known prefix of NAT64 for a block of IPv4
// addresses (RFC 6052); false for other blocks. A network can have a prefix of its own.
func nat64(block string) (string, bool) {
	prefix, err := netip.ParsePrefix(block)
	if err != nil || !prefix.Addr().Is4() {
		return "", false
	}
	address := netip.MustParseAddr(nat64Prefix).As16()
	v4 := prefix.Addr().As4()
	copy(address[12:], v4[:])
	return netip.PrefixFrom(netip.AddrFrom16(address), 96+prefix.Bits()).String(), true
}
