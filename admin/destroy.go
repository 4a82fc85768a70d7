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
	"helm-tenant/visible"
)

// Removal is the removal of a tenant: what was found, and the plan.
type Removal struct {
	Name string
	Home string
	// Records are the records of its Tiller's releases; they are deleted with the home
	// namespace.
	Records []cluster.Stored
	// helmRecords are those of Helm 3 and 4; they stay with their namespaces.
	helmRecords []cluster.Stored
	Releases    []Release
	// HomeGoes reports whether the home namespace is deleted, with the records.
	HomeGoes bool
	// Backups are the files to which Run saved the records.
	Backups  []string
	Prepared *Prepared
	// others has the other tenants of its namespaces, by namespace.
	others map[string]*sharer
}

// Living returns the releases whose workloads exist.
func (r *Removal) Living() []Release {
	return slices.DeleteFunc(slices.Clone(r.Releases), Release.Gone)
}

// Takes reports whether a namespace is deleted with the tenant, and so everything in it.
func (r *Removal) Takes(namespace string) bool {
	return slices.ContainsFunc(r.Prepared.Plan.Ordered(), func(c cluster.Change) bool {
		return c.Action == cluster.Delete && c.Key == namespaceKey(namespace)
	})
}

// prepareRemoval finds the objects of a tenant by labels, also after an interrupted destroy.
// withNamespaces also deletes those of its namespaces that helm-tenant created. If reads are
// forbidden, the error is a *ReadDeniedError that names all of them.
func prepareRemoval(ctx context.Context, c *cluster.Client, name string, withNamespaces bool) (*Removal, error) {
	r, err := prepareDestroy(ctx, c, name, withNamespaces)
	return r, explainReads(ctx, c, err, func(s *readSet) {
		t, err := Find(ctx, c, name, "")
		if err != nil {
			s.tenants(tenant.EngineBoth, false)
			return
		}
		s.tenants(t.Engine, t.Network == tenant.NetworkIsolated)
		s.add("get", "namespaces", t.Home(), t.Home())
		s.home(t.Home())
		for _, ns := range t.Namespaces {
			s.add("list", roleBindingsResource, ns, "")
			if t.Engine.Has(tenant.EngineImpersonation) {
				s.add("list", "secrets", ns, "")
			}
		}
	})
}

func prepareDestroy(ctx context.Context, c *cluster.Client, name string, withNamespaces bool) (*Removal, error) {
	r, keys, err := readRemoval(ctx, c, name)
	if err != nil {
		return nil, err
	}
	live := r.Prepared.live
	if r.Home != "" {
		if err := r.decideHome(ctx, c, live); err != nil {
			return nil, err
		}
	}
	if r.others, err = findOthers(ctx, c, live, name, keys); err != nil {
		return nil, err
	}
	if err := r.findHelmReleases(ctx, c, live, keys); err != nil {
		return nil, err
	}
	for _, key := range keys {
		r.plan(key, live.Get(key), r.others[key.Name], withNamespaces)
	}
	t, _, err := recorded(live, name)
	if err != nil {
		t = tenant.Tenant{} // an unreadable record names no account
	}
	if err := r.dropFluxAccounts(ctx, c, live, t); err != nil {
		return nil, err
	}
	if err := r.unrail(ctx, c, live, keys); err != nil {
		return nil, err
	}
	for _, note := range finalizerNotes(r.Prepared.Plan) {
		r.note("%s", note)
	}
	return r, nil
}

// rights reads the tenant again, and returns the part of the removal that takes away the
// rights of the members and the deployer. Other tenants of the namespaces and other
// objects in the home are not read again: what happens to those is decided after the
// rights are removed.
func (r *Removal) rights(ctx context.Context, c *cluster.Client) (*Removal, error) {
	current, keys, err := readRemoval(ctx, c, r.Name)
	if err != nil {
		return nil, err
	}
	current.others = r.others
	if err := current.findHelmReleases(ctx, c, current.Prepared.live, keys); err != nil {
		return nil, err
	}
	for _, key := range keys {
		if key.Kind == "RoleBinding" || key.Kind == "ClusterRoleBinding" {
			current.Prepared.Plan.Delete(current.Prepared.live.Get(key), cluster.PhaseEarlyRemoval)
		}
	}
	return current, nil
}

// readRemoval reads the objects with the tenant's label, and the releases and records of
// its Tiller. It plans nothing yet.
func readRemoval(ctx context.Context, c *cluster.Client, name string) (*Removal, []cluster.Key, error) {
	live, err := c.Read(ctx, name)
	if err != nil {
		return nil, nil, err
	}
	keys := live.OfTenant(name)
	if len(keys) == 0 {
		return nil, nil, noTenantIn(ctx, c, name)
	}
	t, recorded, err := recorded(live, name)
	if t = t.WithDefaults(); err != nil || !recorded {
		// The unreadable part of the record may concern a Tiller.
		t.Engine, t.Network = tenant.EngineBoth, tenant.NetworkIsolated
	}
	if err := checkSeen(live, t); err != nil {
		return nil, nil, err
	}
	r := &Removal{Name: name, Home: homeIn(live, keys)}
	r.Prepared = &Prepared{Tenant: tenant.Tenant{Name: name, HomeNamespace: r.Home}, Existed: true, live: live}
	if record := live.Get(recordKey(r.Home)); record != nil {
		state, err := cluster.MigrationOf(record)
		if err != nil {
			return nil, nil, err
		}
		if state != nil {
			return nil, nil, &MigratingError{name, *state}
		}
		if recorded, err := cluster.RecordOf(record); err == nil {
			if err := checkThawed(recorded); err != nil {
				return nil, nil, err
			}
		}
	}
	if r.Home == "" {
		return r, keys, nil
	}
	if err := c.Lookup(ctx, live, []cluster.Key{namespaceKey(r.Home)}); err != nil {
		return nil, nil, err
	}
	if r.Records, err = c.StoredReleases(ctx, tenant.EngineTiller, r.Home); err != nil {
		return nil, nil, err
	}
	r.Releases, err = readReleases(ctx, c, r.Prepared.Tenant, tenant.EngineTiller)
	return r, keys, err
}

// findHelmReleases finds the Helm 3 and 4 releases in the tenant's namespaces, if the
// tenant has that engine. It is not recorded who installed a release: releases in a
// namespace that the tenant shares, and those of a tenant of all namespaces, are left
// alone.
func (r *Removal) findHelmReleases(ctx context.Context, c *cluster.Client, live *cluster.Live, keys []cluster.Key) error {
	if live.Get(cluster.Key{Kind: "ServiceAccount", Namespace: r.Home, Name: tenant.HelmAccount}) == nil {
		return nil
	}
	var namespaces []string
	for _, key := range keys {
		if key.Kind == "ClusterRoleBinding" {
			r.note("releases that the tenant made with Helm 3 or 4 stay: they can't be distinguished from those of others")
		}
		if key.Kind != "Namespace" || key.Name == r.Home {
			continue
		}
		records, err := c.StoredReleases(ctx, tenant.EngineImpersonation, key.Name)
		if err != nil {
			return err
		}
		if len(records) == 0 {
			continue
		}
		if other := r.others[key.Name]; other != nil {
			r.note("releases of Helm 3 or 4 in namespace %q stay: tenant %q has that namespace, too", key.Name, other.name)
			continue
		}
		r.helmRecords = append(r.helmRecords, records...)
		namespaces = append(namespaces, key.Name)
	}
	releases, err := readReleases(ctx, c, tenant.Tenant{Namespaces: namespaces}, tenant.EngineImpersonation)
	r.Releases = append(r.Releases, releases...)
	return err
}

// homeIn returns the tenant's home namespace: the one with its record, or else the one
// with another object that only a home has.
func homeIn(live *cluster.Live, keys []cluster.Key) string {
	for _, kind := range []string{"ConfigMap", "Deployment", "ServiceAccount", "NetworkPolicy"} {
		for _, key := range keys {
			// A NetworkPolicy of the same name isolates the tenant's other namespaces.
			if key.Kind == kind && (kind != "NetworkPolicy" || live.HomeOf(key.Namespace) != "") {
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

// decideHome decides whether the home is deleted: helm-tenant created it, and nobody else
// put anything into it.
func (r *Removal) decideHome(ctx context.Context, c *cluster.Client, live *cluster.Live) error {
	home := live.Get(namespaceKey(r.Home))
	if home == nil || home.GetLabels()[tenant.LabelManagedBy] != tenant.ManagedBy {
		return nil
	}
	neighbours, unseen, err := c.AllNeighbours(ctx, r.Home)
	if err != nil {
		return err
	}
	if len(unseen) > 0 && len(neighbours) == 0 {
		r.note("namespace %q goes with what is in it; it is not known whether there are any %s", r.Home, strings.Join(unseen, ", "))
	}
	r.HomeGoes = len(neighbours) == 0
	if !r.HomeGoes {
		r.note("namespace %q stays, because it has objects that helm-tenant did not make: %s", r.Home, briefList(neighbours))
	}
	return nil
}

func (r *Removal) note(format string, args ...any) {
	r.Prepared.Notes = append(r.Prepared.Notes, fmt.Sprintf(format, args...))
}

func briefList(names []string) string {
	const mostNames = 5
	if len(names) > mostNames {
		return visible.List(names[:mostNames]) + fmt.Sprintf(" and %d more", len(names)-mostNames)
	}
	return visible.List(names)
}

// plan adds the removal of one object. Rights are removed first; what a later run needs
// to find the rest is removed last.
func (r *Removal) plan(key cluster.Key, live *unstructured.Unstructured, other *sharer, withNamespaces bool) {
	plan := &r.Prepared.Plan
	created := live.GetLabels()[tenant.LabelManagedBy] == tenant.ManagedBy
	switch {
	case key.Kind == "RoleBinding" || key.Kind == "ClusterRoleBinding":
		plan.Delete(live, cluster.PhaseEarlyRemoval)
	case key == namespaceKey(r.Home) && r.HomeGoes:
		if live.GetDeletionTimestamp() == nil {
			plan.Delete(live, cluster.PhaseLast)
		}
	case key.Kind == "Namespace":
		if live.GetDeletionTimestamp() != nil {
			return
		}
		if other != nil && key.Name != r.Home {
			r.leave(live, other)
			return
		}
		if withNamespaces && created && key.Name != r.Home {
			plan.Delete(live, cluster.PhaseRemoval)
			return
		}
		labels := []string{tenant.LabelTenant, tenant.LabelHome, tenant.LabelManagedBy}
		if key.Name == r.Home {
			if created {
				labels = append(labels, install.PodSecurityLabels()...)
			} else if live.GetLabels()[install.PodSecurityLabels()[0]] != "" {
				r.note("namespace %q was there before and keeps its PodSecurity labels", key.Name)
			}
			plan.Edit(live, cluster.PhaseUnclaim, withoutLabels(labels...))
			return
		}
		plan.Edit(live, cluster.PhaseRemoval, r.withoutRails(live, withoutLabels(labels...)))
		switch {
		case withNamespaces:
			r.note("namespace %q stays with everything in it: helm-tenant did not create it for this tenant; if nobody else needs it: kubectl delete namespace %s", key.Name, key.Name)
		case created:
			r.note("namespace %q stays with everything in it; --delete-namespaces deletes those that helm-tenant created", key.Name)
		}
	case !isOwn(key, r):
		// Anybody can put the label on an object.
	case r.HomeGoes && key.Namespace == r.Home:
		// It is deleted with its namespace.
	case key.Kind == "ConfigMap":
		plan.Delete(live, cluster.PhaseLast)
	default:
		plan.Delete(live, cluster.PhaseRemoval)
	}
}

// leave plans that a namespace stays with another tenant that has it as well, and notes
// that.
func (r *Removal) leave(live *unstructured.Unstructured, other *sharer) {
	plan := &r.Prepared.Plan
	if other.home == "" {
		r.note("namespace %q stays, because a RoleBinding there is labelled as tenant %q's", live.GetName(), other.name)
		plan.Edit(live, cluster.PhaseRemoval, r.withoutRails(live, withoutLabels(tenant.LabelTenant, tenant.LabelHome, tenant.LabelManagedBy)))
		return
	}
	r.note("namespace %q stays, because tenant %q has it, too; it carries that tenant's label from now on", live.GetName(), other.name)
	plan.Edit(live, cluster.PhaseRemoval, r.withoutRails(live, ofTenant(other.name, other.home)))
}
