package admin

import (
	"context"
	"maps"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"helm-tenant/cluster"
	"helm-tenant/rails"
	"helm-tenant/rbac"
	"helm-tenant/tenant"
)

// namespacesToList is the number of namespaces from which on their objects are taken from
// lists of the whole cluster, if the caller may read these, and not from lists of each
// namespace. A list of the whole cluster takes a request for each 2,000 objects, whatever
// the tenant has, so that the number of requests, which counts with a distant or
// throttling API server, does not grow with the tenant. For objects with known names see
// cluster.Client.Lookup.
const namespacesToList = 4

// listsCluster reports whether the objects in that many namespaces are taken from lists of the
// whole cluster.
func listsCluster(c *cluster.Client, namespaces int) bool {
	return namespaces >= namespacesToList && !c.Scoped()
}

// namespaceReads has what describe reads of a tenant's namespaces, by namespace.
type namespaceReads struct {
	mutex sync.Mutex
	exist map[string]bool
	// terminating are those that are being deleted.
	terminating map[string]bool
	bindings    map[string][]rbacv1.RoleBinding
	quotas      map[string][]corev1.ResourceQuota
	// unread and quotasUnread are the errors of single namespaces.
	unread, quotasUnread map[string]error
}

// describeNamespaces describes the namespaces of a tenant in their order. see reports
// whether a read succeeded.
func describeNamespaces(ctx context.Context, c *cluster.Client, t tenant.Tenant, see func(string, error) (bool, error)) ([]NamespaceOf, error) {
	r := &namespaceReads{exist: map[string]bool{}, terminating: map[string]bool{}, bindings: map[string][]rbacv1.RoleBinding{}, quotas: map[string][]corev1.ResourceQuota{},
		unread: map[string]error{}, quotasUnread: map[string]error{}}
	listed := false
	if listsCluster(c, len(t.Namespaces)) {
		err := r.list(ctx, c, t)
		// A caller without rights over the whole cluster may have them in each namespace.
		if err != nil && !apierrors.IsForbidden(err) {
			return nil, err
		}
		listed = err == nil
	}
	if !listed {
		r.each(ctx, c, t)
	}
	var described []NamespaceOf
	for _, ns := range t.Namespaces {
		in := NamespaceOf{Name: ns, Missing: !r.exist[ns], Terminating: r.terminating[ns], Bindings: []Binding{}, Quota: []QuotaUse{}}
		if ok, err := see("bindings in namespace "+ns, r.unread[ns]); err != nil {
			return nil, err
		} else if !ok {
			in.Bindings = nil
		} else if r.exist[ns] {
			in.Bindings = append(in.Bindings, bindingsOf(t, ns, r.bindings[ns])...)
		}
		if len(t.Quota) > 0 && !in.Missing {
			if ok, err := see("quotas", r.quotasUnread[ns]); err != nil {
				return nil, err
			} else if ok {
				in.Quota = append(in.Quota, quotaUse(t, r.quotas[ns])...)
			} else {
				in.Quota = nil
			}
		}
		described = append(described, in)
	}
	return described, nil
}

func (r *namespaceReads) list(ctx context.Context, c *cluster.Client, t tenant.Tenant) error {
	ours := map[string]bool{}
	for _, ns := range t.Namespaces {
		ours[ns] = true
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		return c.EachMeta(ctx, "Namespace", "", metav1.ListOptions{}, func(ns *metav1.PartialObjectMetadata) {
			r.exist[ns.Name], r.terminating[ns.Name] = true, ns.DeletionTimestamp != nil
		})
	})
	group.Go(func() error {
		return cluster.Each(ctx, c, "RoleBinding", "", metav1.ListOptions{}, func(b *rbacv1.RoleBinding) {
			if ours[b.Namespace] {
				r.bindings[b.Namespace] = append(r.bindings[b.Namespace], *b)
			}
		})
	})
	if len(t.Quota) > 0 {
		group.Go(func() error {
			return cluster.Each(ctx, c, "ResourceQuota", "", quotasOf(t), func(q *corev1.ResourceQuota) { r.quotas[q.Namespace] = append(r.quotas[q.Namespace], *q) })
		})
	}
	return group.Wait()
}

// each reads the namespaces one by one, several concurrently.
func (r *namespaceReads) each(ctx context.Context, c *cluster.Client, t tenant.Tenant) {
	var group errgroup.Group
	group.SetLimit(cluster.Width)
	for _, ns := range t.Namespaces {
		group.Go(func() error {
			r.read(ctx, c, t, ns)
			return nil
		})
	}
	_ = group.Wait() // the functions return no error
}

func (r *namespaceReads) read(ctx context.Context, c *cluster.Client, t tenant.Tenant, ns string) {
	terminating, err := c.Terminating(ctx, ns)
	missing := apierrors.IsNotFound(err) // a caller who may not read the namespace may read the objects in it
	var bindings []rbacv1.RoleBinding
	var quotas []corev1.ResourceQuota
	var noBindings, noQuotas error
	if !missing {
		bindings, noBindings = cluster.List[rbacv1.RoleBinding](ctx, c, "RoleBinding", ns, metav1.ListOptions{})
		if len(t.Quota) > 0 {
			quotas, noQuotas = cluster.List[corev1.ResourceQuota](ctx, c, "ResourceQuota", ns, quotasOf(t))
		}
	}
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.terminating[ns] = terminating
	r.exist[ns], r.bindings[ns], r.quotas[ns], r.unread[ns], r.quotasUnread[ns] = !missing, bindings, quotas, noBindings, noQuotas
}

func quotasOf(t tenant.Tenant) metav1.ListOptions {
	return metav1.ListOptions{LabelSelector: tenant.LabelTenant + "=" + t.Name}
}

// bindingsOf returns summaries of the bindings in a namespace, the tenant's own first.
func bindingsOf(t tenant.Tenant, ns string, bindings []rbacv1.RoleBinding) []Binding {
	var described []Binding
	wanted := append(rbac.ReaderBindings(t, ns), rbac.DeployerBindings(t, ns)...)
	for _, b := range bindings {
		described = append(described, Binding{
			Name: b.Name, Role: b.RoleRef.Kind + " " + b.RoleRef.Name,
			Subjects: tenant.MembersOf(b.Subjects, b.Namespace).Names(),
			// A chart can give its own binding our name and label, or ours its own
			// subjects.
			Ours: slices.ContainsFunc(wanted, func(w *rbacv1.RoleBinding) bool {
				return b.Name == w.Name && b.RoleRef == w.RoleRef && slices.Equal(b.Subjects, w.Subjects)
			}),
		})
	}
	slices.SortStableFunc(described, func(a, b Binding) int {
		switch {
		case a.Ours == b.Ours:
			return 0
		case a.Ours:
			return -1
		}
		return 1
	})
	return described
}

func quotaUse(t tenant.Tenant, quotas []corev1.ResourceQuota) []QuotaUse {
	var all []QuotaUse
	for _, quota := range quotas {
		if !rails.IsName("ResourceQuota", quota.Name, t.Name) {
			continue
		}
		for _, key := range slices.Sorted(maps.Keys(quota.Spec.Hard)) {
			use := QuotaUse{Key: string(key), Used: "?"}
			hard := quota.Spec.Hard[key]
			use.Hard = hard.String()
			if used, counted := quota.Status.Used[key]; counted {
				use.Used = used.String()
			}
			all = append(all, use)
		}
	}
	return all
}
