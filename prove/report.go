package prove

// Result is what came of an attempt.
type Result string

const (
	// Refused is what must be.
	Refused Result = "refused"
	// Allowed is an attempt that would work.
	Allowed Result = "allowed"
	// Open is an attempt that would work, and that no setting of the tenant forbids.
	Open Result = "open"
	// Untried is an attempt that could not be tried, though it should have been.
	Untried Result = "untried"
	// Accepted is a control that was accepted, as it must be.
	Accepted Result = "accepted"
	// Denied is a control that was refused, and that a tenant can do without.
	Denied Result = "denied"
	// Beyond is what a dry run can't show, or what there is nothing to try for.
	Beyond Result = "not tried"
)

// Row is one attempt in one place as one identity.
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
	// Answer are the API server's words, or why it was not tried.
	Answer string `json:"answer,omitempty"`
	// Closes is the setting that would refuse it.
	Closes string `json:"closes,omitempty"`
	// How says how to try by hand what was not tried.
	How string `json:"how,omitempty"`
}

// Report is what came of all tenants.
type Report struct {
	Result  string         `json:"result"` // refused, allowed or untried
	Counts  map[Result]int `json:"counts"`
	Rows    []Row          `json:"rows"`
	Tenants []string       `json:"tenants"`
}

// NewReport sums rows up: allowed if anything was that must not be, else untried
// if something could not be tried.
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
