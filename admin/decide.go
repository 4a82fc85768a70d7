package admin

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"helm-tenant/cluster"
	"helm-tenant/install"
	"helm-tenant/tenant"
)

// decide returns the writes that make a tenant what the request asks for, with notes for
// the admin, or all reasons why that is refused. It is pure: it depends on nothing but the
// facts and the request. The errors are those of Prepare.
//
// Risks need not be accepted again for a tenant that is already what is asked for, so
// that an exported tenants file can be applied unchanged.
func decide(f *facts, r Request) (*Prepared, error) {
	prepared, err := decideAccepted(f, r)
	if _, risky := errors.AsType[*RiskError](err); risky {
		r.Accepted = Risks
		if as, refused := decideAccepted(f, r); refused == nil && as.Existed && len(as.Plan.Changes) == 0 {
			return as, nil
		}
	}
	return prepared, err
}

// errRecordAppeared is the error of a decision about a tenant that another admin made between two
// reads.
var errRecordAppeared = errors.New("the tenant's record was created meanwhile")

// decideAccepted is decide with the request's risks counted as newly taken.
func decideAccepted(f *facts, r Request) (*Prepared, error) {
	d, err := consider(f, r)
	if d == nil {
		return nil, err
	}
	if err != nil {
		compared, foreign := d.compareRefused()
		return d.refused(compared), refuse(err, foreign)
	}
	if !d.squatted && d.recordAppeared() {
		return nil, errRecordAppeared
	}
	plan, err := d.plan()
	if err != nil {
		return d.refused(plan), err
	}
	if r.freezes() {
		d.onlyFreeze(&plan)
		d.notes, d.warnings = d.freezeNotes, nil
	}
	return &Prepared{Tenant: d.tenant, Existed: d.existed, Plan: plan, Notes: d.notes, Warnings: d.warnings, Revoked: d.revoked, Disconnect: d.setsMark() || d.hasMark(), RoleGaps: d.roleGaps, Stale: d.stale(), live: f.live, accepted: r.Accepted}, nil
}

// refused returns the writes that were judged of a tenant that is refused.
func (d *decision) refused(plan cluster.Plan) *Prepared {
	return &Prepared{Tenant: d.tenant, Existed: d.existed, Plan: plan, live: d.facts.live}
}

// stale reports whether facts in members' kubeconfigs become outdated.
func (d *decision) stale() bool {
	was, next := d.was, d.tenant
	return d.existed && (!slices.Equal(was.Namespaces, next.Namespaces) || was.AllNamespaces != next.AllNamespaces || was.Engine != next.Engine)
}

// consider makes all decisions on which the wanted objects depend. All refusals are returned
// together: after one, the steps judge as if what was refused had been corrected. The
// decision is nil only if nothing could be judged.
func consider(f *facts, r Request) (*decision, error) {
	d, err := newDecision(f, r)
	if err != nil {
		return nil, err
	}
	refusals := []error{d.unchangeable}
	for _, step := range []func(*decision) error{
		(*decision).judgeSquatter,
		(*decision).noteEngine,
		(*decision).noteRestored,
		(*decision).noteRemade,
		(*decision).warnOfExisting,
		(*decision).noteSelected,
		(*decision).judgeHome,
		(*decision).checkLiveStorage,
		(*decision).adopt,
		(*decision).noteTaken,
		(*decision).settleFreeze,
		(*decision).checkReleasesOfEngine,
		(*decision).check,
		(*decision).checkOpen,
		(*decision).settlePeople,
		(*decision).noteMarked,
		(*decision).noteFlux,
		(*decision).noteRails,
		(*decision).noteScope,
	} {
		refusals = append(refusals, step(d))
	}
	refused := refuse(refusals...)
	if d.squatted && !r.Adopt {
		// What the admin did not ask for comes from the squatter's record, and nobody is to
		// be invited to accept it.
		refused = refuse(slices.DeleteFunc(slices.Clone(ReasonsOf(refused)), func(err error) bool {
			_, risky := errors.AsType[*RiskError](err)
			claimed, isClaimed := errors.AsType[*ClaimedError](err)
			return risky || isClaimed && !slices.Contains(r.Tenant.Namespaces, claimed.Namespace)
		})...)
	}
	return d, refused
}

// decision is the state of the decision about one tenant. newDecision sets the fields up to
// migration, the steps of consider set the others, in the order of the fields.
type decision struct {
	facts   *facts
	request Request

	// was is the tenant as recorded, with defaults; zero for a new tenant.
	was     tenant.Tenant
	existed bool
	// restored reports whether was is derived from live objects, because there is no
	// readable record.
	restored bool
	// tenant is the wanted tenant. Adoption may still change the settings of its Tiller,
	// and settlePeople sets its members, readers and owners.
	tenant tenant.Tenant
	// migration is nil unless the tenant is being migrated. Its Deployment is then left
	// as it is: it is stopped, and may have to start again.
	migration *tenant.Migration
	// unchangeable has the requested changes that an existing tenant can't have. They are
	// taken back in the wanted tenant.
	unchangeable error

	// homeCreated reports whether helm-tenant created the home namespace, or will.
	homeCreated bool
	// homeShared reports whether others have objects in the home namespace.
	homeShared bool
	// revoked are the members that the tenant loses.
	revoked tenant.Members
	// adopted is not nil if deployers made by hand are adopted.
	adopted *adoption
	// squatted reports whether the home is taken from somebody who labelled it as the
	// tenant's.
	squatted bool
	// unreadTerms has the relations whose grants for a time can't be read; they stay as
	// they are.
	unreadTerms map[tenant.Relation]error
	// roleGaps are the rights that the deployer's role lacks and helm needs.
	roleGaps []string
	// freezeNotes are those of the notes that concern a freeze.
	freezeNotes []string
	// notes are shown after the writes, warnings before.
	notes, warnings []string
}

func (d *decision) warn(format string, args ...any) {
	d.warnings = append(d.warnings, fmt.Sprintf(format, args...))
}

func (d *decision) note(format string, args ...any) {
	d.notes = append(d.notes, fmt.Sprintf(format, args...))
}

// newDecision makes the wanted tenant from the recorded one and the request. It needs only the
// facts that are listed.
func newDecision(f *facts, r Request) (*decision, error) {
	if err := r.Check(); err != nil {
		return nil, err
	}
	was, existed, err := recorded(f.live, r.Tenant.Name)
	untrusted := err != nil && !r.Share || r.Adopt && existed && !f.shares(r.merged(was), was)
	if untrusted && !r.Migrating && !f.leadsToRecord(r.Tenant.Name) {
		was, existed, err = tenant.Tenant{}, false, nil // the record is untrusted or unreadable; see judgeSquatter
	}
	broken, unreadable := errors.AsType[*cluster.RecordError](err)
	lost := (unreadable && !broken.Newer || err == nil && !existed) && !r.Migrating && !r.Adopt
	if lost {
		was, existed, err = restore(f, r, err)
	}
	if err != nil {
		return nil, err
	}
	if r.Adopt && !existed && !r.Exact {
		if t, found, err := restored(f.live, r.Tenant.Name); err == nil && found {
			r.DefaultEngine = t.Engine // whatever helm the admin has
		}
	}
	d := &decision{facts: f, request: r, existed: existed, restored: existed && lost, notes: slices.Clone(r.leftOut)}
	if existed {
		d.was = was.WithDefaults()
		if record := f.live.Get(recordKey(d.was.Home())); record != nil && !d.restored {
			d.migration, err = cluster.MigrationOf(record)
		}
		if err != nil {
			return nil, err
		}
		if d.migration != nil && !r.Migrating && (r.Receiving == nil || d.migration.From != r.Receiving.From) {
			return nil, &MigratingError{r.Tenant.Name, *d.migration}
		}
	}
	if r.Receiving != nil {
		d.migration = r.Receiving
	}
	if !existed && r.freezes() {
		return nil, noTenant(r.Tenant.Name, f.where, slices.Collect(maps.Keys(f.homes)))
	}
	if lost && !existed && !r.Exact && len(r.Tenant.Namespaces) == 0 && !r.Tenant.AllNamespaces {
		// The admin need not remember settings that the cluster still has.
		if lost := lostTenant(f.live, r.Tenant.Name); lost != nil {
			return nil, lost
		}
	}
	d.tenant = r.merged(was)
	if existed && d.tenant.HomeNamespace == "" && (!r.Exact || isConventional(d.was)) {
		d.tenant.HomeNamespace = d.was.Home() // the naming convention of another engine is no reason to move
	}
	if d.tenant.HomeNamespace == d.tenant.Engine.ConventionalHome(d.tenant.Name) {
		d.tenant.HomeNamespace = "" // left out of a record, as of a tenants file
	}
	problems := append(d.tenant.Validate(), r.misnamed()...)
	if first := r.DefaultNamespace; first != "" && !slices.Contains(d.tenant.Namespaces, first) {
		problems = append(problems, fmt.Errorf("default namespace %q is not one of the tenant's namespaces %s", first, strings.Join(d.tenant.Namespaces, ", ")))
	}
	if existed {
		d.unchangeable = d.takeBack()
	}
	if len(problems) > 0 {
		return nil, refuse(Invalid(problems), d.unchangeable)
	}
	return d, nil
}

// isConventional reports whether the tenant's home is named by convention, for either
// engine.
func isConventional(t tenant.Tenant) bool {
	return slices.ContainsFunc([]tenant.Engine{tenant.EngineTiller, tenant.EngineImpersonation}, func(e tenant.Engine) bool {
		return t.Home() == e.ConventionalHome(t.Name)
	})
}

// recorded returns the tenant from its record, and whether there is a record.
func recorded(live *cluster.Live, name string) (tenant.Tenant, bool, error) {
	var found []tenant.Tenant
	for _, key := range live.OfTenant(name) {
		if key.Kind != "ConfigMap" || key.Name != tenant.RecordName {
			continue
		}
		t, err := cluster.RecordOf(live.Get(key))
		if err != nil {
			return tenant.Tenant{}, false, err
		}
		if t.Name != name || t.Home() != key.Namespace {
			return tenant.Tenant{}, false, fmt.Errorf("%s is labelled as tenant %q but records tenant %q with the home namespace %q", key, name, t.Name, t.Home())
		}
		found = append(found, t)
	}
	switch len(found) {
	case 0:
		return tenant.Tenant{}, false, nil
	case 1:
		return found[0], true, nil
	}
	return tenant.Tenant{}, false, twoRecords(name, found[0].Home(), found[1].Home(), "")
}

// recordAppeared reports whether another admin created the tenant's record after the
// tenants' objects were listed: what it holds would be lost.
func (d *decision) recordAppeared() bool {
	record := d.facts.live.Get(recordKey(d.tenant.Home()))
	return !d.existed && record != nil && record.GetLabels()[tenant.LabelTenant] == d.tenant.Name
}

// keysToDecide returns the keys of the objects that a decision looks at by name, beside
// those with the tenant's label and the wanted ones.
func (d *decision) keysToDecide() []cluster.Key {
	keys := append(d.roleKeys(), namespaceKey(d.tenant.Home()))
	for _, account := range d.tenant.Engine.DeployerAccounts() {
		keys = append(keys, accountKey(d.tenant.Home(), account))
	}
	for _, ns := range d.claimed() {
		keys = append(keys, namespaceKey(ns))
	}
	for _, ns := range d.removedNamespaces().Namespaces {
		keys = append(keys, namespaceKey(ns))
	}
	// Of the roles that are bound now: see Nested.
	for _, key := range d.facts.live.OfTenant(d.tenant.Name) {
		if key.Kind != "RoleBinding" && key.Kind != "ClusterRoleBinding" {
			continue
		}
		if kind, name := roleRefOf(d.facts.live.Get(key)); kind == "ClusterRole" {
			keys = append(keys, clusterRoleKey(name))
		}
	}
	for _, kind := range []string{cluster.KindPolicy, cluster.KindPolicyBinding} {
		if d.facts.live.Serves(kind) && d.facts.live.Sees(kind) {
			keys = append(keys, cluster.Key{Kind: kind, Name: install.AdmissionName})
		}
	}
	keys = append(keys, d.droppedAccounts()...)
	return append(keys, d.keysToAdopt()...)
}

// addReads adds the reads that the decision needs. The objects of keysToDecide are read
// before.
func (d *decision) addReads(n *reads) {
	n.tightenings = append(n.tightenings, d.tightenings()...)
	n.demands = append(n.demands, d.previewed()...)
	if !d.ownsHome() {
		n.neighbours = append(n.neighbours, d.tenant.Home())
	}
	if d.request.Disconnect && d.tenant.Engine.Has(tenant.EngineTiller) {
		n.unmarkable = append(n.unmarkable, d.tenant.Home())
	}
	if d.labelledOnly() || d.takesHome() {
		n.strangers = append(n.strangers, d.tenant.Home())
	}
	n.strangers = append(append(n.strangers, d.remade()...), d.selectedAnew()...)
	if d.looksByHand() {
		n.byHand = append(n.byHand, d.tenant.Home())
		n.addReleases(d.tenant, tenant.EngineTiller)
	}
	if d.otherStorage() != "" {
		n.recordKinds = append(n.recordKinds, d.tenant.Home())
	}
	if engine := d.leavingEngine(); engine != "" {
		n.addReleases(d.was, engine)
	}
	if removed := d.removedNamespaces(); len(removed.Namespaces) > 0 {
		for _, engine := range removed.Engine.Parts() {
			n.addReleases(removed, engine)
		}
	}
}

func namespaceKey(name string) cluster.Key { return cluster.Key{Kind: "Namespace", Name: name} }
