package admin

import (
	"context"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"helm-tenant/cluster"
	"helm-tenant/tenant"
)

// sharer is another tenant that has one of the namespaces.
type sharer struct {
	name string
	// home is the home namespace with the tenant's record; empty if only a binding names
	// the tenant, whose label a chart may have set.
	home string
}

// findOthers returns the other tenants of a tenant's namespaces, one for each namespace
// that has any: by their records, or by a binding there that carries a tenant's label.
func findOthers(ctx context.Context, c *cluster.Client, live *cluster.Live, name string, keys []cluster.Key) (map[string]*sharer, error) {
	others := map[string]*sharer{}
	records, err := c.TenantRecords(ctx)
	if err != nil {
		return nil, err
	}
	for _, record := range records {
		// An unreadable record names no namespaces, but its bindings do.
		t, err := tenant.ReadRecord(record.Data[tenant.RecordKey])
		if err != nil || t.Name == name || t.AllNamespaces {
			continue
		}
		shared := slices.DeleteFunc(slices.Clone(t.Namespaces), func(ns string) bool {
			return others[ns] != nil || !slices.Contains(keys, namespaceKey(ns))
		})
		if len(shared) == 0 {
			continue
		}
		if err := c.Lookup(ctx, live, []cluster.Key{namespaceKey(record.Namespace)}); err != nil {
			return nil, err
		}
		if home := live.Get(namespaceKey(record.Namespace)); home == nil || home.GetDeletionTimestamp() != nil {
			continue // it is deleted as well
		}
		for _, ns := range shared {
			others[ns] = &sharer{t.Name, record.Namespace}
		}
	}
	var unknown []string
	for _, key := range keys {
		if key.Kind == "Namespace" && others[key.Name] == nil {
			unknown = append(unknown, key.Name)
		}
	}
	options := metav1.ListOptions{LabelSelector: tenant.LabelTenant + "!=" + name + "," + tenant.LabelTenant}
	list := unknown
	if listsCluster(c, len(unknown)) {
		list = []string{""}
	}
	for _, ns := range list {
		err := c.EachMeta(ctx, "RoleBinding", ns, options, func(b *metav1.PartialObjectMetadata) {
			if slices.Contains(unknown, b.Namespace) && others[b.Namespace] == nil {
				others[b.Namespace] = &sharer{name: b.Labels[tenant.LabelTenant]}
			}
		})
		if err != nil {
			return nil, err
		}
	}
	return others, nil
}
