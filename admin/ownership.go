package admin

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"helm-tenant/cluster"
	"helm-tenant/migrate"
	"helm-tenant/release"
	"helm-tenant/tenant"
)

// ReleaseObjects has the objects of a release, from its manifest.
type ReleaseObjects struct {
	migrate.Owner
	Objects []migrate.Object
	// Problem is the reason why the record can't be read; then there are no objects.
	Problem error
}

// currentRecords returns the records whose manifests have the objects of each release:
// the newest, whose objects uninstall deletes, and, with deployed, the last deployed one,
// with which upgrade compares. Uninstalled releases have no objects.
func currentRecords(records []cluster.Stored, deployed bool) []cluster.Stored {
	type name struct{ namespace, release string }
	newest, last := map[name]cluster.Stored{}, map[name]cluster.Stored{}
	for _, record := range records {
		release := name{record.Namespace, record.Release}
		if other, found := newest[release]; !found || record.Version > other.Version {
			newest[release] = record
		}
		if other, found := last[release]; record.Status == "DEPLOYED" && (!found || record.Version > other.Version) {
			last[release] = record
		}
	}
	var current []cluster.Stored
	for key, record := range newest {
		if release.Gone(record.Status) {
			continue
		}
		current = append(current, record)
		if before, found := last[key]; deployed && found && before.Version != record.Version {
			current = append(current, before)
		}
	}
	return current
}

func readReleaseObjects(ctx context.Context, c *cluster.Client, records []cluster.Stored) ([]ReleaseObjects, error) {
	held := map[migrate.Owner]*ReleaseObjects{}
	type part struct {
		owner  migrate.Owner
		object migrate.Object
	}
	known := map[part]bool{} // a record of a megabyte can have hundreds of thousands of objects
	err := c.EachRecord(ctx, records, func(record cluster.Record) error {
		owner, manifest, err := manifestOf(c, record)
		if held[owner] == nil {
			held[owner] = &ReleaseObjects{Owner: owner}
		}
		into := held[owner]
		if err != nil {
			into.Problem = err
			return nil
		}
		for _, object := range migrate.Objects(manifest) {
			if object.Namespace == "" {
				object.Namespace = owner.Namespace
			}
			if one := (part{owner, object}); !known[one] {
				known[one] = true
				into.Objects = append(into.Objects, object)
			}
		}
		return nil
	})
	var all []ReleaseObjects
	for _, owner := range slices.SortedFunc(maps.Keys(held), func(a, b migrate.Owner) int {
		return strings.Compare(a.Namespace+"/"+a.Name, b.Namespace+"/"+b.Name)
	}) {
		all = append(all, *held[owner])
	}
	return all, err
}

// manifestOf returns the manifest in a record, and its release. An unreadable record
// belongs to the release in its labels.
func manifestOf(c *cluster.Client, record cluster.Record) (migrate.Owner, string, error) {
	labelled := migrate.Owner{Name: record.Release, Namespace: record.Namespace}
	if object, ok := record.Object.(metav1.Object); ok && release.IsTillers(object.GetLabels()) {
		r, err := c.ReleaseOf(record)
		if err != nil {
			return labelled, "", err
		}
		return migrate.Owner{Name: r.GetName(), Namespace: r.GetNamespace()}, r.GetManifest(), nil
	}
	secret := corev1.Secret{}
	switch object := record.Object.(type) {
	case *corev1.Secret:
		secret = *object
	case *corev1.ConfigMap:
		secret.Data = map[string][]byte{release.DataKey: []byte(object.Data[release.DataKey])}
	}
	r, err := release.InSecret(secret, c.Unpacked())
	if err != nil {
		return labelled, "", fmt.Errorf("%s can't be read: %w", record.Key, err)
	}
	if r.Name != labelled.Name || r.Namespace != labelled.Namespace {
		return labelled, "", fmt.Errorf("%s holds another release than its labels say", record.Key)
	}
	return labelled, r.Manifest, nil
}

// helmReleaseObjects reads the objects of the tenant's Helm 3 and 4 releases: those in its
// namespaces, or, if only is not nil, those of them that it accepts.
func helmReleaseObjects(ctx context.Context, c *cluster.Client, t tenant.Tenant, only func(namespace, name string) bool) ([]ReleaseObjects, error) {
	var records []cluster.Stored
	for _, namespace := range helmNamespaces(t) {
		stored, err := c.StoredReleases(ctx, tenant.EngineImpersonation, namespace)
		if err != nil {
			return nil, err
		}
		records = append(records, slices.DeleteFunc(stored, func(s cluster.Stored) bool { return only != nil && !only(s.Namespace, s.Release) })...)
	}
	return readReleaseObjects(ctx, c, currentRecords(records, true))
}

// movedReleaseObjects reads the objects of the releases that moved, from Helm 3's present records.
// A release that Helm 3 uninstalled, or installed again with the same name, is left out.
func movedReleaseObjects(ctx context.Context, c *cluster.Client, m *Migration) ([]ReleaseObjects, error) {
	moved := map[migrate.Owner]bool{}
	t := tenant.Tenant{}
	for i, r := range m.Releases {
		if m.Standings[i].None() {
			continue
		}
		moved[migrate.Owner{Name: r.Name, Namespace: r.Namespace}] = true
		if !slices.Contains(t.Namespaces, r.Namespace) {
			t.Namespaces = append(t.Namespaces, r.Namespace)
		}
	}
	return helmReleaseObjects(ctx, c, t, func(namespace, name string) bool { return moved[migrate.Owner{Name: name, Namespace: namespace}] })
}

// eachObject calls do for the objects of the releases, in order, with the kind that the
// API server serves, nil if it serves none. The namespace of cluster-scoped objects is
// removed. The first error of do ends it.
func eachObject(ctx context.Context, c *cluster.Client, held []ReleaseObjects, do func(migrate.Owner, migrate.Object, *cluster.ServedKind) error) error {
	served, err := servedKinds(ctx, c, held)
	if err != nil {
		return err
	}
	for _, h := range held {
		for _, object := range h.Objects {
			kind, found := served[object.APIVersion][object.Kind]
			if found && !kind.Namespaced() {
				object.Namespace = ""
			}
			served := &kind
			if !found {
				served = nil
			}
			if err := do(h.Owner, object, served); err != nil {
				return err
			}
		}
	}
	return nil
}

func servedKinds(ctx context.Context, c *cluster.Client, held []ReleaseObjects) (map[string]map[string]cluster.ServedKind, error) {
	versions := map[string]bool{}
	for _, h := range held {
		for _, object := range h.Objects {
			versions[object.APIVersion] = true
		}
	}
	if len(versions) == 0 {
		return nil, nil
	}
	return c.ServedKinds(ctx, slices.Sorted(maps.Keys(versions)))
}

// unfindable returns the reason why an object can't be looked for; nil if it can. kind is nil if
// the API server does not serve it.
func unfindable(object migrate.Object, kind *cluster.ServedKind) error {
	switch {
	case kind == nil:
		return fmt.Errorf("this API server does not serve the kind in %s", object.APIVersion)
	case object.Name == "":
		return errors.New("its manifest has generateName, and the API server chose the name")
	}
	return nil
}

// OwnershipChange is an object of a release that did not name its release.
type OwnershipChange struct {
	Owner  migrate.Owner
	Object migrate.Object
	// Problem is the reason why the object is not changed; nil if it names the release
	// now.
	Problem error
	// Gone reports whether the problem is that the object does not exist.
	Gone bool
}

// setOwnershipOf makes every object of the releases name its release, as Helm 3 requires. It acts
// as the tenant's deployer, so that it can't change objects that the deployer may not change.
// It only writes labels and annotations of the object itself, so that no workload restarts. It
// calls report for each object that did not name its release, changed or not, and continues
// with the others. With dryRun nothing is written. An error means that not every object was
// read; changes stay, and the next run skips them.
func setOwnershipOf(ctx context.Context, c *cluster.Client, t tenant.Tenant, held []ReleaseObjects, dryRun bool, report func(OwnershipChange)) error {
	if len(held) == 0 {
		return nil
	}
	if err := orDenied(lacking(ctx, c, []cluster.Permission{cluster.Impersonation(t.Home(), tenant.HelmAccount)})); err != nil {
		return err
	}
	deployer, err := c.As(tenant.AccountUser(t.Home(), tenant.HelmAccount))
	if err != nil {
		return err
	}
	for _, h := range held {
		if h.Problem != nil {
			report(OwnershipChange{Owner: h.Owner, Problem: h.Problem})
		}
	}
	return eachObject(ctx, c, held, func(owner migrate.Owner, object migrate.Object, kind *cluster.ServedKind) error {
		if why := unfindable(object, kind); why != nil {
			report(OwnershipChange{Owner: owner, Object: object, Problem: why})
			return nil
		}
		changed, err := setOwnership(ctx, deployer, *kind, owner, object, dryRun)
		if _, unreachable := errors.AsType[*cluster.UnreachableError](err); unreachable || ctx.Err() != nil {
			return err
		}
		if changed || err != nil {
			report(OwnershipChange{owner, object, err, apierrors.IsNotFound(err)})
		}
		return nil
	})
}

// setOwnership reports whether the object did not name its release.
func setOwnership(ctx context.Context, deployer *cluster.Client, kind cluster.ServedKind, owner migrate.Owner, object migrate.Object, dryRun bool) (bool, error) {
	const tries = 5 // controllers write to some objects all the time
	for try := 1; ; try++ {
		live, err := deployer.Metadata(ctx, kind, object.Namespace, object.Name)
		if err != nil {
			return false, err
		}
		switch owner.Ownership(live.Labels, live.Annotations) {
		case migrate.Owned:
			return false, nil
		case migrate.OwnedByOther:
			return false, fmt.Errorf("it belongs to release %s", migrate.OwnerOf(live.Annotations))
		}
		if dryRun {
			return true, nil
		}
		labels, annotations := owner.Metadata()
		err = deployer.PatchMetadata(ctx, kind, live, labels, annotations)
		if err == nil || try == tries || !apierrors.IsConflict(err) {
			return err == nil, err
		}
	}
}

// Remaining is an object that exists after its release was deleted.
type Remaining struct {
	Owner  migrate.Owner
	Object migrate.Object
	// Why is the reason why the object is right to stay; empty if it is not.
	Why string
	// Problem is the reason why it is not known whether the object exists.
	Problem error
}

// ReleaseObjects reads the objects of the releases that are removed with the tenant.
func (r *Removal) ReleaseObjects(ctx context.Context, c *cluster.Client) ([]ReleaseObjects, error) {
	return readReleaseObjects(ctx, c, currentRecords(slices.Concat(r.Records, r.helmRecords), false))
}

// FindRemaining returns a function that finds the objects that still exist, to be called
// when the releases are deleted. It reads the served kinds now, since a release can take
// a CustomResourceDefinition with it.
func FindRemaining(ctx context.Context, c *cluster.Client, held []ReleaseObjects) (func(context.Context) []Remaining, error) {
	type looked struct {
		owner  migrate.Owner
		object migrate.Object
		kind   *cluster.ServedKind
	}
	var objects []looked
	err := eachObject(ctx, c, held, func(owner migrate.Owner, object migrate.Object, kind *cluster.ServedKind) error {
		objects = append(objects, looked{owner, object, kind})
		return nil
	})
	return func(ctx context.Context) []Remaining {
		var remaining []Remaining
		for _, o := range objects {
			if why := unfindable(o.object, o.kind); why != nil {
				remaining = append(remaining, Remaining{o.owner, o.object, "", why})
				continue
			}
			live, err := c.Metadata(ctx, *o.kind, o.object.Namespace, o.object.Name)
			switch {
			case apierrors.IsNotFound(err), err == nil && live.DeletionTimestamp != nil:
			case err != nil:
				remaining = append(remaining, Remaining{o.owner, o.object, "", err})
			default:
				remaining = append(remaining, Remaining{o.owner, o.object, whyStays(o.owner, o.object, live), nil})
			}
		}
		return remaining
	}, err
}

// whyStays returns the reason why helm is right to leave an object; empty if there is
// none.
func whyStays(owner migrate.Owner, object migrate.Object, live *metav1.PartialObjectMetadata) string {
	switch {
	case object.Kept:
		return "its helm.sh/resource-policy is keep"
	case owner.Ownership(live.Labels, live.Annotations) == migrate.OwnedByOther:
		return "it belongs to release " + migrate.OwnerOf(live.Annotations)
	}
	return ""
}
