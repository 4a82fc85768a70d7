package admin

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"helm-tenant/cluster"
	"helm-tenant/install"
	"helm-tenant/tenant"
)

// Release is a release that a tenant's Tiller has, as its newest record says.
type Release struct {
	Name      string `json:"name"`
	Namespace string `json:"namespace"`
	Revision  int    `json:"revision"`
	Status    string `json:"status"`
	Chart     string `json:"chart"`
	// Problem is why the record can't be read.
	Problem string `json:"problem,omitempty"`
}

// Gone says whether the release was deleted and only its history is kept.
func (r Release) Gone() bool { return r.Status == "DELETED" }

// releasesOf reads the newest revision of each release.
func releasesOf(records []*unstructured.Unstructured) []Release {
	newest := map[string]*unstructured.Unstructured{}
	revision := map[string]int{}
	for _, record := range records {
		r := cluster.RevisionOf(record.GetLabels())
		if newest[r.Release] == nil || r.Version > revision[r.Release] {
			newest[r.Release], revision[r.Release] = record, r.Version
		}
	}
	var releases []Release
	for name, record := range newest {
		r := Release{Name: name, Revision: revision[name], Status: record.GetLabels()["STATUS"]}
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
	slices.SortFunc(releases, func(a, b Release) int { return strings.Compare(a.Name, b.Name) })
	return releases
}

// Removal is a tenant and what must be written for it to be gone.
type Removal struct {
	Name string
	Home string
	// Records hold the releases; they go with the home namespace.
	Records  []*unstructured.Unstructured
	Releases []Release
	// HomeGoes says whether the home namespace is deleted, with the records.
	HomeGoes bool
	Prepared *Prepared
}

// Living are the releases whose workloads are there.
func (r *Removal) Living() []Release {
	return slices.DeleteFunc(slices.Clone(r.Releases), Release.Gone)
}

// PrepareDestroy finds out what there is of a tenant. It goes by labels: a
// tenant that was removed half-way is found too. withNamespaces also deletes
// those of its namespaces that helm-tenant created.
func PrepareDestroy(ctx context.Context, c *cluster.Client, name string, withNamespaces bool) (*Removal, error) {
	live, err := c.Read(ctx, name)
	if err != nil {
		return nil, err
	}
	keys := live.OfTenant(name)
	if len(keys) == 0 {
		return nil, &NoTenantError{Name: name, Where: c.Where()}
	}
	r := &Removal{Name: name, Home: homeIn(live, keys)}
	p := &Prepared{Tenant: tenant.Tenant{Name: name, HomeNamespace: r.Home}, Existed: true, live: live}
	r.Prepared = p
	if r.Home != "" {
		if err := c.Lookup(ctx, live, []cluster.Key{namespaceKey(r.Home)}); err != nil {
			return nil, err
		}
		if r.Records, err = c.Records(ctx, r.Home); err != nil {
			return nil, err
		}
		r.Releases = releasesOf(r.Records)
		if err := r.decideHome(ctx, c, live); err != nil {
			return nil, err
		}
	}
	for _, key := range keys {
		r.plan(key, live.Get(key), withNamespaces)
	}
	return r, nil
}

// homeIn is the tenant's home namespace: where its record is, or else anything
// else of what only a home holds.
func homeIn(live *cluster.Live, keys []cluster.Key) string {
	for _, kind := range []string{"ConfigMap", "Deployment", "ServiceAccount", "NetworkPolicy"} {
		for _, key := range keys {
			if key.Kind == kind {
				return key.Namespace
			}
		}
	}
	for _, key := range keys {
		if _, isHome := live.Get(key).GetLabels()[tenant.LabelHome]; isHome {
			return key.Name
		}
	}
	return ""
}

// decideHome says whether the home namespace can go: it was made for this, and
// nobody else put anything there.
func (r *Removal) decideHome(ctx context.Context, c *cluster.Client, live *cluster.Live) error {
	home := live.Get(namespaceKey(r.Home))
	if home == nil || home.GetLabels()[tenant.LabelManagedBy] != tenant.ManagedBy {
		return nil
	}
	neighbours, err := c.Neighbours(ctx, r.Home)
	if err != nil {
		return err
	}
	r.HomeGoes = len(neighbours) == 0
	if !r.HomeGoes {
		r.note("namespace %q stays, because it holds what helm-tenant did not make: %s", r.Home, brief(neighbours))
	}
	return nil
}

func (r *Removal) note(format string, args ...any) {
	r.Prepared.Notes = append(r.Prepared.Notes, fmt.Sprintf(format, args...))
}

func brief(names []string) string {
	const few = 5
	if len(names) > few {
		return strings.Join(names[:few], ", ") + fmt.Sprintf(" and %d more", len(names)-few)
	}
	return strings.Join(names, ", ")
}

// plan adds what is done to one object. Rights go first, what a later run finds
// the rest by goes last.
func (r *Removal) plan(key cluster.Key, live *unstructured.Unstructured, withNamespaces bool) {
	plan := &r.Prepared.Plan
	created := live.GetLabels()[tenant.LabelManagedBy] == tenant.ManagedBy
	switch {
	case key.Kind == "RoleBinding" || key.Kind == "ClusterRoleBinding":
		plan.RemoveEarly(live)
	case key == namespaceKey(r.Home) && r.HomeGoes:
		if live.GetDeletionTimestamp() == nil {
			plan.RemoveLast(live)
		}
	case key.Kind == "Namespace":
		if live.GetDeletionTimestamp() != nil {
			return
		}
		if withNamespaces && created && key.Name != r.Home {
			plan.Remove(live)
			return
		}
		labels := []string{tenant.LabelTenant, tenant.LabelHome, tenant.LabelManagedBy}
		if key.Name == r.Home {
			if created {
				labels = append(labels, install.PodSecurityLabels()...)
			} else if live.GetLabels()[install.PodSecurityLabels()[0]] != "" {
				r.note("namespace %q was there before and keeps its PodSecurity labels", key.Name)
			}
			plan.RelabelLast(live, labels, []string{tenant.AnnotationHome})
			return
		}
		plan.Relabel(live, labels, []string{tenant.AnnotationHome})
		if created {
			r.note("namespace %q stays with what runs in it; --delete-namespaces deletes those that helm-tenant created", key.Name)
		}
	case r.HomeGoes && key.Namespace == r.Home:
		// It goes with its namespace.
	case key.Kind == "ConfigMap":
		plan.RemoveLast(live)
	default:
		plan.Remove(live)
	}
}
