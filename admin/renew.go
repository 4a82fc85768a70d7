package admin

import (
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"helm-tenant/cluster"
	"helm-tenant/tenant"
)

// renew replaces service accounts that others made, of deployers, readers and for Flux: a new UID
// invalidates every token, also those of a TokenRequest. A stranger's record that can't be
// changed is replaced as well.
func (d *decision) renew(plan *cluster.Plan, wanted []runtime.Object) error {
	for _, object := range wanted {
		key := cluster.KeyOf(object)
		live := d.facts.live.Get(key)
		if live == nil {
			continue
		}
		if immutable, _, _ := unstructured.NestedBool(live.Object, "immutable"); immutable && key == recordKey(d.tenant.Home()) && d.squatted {
			if err := plan.Renew(object, live); err != nil {
				return err
			}
		}
		if key.Kind != "ServiceAccount" || !d.madeByOthers(key) {
			continue
		}
		if err := plan.Renew(object, live); err != nil {
			return err
		}
		d.note("service account %s in namespace %q is created again: every token of it ends", key.Name, key.Namespace)
	}
	return nil
}

// madeByOthers reports whether a live service account that the tenant should have was not
// made by helm-tenant. In a tenant's namespace the label decides: who may write there can
// set it, but only an admin puts the account into the record. A record that was restored
// from bindings does not count as an admin's word.
func (d *decision) madeByOthers(key cluster.Key) bool {
	if d.tenant.FluxAccountIn(key.Namespace) == key.Name {
		return d.restored || d.was.FluxAccountIn(key.Namespace) != key.Name
	}
	if d.squatted || d.adopted == nil {
		return d.squatted
	}
	isReader := key == accountKey(d.tenant.Home(), tenant.ReaderAccount) && d.facts.live.Get(key).GetLabels()[tenant.LabelTenant] == ""
	return isReader || slices.Contains(d.adopted.accounts, key.Name)
}
