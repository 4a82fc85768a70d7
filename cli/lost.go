package cli

import (
	"context"
	"errors"

	"helm-tenant/admin"
	"helm-tenant/command"
	"helm-tenant/failure"
)

// withLost returns an error in which a tenant that was not found is one without a record, if
// objects carry its label: nobody should take it for one that does not exist, and give its name
// to another one.
func (s *session) withLost(ctx context.Context, err error) error {
	// The error itself is looked at, not what it wraps: what wraps it would be lost.
	switch outer := any(err).(type) {
	case *codeError:
		return &codeError{outer.code, s.withLost(ctx, outer.err)}
	case problems:
		var all problems
		for _, problem := range outer {
			all = append(all, s.withLost(ctx, problem))
		}
		return all
	}
	unknown, ok := errors.AsType[*admin.NoTenantError](err)
	if !ok || unknown.Home != "" || s.client == nil {
		return err
	}
	lost, home := admin.FindLost(ctx, s.client, unknown.Name)
	if home != "" {
		return withHint(err, hint("its record is in a namespace that was not read; add "+command.Native().Quote("--home-namespace="+home)))
	}
	if lost == nil {
		return err
	}
	if operation, ok := errors.AsType[*failure.Error](err); ok {
		return withHint(operation.Wrap(lost), lostHints(lost)...)
	}
	return withHint(lost, lostHints(lost)...)
}
