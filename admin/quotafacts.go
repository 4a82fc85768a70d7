package admin

import (
	"context"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"helm-tenant/audit"
	"helm-tenant/cluster"
	"helm-tenant/tenant"
)

// railReadings returns the lists of the guard rails' objects in tenants' namespaces, except
// NetworkPolicies. A kind is listed if the record of a tenant asks for such an object, so the
// records are read first.
func (t *snapshotReader) railReadings() []reading {
	// The objects of helm-tenant carry the label.
	labelled := metav1.ListOptions{LabelSelector: tenant.LabelTenant}
	return []reading{
		{"resourcequotas", "whether tenants' quotas hold", func(ctx context.Context) error {
			if !t.recorded(func(r tenant.Rails) bool { return len(r.Quota) > 0 }) {
				return nil
			}
			return cluster.Each(ctx, t.client, "ResourceQuota", "", labelled, func(q *corev1.ResourceQuota) {
				limit := audit.Limit{Object: audit.ObjectRef{Kind: "ResourceQuota", Namespace: q.Namespace, Name: q.Name}, Quota: q.Spec.DeepCopy()}
				t.locked(func() { t.snapshot.Limits = append(t.snapshot.Limits, limit) })
			})
		}},
		{"limitranges", "whether the limits of tenants' containers hold", func(ctx context.Context) error {
			if !t.recorded(func(r tenant.Rails) bool { return r.Limits != nil }) {
				return nil
			}
			return cluster.Each(ctx, t.client, "LimitRange", "", labelled, func(l *corev1.LimitRange) {
				limit := audit.Limit{Object: audit.ObjectRef{Kind: "LimitRange", Namespace: l.Namespace, Name: l.Name}, Range: l.Spec.DeepCopy()}
				t.locked(func() { t.snapshot.Limits = append(t.snapshot.Limits, limit) })
			})
		}},
	}
}

// recorded reports whether the guard rails of any record satisfy the condition.
func (t *snapshotReader) recorded(are func(tenant.Rails) bool) bool {
	return slices.ContainsFunc(t.snapshot.Records, func(r audit.Record) bool {
		return r.Problem == "" && !r.Tenant.AllNamespaces && are(r.Tenant.Rails)
	})
}
