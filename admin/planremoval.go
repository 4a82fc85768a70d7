package admin

import (
	"cmp"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"helm-tenant/cluster"
	"helm-tenant/install"
	"helm-tenant/rbac"
	"helm-tenant/tenant"
)

// planRemoval plans the removal of an object that carries the tenant's label and is not
// wanted.
func (d *decision) planRemoval(plan *cluster.Plan, key cluster.Key) error {
	live := d.facts.live.Get(key)
	if ns := cmp.Or(key.Namespace, key.Name); slices.Contains(d.claimed(), ns) && d.leftOut(ns) {
		return nil // it is being deleted with everything in it
	}
	switch key.Kind {
	case "Namespace":
		return d.planUnclaim(plan, live)
	case "RoleBinding", "ClusterRoleBinding":
		return d.planUnbind(plan, key, live)
	case "Deployment", "ServiceAccount", "Role", "NetworkPolicy":
		stopped := key.Kind == "Deployment" && d.migration != nil && d.tenant.Engine.Has(tenant.EngineTiller)
		if key.Namespace == d.tenant.Home() && slices.Contains(engineObjects, key.Name) && !stopped {
			plan.Delete(live, cluster.PhaseRemoval)
			return nil
		}
		d.planUnrailed(plan, key, live)
	case "ResourceQuota", "LimitRange":
		d.planUnrailed(plan, key, live)
	}
	return nil
}

// engineObjects are the names of the objects in a home that only one engine needs.
var engineObjects = []string{install.DeploymentName, tenant.TillerAccount, tenant.HelmAccount, tenant.ReaderAccount, rbac.RecordsName, rbac.ReaderName, rbac.OwnerName, install.PolicyName}

// planUnclaim removes the tenant's label from a namespace that the tenant no longer has,
// if the request asks for that.
func (d *decision) planUnclaim(plan *cluster.Plan, live *unstructured.Unstructured) error {
	name := live.GetName()
	if !d.request.Prune && !d.request.Exact {
		d.note("namespace %q carries the tenant's label but is not one of its namespaces; --prune takes the label away", name)
		return nil
	}
	releases, err := d.releasesInRemoved(name)
	if err != nil {
		return err
	}
	if len(releases) > 0 {
		d.note("namespace %q is taken from the tenant; what runs in it stays, and the tenant can no longer manage its releases there: %s", name, briefList(releases))
	} else {
		d.note("namespace %q is taken from the tenant; what runs in it stays", name)
	}
	return d.planUnrail(plan, live, withoutLabels(tenant.LabelTenant))
}

// planUnbind deletes a binding of the deployer that is no longer wanted.
func (d *decision) planUnbind(plan *cluster.Plan, key cluster.Key, live *unstructured.Unstructured) error {
	switch {
	case key.Kind == "RoleBinding" && !slices.Contains(d.claimed(), key.Namespace):
		// After the record: whoever reads a record that still names the namespace finds
		// the binding too, and does not create it again.
		plan.Delete(live, cluster.PhaseRemoval)
		return nil
	case key.Kind == "ClusterRoleBinding" && !d.tenant.AllNamespaces:
		plan.Delete(live, cluster.PhaseEarlyRemoval)
		return nil
	}
	// The role changed. If one of the two roles grants everything that the other does,
	// the new binding is written before the old one is deleted; otherwise both at once
	// would grant more than either.
	_, role := roleRefOf(live)
	nested, err := d.nested(role, d.tenant.Role)
	if err != nil {
		return err
	}
	if nested {
		plan.Delete(live, cluster.PhaseRemoval)
	} else {
		plan.Delete(live, cluster.PhaseEarlyRemoval)
	}
	return nil
}

// claimed returns the namespaces that get the tenant's label. A tenant of all namespaces
// claims none, since they belong to others.
func (d *decision) claimed() []string {
	if d.tenant.AllNamespaces {
		return nil
	}
	return d.tenant.Namespaces
}

// leftOut reports whether a namespace is left out because the tenant is being migrated:
// it does not exist, or is being deleted.
func (d *decision) leftOut(namespace string) bool {
	if !d.request.Migrating || d.request.CreateNamespaces {
		return false
	}
	live := d.facts.live.Get(namespaceKey(namespace))
	return live == nil || live.GetDeletionTimestamp() != nil
}

// leavingEngine returns the engine that a tenant with both loses; empty if it loses none,
// or may lose it with its releases.
func (d *decision) leavingEngine() tenant.Engine {
	switch {
	case d.was.Engine != tenant.EngineBoth || d.tenant.Engine == tenant.EngineBoth || d.request.LeaveReleases:
		return ""
	case d.tenant.Engine == tenant.EngineTiller:
		return tenant.EngineImpersonation
	}
	return tenant.EngineTiller
}

// removedNamespaces returns the tenant as it was, with only the namespaces that it loses
// now.
func (d *decision) removedNamespaces() tenant.Tenant {
	removed := d.was
	removed.Namespaces, removed.AllNamespaces = nil, false
	if !d.existed || !d.request.Prune && !d.request.Exact || d.tenant.AllNamespaces {
		return removed
	}
	for _, ns := range d.was.Namespaces {
		if !slices.Contains(d.tenant.Namespaces, ns) {
			removed.Namespaces = append(removed.Namespaces, ns)
		}
	}
	return removed
}

// releasesInRemoved returns the tenant's releases in a namespace that it loses. A caller
// who may not read them may still take the namespace away.
func (d *decision) releasesInRemoved(namespace string) ([]string, error) {
	removed := d.removedNamespaces()
	if !slices.Contains(removed.Namespaces, namespace) {
		return nil, nil
	}
	var names []string
	for _, engine := range removed.Engine.Parts() {
		releases, err := d.facts.releasesOf(removed, engine)
		if apierrors.IsForbidden(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, r := range releases {
			if !r.Gone() && r.Namespace == namespace {
				names = append(names, r.Name)
			}
		}
	}
	return names, nil
}
