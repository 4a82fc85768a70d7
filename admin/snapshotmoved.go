package admin

import (
	"context"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"helm-tenant/audit"
	"helm-tenant/cluster"
	"helm-tenant/release"
	"helm-tenant/tenant"
)

// readMoved finds the Helm 3 and 4 releases that came from Tiller, by the field manager
// of their records, for tenants whose objects are not known to name their releases. Only
// metadata is read, and nothing if there is no such tenant.
func (t *snapshotReader) readMoved(ctx context.Context) error {
	owner := map[string]int{}
	for i, r := range t.snapshot.Records {
		if r.OwnershipSet || r.Migrating != nil || r.Problem != "" || r.Tenant.Engine != tenant.EngineImpersonation {
			continue
		}
		for _, ns := range r.Tenant.Namespaces {
			owner[ns] = i
		}
	}
	if len(owner) == 0 {
		return nil
	}
	moved := map[int][]audit.ObjectRef{}
	options := metav1.ListOptions{LabelSelector: release.OfHelm, FieldSelector: "type=" + release.HelmSecretType}
	err := t.client.EachMeta(ctx, "Secret", "", options, func(m *metav1.PartialObjectMetadata) {
		i, owned := owner[m.Namespace]
		if !owned || !release.IsHelms(m, "") || !slices.ContainsFunc(m.ManagedFields, func(f metav1.ManagedFieldsEntry) bool { return f.Manager == cluster.FieldManager }) {
			return
		}
		ref := audit.ObjectRef{Kind: "release", Namespace: strings.Clone(m.Namespace), Name: strings.Clone(release.NameOf(m))}
		if !slices.Contains(moved[i], ref) {
			moved[i] = append(moved[i], ref)
		}
	})
	t.locked(func() {
		for i, refs := range moved {
			slices.SortFunc(refs, func(a, b audit.ObjectRef) int { return strings.Compare(a.Namespace+"/"+a.Name, b.Namespace+"/"+b.Name) })
			t.snapshot.Records[i].Moved = refs
		}
	})
	return err
}
