package audit

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"helm-tenant/command"
)

// Finding is one thing that is wrong.
type Finding struct {
	ID       string   `json:"id"`
	Name     string   `json:"name"`
	Severity Severity `json:"severity"`
	// Tenants are those that it concerns; none where it is the whole cluster.
	Tenants []string `json:"tenants"`
	// Home is the deployer's home namespace, where it concerns one.
	Home string `json:"home,omitempty"`
	// Subject is who or what it is about: "user alice".
	Subject string `json:"subject"`
	// Text is what was found, as a sentence without its full stop.
	Text string `json:"text"`
	Why  string `json:"why"`
	// Chains are the ways through the objects that show it.
	Chains [][]string `json:"chains"`
	// Fix is what mends it, and Or what else does.
	Fix command.Fix   `json:"-"`
	Or  []command.Fix `json:"-"`
	// File and Line are where the tenant stands in the tenants file; empty and 0
	// where there is none.
	File string `json:"file,omitempty"`
	Line int    `json:"line,omitempty"`
	// Print is its Fingerprint, by which a later audit knows it again.
	Print string `json:"fingerprint"`
	// New says that a baseline has it not, or as a milder one.
	New bool `json:"new,omitempty"`
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
	if object := f.discriminator(); object != "" {
		parts = append(parts, object)
	}
	// What others named may hold the separator.
	for i, part := range parts {
		parts[i] = strings.NewReplacer(`\`, `\\`, "|", `\|`).Replace(part)
	}
	return strings.Join(parts, "|")
}

// discriminator returns the object that tells several findings of one kind for one
// subject apart; it is empty for kinds of which a subject has one finding at most.
func (f Finding) discriminator() string {
	index, several := map[string]int{idLeaves: 1, idEscalates: 2}[f.ID] // the binding, the role
	if several && len(f.Chains) > 0 && index < len(f.Chains[0]) {
		return f.Chains[0][index]
	}
	return f.Object
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

// sortFindings puts the worst first.
func sortFindings(findings []Finding) {
	slices.SortStableFunc(findings, func(x, y Finding) int {
		return cmp.Or(cmp.Compare(x.Severity.rank(), y.Severity.rank()), cmp.Compare(x.ID, y.ID),
			slices.Compare(x.Tenants, y.Tenants), cmp.Compare(x.Home, y.Home), cmp.Compare(x.Subject, y.Subject), cmp.Compare(x.Text, y.Text))
	})
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
