package admin

import (
	"cmp"
	"context"
	"fmt"
	"slices"
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

// RiskClusterObjects narrows a Tiller that has releases with objects it then can't
// manage.
const RiskClusterObjects Risk = "cluster-objects"

// outsideObject is an object of a release that is cluster-scoped, or in another namespace
// than the release.
type outsideObject struct {
	Owner  migrate.Owner
	Object migrate.Object
}

func (o outsideObject) String() string {
	return fmt.Sprintf("%s of release %s", o.Object, o.Owner.Name)
}

func findOutside(ctx context.Context, c *cluster.Client, held []ReleaseObjects) ([]outsideObject, error) {
	var outside []outsideObject
	err := eachObject(ctx, c, held, func(owner migrate.Owner, object migrate.Object, kind *cluster.ServedKind) error {
		if kind == nil && release.ClusterScoped(object.Kind) { // of a version that is no longer served
			object.Namespace = ""
		}
		if object.Namespace != owner.Namespace {
			outside = append(outside, outsideObject{owner, object})
		}
		return nil
	})
	return outside, err
}

// checkOutsideObjects refuses to narrow a Tiller whose releases have objects that it then
// could not manage, unless the risk is accepted.
func (d *decision) checkOutsideObjects(objects []outsideObject) error {
	if d.tenant.AllNamespaces {
		return nil
	}
	var names []string
	for _, o := range objects {
		if !d.request.Leaving[o.Owner.Name] && slices.Contains(d.tenant.Namespaces, o.Owner.Namespace) && !slices.Contains(d.tenant.Namespaces, o.Object.Namespace) {
			names = append(names, o.String())
		}
	}
	if len(names) == 0 {
		return nil
	}
	listed := briefList(names)
	err := d.request.Accepted.unless(RiskClusterObjects, "releases hold objects outside the tenant's namespaces, which its Tiller could not upgrade or delete any more: %s; take them out of the releases, or give these releases to an ops tenant of all namespaces", listed)
	if err == nil {
		d.note("its Tiller can't manage these objects of its releases: %s", listed)
	}
	return err
}
