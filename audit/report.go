package audit

import (
	"cmp"
	"encoding/json"
	"fmt"
	"iter"
	"slices"

	"helm-tenant/command"
	"helm-tenant/tenant"
	"helm-tenant/visible"
)

// Result is the result of an audit.
type Result string

const (
	// Clean: everything was read, and nothing found.
	Clean Result = "clean"
	// Found: everything was read, and something found.
	Found Result = "findings"
	// Unknown: not everything could be read, so that there may be more than what was
	// found.
	Unknown Result = "unknown"
)

// MarshalJSON adds the fixes, as lists of arguments and as text for people. In sentences
// hidden characters are escaped; names stay as they are.
func (f Finding) MarshalJSON() ([]byte, error) {
	type fields Finding
	shown := fields(f)
	shown.Text = visible.Text(f.Text)
	return json.Marshal(struct {
		fields
		Fix   string        `json:"fix"`
		Fixes []command.Fix `json:"fixes"`
	}{shown, f.Fix.String(), f.Fixes()})
}

// Report is the result of an audit in detail.
type Report struct {
	Result   Result    `json:"result"`
	Server   string    `json:"server,omitempty"`
	Findings []Finding `json:"findings"`
	Ignored  []Finding `json:"ignored"`
	// Compared reports whether there is a baseline; Gone has its findings that no longer
	// exist.
	Compared       bool            `json:"comparedWithBaseline,omitempty"`
	Gone           []Gone          `json:"gone"`
	Unseen         []Unseen        `json:"unseen"`
	Deployers      []Deployer      `json:"deployers"`
	ClusterWide    []Wide          `json:"clusterWide"`
	Administrators []Administrator `json:"administrators"`
	// CanReach is the answer for Asked, if that is set.
	Asked    string    `json:"asked,omitempty"`
	Groups   []string  `json:"groups"`
	CanReach []Reached `json:"canReach" nil:"unknown"`
	// CanRead are the tenants that the subject can read and whose deployer it does not
	// reach.
	CanRead []Reached `json:"canRead" nil:"unknown"`

	// all are the findings of all tenants, including ignored ones.
	all []Finding
}

// Options are the options of an audit.
type Options struct {
	// Tenants restricts the audit to these; empty for all.
	Tenants []string
	// Ask is a subject whose ways are requested, with its groups; the zero Subject for
	// nobody.
	Ask    Subject
	Groups []string
	Ignore []Ignore
	// Baseline has the findings of an earlier audit; nil for none.
	Baseline *Baseline
}

type auditor struct {
	snapshot   *Snapshot
	rights     *rights
	deployers  []*deployer
	homes      map[string]map[string]*deployer
	namespaces map[string]*Namespace
	// labelled are the namespaces by the tenant of their label; the other maps are by
	// namespace.
	labelled map[string][]*Namespace
	// referredHomes are the namespaces to which an annotation of a tenant's namespace refers.
	referredHomes  map[string]bool
	accounts       map[Subject]*ServiceAccount
	clusterRoles   map[string]*Role
	pods           map[string][]Pod
	sets           map[[2]string]*ReplicaSet // by namespace and name
	workloads      map[string][]*Workload
	tokens         map[string][]Token
	byRecord       map[*Record]*deployer // the first deployer of a tenant
	administrators []Administrator
	wide           []wide
	// demands are what objects ask for that the guard judges, by namespace; refused are
	// those that a finding reports.
	demands map[string][]Demand
	refused []ObjectRef
	uses    []accountUse
	// general are the paths to subjects that reach every deployer.
	general []Path
	// nodePaths are the paths through privileged pods that were needed, by namespace.
	nodePaths map[string]Path
	// listenerCache caches the webhooks that are sent objects of homes; answers the paths to their
	// places, by their Services.
	listenerCache *[]listener
	placePaths    map[answerer]Path
	findings      []Finding
	// reported holds the parts of objects that findings have reported.
	reported map[reportedPart]bool
	// powerful are the deployers whose cluster-wide rights a finding reports.
	powerful map[Subject]bool
	// added are the indexes of findings, by their keys.
	added map[string]int
	last  struct {
		deployer *deployer
		paths    []Path
		// needs are the indexes of each path's needs, by namespace; first those by what
		// their first ask is about.
		needs []map[string][]int
		first [][]firstNeeds
	}
	// firstAsks are the numbers of what first asks are about, of all deployers' paths.
	firstAsks map[firstAsk]int
}

// Audit returns the report on a snapshot.
func Audit(s *Snapshot, o Options) *Report { return Examine(s).Report(o) }

// Examined is a snapshot of which everything is found: reports differ in what they leave out,
// and in whom they are asked about.
type Examined struct{ auditor *auditor }

// Examine finds everything in a snapshot.
func Examine(s *Snapshot) *Examined {
	a := newAuditor(s)
	a.findAccess()
	for _, d := range a.deployers {
		a.findPower(d)
	}
	a.check()
	return &Examined{a}
}

// Report returns a report; several goroutines must not make one at once.
func (e *Examined) Report(o Options) *Report {
	r := e.auditor.report(o)
	r.all = e.auditor.findings
	return r
}

func newAuditor(s *Snapshot) *auditor {
	a := &auditor{snapshot: s, rights: newRights(s.Roles, s.Bindings), firstAsks: map[firstAsk]int{}, homes: map[string]map[string]*deployer{}, namespaces: map[string]*Namespace{},
		labelled: map[string][]*Namespace{}, referredHomes: map[string]bool{}, accounts: map[Subject]*ServiceAccount{}, clusterRoles: map[string]*Role{}, pods: map[string][]Pod{}, sets: map[[2]string]*ReplicaSet{}, workloads: map[string][]*Workload{},
		tokens: map[string][]Token{}, byRecord: map[*Record]*deployer{}, reported: map[reportedPart]bool{}, powerful: map[Subject]bool{}, added: map[string]int{}, nodePaths: map[string]Path{}}
	for i := range s.Namespaces {
		ns := &s.Namespaces[i]
		a.namespaces[ns.Name] = ns
		if name := ns.Labels[tenant.LabelTenant]; name != "" {
			a.labelled[name] = append(a.labelled[name], ns)
			if home := ns.Annotations[tenant.AnnotationHome]; home != "" && home != ns.Name {
				a.referredHomes[home] = true
			}
		}
	}
	for i := range s.Roles {
		if role := &s.Roles[i]; role.Namespace == "" {
			a.clusterRoles[role.Name] = role
		}
	}
	for i := range s.Accounts {
		a.accounts[Account(s.Accounts[i].Namespace, s.Accounts[i].Name)] = &s.Accounts[i]
	}
	for _, pod := range s.Pods {
		a.pods[pod.Namespace] = append(a.pods[pod.Namespace], pod)
	}
	for i := range s.ReplicaSets {
		a.sets[[2]string{s.ReplicaSets[i].Namespace, s.ReplicaSets[i].Name}] = &s.ReplicaSets[i]
	}
	for i := range s.Workloads {
		w := &s.Workloads[i]
		a.workloads[w.Namespace] = append(a.workloads[w.Namespace], w)
	}
	for _, token := range s.Tokens {
		a.tokens[token.Namespace] = append(a.tokens[token.Namespace], token)
	}
	a.rights.served = s.APIGroups
	a.findRevised()
	a.demands = demandsOf(s)
	a.restore()
	a.findDeployers()
	a.findConfigMaps()
	return a
}

// records returns the tenants' records, as pointers into the snapshot.
func (a *auditor) records() iter.Seq[*Record] {
	return func(yield func(*Record) bool) {
		for i := range a.snapshot.Records {
			if !yield(&a.snapshot.Records[i]) {
				return
			}
		}
	}
}

// unseen reports whether any of these kinds could not be read.
func (a *auditor) unseen(kinds ...string) bool {
	return slices.ContainsFunc(a.snapshot.Unseen, func(u Unseen) bool {
		return slices.Contains(kinds, u.Resource)
	})
}

// add adds a finding. id is its kind; an empty severity means that of the kind.
func (a *auditor) add(id string, severity Severity, f Finding) {
	rule := ruleOf(id)
	f.ID, f.Name, f.Severity = id, rule.Name, cmp.Or(severity, rule.Severity)
	f.Why = cmp.Or(f.Why, rule.Why)
	f.Fix = a.accepting(f.Fix)
	f.Or = slices.Clone(f.Or)
	for i, or := range f.Or {
		f.Or[i] = a.accepting(or)
	}
	// A tenant with two deployers in one home has the same ways to both. The same finding
	// about one object is added once, with the worse severity.
	key := fmt.Sprintf("%q", append([]string{f.ID, f.Home, f.Subject, f.Text, f.discriminator()}, f.Tenants...))
	index, found := a.added[key]
	if !found {
		a.added[key] = len(a.findings)
		a.findings = append(a.findings, f)
		return
	}
	existing := &a.findings[index]
	if f.Severity.rank() < existing.Severity.rank() {
		existing.Severity, existing.Why = f.Severity, f.Why
	}
	for _, chain := range f.Chains {
		if !slices.ContainsFunc(existing.Chains, func(c []string) bool { return slices.Equal(c, chain) }) {
			existing.Chains = append(existing.Chains, chain)
		}
	}
	existing.Fix = existing.Fix.Then(f.Fix)
	for _, or := range f.Or {
		if !slices.ContainsFunc(existing.Or, or.Equal) {
			existing.Or = append(existing.Or, or)
		}
	}
}

func (a *auditor) report(o Options) *Report {
	r := &Report{Server: a.snapshot.Version, Unseen: a.snapshot.Unseen, Administrators: a.administrators, Findings: []Finding{}, Deployers: []Deployer{}}
	a.reportFindings(r, o)
	for _, d := range a.deployers {
		if o.asks(d.tenant()) {
			r.Deployers = append(r.Deployers, d.view())
		}
	}
	for _, w := range a.wide {
		r.ClusterWide = append(r.ClusterWide, w.view(len(a.deployers)))
	}
	if o.Ask != (Subject{}) {
		r.Asked, r.Groups = o.Ask.String(), o.Groups
		r.CanReach, r.CanRead = []Reached{}, []Reached{} // nil if nobody is asked for
		for _, reached := range a.canReach(o.Ask, o.Groups) {
			if o.asks(reached.Tenant) {
				r.CanReach = append(r.CanReach, reached)
			}
		}
		for _, read := range a.canRead(o.Ask, o.Groups) {
			if o.asks(read.Tenant) && !slices.ContainsFunc(r.CanReach, func(reached Reached) bool { return reached.Tenant == read.Tenant }) {
				r.CanRead = append(r.CanRead, read)
			}
		}
	}
	switch {
	case len(r.Unseen) > 0:
		r.Result = Unknown
	case len(r.Findings) > 0:
		r.Result = Found
	default:
		r.Result = Clean
	}
	return r
}

// asks reports whether that tenant is requested; for an empty name, whether unmanaged
// Tillers are.
func (o Options) asks(name string) bool {
	return len(o.Tenants) == 0 || slices.Contains(o.Tenants, name)
}

// reportFindings puts the requested findings into the report, each with its place in the
// tenants file, and the ignored ones separately.
func (a *auditor) reportFindings(r *Report, o Options) {
	located := map[string]tenant.Located{}
	for _, t := range a.snapshot.File {
		located[t.Name] = t
	}
	for _, f := range a.findings {
		f.Print = f.Fingerprint()
		if len(f.Tenants) > 0 {
			location := located[f.Tenants[0]]
			f.File, f.Line = location.File, location.Line
		}
		unmanaged := len(f.Tenants) == 0 && f.Home != ""
		switch index := slices.IndexFunc(o.Ignore, func(i Ignore) bool { return i.matches(f) }); {
		case len(f.Tenants) > 0 && !slices.ContainsFunc(f.Tenants, o.asks), unmanaged && !o.asks(""), !a.concerns(f.ID, o):
		case index >= 0:
			f.Reason = o.Ignore[index].Reason
			r.Ignored = append(r.Ignored, f)
		default:
			r.Findings = append(r.Findings, f)
		}
	}
	sortFindings(r.Findings)
	sortFindings(r.Ignored)
	taken, folds := takenNodes(r.Findings, o)
	all, baseline := a.findings, &Baseline{}
	if folds {
		all = append(slices.Clone(all), taken)
	}
	if o.Baseline != nil {
		r.Compared, baseline = true, o.Baseline
		baseline.compare(r, all, o)
	}
	if folds {
		foldTakenNodes(r, taken, baseline)
	}
}

// Worst returns the severity of the worst finding that is at least that severe; empty if
// there is none. With a baseline, only new findings count.
func (r *Report) Worst(least Severity) Severity {
	for _, f := range r.Findings { // the worst first
		if f.Severity.AtLeast(least) && (f.New || !r.Compared) {
			return f.Severity
		}
	}
	return ""
}
