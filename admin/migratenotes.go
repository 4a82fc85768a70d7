package admin

import (
	"cmp"
	"context"
	"sync"

	"helm-tenant/cluster"
	"helm-tenant/migrate"
	"helm-tenant/release"
	"helm-tenant/tenant"
)

// migrationNotes finds the objects of moving releases that are noted: those of kinds that
// the API server no longer serves, and those outside the tenant's namespaces. It is safe
// for concurrent use.
type migrationNotes struct {
	served *cluster.Served
	tenant tenant.Tenant
	mutex  sync.Mutex
	// failed is the first error of asking for a kind.
	failed error
}

// kind returns a kind as the API server serves it; found is false if it does not.
func (n *migrationNotes) kind(ctx context.Context, resource migrate.Resource) (kind cluster.ServedKind, found bool) {
	if n.problem() != nil {
		return cluster.ServedKind{}, false
	}
	kind, found, err := n.served.Kind(ctx, resource.APIVersion, resource.Kind)
	if err != nil {
		n.mutex.Lock()
		defer n.mutex.Unlock()
		n.failed = cmp.Or(n.failed, err)
	}
	return kind, found
}

// problem returns the error of asking for a kind, nil if there was none. After it no kind
// is asked for.
func (n *migrationNotes) problem() error {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	return n.failed
}

// keeps returns a function that reports whether an object of a release in that namespace
// may have to be noted. All others are forgotten as soon as they are read.
func (n *migrationNotes) keeps(ctx context.Context, namespace string) func(migrate.Object) bool {
	return func(object migrate.Object) bool {
		kind, found := n.kind(ctx, object.Resource)
		inside := n.tenant.ActsIn(cmp.Or(object.Namespace, namespace))
		return !found || !inside || !n.tenant.AllNamespaces && !kind.Namespaced()
	}
}

func (n *migrationNotes) add(ctx context.Context, releases []migrate.Release) error {
	for i := range releases {
		releases[i].NoteUnserved(func(resource migrate.Resource) bool {
			_, found := n.kind(ctx, resource)
			return found
		})
		if !n.tenant.AllNamespaces {
			releases[i].NoteOutside(n.tenant.Namespaces, func(resource migrate.Resource) bool {
				kind, found := n.kind(ctx, resource)
				return found && !kind.Namespaced() || !found && release.ClusterScoped(resource.Kind)
			})
		}
	}
	return n.problem()
}
