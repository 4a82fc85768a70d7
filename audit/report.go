package audit

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

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

// Finding is one thing that is wrong.
type Finding struct {
	ID       string   `json:"id"`
	Name     string   `json:"name"`
	Severity Severity `json:"severity"`
	// Tenants are those that it concerns; none where it is the whole cluster.
	Tenants []string `json:"tenants,omitempty"`
	// Home is the deployer's home namespace, where it concerns one.
	Home string `json:"home,omitempty"`
	// Subject is who or what it is about: "user alice".
	Subject string `json:"subject"`
	// Text is what was found, as a sentence without its full stop.
	Text string `json:"text"`
	Why  string `json:"why"`
	// Chains are the ways through the objects that show it.
	Chains [][]string `json:"chains,omitempty"`
	// Fix is what mends it, and Or what else does.
	Fix command.Fix   `json:"-"`
	Or  []command.Fix `json:"-"`
	// File and Line are where the tenant stands in the tenants file; empty and 0
	// where there is none.
	File string `json:"file,omitempty"`
	Line int    `json:"line,omitempty"`
	// Reason is why it is ignored.
	Reason string `json:"reason,omitempty"`
	// Object is what tells it from others of its kind about the same subject, where
	// its chain does not.
	Object string `json:"-"`
}

// Fingerprint is the same in a later run, however the finding is worded or judged
// by then, and another finding's never.
func (f Finding) Fingerprint() string {
	parts := append([]string{f.ID, f.Home, f.Subject}, f.Tenants...)
	if object := f.of(); object != "" {
		parts = append(parts, object)
	}
	return strings.Join(parts, "|")
}

// of is the object for which a subject's finding is one of several of its kind;
// empty where there is but one of a kind.
func (f Finding) of() string {
	at, several := map[string]int{idLeaves: 1, idEscalates: 2}[f.ID] // the binding, the role
	if several && len(f.Chains) > 0 && at < len(f.Chains[0]) {
		return f.Chains[0][at]
	}
	return f.Object
}

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

// Fixes are what mends it, any one of them; the first is what the report advises.
func (f Finding) Fixes() []command.Fix { return append([]command.Fix{f.Fix}, f.Or...) }

// Chain is all of the chains as one line.
func (f Finding) Chain() string {
	var lines []string
	for _, chain := range f.Chains {
		lines = append(lines, strings.Join(chain, " -> "))
	}
	return strings.Join(lines, "; and ")
}

// Deployer is one deployer and who reaches it.
type Deployer struct {
	Tenant     string        `json:"tenant,omitempty"`
	Engine     tenant.Engine `json:"engine"`
	Home       string        `json:"home"`
	Account    string        `json:"serviceAccount"`
	Workload   string        `json:"workload,omitempty"`
	Version    string        `json:"version,omitempty"`
	Namespaces []string      `json:"namespaces,omitempty"`
	// All says that its namespaces are all of the cluster.
	All     bool     `json:"allNamespaces,omitempty"`
	Open    bool     `json:"openOnNetwork,omitempty"`
	Members []string `json:"members,omitempty"`
	Power   Power    `json:"power"`
	Access  []Access `json:"access,omitempty"`
}

// Wide is somebody who reaches deployers by rights over the whole cluster, and is
// none of Kubernetes' own administrators.
type Wide struct {
	Subject string `json:"subject"`
	// Deployers counts those that it reaches, of Of.
	Deployers int `json:"deployers"`
	Of        int `json:"of"`
	// Reaches are the deployers' accounts, HOME:ACCOUNT, where it is not all.
	Reaches []string   `json:"reaches,omitempty"`
	Paths   []OpenPath `json:"paths"`
}

// Report is what an audit has to say.
type Report struct {
	Result         Result          `json:"result"`
	Server         string          `json:"server,omitempty"`
	Findings       []Finding       `json:"findings"`
	Ignored        []Finding       `json:"ignored,omitempty"`
	Unseen         []Unseen        `json:"unseen,omitempty"`
	Deployers      []Deployer      `json:"deployers"`
	ClusterWide    []Wide          `json:"clusterWide,omitempty"`
	Administrators []Administrator `json:"administrators,omitempty"`
	// CanReach answers for Asked, where somebody was asked about.
	Asked    string    `json:"asked,omitempty"`
	Groups   []string  `json:"groups,omitempty"`
	CanReach []Reached `json:"canReach,omitempty"`

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
	labelled       map[string][]*Namespace
	accounts       map[Subject]*ServiceAccount
	pods           map[string][]Pod
	sets           map[[2]string]*ReplicaSet // by their namespaces and names
	workloads      map[string][]*Workload
	tokens         map[string][]Token
	byRecord       map[*Record]*deployer // the first of a tenant's
	administrators []Administrator
	wide           []wide
	uses           []use
	// general are the ways to whoever reaches every deployer.
	general  []Path
	findings []Finding
	// told are the objects that a finding speaks of.
	told map[string]bool
	// powerful are the deployers of whose rights over the whole cluster a finding
	// speaks.
	powerful map[Subject]bool
	// added are the findings' places, by their keys.
	added map[string]int
	last  struct {
		deployer *deployer
		paths    []Path
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
		labelled: map[string][]*Namespace{}, accounts: map[Subject]*ServiceAccount{}, pods: map[string][]Pod{}, sets: map[[2]string]*ReplicaSet{}, workloads: map[string][]*Workload{},
		tokens: map[string][]Token{}, byRecord: map[*Record]*deployer{}, told: map[string]bool{}, powerful: map[Subject]bool{}, added: map[string]int{}}
	for i := range s.Namespaces {
		ns := &s.Namespaces[i]
		a.namespaces[ns.Name] = ns
		if name := ns.Labels[tenant.LabelTenant]; name != "" {
			a.labelled[name] = append(a.labelled[name], ns)
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
	a.findDeployers()
	a.findConfigMaps()
	return a
}

// unseen says whether any of these kinds could not be read.
func (a *auditor) unseen(kinds ...string) bool {
	return slices.ContainsFunc(a.snapshot.Unseen, func(u Unseen) bool {
		return slices.Contains(kinds, u.Resource)
	})
}

// add takes a finding in. id says what kind it is; severity is that of the kind
// where it is empty.
func (a *auditor) add(id string, severity Severity, f Finding) {
	rule := ruleOf(id)
	f.ID, f.Name, f.Severity = id, rule.Name, cmp.Or(severity, rule.Severity)
	f.Why = cmp.Or(f.Why, rule.Why)
	// A tenant with two deployers in one home has the same ways to both. What is told
	// of one object twice is told as one, as bad as the worst.
	key := strings.Join(append([]string{f.ID, f.Home, f.Subject, f.Text, f.of()}, f.Tenants...), "\n")
	at, found := a.added[key]
	if !found {
		a.added[key] = len(a.findings)
		a.findings = append(a.findings, f)
		return
	}
	have := &a.findings[at]
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

// report is what is told of all that was found.
func (a *auditor) report(o Options) *Report {
	r := &Report{Server: a.snapshot.Server, Unseen: a.snapshot.Unseen, Administrators: a.administrators, Findings: []Finding{}, Deployers: []Deployer{}}
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
		for _, reached := range a.canReach(o.Ask, o.Groups) {
			if o.asks(reached.Tenant) {
				r.CanReach = append(r.CanReach, reached)
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

// asks says whether that tenant is asked for; where the name is empty, whether
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
		if len(f.Tenants) > 0 {
			at := located[f.Tenants[0]]
			f.File, f.Line = at.File, at.Line
		}
		unmanaged := len(f.Tenants) == 0 && f.Home != ""
		switch at := slices.IndexFunc(o.Ignore, func(i Ignore) bool { return i.matches(f) }); {
		case len(f.Tenants) > 0 && !slices.ContainsFunc(f.Tenants, o.asks), unmanaged && !o.asks(""):
		case at >= 0:
			f.Reason = o.Ignore[at].Reason
			r.Ignored = append(r.Ignored, f)
		default:
			r.Findings = append(r.Findings, f)
		}
	}
	sortFindings(r.Findings)
	sortFindings(r.Ignored)
}

// view is the deployer as a report shows it.
func (d *deployer) view() Deployer {
	view := Deployer{Tenant: d.tenant(), Engine: d.target.Engine, Home: d.target.Home, Account: d.target.Account, Version: d.version,
		Open: d.network.listens && !d.network.closed, Power: d.power, Access: d.access}
	if d.tiller != nil {
		view.Workload = d.tiller.Kind + " " + d.tiller.Name
	}
	if d.record != nil {
		view.Namespaces, view.All = d.record.Tenant.Namespaces, d.record.Tenant.AllNamespaces
	}
	for _, m := range d.members {
		view.Members = append(view.Members, m.String())
	}
	return view
}

// view is somebody as a report shows them, of so many deployers.
func (w wide) view(of int) Wide {
	view := Wide{Subject: w.who.String(), Deployers: len(w.reached), Of: of, Paths: newAccess(w.who, false, w.paths).Paths}
	if view.Deployers < view.Of {
		for _, d := range w.reached {
			view.Reaches = append(view.Reaches, d.target.Home+":"+d.target.Account)
		}
	}
	return view
}

// sortFindings puts the worst first.
func sortFindings(findings []Finding) {
	slices.SortStableFunc(findings, func(x, y Finding) int {
		return cmp.Or(cmp.Compare(x.Severity.rank(), y.Severity.rank()), cmp.Compare(x.ID, y.ID),
			slices.Compare(x.Tenants, y.Tenants), cmp.Compare(x.Home, y.Home), cmp.Compare(x.Subject, y.Subject), cmp.Compare(x.Text, y.Text))
	})
}

// Worst is the severity of the worst finding that is at least that bad; empty
// where there is none.
func (r *Report) Worst(least Severity) Severity {
	if len(r.Findings) > 0 && r.Findings[0].Severity.AtLeast(least) {
		return r.Findings[0].Severity
	}
	return ""
}

// Title says whom a finding is about: a tenant, an unmanaged Tiller, or more.
func (f Finding) Title() string {
	switch {
	case len(f.Tenants) == 1:
		return "tenant " + f.Tenants[0]
	case len(f.Tenants) > 1:
		return "several tenants"
	case f.Home != "":
		return fmt.Sprintf("unmanaged Tiller in namespace %s", f.Home)
	}
	return "the whole cluster"
}
