package admin

import (
	"context"
	"fmt"
	"slices"

	"helm-tenant/cluster"
	"helm-tenant/migrate"
	"helm-tenant/release"
)

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
