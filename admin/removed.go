package admin

import (
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"helm-tenant/tenant"
)

// claimed are the namespaces that get the tenant's label. A tenant of all
// namespaces claims none: the others' must stay theirs.
func (d *decision) claimed() []string {
	if d.tenant.AllNamespaces {
		return nil
	}
	return d.tenant.Namespaces
}

// leftOut reports whether a namespace of a tenant that is being migrated is passed over: it
// does not exist, or nothing can be created in it any more.
func (d *decision) leftOut(namespace string) bool {
	if !d.request.Migrating || d.request.CreateNamespaces {
		return false
	}
	live := d.facts.live.Get(namespaceKey(namespace))
	return live == nil || live.GetDeletionTimestamp() != nil
}

// leavingEngine is the engine that a tenant of both is to lose; empty where it loses
// none, or may lose it with its releases.
func (d *decision) leavingEngine() tenant.Engine {
	switch {
	case d.was.Engine != tenant.EngineBoth || d.tenant.Engine == tenant.EngineBoth || d.request.LeaveReleases:
		return ""
	case d.tenant.Engine == tenant.EngineTiller:
		return tenant.EngineImpersonation
	}
	return tenant.EngineTiller
}

// removedNamespaces is the tenant as it was, with only the namespaces that are taken
// from it now.
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

// releasesInRemoved are the tenant's releases in a namespace that is taken from it.
// Who may not read them may take the namespace away.
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
