package admin

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"helm-tenant/cluster"
	"helm-tenant/migrate"
	"helm-tenant/tenant"
)

// SplitPlan decides what becomes of the releases of a Tiller.
type SplitPlan struct {
	// From is the Tiller's namespace, Storage the kind of its records.
	From    string
	Storage tenant.Storage
	// State is nil if the split has not begun.
	State    *tenant.Split
	Releases []SplitRelease
	// Problems keep the releases from moving.
	Problems []error

	// tillers are the workloads that run the Tiller.
	tillers []handTiller
	// copies has the live objects with the keys of the copies.
	copies map[cluster.Key]tillerRecord
	// begun reports whether a split of this Tiller began before, even if its state was
	// deleted.
	begun bool
	// frozen is a *FrozenError for the first tenant that is frozen.
	frozen error
	// later has the records of these releases in the tenants' Tillers beside the copies,
	// by the release's name.
	later map[string][]cluster.Stored
	live  *cluster.Live
}

// recordsByKey returns the Tiller's records; none if p is nil.
func (p *SplitPlan) recordsByKey() map[cluster.Key]tillerRecord {
	records := map[cluster.Key]tillerRecord{}
	if p == nil {
		return records
	}
	for _, r := range p.Releases {
		for _, record := range r.records {
			records[record.Key] = record
		}
	}
	return records
}

// Moving returns the number of releases that move, and of their revisions.
func (p *SplitPlan) Moving() (releases, revisions int) {
	for _, r := range p.Releases {
		if r.Tenant != "" {
			releases, revisions = releases+1, revisions+r.Revisions
		}
	}
	return releases, revisions
}

// targets returns the tenants to which releases move, including those that a split under
// way has prepared for releases that were deleted since.
func (p *SplitPlan) targets() map[string]bool {
	targets := map[string]bool{}
	if p.State != nil {
		for _, name := range p.State.Tenants() {
			targets[name] = true
		}
	}
	for _, r := range p.Releases {
		if r.Tenant != "" {
			targets[r.Tenant] = true
		}
	}
	return targets
}

// mapping returns the releases in the form of tenant.Split.
func (p *SplitPlan) mapping() map[string]string {
	mapping := map[string]string{}
	for _, r := range p.Releases {
		if r.Tenant != "" {
			mapping[r.Name] = r.Tenant
		}
	}
	return mapping
}

// check returns all problems that keep the releases from moving as a *BlockedError, a
// *FrozenError if a tenant is frozen, or a *RiskError for the first risk that is not
// accepted.
func (p *SplitPlan) check(accepted Accepted) error {
	if p.frozen != nil {
		return p.frozen
	}
	if len(p.Problems) > 0 {
		return &BlockedError{p.Problems}
	}
	var outside, unmatched []string
	for _, r := range p.Releases {
		for _, object := range r.Outside {
			outside = append(outside, fmt.Sprintf("%s of release %s", object, r.Name))
		}
		for _, text := range r.Unmatched {
			unmatched = append(unmatched, fmt.Sprintf("release %s: %s", r.Name, text))
		}
	}
	if len(outside) > 0 {
		if err := accepted.unless(RiskClusterObjects, "releases hold objects outside their tenant's namespaces, which its Tiller could not upgrade or delete any more: %s; leave them with --leave RELEASE, or give them to a tenant of all namespaces", briefList(outside)); err != nil {
			return err
		}
	}
	if len(unmatched) > 0 {
		return accepted.unless(RiskUnmatchedRecords, "whoever could reach the Tiller could write any record, and these do not match what is live: %s; look at them, or leave them with --leave RELEASE", briefList(unmatched))
	}
	return nil
}

// readTenants reads the records of the tenants that get releases. PrepareAll reports
// records that can't be read.
func (p *SplitPlan) readTenants(ctx context.Context, c *cluster.Client) error {
	names := slices.Sorted(maps.Keys(p.targets()))
	if len(names) == 0 {
		return nil
	}
	live, err := c.Read(ctx, names...)
	if err != nil {
		return err
	}
	for _, name := range names {
		t, existed, err := recorded(live, name)
		if err != nil || !existed {
			continue
		}
		if migration, err := cluster.MigrationOf(live.Get(recordKey(t.Home()))); err == nil && migration != nil && migration.From == p.From {
			p.begun = true
		}
		if p.frozen == nil {
			p.frozen = checkThawed(t)
		}
	}
	for _, r := range p.Releases {
		for _, record := range r.records {
			copied, found := p.copies[r.copyKey(record.Stored)]
			p.begun = p.begun || r.Tenant != "" && found && copied.packed == record.packed
		}
	}
	return nil
}

// checkTenants notes problems of the tenants that keep them from getting releases.
func (p *SplitPlan) checkTenants(tenants []tenant.Tenant) {
	targets := p.targets()
	for _, t := range tenants {
		if !targets[t.Name] {
			continue
		}
		if !t.Engine.Has(tenant.EngineTiller) {
			p.Problems = append(p.Problems, fmt.Errorf("tenant %q has engine: %s in the file, and releases come to a Tiller: say engine: %s", t.Name, t.Engine, tenant.EngineTiller))
		}
		if t.Home() == p.From {
			p.Problems = append(p.Problems, fmt.Errorf("tenant %q has the home namespace %q, where the Tiller is that is split: choose another homeNamespace in the file", t.Name, p.From))
		}
	}
}

// checkOnward notes problems that prevent the conversion of the releases of tenants that
// go on to Helm 3 and 4, before anything is copied.
func (p *SplitPlan) checkOnward(tenants []tenant.Tenant, onward map[string]bool) {
	if p.State != nil && p.State.Phase != tenant.PhaseFrozen {
		return
	}
	for _, t := range tenants {
		if !onward[t.Name] {
			continue
		}
		var stored []migrate.Stored
		for i := range p.Releases {
			if r := &p.Releases[i]; r.Tenant == t.Name {
				r.Onward = true
				for _, record := range r.records {
					stored = append(stored, record.converted)
				}
			}
		}
		_, problems := migrate.ReleasesOf(p.From, stored, 0, func(namespace string) bool {
			return namespace != "" && t.ActsIn(namespace)
		})
		for _, problem := range problems {
			p.Problems = append(p.Problems, fmt.Errorf("tenant %q can't move on to Helm 3: %w", t.Name, problem))
		}
	}
}

// checkClashes notes as problems the releases that their tenant's Tiller has already.
// While records are copied, a copy that equals its original is no clash.
func (p *SplitPlan) checkClashes() {
	if p.State != nil && p.State.Phase != tenant.PhaseFrozen {
		return
	}
	for _, r := range p.Releases {
		if r.Tenant == "" {
			continue
		}
		clash := len(p.later[r.Name]) > 0
		for _, record := range r.records {
			copied, found := p.copies[r.copyKey(record.Stored)]
			clash = clash || found && copied.packed != record.packed
		}
		if clash {
			p.Problems = append(p.Problems, fmt.Errorf("release %s: the Tiller of tenant %q has one of that name already: delete one of the two, or leave this one with --leave %s", r.Name, r.Tenant, r.Name))
		}
	}
}

// missing returns the records that have no copy, with their release.
func (p *SplitPlan) missing() map[cluster.Key]SplitRelease {
	missing := map[cluster.Key]SplitRelease{}
	for _, r := range p.Releases {
		if r.Tenant == "" {
			continue
		}
		for _, record := range r.records {
			if copied, found := p.copies[r.copyKey(record.Stored)]; !found || copied.packed != record.packed {
				missing[record.Key] = r
			}
		}
	}
	return missing
}
