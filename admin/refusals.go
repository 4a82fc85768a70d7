package admin

import (
	"errors"
	"slices"
	"strings"

	"helm-tenant/lists"
)

// Refusals are several reasons for which a request is refused, in a stable order.
type Refusals []error

// Error returns all of it on one line.
func (r Refusals) Error() string { return joined(r) }

func (r Refusals) Unwrap() []error { return r }

// ReasonsOf returns each reason of a refusal, without the text around it; none for nil, and the
// error itself if it is the only one.
func ReasonsOf(err error) []error {
	if err == nil {
		return nil
	}
	if several, ok := errors.AsType[Refusals](err); ok {
		return several
	}
	return []error{err}
}

// refuse returns the reasons of all these errors as one error, each once; nil if there are none.
func refuse(errs ...error) error {
	var reasons Refusals
	for _, err := range errs {
		for _, reason := range ReasonsOf(err) {
			if !slices.ContainsFunc(reasons, func(known error) bool { return known.Error() == reason.Error() }) {
				reasons = append(reasons, reason)
			}
		}
	}
	switch len(reasons) {
	case 0:
		return nil
	case 1:
		return reasons[0]
	}
	return reasons
}

func joined(errs []error) string {
	return strings.Join(lists.Map(errs, error.Error), "; ")
}
