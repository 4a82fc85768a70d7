package prove

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
