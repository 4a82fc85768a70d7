package admin

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"helm-tenant/cluster"
	"helm-tenant/migrate"
	"helm-tenant/release"
	"helm-tenant/tenant"
)

// RiskUnmatchedRecords gives tenants release records that do not match what is live, or that
// contradict themselves: whoever could reach the Tiller could write any record.
const RiskUnmatchedRecords Risk = "unmatched-records"

// SplitRelease is a release of the Tiller that is split.
type SplitRelease struct {
	Name, Namespace string
	// Tenant gets the release, and Home is that tenant's; empty where it stays.
	Tenant, Home string
	// Stays is why it stays.
	Stays             string
	Revisions, Newest int
	Status            string
	// Outside are the objects that it holds outside its tenant's namespaces, Unmatched what
	// of its records does not match the cluster, or another record.
	Outside, Unmatched []string

	// storage is where the tenant's Tiller keeps its records.
	storage tenant.Storage
	records []oldRecord
}

// Notes are what an admin should know of the release, a line each.
func (r SplitRelease) Notes() []string {
	var notes []string
	if r.Stays != "" {
		notes = append(notes, r.Stays)
	}
	for _, object := range r.Outside {
		notes = append(notes, "holds "+object)
	}
	return append(notes, r.Unmatched...)
}

// living says whether the release holds anything.
func (r SplitRelease) living() bool { return !release.Gone(r.Status) }

// oldRecord is a record of the Tiller that is split, and what it holds.
type oldRecord struct {
	cluster.Stored
	// name, namespace, version and status are what is packed in it.
	name, namespace string
	version         int
	status          string
	// packed is the digest of the record's data.
	packed [32]byte
	// bodies are the objects of its manifest; only those of current records are kept.
	bodies []migrate.Body
	// problem is why it can't be read.
	problem error
}

// contradiction says how the record contradicts itself; empty where it does not.
func (r oldRecord) contradiction() string {
	switch {
	case r.problem != nil:
		return r.problem.Error()
	case r.name != r.Release || r.version != r.Version:
		return fmt.Sprintf("record %s is labelled as revision %d of release %s and holds revision %d of release %s", r.Key.Name, r.Version, r.Release, r.version, r.name)
	case r.Key.Name != fmt.Sprintf("%s.v%d", r.name, r.version):
		return fmt.Sprintf("record %s holds revision %d of release %s, which no Tiller names so", r.Key.Name, r.version, r.name)
	case r.status != r.Status:
		return fmt.Sprintf("record %s is labelled as %s and holds one that is %s", r.Key.Name, r.Status, r.status)
	}
	return ""
}

// assign says for each release which of the tenants gets it: the one that has the namespace
// in which the newest revision was deployed, else the one of all namespaces. Releases of the
// names in leave stay. It is pure.
func assign(records []oldRecord, tenants []tenant.Tenant, leave []string) []SplitRelease {
	byName := map[string][]oldRecord{}
	for _, record := range records {
		byName[record.Release] = append(byName[record.Release], record)
	}
	owner, rest := map[string]tenant.Tenant{}, tenant.Tenant{}
	for _, t := range tenants {
		for _, namespace := range t.Namespaces {
			owner[namespace] = t
		}
		if t.AllNamespaces {
			rest = t
		}
	}
	var releases []SplitRelease
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		of := byName[name]
		slices.SortFunc(of, func(a, b oldRecord) int {
			return cmp.Or(cmp.Compare(a.Version, b.Version), strings.Compare(a.Key.Name, b.Key.Name))
		})
		newest := of[len(of)-1]
		r := SplitRelease{Name: name, Namespace: newest.namespace, Revisions: len(of), Newest: newest.Version, Status: newest.Status, records: of}
		to, found := owner[newest.namespace]
		if !found {
			to = rest
		}
		switch {
		case newest.problem != nil:
			r.Stays = "its newest record can't be read: " + newest.problem.Error()
		case slices.Contains(leave, name):
			r.Stays = "as --leave says"
		case to.Name == "":
			r.Stays = fmt.Sprintf("no tenant of the file has namespace %q", newest.namespace)
		default:
			r.Tenant, r.Home, r.storage = to.Name, to.Home(), to.Tiller.Storage
		}
		releases = append(releases, r)
	}
	return releases
}

// seenObject is what the cluster has of an object that a release holds.
type seenObject struct {
	migrate.Body
	// Served says that the API server serves the kind. The namespace is empty where the kind
	// has none.
	served bool
	// live is nil where there is no such object.
	live map[string]any
}

func (o seenObject) key() string {
	return strings.Join([]string{o.Kind, o.Namespace, o.Name}, "/")
}

// judge notes for each release that moves what it holds outside its tenant's namespaces, and
// where its records do not match what the cluster has, or each other. objects are those of
// the current records, by the record's key. It is pure.
func judge(releases []SplitRelease, tenants []tenant.Tenant, objects map[cluster.Key][]seenObject) {
	holder := map[string]string{} // of each object, the first release that holds it
	for i := range releases {
		r := &releases[i]
		if r.Tenant == "" {
			continue
		}
		t := tenants[slices.IndexFunc(tenants, func(t tenant.Tenant) bool { return t.Name == r.Tenant })]
		within := func(namespace string) bool { return t.AllNamespaces || slices.Contains(t.Namespaces, namespace) }
		for _, record := range r.records {
			if text := record.contradiction(); text != "" {
				r.Unmatched = append(r.Unmatched, text)
			} else if !within(record.namespace) {
				r.Unmatched = append(r.Unmatched, fmt.Sprintf("revision %d names namespace %q, which is not the tenant's", record.version, record.namespace))
			}
			newest := record.Version == r.Newest
			for _, object := range objects[record.Key] {
				if !within(object.Namespace) && !slices.Contains(r.Outside, object.String()) {
					r.Outside = append(r.Outside, object.String())
				}
				other, held := holder[object.key()]
				if !held {
					holder[object.key()] = r.Name
				}
				r.noteUnlike(object, newest && record.Status == "DEPLOYED")
				if held && other != r.Name {
					r.Unmatched = append(r.Unmatched, fmt.Sprintf("%s is held by release %s, too", object, other))
				}
			}
		}
	}
}

// noteUnlike notes where the cluster has another object than the release says. whole says
// that its fields count, too: what a failed upgrade left is neither of two revisions.
func (r *SplitRelease) noteUnlike(object seenObject, whole bool) {
	text := ""
	switch {
	case !object.served:
	case object.live == nil:
		text = fmt.Sprintf("%s does not exist", object)
	case whole:
		if path := object.Unlike(object.live); path != "" {
			text = fmt.Sprintf("%s has another %s", object, path)
		}
	}
	if text != "" && !slices.Contains(r.Unmatched, text) {
		r.Unmatched = append(r.Unmatched, text)
	}
}

// SplitPlan is what becomes of the releases of a Tiller.
type SplitPlan struct {
	// From is the Tiller's namespace, Storage where it keeps its records.
	From    string
	Storage tenant.Storage
	// State is nil where the split has not begun.
	State    *tenant.Split
	Releases []SplitRelease
	// Problems keep the releases from moving.
	Problems []error

	// tillers run the Tiller.
	tillers []handTiller
	// copies are what the tenants' homes have in the place of the copies, by their keys.
	copies map[cluster.Key]oldRecord
	// later are the records that the tenants' Tillers have of these releases beside the
	// copies, by the release's name.
	later map[string][]cluster.Stored
	live  *cluster.Live
}

// Moving counts the releases that move, and their revisions.
func (p *SplitPlan) Moving() (releases, revisions int) {
	for _, r := range p.Releases {
		if r.Tenant != "" {
			releases, revisions = releases+1, revisions+r.Revisions
		}
	}
	return releases, revisions
}

// Rest counts the releases that stay and hold something.
func (p *SplitPlan) Rest() int {
	count := 0
	for _, r := range p.Releases {
		if r.Tenant == "" && r.living() {
			count++
		}
	}
	return count
}

// targets are the tenants to which releases move, and those that a split which is under way
// has prepared for releases that were deleted since.
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

// mapping is what tenant.Split remembers of the releases.
func (p *SplitPlan) mapping() map[string]string {
	mapping := map[string]string{}
	for _, r := range p.Releases {
		if r.Tenant != "" {
			mapping[r.Name] = r.Tenant
		}
	}
	return mapping
}

// check returns everything that keeps the releases from moving as a *BlockedError, or a
// *RiskError for the first risk that is not accepted.
func (p *SplitPlan) check(accepted Accepted) error {
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
		if err := accepted.unless(RiskClusterObjects, "releases hold objects outside their tenant's namespaces, which its Tiller could not upgrade or delete any more: %s; leave them with --leave RELEASE, or give them to a tenant of all namespaces", brief(outside)); err != nil {
			return err
		}
	}
	if len(unmatched) > 0 {
		return accepted.unless(RiskUnmatchedRecords, "whoever could reach the Tiller could write any record, and these do not match what is live: %s; look at them, or leave them with --leave RELEASE", brief(unmatched))
	}
	return nil
}

// checkTenants notes as problems what of the tenants keeps them from getting releases.
func (p *SplitPlan) checkTenants(tenants []tenant.Tenant) {
	targets := p.targets()
	for _, t := range tenants {
		if !targets[t.Name] {
			continue
		}
		if !t.Engine.Has(tenant.EngineTiller) {
			p.Problems = append(p.Problems, fmt.Errorf("tenant %q has engine: %s in the file, and releases come to a Tiller: say engine: %s, split, and then type helm tenant migrate %s", t.Name, t.Engine, tenant.EngineTiller, t.Name))
		}
		if t.Home() == p.From {
			p.Problems = append(p.Problems, fmt.Errorf("tenant %q has the home namespace %q, where the Tiller is that is split: choose another homeNamespace in the file", t.Name, p.From))
		}
	}
}

// checkClashes notes as problems the releases that their tenant's Tiller has already. While
// records are copied, a copy that is the same as its original is none.
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
			have, found := p.copies[copyKey(r.storage, r.Home, record)]
			clash = clash || found && have.packed != record.packed
		}
		if clash {
			p.Problems = append(p.Problems, fmt.Errorf("release %s: the Tiller of tenant %q has one of that name already: delete one of the two, or leave this one with --leave %s", r.Name, r.Tenant, r.Name))
		}
	}
}

// missing are the records of which there is no copy, with the release they belong to.
func (p *SplitPlan) missing() map[cluster.Key]SplitRelease {
	missing := map[cluster.Key]SplitRelease{}
	for _, r := range p.Releases {
		if r.Tenant == "" {
			continue
		}
		for _, record := range r.records {
			if have, found := p.copies[copyKey(r.storage, r.Home, record)]; !found || have.packed != record.packed {
				missing[record.Key] = r
			}
		}
	}
	return missing
}
