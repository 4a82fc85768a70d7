package admin

import (
	"slices"
	"time"

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

// annotationRestarted is the annotation of `kubectl rollout restart` on a pod template.
const annotationRestarted = "kubectl.kubernetes.io/restartedAt"

// restartSlack is how much later than planned an account may be made for which Tiller is
// restarted.
const restartSlack = 10 * time.Minute

// planRestart restarts Tiller's pods if they hold a token of a service account that was
// deleted: the API server answers Unauthorized to a token of an earlier account of the
// same name.
func (d *decision) planRestart(plan *cluster.Plan) {
	home := d.tenant.Home()
	live := d.facts.live.Get(tillerKey(home))
	if live == nil || d.migration != nil || !d.tenant.Engine.Has(tenant.EngineTiller) {
		return
	}
	index := slices.IndexFunc(plan.Changes, func(change cluster.Change) bool { return change.Key == tillerKey(home) })
	if live.GetLabels()[tenant.LabelTenant] != d.tenant.Name && (index < 0 || plan.Changes[index].Action != cluster.Update) {
		return // another tenant's or nobody's
	}
	account := accountKey(home, tenant.TillerAccount)
	renewed := slices.ContainsFunc(plan.Changes, func(change cluster.Change) bool {
		return change.Key == account && (change.Action == cluster.Create || change.Action == cluster.Replace)
	})
	if !renewed && !outlived(live, d.facts.live.Get(account)) {
		return
	}
	path := []string{"spec", "template", "metadata", "annotations"}
	restart := func(next *unstructured.Unstructured) {
		// The template is an object, since the API server has validated it.
		_ = unstructured.SetNestedField(next.Object, d.facts.now.UTC().Format(time.RFC3339), append(path, annotationRestarted)...)
	}
	switch {
	case index < 0:
		plan.Edit(live, cluster.PhaseWorkload, restart)
	case plan.Changes[index].Action == cluster.Update:
		restart(plan.Changes[index].Object)
	}
	if !d.squatted && d.adopted == nil {
		d.note("Tiller's pods are created again: they have a token of a service account that does not exist any more")
	}
}

// outlived reports whether a Tiller is older than its service account, and was not
// restarted since the account was made.
func outlived(tiller, account *unstructured.Unstructured) bool {
	if account == nil || !account.GetCreationTimestamp().After(tiller.GetCreationTimestamp().Time) {
		return false
	}
	text, _, _ := unstructured.NestedString(tiller.Object, "spec", "template", "metadata", "annotations", annotationRestarted)
	restarted, err := time.Parse(time.RFC3339, text)
	return err != nil || restarted.Add(restartSlack).Before(account.GetCreationTimestamp().Time)
}
