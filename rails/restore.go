package rails

import (
	"cmp"
	"slices"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"helm-tenant/tenant"
)

// Claim returns the guard rails in the claim of the named tenant on a namespace.
// WithObjects adds those that have objects of their own. The error is a claim that can't
// be read.
func Claim(name string, namespace metav1.Object) (tenant.Rails, error) {
	r := tenant.RailsOfBefore()
	claims, err := readClaims(namespace.GetName(), namespace.GetAnnotations())
	c := claims[name]
	if err != nil || c == nil {
		return r, err
	}
	r.PodSecurity, r.Guard = cmp.Or(c.PodSecurity, r.PodSecurity), cmp.Or(c.Guard, r.Guard)
	r.Hosts, r.PriorityClasses, r.Contact, r.Labels = c.Hosts, c.PriorityClasses, c.Contact, c.Labels
	for _, block := range c.EgressExcept {
		if !slices.Contains(tenant.MetadataBlocks(), block) {
			r.NetworkExcept = append(r.NetworkExcept, block)
		}
	}
	return r, nil
}

// WithObjects returns the guard rails with the contents of the tenant's ResourceQuota,
// LimitRange and NetworkPolicy; an object that does not exist is empty.
func WithObjects(r tenant.Rails, quota corev1.ResourceQuota, limits corev1.LimitRange, policy networkingv1.NetworkPolicy) tenant.Rails {
	if len(quota.Spec.Hard) > 0 {
		r.Quota = texts(quota.Spec.Hard)
	}
	if len(limits.Spec.Limits) > 0 {
		item := limits.Spec.Limits[0]
		r.Limits = &tenant.Limits{Default: texts(item.Default), DefaultRequest: texts(item.DefaultRequest), Max: texts(item.Max)}
	}
	if policy.Name == "" {
		return r
	}
	r.Network = tenant.NetworkIsolated
	for _, rule := range policy.Spec.Ingress {
		for _, peer := range rule.From {
			if peer.IPBlock != nil {
				r.AllowFrom = append(r.AllowFrom, peer.IPBlock.CIDR)
			}
		}
	}
	return r
}

func texts(list corev1.ResourceList) map[string]string {
	var values map[string]string
	for name, quantity := range list {
		if values == nil {
			values = map[string]string{}
		}
		values[string(name)] = quantity.String()
	}
	return values
}
