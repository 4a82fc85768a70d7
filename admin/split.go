package admin

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"helm-tenant/cluster"
	"helm-tenant/migrate"
	"helm-tenant/tenant"
)

// RiskUnmatchedRecords gives tenants release records that differ from the live objects,
// or that contradict themselves: whoever could reach the Tiller could write any record.
const RiskUnmatchedRecords Risk = "unmatched-records"

// SplitRelease is a release of the Tiller that is split.
type SplitRelease struct {
	Name, Namespace string
	// Tenant gets the release, into its home namespace Home; both are empty if it stays.
	Tenant, Home string
	// Stays is the reason why it stays.
	Stays             string
	Revisions, Newest int
	Status            string
	// Outside has the objects of the release outside its tenant's namespaces. Unmatched
	// has what in its records differs from the cluster, or from another record.
	Outside, Unmatched []string

	// storage is the storage of the tenant's Tiller.
	storage tenant.Storage
	records []tillerRecord
	// Onward reports whether the tenant moves on to Helm 3 and 4 with it.
	Onward bool
}

// Notes returns remarks on the release, a line each.
func (r SplitRelease) Notes() []string {
	var notes []string
	if r.Stays != "" {
		notes = append(notes, r.Stays)
	}
	if r.Onward {
		notes = append(notes, "moves on to Helm 3 and 4")
	}
	for _, object := range r.Outside {
		notes = append(notes, "holds "+object)
	}
	return append(notes, r.Unmatched...)
}

// tillerRecord is a record of the Tiller that is split, with its content.
type tillerRecord struct {
	cluster.Stored
	// name, namespace, version and status are the ones in the packed release.
	name, namespace string
	version         int
	status          string
	// packed is the digest of the record's data.
	packed [32]byte
	// bodies are the objects of its manifest; they are kept for current records only.
	bodies  []migrate.Body
	current bool
	// converted is the record that Helm 3 would get.
	converted migrate.Stored
	// problem is the reason why the record can't be read.
	problem error
}

// contradiction describes how the record contradicts itself; empty if it does not.
func (r tillerRecord) contradiction() string {
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

// assign decides which tenant gets each release: the one that has the namespace in which
// the newest revision was deployed, otherwise the one of all namespaces. Releases whose
// names are in leave stay. It is pure.
func assign(records []tillerRecord, tenants []tenant.Tenant, leave []string) []SplitRelease {
	byName := map[string][]tillerRecord{}
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
		records := byName[name]
		slices.SortFunc(records, func(a, b tillerRecord) int {
			return cmp.Or(cmp.Compare(a.Version, b.Version), strings.Compare(a.Key.Name, b.Key.Name))
		})
		newest := records[len(records)-1]
		r := SplitRelease{Name: name, Namespace: newest.namespace, Revisions: len(records), Newest: newest.Version, Status: newest.Status, records: records}
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

// seenObject is the live state of an object of a release.
type seenObject struct {
	migrate.Body
	// served reports whether the API server serves the kind. The namespace is empty for
	// cluster-scoped kinds.
	served bool
	// live is nil if the object does not exist.
	live map[string]any
}

func (o seenObject) key() string {
	return strings.Join([]string{o.Kind, o.Namespace, o.Name}, "/")
}

// noteMismatches notes for each release that moves its objects outside its tenant's namespaces,
// and how its records differ from the cluster or from each other. objects has the objects
// of the current records, by the record's key. It is pure.
func noteMismatches(releases []SplitRelease, tenants []tenant.Tenant, objects map[cluster.Key][]seenObject) {
	holder := map[string]string{} // the first release that has the object
	for i := range releases {
		r := &releases[i]
		if r.Tenant == "" {
			continue
		}
		t := tenants[slices.IndexFunc(tenants, func(t tenant.Tenant) bool { return t.Name == r.Tenant })]
		for _, record := range r.records {
			if text := record.contradiction(); text != "" {
				r.Unmatched = append(r.Unmatched, text)
			} else if !t.ActsIn(record.namespace) {
				r.Unmatched = append(r.Unmatched, fmt.Sprintf("revision %d names namespace %q, which is not the tenant's", record.version, record.namespace))
			}
			newest := record.Version == r.Newest
			for _, object := range objects[record.Key] {
				if !t.ActsIn(object.Namespace) && !slices.Contains(r.Outside, object.String()) {
					r.Outside = append(r.Outside, object.String())
				}
				other, held := holder[object.key()]
				if !held {
					holder[object.key()] = r.Name
				}
				r.noteMismatch(object, newest && record.Status == "DEPLOYED")
				if held && other != r.Name {
					r.Unmatched = append(r.Unmatched, fmt.Sprintf("%s is held by release %s, too", object, other))
				}
			}
		}
	}
}

// noteMismatch notes where the cluster has another object than the release says. whole
// reports whether its fields are compared as well; after a failed upgrade they match
// neither revision.
func (r *SplitRelease) noteMismatch(object seenObject, whole bool) {
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

// resolveSelectors gives the tenants the namespaces that their namespaceSelectors choose,
// as apply does, since releases go to tenants by namespace. Selectors that can't be
// resolved are returned as an *OutcomesError.
func (s *Split) resolveSelectors(ctx context.Context) error {
	resolved, unresolved, err := resolveSelectors(ctx, s.Client, s.Requests)
	if err != nil {
		return err
	}
	var outcomes []Outcome
	for i, err := range unresolved {
		outcomes = append(outcomes, Outcome{Name: s.Requests[i].Tenant.Name, Err: err})
	}
	s.Requests = resolved
	return failed(outcomes)
}

// frozen returns the state in which the split begins, or goes on.
func (s *Split) frozen(p *SplitPlan) *tenant.Split {
	next := s.frozenWithout(p)
	next.Onward = slices.DeleteFunc(next.Tenants(), func(name string) bool { return !s.onward[name] })
	return next
}

// frozenWithout is frozen without the tenants that go on.
func (s *Split) frozenWithout(p *SplitPlan) *tenant.Split {
	next := tenant.Split{Phase: tenant.PhaseFrozen, Since: s.Backups.Now().UTC().Truncate(time.Second), Storage: p.Storage, Replicas: map[string]int32{}, Releases: p.mapping()}
	if p.State != nil {
		next = *p.State
		next.Releases = maps.Clone(p.State.Releases)
		maps.Copy(next.Releases, p.mapping())
		return &next
	}
	for _, t := range p.tillers {
		next.Replicas[t.String()] = 1
		if t.spec.Replicas != nil {
			next.Replicas[t.String()] = *t.spec.Replicas
		}
		if p.begun { // and stopped it
			next.Replicas[t.String()] = max(1, next.Replicas[t.String()])
		}
	}
	return &next
}

// requests returns the requests for the tenants while records are copied: tenants that
// get records have no Tiller then, or a stopped one. With start, their Tillers are
// wanted.
func (s *Split) requests(p *SplitPlan, state *tenant.Split, start bool) []Request {
	targets := p.targets()
	requests := slices.Clone(s.Requests)
	for i := range requests {
		t := requests[i].Tenant.WithDefaults()
		if !targets[t.Name] {
			continue
		}
		requests[i].StartTiller = start
		requests[i].Resumed = p.State != nil && slices.Contains(p.State.Tenants(), t.Name)
		requests[i].Receiving = receiving(state, s.From, t)
	}
	return requests
}

// receiving returns the tenant's part in the split, as its record has it.
func receiving(state *tenant.Split, from string, t tenant.Tenant) *tenant.Migration {
	return &tenant.Migration{Phase: tenant.PhaseFrozen, Since: state.Since, Engine: t.Engine, Storage: t.Tiller.Storage, Replicas: 1, From: from}
}
