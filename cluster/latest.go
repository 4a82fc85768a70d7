package cluster

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"helm-tenant/lists"
	"helm-tenant/release"
	"helm-tenant/tenant"
)

// LatestRelease is the newest revision of a release.
type LatestRelease struct {
	Stored
	// Summary is the content of the record. Helm 3 and 4 keep records in the release's
	// own namespace, and only the chart is read.
	release.Summary
	// Problem is the reason why the record can't be read, nil if it can.
	Problem error
}

// LatestReleases returns the newest revisions of an engine's releases in a namespace, or
// in all namespaces if it is empty, sorted by name. Older records are not read.
func (c *Client) LatestReleases(ctx context.Context, engine tenant.Engine, namespace string) ([]LatestRelease, error) {
	all, err := c.StoredReleases(ctx, engine, namespace)
	if err != nil {
		return nil, err
	}
	latest := latestOf(all)
	found := make([]bool, len(latest))
	wanted := lists.Map(latest, func(l LatestRelease) Stored { return l.Stored })
	err = c.eachPacked(ctx, engine, namespace, wanted, len(slices.DeleteFunc(all, func(s Stored) bool { return s.Status == superseded })), func(i int, packed []byte) {
		found[i] = true
		l := &latest[i]
		var err error
		if engine == tenant.EngineImpersonation {
			l.Summary = release.Summary{Name: l.Release, Namespace: l.Key.Namespace, Version: l.Revision.Version}
			l.Chart, l.AppVersion, err = release.HelmChart(packed, c.unpacked)
		} else {
			l.Summary, err = release.Helm2Summary(packed, c.unpacked)
		}
		if err != nil {
			l.Problem = noRecord(l.Key, helmOf(engine), err)
		}
	})
	// Records that are not found were deleted in the meantime.
	kept := latest[:0]
	for i, l := range latest {
		if found[i] {
			kept = append(kept, l)
		}
	}
	return kept, err
}

// superseded is the status of most records, as Helm 2 spells it.
const superseded = "SUPERSEDED"

// latestOf returns the newest revision of each release, sorted.
func latestOf(all []Stored) []LatestRelease {
	type name struct{ namespace, release string }
	newest := map[name]Stored{}
	for _, s := range all {
		release := name{s.Namespace, s.Release}
		if other, found := newest[release]; !found || s.Version > other.Version {
			newest[release] = s
		}
	}
	var latest []LatestRelease
	for _, s := range newest {
		latest = append(latest, LatestRelease{Stored: s})
	}
	slices.SortFunc(latest, func(a, b LatestRelease) int {
		return cmp.Or(strings.Compare(a.Release, b.Release), strings.Compare(a.Key.Namespace, b.Key.Namespace))
	})
	return latest
}

func helmOf(engine tenant.Engine) string {
	if engine == tenant.EngineImpersonation {
		return "3 or 4"
	}
	return "2"
}
