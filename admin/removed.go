package admin

import (
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"helm-tenant/tenant"
)

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
