package tenant

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// FreezeMeans is the means by which a freeze is enforced.
type FreezeMeans string

const (
	// FreezeByPolicy: an admission policy denies writes of the tenant's accounts.
	FreezeByPolicy FreezeMeans = "policy"
	// FreezeByRole: the deployer has a role that only reads.
	FreezeByRole FreezeMeans = "role"
)

// Freeze is the state of a frozen tenant, in which helm must not change anything.
type Freeze struct {
	Reason string `yaml:"reason" json:"reason"`
	// Since is a time in the format of RFC 3339.
	Since string `yaml:"since,omitempty" json:"since,omitempty"`
	// Means is decided when the tenant is written; tenants files do not have it.
	Means FreezeMeans `yaml:"means,omitempty" json:"means,omitempty"`
}

// maxFreezeReason bounds a reason: each refusal contains it, and the API server drops
// messages that are long or have several lines.
const maxFreezeReason = 256

// CheckFreezeReason returns an error unless a reason is one line of printable text.
func CheckFreezeReason(reason string) error {
	switch {
	case strings.TrimSpace(reason) == "":
		return errors.New("the reason of a freeze is missing")
	case utf8.RuneCountInString(reason) > maxFreezeReason:
		return fmt.Errorf("the reason of a freeze has %d characters, and at most %d are shown", utf8.RuneCountInString(reason), maxFreezeReason)
	case !utf8.ValidString(reason), strings.ContainsFunc(reason, func(r rune) bool { return !unicode.IsPrint(r) }):
		return errors.New("the reason of a freeze has several lines, or a control character")
	}
	return nil
}

func (f *Freeze) validate() []error {
	if f == nil {
		return nil
	}
	var problems []error
	if err := CheckFreezeReason(f.Reason); err != nil {
		problems = append(problems, inField(fmt.Errorf("frozen.reason: %w", err), "frozen", "reason"))
	}
	if _, err := time.Parse(time.RFC3339, f.Since); f.Since != "" && err != nil {
		problems = append(problems, inField(fmt.Errorf("frozen.since: %q is not a time such as 2026-01-31T12:00:00Z", f.Since), "frozen", "since"))
	}
	if f.Means != "" && !slices.Contains([]FreezeMeans{FreezeByPolicy, FreezeByRole}, f.Means) {
		problems = append(problems, inField(fmt.Errorf("frozen.means: %q is not one of %s, %s", f.Means, FreezeByPolicy, FreezeByRole), "frozen", "means"))
	}
	return problems
}

// String describes the freeze for a member: since when, and why.
func (f Freeze) String() string {
	if f.Since == "" {
		return "frozen: " + f.Reason
	}
	return "frozen since " + f.Since + ": " + f.Reason
}

// FrozenBy reports whether the tenant is frozen by these means.
func (t Tenant) FrozenBy(means FreezeMeans) bool { return t.Frozen != nil && t.Frozen.Means == means }
