package cluster

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

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

// unpackWidth is the number of records of a list that are unpacked concurrently.
const unpackWidth = 4

// eachPacked calls do with the packed content of each of the wanted records, by its
// index, possibly concurrently. Records that no longer exist are left out. Where many are
// wanted they are taken from a list of all records that are not superseded, which may
// contain others.
func (c *Client) eachPacked(ctx context.Context, engine tenant.Engine, namespace string, wanted []Stored, others int, do func(i int, packed []byte)) error {
	left := map[Key]int{}
	for i, s := range wanted {
		left[s.Key] = i
	}
	var group errgroup.Group // unpacking takes longer than reading
	group.SetLimit(unpackWidth)
	take := func(key Key, packed []byte) {
		if i, ok := left[key]; ok {
			delete(left, key)
			group.Go(func() error { do(i, packed); return nil })
		}
	}
	if len(wanted) >= manyRecords && others <= 2*len(wanted) {
		selector := release.OfTiller + ",STATUS!=SUPERSEDED"
		if engine == tenant.EngineImpersonation {
			selector = release.OfHelm + ",status!=superseded"
		}
		err := c.eachRecord(ctx, namespace, selector, take)
		_ = group.Wait() // the functions return no error
		if err != nil {
			return err
		}
	}
	single := slices.SortedFunc(maps.Keys(left), compareKeys)
	return concurrently(len(single), Width, func(i int) error {
		packed, err := c.packed(ctx, single[i])
		if apierrors.IsNotFound(err) {
			return nil
		}
		if err != nil {
			return err
		}
		do(left[single[i]], packed)
		return nil
	})
}

// eachRecord calls do with the content of the records that match a selector.
func (c *Client) eachRecord(ctx context.Context, namespace, selector string, do func(key Key, packed []byte)) error {
	options := metav1.ListOptions{LabelSelector: selector}
	err := eachSized(ctx, c, "Secret", namespace, options, recordSizes, func(s *corev1.Secret) {
		do(Key{"Secret", s.Namespace, s.Name}, s.Data[release.DataKey])
	})
	if err != nil {
		return err
	}
	return eachSized(ctx, c, "ConfigMap", namespace, options, recordSizes, func(m *corev1.ConfigMap) {
		do(Key{"ConfigMap", m.Namespace, m.Name}, []byte(m.Data[release.DataKey]))
	})
}

func (c *Client) packed(ctx context.Context, key Key) ([]byte, error) {
	if key.Kind == "ConfigMap" {
		var m corev1.ConfigMap
		err := c.get(ctx, key, &m)
		return []byte(m.Data[release.DataKey]), err
	}
	var s corev1.Secret
	err := c.get(ctx, key, &s)
	return s.Data[release.DataKey], err
}

// get reads one release record as the API server's own type.
func (c *Client) get(ctx context.Context, key Key, into runtime.Object) error {
	client, err := c.typed(kinds[key.Kind].resource.GroupVersion())
	if err != nil {
		return err
	}
	err = client.Get().Resource(kinds[key.Kind].resource.Resource).Namespace(key.Namespace).Name(key.Name).SetHeader(notZipped()).Do(ctx).Into(into)
	return c.explain("reading "+key.String(), err)
}
