package admin

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"helm-tenant/cluster"
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
