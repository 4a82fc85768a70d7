package prove

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"helm-tenant/visible"
)

// place is one attempt with one role in one of the tenant's namespaces.
type place struct {
	attempt   *Attempt
	role      Role
	namespace string
}

type judging struct {
	t    *Target
	rows []Row
	// broken has the reasons why refusals of a role in a namespace prove nothing. The
	// controls of the member and the account are made once, without a namespace.
	broken map[place]string
	// pods are the harmless pods as the API server would store them.
	pods map[string]*corev1.Pod
}

// Judge returns the rows for all requests and answers of a tenant, in the order of the
// table.
func (t *Target) Judge(exchanges []Exchange) []Row {
	j := &judging{t: t, broken: map[place]string{}, pods: map[string]*corev1.Pod{}}
	for _, e := range exchanges {
		if e.Control {
			j.control(e)
		}
	}
	// A pod that is tried again with fewer attempts comes later, and counts.
	verdicts, latest := map[place]verdict{}, map[place]Exchange{}
	var places []place
	for _, e := range exchanges {
		if e.Control {
			continue
		}
		v := judge(e.Request, e.Answer)
		for _, a := range e.Attempts {
			location := place{a, e.As.Role, e.Namespace}
			if _, seen := verdicts[location]; !seen {
				places = append(places, location)
			}
			verdicts[location], latest[location] = v.forAttempt(a, len(e.Attempts)), e
		}
	}
	for _, place := range places {
		j.add(place.attempt, latest[place], verdicts[place])
	}
	j.read()
	j.unasked()
	slices.SortStableFunc(j.rows, func(a, b Row) int { return cmp.Compare(order(a), order(b)) })
	return j.rows
}

func (v verdict) forAttempt(a *Attempt, together int) verdict {
	switch {
	case together == 1 || v.result != Refused || v.by == "RBAC" || v.named && v.names(a):
		return v
	case v.named:
		return verdict{result: Untried, text: "not named in: " + v.text}
	}
	return verdict{result: Untried, text: fmt.Sprintf("one pod that tried %d things was refused by %s, and the answer does not say for which: %s", together, v.by, v.text)}
}

func (j *judging) control(e Exchange) {
	a, v := e.Attempts[0], judge(e.Request, e.Answer)
	if a == controlAccount && v.result == Allowed && !isUser(e.Answer.Body, e.As.User) {
		v = verdict{result: Untried, text: "the API server takes it for somebody else"}
	}
	row := j.row(a, e.Request, v)
	switch {
	case v.result == Allowed:
		row.Result, row.Answer = Accepted, ""
	case v.result == Refused && a.Optional:
		row.Result = Denied
	default:
		row.Result, row.By = Untried, ""
		row.Answer = strings.TrimSuffix("must be accepted, and was not: "+v.by+": "+v.text, ": ")
		j.broken[place{role: e.As.Role, namespace: e.Namespace}] = v.text
	}
	if a == controlPod && v.result == Allowed {
		var pod corev1.Pod
		if json.Unmarshal(e.Answer.Body, &pod) == nil {
			j.pods[e.Namespace] = &pod
		}
	}
	j.rows = append(j.rows, row)
}

// why returns the reason why refusals of that role prove nothing; empty if they do.
func (j *judging) why(role Role, namespace string) string {
	if role != Deployer {
		return j.broken[place{role: role}]
	}
	return j.broken[place{role: role, namespace: cmp.Or(namespace, j.t.Namespaces[0])}]
}

func (j *judging) add(a *Attempt, e Exchange, v verdict) {
	if why := j.why(e.As.Role, e.Namespace); why != "" && v.result == Refused {
		v = verdict{result: Untried, text: visible.Excerpt("the same identity was refused what it must be able to do: " + why)}
	}
	j.rows = append(j.rows, j.row(a, e.Request, v))
}

func (j *judging) row(a *Attempt, r Request, v verdict) Row {
	row := j.blank(a, r.As.Role, cmp.Or(r.Where, r.Namespace))
	row.User, row.Groups = r.As.User, r.As.Groups
	row.Result, row.By, row.Answer = v.result, v.by, v.text
	if v.result == Allowed {
		row.Result = j.allowed(a, cmp.Or(r.Namespace, j.t.Namespaces[0]))
		row.Closes = a.Closes
	}
	return row
}

// allowed returns the result of an attempt that would succeed.
func (j *judging) allowed(a *Attempt, namespace string) Result {
	if a.Optional && (a.required == nil || !a.required(j.t, namespace)) {
		return Open
	}
	return Allowed
}

func (j *judging) blank(a *Attempt, role Role, namespace string) Row {
	return Row{Tenant: j.t.Tenant, Namespace: namespace, Attempt: a.ID, What: a.What, Why: a.Why, Benchmarks: a.Benchmarks, As: role}
}

// read makes the rows of attempts that need no request of their own.
func (j *judging) read() {
	for _, namespace := range j.t.Namespaces {
		for _, a := range table {
			if a.accepted == nil && a.configured == nil {
				continue
			}
			row := j.blank(a, Deployer, namespace)
			row.User, row.Result = j.t.deployerUser(), j.allowed(a, namespace)
			refuser, held, known := "quota", false, j.t.Quotas != nil
			if a.accepted != nil {
				pod := j.pods[namespace]
				if known = pod != nil; known {
					refuser, held = a.accepted(pod)
				}
			} else if known {
				held = a.configured(j.t, namespace)
			}
			switch {
			case held:
				row.Result, row.By = Refused, refuser
			case !known:
				row.Result, row.Answer = Untried, "the ResourceQuotas can't be read"
				if a.accepted != nil {
					row.Answer = "no harmless pod was accepted there"
				}
			default:
				row.Closes = a.Closes
			}
			j.rows = append(j.rows, row)
		}
	}
}

// unasked makes the rows of attempts that were not sent, because there is no member or
// other tenant, or because no dry run shows them.
func (j *judging) unasked() {
	for _, a := range append([]*Attempt{controlMember}, table...) {
		if j.t.Member == nil && slices.Contains(a.As, Member) {
			row := j.blank(a, Member, "")
			row.Result, row.Answer = Untried, j.t.MemberWhy
			if j.t.MemberWhy == "" {
				row.Result, row.Answer = Beyond, "the tenant has no members"
			}
			j.rows = append(j.rows, row)
		}
		if slices.Contains(a.As, Member) && j.t.entitled(a, Member) {
			row := j.blank(a, Member, "")
			row.Result, row.Answer = Beyond, "the member is a member of every other tenant that could be tried"
			j.rows = append(j.rows, row)
		}
		if a.request == nil || a.absent == "" && j.t.Other != nil || a.request(j.t, j.t.Namespaces[0]) != nil {
			continue
		}
		for _, role := range a.As {
			if role == Member && j.t.Member == nil || role == Reader && !j.t.HasReaders {
				continue
			}
			row := j.blank(a, role, "")
			row.Result, row.Answer = Beyond, cmp.Or(a.absent, "there is no other tenant")
			j.rows = append(j.rows, row)
		}
	}
	for _, b := range beyond {
		if b.tiller && !j.t.Tiller {
			continue
		}
		j.rows = append(j.rows, Row{Tenant: j.t.Tenant, Attempt: b.id, What: b.what, Benchmarks: b.benchmarks, Result: Beyond,
			Answer: "a dry run does not show it", How: strings.NewReplacer("$NS", j.t.Namespaces[0], "$HOME", j.t.Home).Replace(b.how)})
	}
}

// beyond is what no request to the API server shows.
var beyond = []struct {
	id, what, how string
	benchmarks    []string
	tiller        bool
}{
	{id: "network-pods", what: "reach another tenant's pods over the network",
		how: "run a pod in $NS that connects to a pod's address of another tenant; with network: isolated it must time out"},
	{id: "network-metadata", what: "reach the cloud's metadata service",
		how: "run a pod in $NS that connects to 169.254.169.254:80; with network: isolated it must time out"},
	{id: "network-tiller", what: "reach the Tiller's ports over the network", tiller: true,
		how: "run a pod in $NS that connects to the address of the pod in $HOME, ports 44134 and 44135; both must fail"},
	{id: "node", what: "leave a container for the node",
		how: "keep the node's kernel and container runtime up to date; tenants that must not share a kernel need nodes of their own"},
}

// order returns the rank of a row in a report: controls, then the table, then attempts that
// were not tried.
func order(r Row) int {
	if i := slices.IndexFunc(table, func(a *Attempt) bool { return a.ID == r.Attempt }); i >= 0 {
		return 1 + i
	}
	if r.Result == Beyond && r.As == "" {
		return 1 + len(table)
	}
	return 0
}

// Result is the result of an attempt.
type Result string

const (
	// Refused is the required result.
	Refused Result = "refused"
	// Allowed: the attempt would succeed.
	Allowed Result = "allowed"
	// Open: the attempt would succeed, and no setting of the tenant forbids it.
	Open Result = "open"
	// Untried: the attempt could not be made, although it should have been.
	Untried Result = "untried"
	// Accepted: a control was accepted, as required.
	Accepted Result = "accepted"
	// Denied: a control was refused that a tenant can do without.
	Denied Result = "denied"
	// Beyond: a dry run can't show it, or there is nothing to try.
	Beyond Result = "not tried"
)

// Row is one attempt in one namespace as one identity.
type Row struct {
	Tenant     string   `json:"tenant"`
	Namespace  string   `json:"namespace,omitempty"`
	Attempt    string   `json:"attempt"`
	What       string   `json:"what"`
	Why        string   `json:"gives,omitempty"`
	Benchmarks []string `json:"benchmarks"`
	As         Role     `json:"as,omitempty"`
	User       string   `json:"user,omitempty"`
	Groups     []string `json:"groups"`
	Result     Result   `json:"result"`
	// By is what refused it.
	By string `json:"by,omitempty"`
	// Answer is the API server's message, or the reason why it was not tried.
	Answer string `json:"answer,omitempty"`
	// Closes is the setting that would refuse it.
	Closes string `json:"closes,omitempty"`
	// How describes how to try it by hand.
	How string `json:"how,omitempty"`
}

// Report has the results of all tenants.
type Report struct {
	Result  string         `json:"result"` // refused, allowed or untried
	Counts  map[Result]int `json:"counts"`
	Rows    []Row          `json:"rows"`
	Tenants []string       `json:"tenants"`
}

// NewReport sums up rows: allowed if anything was that must not be, otherwise untried if
// something could not be tried.
func NewReport(tenants []string, rows []Row) *Report {
	r := &Report{Result: string(Refused), Counts: map[Result]int{}, Rows: rows, Tenants: tenants}
	for _, row := range rows {
		r.Counts[row.Result]++
	}
	switch {
	case r.Counts[Allowed] > 0:
		r.Result = string(Allowed)
	case r.Counts[Untried] > 0:
		r.Result = string(Untried)
	}
	return r
}
