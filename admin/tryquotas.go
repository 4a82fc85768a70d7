package admin

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"helm-tenant/cluster"
	"helm-tenant/preflight"
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
