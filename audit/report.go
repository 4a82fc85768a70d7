package audit

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"

	"helm-tenant/command"
	"helm-tenant/tenant"
	"helm-tenant/visible"
)

// Result is what an audit comes to.
type Result string

const (
	// Clean says that everything was seen, and nothing found.
	Clean Result = "clean"
	// Found says that everything was seen, and something found.
	Found Result = "findings"
	// Unknown says that not everything could be seen: what was not found may be
	// there.
	Unknown Result = "unknown"
)

// MarshalJSON adds the fixes, as lists of arguments and, for people, as text. What is
// a sentence is shown as people see it; names are as they are.
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

// Report is what an audit has to say.
type Report struct {
	Result   Result    `json:"result"`
	Server   string    `json:"server,omitempty"`
	Findings []Finding `json:"findings"`
	Ignored  []Finding `json:"ignored"`
	// Compared says that there is a baseline, Gone what of it is found no more.
	Compared       bool            `json:"comparedWithBaseline,omitempty"`
	Gone           []Gone          `json:"gone"`
	Unseen         []Unseen        `json:"unseen"`
	Deployers      []Deployer      `json:"deployers"`
	ClusterWide    []Wide          `json:"clusterWide"`
	Administrators []Administrator `json:"administrators"`
	// CanReach answers for Asked, where somebody was asked about.
	Asked    string    `json:"asked,omitempty"`
	Groups   []string  `json:"groups"`
	CanReach []Reached `json:"canReach" nil:"unknown"`
	// CanRead are the tenants that they can read and whose deployer they don't reach.
	CanRead []Reached `json:"canRead" nil:"unknown"`

	// all are the findings of all tenants, what is ignored among them.
	all []Finding
}

// Options say what is asked of an audit.
type Options struct {
	// Tenants restricts it to these; all where there are none.
	Tenants []string
	// Ask is somebody whose ways are asked for, with the groups they are in;
	// the zero Subject for nobody.
	Ask    Subject
	Groups []string
	Ignore []Ignore
	// Baseline is what was found before; nil where nobody says.
	Baseline *Baseline
}

// auditor is an audit under way.
type auditor struct {
	snapshot   *Snapshot
	rights     *rights
	deployers  []*deployer
	homes      map[string]map[string]*deployer
	namespaces map[string]*Namespace
	// labelled are the namespaces by the tenant of their label; the others by
	// their namespace.
	labelled map[string][]*Namespace
	// led are the namespaces to which the annotation of a tenant's namespace leads.
	led            map[string]bool
	accounts       map[Subject]*ServiceAccount
	clusterRoles   map[string]*Role
	pods           map[string][]Pod
	sets           map[[2]string]*ReplicaSet // by their namespaces and names
	workloads      map[string][]*Workload
	tokens         map[string][]Token
	byRecord       map[*Record]*deployer // the first of a tenant's
	administrators []Administrator
	wide           []wide
	// demands are what objects ask for that the guard judges, by namespace; refused are
	// those of which a finding speaks.
	demands map[string][]Demand
	refused []ObjectRef
	uses    []use
	// general are the ways to whoever reaches every deployer.
	general []Path
	// nodePaths are the paths through privileged pods that were asked for, by namespace.
	nodePaths map[string]Path
	findings  []Finding
	// reported holds the parts of objects that findings have reported.
	reported map[reportedPart]bool
	// powerful are the deployers of whose rights over the whole cluster a finding
	// speaks.
	powerful map[Subject]bool
	// added are the findings' places, by their keys.
	added map[string]int
	last  struct {
		deployer *deployer
		paths    []Path
		// needs are the places of each path's needs, by namespace.
		needs []map[string][]int
	}
}

// Audit looks at a snapshot.
func Audit(s *Snapshot, o Options) *Report {
	a := newAuditor(s)
	a.findAccess()
	for _, d := range a.deployers {
		a.findPower(d)
	}
	a.check()
	r := a.report(o)
	r.all = a.findings
	return r
}

func newAuditor(s *Snapshot) *auditor {
	a := &auditor{snapshot: s, rights: newRights(s.Roles, s.Bindings), homes: map[string]map[string]*deployer{}, namespaces: map[string]*Namespace{},
		labelled: map[string][]*Namespace{}, led: map[string]bool{}, accounts: map[Subject]*ServiceAccount{}, clusterRoles: map[string]*Role{}, pods: map[string][]Pod{}, sets: map[[2]string]*ReplicaSet{}, workloads: map[string][]*Workload{},
		tokens: map[string][]Token{}, byRecord: map[*Record]*deployer{}, reported: map[reportedPart]bool{}, powerful: map[Subject]bool{}, added: map[string]int{}, nodePaths: map[string]Path{}}
	for i := range s.Namespaces {
		ns := &s.Namespaces[i]
		a.namespaces[ns.Name] = ns
		if name := ns.Labels[tenant.LabelTenant]; name != "" {
			a.labelled[name] = append(a.labelled[name], ns)
			if home := ns.Annotations[tenant.AnnotationHome]; home != "" && home != ns.Name {
				a.led[home] = true
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
	a.demands = demandsOf(s)
	a.restore()
	a.findDeployers()
	a.findConfigMaps()
	return a
}

// unseen reports whether any of these kinds could not be read.
func (a *auditor) unseen(kinds ...string) bool {
	return slices.ContainsFunc(a.snapshot.Unseen, func(u Unseen) bool {
		return slices.Contains(kinds, u.Resource)
	})
}

// add adds a finding. id is its kind; an empty severity stands for that of the kind.
func (a *auditor) add(id string, severity Severity, f Finding) {
	rule := ruleOf(id)
	f.ID, f.Name, f.Severity = id, rule.Name, cmp.Or(severity, rule.Severity)
	f.Why = cmp.Or(f.Why, rule.Why)
	// A tenant with two deployers in one home has the same ways to both. What is told
	// of one object twice is told as one, as bad as the worst.
	key := fmt.Sprintf("%q", append([]string{f.ID, f.Home, f.Subject, f.Text, f.discriminator()}, f.Tenants...))
	index, found := a.added[key]
	if !found {
		a.added[key] = len(a.findings)
		a.findings = append(a.findings, f)
		return
	}
	have := &a.findings[index]
	if f.Severity.rank() < have.Severity.rank() {
		have.Severity, have.Why = f.Severity, f.Why
	}
	for _, chain := range f.Chains {
		if !slices.ContainsFunc(have.Chains, func(c []string) bool { return slices.Equal(c, chain) }) {
			have.Chains = append(have.Chains, chain)
		}
	}
	have.Fix = have.Fix.Then(f.Fix)
	for _, or := range f.Or {
		if !slices.ContainsFunc(have.Or, or.Equal) {
			have.Or = append(have.Or, or)
		}
	}
}

// report makes the report of all findings.
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
		r.CanReach, r.CanRead = []Reached{}, []Reached{} // nil where nobody is asked about
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

// asks reports whether that tenant is asked for; where the name is empty, whether
// Tillers of none are.
func (o Options) asks(name string) bool {
	return len(o.Tenants) == 0 || slices.Contains(o.Tenants, name)
}

// reportFindings puts the findings that are asked for into the report, each with its
// place in the tenants file, and those that are ignored by themselves.
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

// Worst is the severity of the worst finding that is at least that bad; empty
// where there is none. Where there is a baseline, only what is new counts.
func (r *Report) Worst(least Severity) Severity {
	for _, f := range r.Findings { // the worst first
		if f.Severity.AtLeast(least) && (f.New || !r.Compared) {
			return f.Severity
		}
	}
	return ""
}
