package admin

import (
	"context"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"helm-tenant/audit"
	"helm-tenant/cluster"
	"helm-tenant/preflight"
	"helm-tenant/tenant"
)

// use adds what the object would use of the namespace's quotas.
func (t *ChartTrial) use(o preflight.Object, kind cluster.ServedKind, wrote cluster.Answer, live, pod *unstructured.Unstructured) {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	t.uses = append(t.uses, func() preflight.Use {
		use := preflight.Use{Object: o, New: live == nil, Resource: kind.Plural(), Pod: preflight.PodOf(pod)}
		if wrote.Object != nil && !o.Hook {
			use.Object.Unstructured = wrote.Object // with the API server's defaults
		}
		if live != nil {
			before := preflight.Object{Unstructured: live}
			if template, found := (preflight.Plan{}).Pod(before); found {
				use.Before, use.BeforeReplicas = preflight.PodOf(template), preflight.Replicas(live)
			}
		}
		return use
	})
}

// readQuotas begins to read the quotas of the namespace that an object would be written into, if it
// is the tenant's.
func (t *ChartTrial) readQuotas(ctx context.Context, o preflight.Object) {
	namespace := o.GetNamespace()
	t.mutex.Lock()
	defer t.mutex.Unlock()
	if _, begun := t.quotas[namespace]; begun || namespace == "" || !t.question.Has(namespace) {
		return
	}
	t.quotas[namespace] = nil
	t.requests.Go(func() {
		quotas, err := cluster.List[corev1.ResourceQuota](ctx, t.deployer, "ResourceQuota", namespace, metav1.ListOptions{})
		var unread preflight.Finding
		if err != nil {
			unread, err = preflight.Unread("the ResourceQuotas of namespace "+namespace, err)
			if err == nil {
				t.add(unread)
			}
		}
		t.mutex.Lock()
		defer t.mutex.Unlock()
		t.quotas[namespace] = quotas
		if err != nil {
			t.unread = err
		}
	})
}

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
