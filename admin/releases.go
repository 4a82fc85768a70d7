package admin

import (
	"context"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"helm-tenant/cluster"
	"helm-tenant/release"
	"helm-tenant/tenant"
)

// Release is a release of a tenant, as its newest record says.
type Release struct {
	Name      string `json:"name"`
	Namespace string `json:"namespace"`
	Revision  int    `json:"revision"`
	// Status is as Helm 2 spells it, of Helm 3 and 4 too: DEPLOYED, FAILED ...
	Status string `json:"status"`
	Chart  string `json:"chart"`
	// Engine is the one whose helm manages it.
	Engine tenant.Engine `json:"engine"`
	// Driver is where Helm 3 and 4 keep it, as HELM_DRIVER names it; empty for a
	// Tiller's.
	Driver string `json:"driver,omitempty"`
	// Problem is why the record can't be read.
	Problem string `json:"problem,omitempty"`
}

// Gone says whether the release was deleted and only its history is kept.
func (r Release) Gone() bool { return release.Gone(r.Status) }

// releasesOf reads the newest revision of each release out of Tiller's records.
func releasesOf(records []*unstructured.Unstructured) []Release {
	newest := map[string]*unstructured.Unstructured{}
	revision := map[string]int{}
	for _, record := range records {
		r := release.TillerRevision(record.GetLabels())
		if newest[r.Release] == nil || r.Version > revision[r.Release] {
			newest[r.Release], revision[r.Release] = record, r.Version
		}
	}
	var releases []Release
	for name, record := range newest {
		r := Release{Name: name, Revision: revision[name], Status: record.GetLabels()["STATUS"], Engine: tenant.EngineTiller}
		decoded, err := cluster.ReleaseOf(record)
		if err != nil {
			r.Problem = err.Error()
		} else {
			r.Namespace = decoded.GetNamespace()
			meta := decoded.GetChart().GetMetadata()
			r.Chart = meta.GetName() + "-" + meta.GetVersion()
		}
		releases = append(releases, r)
	}
	sortReleases(releases)
	return releases
}

// helmReleasesOf reads the newest revision of each release out of the records
// that Helm 3 and 4 keep beside what they installed.
func helmReleasesOf(records []*unstructured.Unstructured) []Release {
	type at struct{ namespace, name string }
	newest := map[at]*unstructured.Unstructured{}
	for _, record := range records {
		r := release.HelmRevision(record.GetLabels())
		key := at{record.GetNamespace(), r.Release}
		if have := newest[key]; have == nil || r.Version > release.HelmRevision(have.GetLabels()).Version {
			newest[key] = record
		}
	}
	var releases []Release
	for key, record := range newest {
		revision := release.HelmRevision(record.GetLabels())
		r := Release{Name: key.name, Namespace: key.namespace, Revision: revision.Version, Status: revision.Status, Engine: tenant.EngineImpersonation, Driver: strings.ToLower(record.GetKind())}
		chart, err := cluster.HelmChartOf(record)
		if err != nil {
			r.Problem = err.Error()
		}
		r.Chart = chart
		releases = append(releases, r)
	}
	sortReleases(releases)
	return releases
}

func sortReleases(releases []Release) {
	slices.SortFunc(releases, func(a, b Release) int {
		if a.Name != b.Name {
			return strings.Compare(a.Name, b.Name)
		}
		return strings.Compare(a.Namespace, b.Namespace)
	})
}

// readReleases reads the releases that the tenant has through that engine.
func readReleases(ctx context.Context, c *cluster.Client, t tenant.Tenant, engine tenant.Engine) ([]Release, error) {
	if engine == tenant.EngineTiller {
		records, err := c.Records(ctx, t.Home())
		return releasesOf(records), err
	}
	records, err := helmRecords(ctx, c, t)
	return helmReleasesOf(records), err
}

// helmRecords are the records of Helm 3 and 4 in the tenant's namespaces.
func helmRecords(ctx context.Context, c *cluster.Client, t tenant.Tenant) ([]*unstructured.Unstructured, error) {
	var all []*unstructured.Unstructured
	for _, ns := range helmNamespaces(t) {
		records, err := c.HelmRecords(ctx, ns)
		if err != nil {
			return nil, err
		}
		all = append(all, records...)
	}
	return all, nil
}

// helmNamespaces are the namespaces in which Helm 3 and 4 keep the tenant's release
// records; the empty one stands for the whole cluster.
func helmNamespaces(t tenant.Tenant) []string {
	if t.AllNamespaces {
		return []string{""}
	}
	return t.Namespaces
}
