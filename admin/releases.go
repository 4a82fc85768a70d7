package admin

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"helm-tenant/cluster"
	"helm-tenant/failure"
	"helm-tenant/lists"
	"helm-tenant/release"
	"helm-tenant/tenant"
)

// Release is a release of a tenant, from its newest record.
type Release struct {
	Name      string `json:"name"`
	Namespace string `json:"namespace"`
	Revision  int    `json:"revision"`
	// Status is spelled as by Helm 2, also for Helm 3 and 4: DEPLOYED, FAILED ...
	Status string `json:"status"`
	Chart  string `json:"chart"`
	// Engine is the engine whose helm manages it.
	Engine tenant.Engine `json:"engine"`
	// Driver is the storage of Helm 3 and 4, as HELM_DRIVER names it; empty for a
	// Tiller's release.
	Driver string `json:"driver,omitempty"`
	// AppVersion is the chart's appVersion, if the chart was read.
	AppVersion string `json:"appVersion,omitempty"`
	// Updated is the time at which helm last wrote the newest record.
	Updated *time.Time `json:"updated,omitempty"`
	// Problem is the reason why the record can't be read.
	Problem string `json:"problem,omitempty"`
}

// Gone reports whether the release was deleted and only its history is kept.
func (r Release) Gone() bool { return release.Gone(r.Status) }

func releaseOf(l cluster.LatestRelease, engine tenant.Engine) Release {
	r := Release{Name: l.Release, Namespace: l.Namespace, Revision: l.Revision.Version, Status: l.Status, Chart: l.Chart, AppVersion: l.AppVersion, Updated: timeOf(l.Updated), Engine: engine}
	if engine == tenant.EngineImpersonation {
		r.Namespace, r.Driver = l.Key.Namespace, strings.ToLower(l.Kind)
	}
	if l.Problem != nil {
		r.Problem = l.Problem.Error()
	}
	return r
}

func timeOf(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// readReleasesIn reads the newest revisions of the releases that an engine's helm keeps
// in a namespace, or in the whole cluster if it is empty.
func readReleasesIn(ctx context.Context, c *cluster.Client, engine tenant.Engine, namespace string) ([]Release, error) {
	latest, err := c.LatestReleases(ctx, engine, namespace)
	return lists.Map(latest, func(l cluster.LatestRelease) Release { return releaseOf(l, engine) }), err
}

func readReleases(ctx context.Context, c *cluster.Client, t tenant.Tenant, engine tenant.Engine) ([]Release, error) {
	if engine == tenant.EngineTiller {
		return readReleasesIn(ctx, c, engine, t.Home())
	}
	answers, err := readEach(ctx, slices.Clone(helmNamespaces(t)), func(ctx context.Context, ns string) ([]Release, error) {
		return readReleasesIn(ctx, c, engine, ns)
	})
	if err != nil {
		return nil, err
	}
	var all []Release
	for _, ns := range helmNamespaces(t) {
		if answers[ns].err != nil {
			return nil, answers[ns].err
		}
		all = append(all, answers[ns].value...)
	}
	sortReleases(all)
	return all, nil
}

func sortReleases(releases []Release) {
	slices.SortFunc(releases, compareReleases)
}

func compareReleases(a, b Release) int {
	return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Namespace, b.Namespace))
}

// helmNamespaces returns the namespaces in which Helm 3 and 4 keep the tenant's release
// records; the empty one is the whole cluster.
func helmNamespaces(t tenant.Tenant) []string {
	if t.AllNamespaces {
		return []string{""}
	}
	return t.Namespaces
}

// ListedRelease is a release in a list over several namespaces or tenants.
type ListedRelease struct {
	Release
	// Tenants are the tenants with the release's namespace (Helm 3 and 4), or with its
	// Tiller.
	Tenants []string `json:"tenants"`
}

// UnlistedReleases are releases that the caller may not read.
type UnlistedReleases struct {
	Tenant    string `json:"tenant"`
	Namespace string `json:"namespace,omitempty"`
	Reason    string `json:"reason"`
}

// A ReleaseList holds the releases of some tenants, and what could not be read.
type ReleaseList struct {
	Releases []ListedRelease
	Unlisted []UnlistedReleases
	// Namespaces are those of the tenants; nil if they have all, or they are not known.
	Namespaces []string
}

// place is a namespace with the records of an engine's helm; an empty namespace is the
// whole cluster.
type place struct {
	engine    tenant.Engine
	namespace string
}

// ListReleases lists the newest revision of each release of the tenants. The releases of
// Helm 3 and 4 are listed from the labels of their records; the records themselves are
// read only for a Tiller's releases, whose labels have no namespace, and with charts.
// What the caller may not read is in Unlisted; other errors end the list.
func ListReleases(ctx context.Context, c *cluster.Client, tenants []tenant.Tenant, charts bool) (*ReleaseList, error) {
	owners := map[place][]string{}
	for _, t := range tenants {
		t = t.WithDefaults()
		if t.Engine.Has(tenant.EngineTiller) {
			location := place{tenant.EngineTiller, t.Home()}
			owners[location] = append(owners[location], t.Name)
		}
		if t.Engine.Has(tenant.EngineImpersonation) {
			for _, ns := range helmNamespaces(t) {
				location := place{tenant.EngineImpersonation, ns}
				owners[location] = append(owners[location], t.Name)
			}
		}
	}
	list := &ReleaseList{Namespaces: namespacesOf(tenants)}
	for _, engine := range []tenant.Engine{tenant.EngineTiller, tenant.EngineImpersonation} {
		var places []place
		for place := range owners {
			if place.engine == engine {
				places = append(places, place)
			}
		}
		if err := list.read(ctx, c, places, owners, charts); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(list.Releases, func(a, b ListedRelease) int { return compareReleases(a.Release, b.Release) })
	slices.SortFunc(list.Unlisted, func(a, b UnlistedReleases) int {
		return strings.Compare(a.Tenant+"/"+a.Namespace, b.Tenant+"/"+b.Namespace)
	})
	return list, nil
}

// namespacesOf returns the namespaces of all tenants; nil if one of them has all.
func namespacesOf(tenants []tenant.Tenant) []string {
	namespaces := []string{}
	for _, t := range tenants {
		if t.AllNamespaces {
			return nil
		}
		namespaces = append(namespaces, t.Namespaces...)
	}
	slices.Sort(namespaces)
	return slices.Compact(namespaces)
}

func (l *ReleaseList) read(ctx context.Context, c *cluster.Client, places []place, owners map[place][]string, charts bool) error {
	if len(places) == 0 {
		return nil
	}
	engine := places[0].engine
	everything := place{engine, ""}
	if len(places) >= namespacesToList || len(owners[everything]) > 0 {
		found, err := releasesAt(ctx, c, everything, charts)
		switch {
		case err == nil:
			l.add(found, owners)
			return nil
		case !apierrors.IsForbidden(err):
			return err
		}
		l.refuse(owners[everything], "", err)
	}
	for _, place := range places {
		if place == everything {
			continue
		}
		found, err := releasesAt(ctx, c, place, charts)
		switch {
		case err == nil:
			l.add(found, owners)
		case apierrors.IsForbidden(err):
			l.refuse(owners[place], place.namespace, err)
		default:
			return err
		}
	}
	return nil
}

// storedRelease is a release with the namespace of its record.
type storedRelease struct {
	Release
	place place
}

func releasesAt(ctx context.Context, c *cluster.Client, location place, charts bool) ([]storedRelease, error) {
	var all []storedRelease
	if location.engine == tenant.EngineTiller || charts {
		latest, err := c.LatestReleases(ctx, location.engine, location.namespace)
		for _, l := range latest {
			all = append(all, storedRelease{releaseOf(l, location.engine), place{location.engine, l.Key.Namespace}})
		}
		return all, err
	}
	newest, err := c.NewestStored(ctx, location.engine, location.namespace)
	for _, s := range newest {
		all = append(all, storedRelease{releaseOf(cluster.LatestRelease{Stored: s}, location.engine), place{location.engine, s.Namespace}})
	}
	return all, err
}

// add keeps the releases that belong to one of the tenants.
func (l *ReleaseList) add(found []storedRelease, owners map[place][]string) {
	for _, r := range found {
		names := slices.Concat(owners[r.place], owners[place{r.place.engine, ""}])
		if len(names) == 0 {
			continue
		}
		slices.Sort(names)
		l.Releases = append(l.Releases, ListedRelease{r.Release, slices.Compact(names)})
	}
}

func (l *ReleaseList) refuse(tenants []string, namespace string, err error) {
	for _, name := range tenants {
		l.Unlisted = append(l.Unlisted, UnlistedReleases{name, namespace, failure.Text(err)})
	}
}

// Tenants reads the records of the named tenants, or of all tenants if none is named.
// Records that can't be read are in the UnlistedReleases. A name that no tenant has is an
// error. The engine of a tenant that is being migrated is the one that has its releases.
func Tenants(ctx context.Context, c *cluster.Client, names ...string) ([]tenant.Tenant, []UnlistedReleases, error) {
	records, err := c.TenantRecords(ctx)
	if err != nil {
		return nil, nil, err
	}
	var unread []UnlistedReleases
	found := map[string]bool{}
	var tenants []tenant.Tenant
	for _, record := range records {
		t, err := tenant.ReadRecord(record.Data[tenant.RecordKey])
		if err != nil {
			name := record.Labels[tenant.LabelTenant]
			if len(names) == 0 || slices.Contains(names, name) {
				found[name] = true
				unread = append(unread, UnlistedReleases{name, "", fmt.Sprintf("the record in namespace %q: %v", record.Namespace, err)})
			}
			continue
		}
		if t = t.WithDefaults(); t.Home() != record.Namespace || len(names) > 0 && !slices.Contains(names, t.Name) {
			continue
		}
		migration, err := cluster.MigrationOf(&record)
		if err != nil {
			migration = nil // lists both engines' records
		}
		t.Engine = migration.ReleasesOf(t.Engine)
		found[t.Name] = true
		tenants = append(tenants, t)
	}
	for _, name := range names {
		if !found[name] {
			var known []string
			for _, record := range records {
				known = append(known, record.Labels[tenant.LabelTenant])
			}
			return nil, nil, noTenant(name, c.Where(), known)
		}
	}
	return tenants, unread, nil
}
