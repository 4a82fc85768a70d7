package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"helm-tenant/admin"
	"helm-tenant/command"
	"helm-tenant/failure"
	"helm-tenant/lists"
	"helm-tenant/tenant"
	"helm-tenant/visible"
)

// These are the exit codes; a wrapped helm's own passes through unchanged.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
	exitPartly = 3
	exitFound  = 4 // by an audit
	exitUnseen = 5 // an audit could not see everything
	// exitDiffers is the code of --detailed-exitcode, as in terraform plan and helm diff.
	exitDiffers = 2
)

// hint is a line that says what to type instead. It is a constant, or made by typed and
// related functions, so that no untrusted text becomes a hint by itself.
type hint string

// typed returns a hint to type these commands. If a command has a word that must not be
// shown as a command, the hint says that instead.
func typed(text string, commands ...command.Command) hint {
	return hint(text + ": " + command.Run(commands...).String())
}

// hintError is an error with hints, each on a line of its own.
type hintError struct {
	err   error
	hints []hint
}

func (e *hintError) Error() string { return e.err.Error() }
func (e *hintError) Unwrap() error { return e.err }

func withHint(err error, hints ...hint) error {
	if err == nil {
		return nil
	}
	return &hintError{err, hints}
}

type usageError struct {
	err error
	// usage is the usage line of the command.
	usage string
}

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// codeError has an exit code of its own; err may be nil if there is no message.
type codeError struct {
	code int
	err  error
}

func (e *codeError) Error() string { return fmt.Sprint(e.err) }
func (e *codeError) Unwrap() error { return e.err }

// problems are several errors, a line each.
type problems []error

func (p problems) Error() string   { return errors.Join(p...).Error() }
func (p problems) Unwrap() []error { return p }

// detailed is an error with a list of details, each on a line of its own. Its Error is
// one line that ends with a colon; other errors contain no line breaks.
type detailed interface {
	error
	Details() []string
}

func detailsOf(err error) []string {
	if several, ok := errors.AsType[detailed](err); ok {
		return several.Details()
	}
	return nil
}

// misplacedTenant returns the tenant of a --tenant that does not stand before the command, empty
// if there is none.
func misplacedTenant(args []string) string {
	for i, arg := range args {
		name, joined := strings.CutPrefix(arg, "--tenant=")
		if !joined && arg == "--tenant" && i+1 < len(args) {
			name, joined = args[i+1], true
		}
		if joined && tenant.CheckName(name) == nil {
			return name
		}
	}
	return ""
}

// errorText returns an error with its details as one text, empty for nil.
func errorText(err error) string {
	texts := lists.Map(admin.ReasonsOf(err), func(reason error) string {
		return strings.TrimSuffix(failure.Text(reason)+" "+strings.Join(detailsOf(reason), "; "), " ")
	})
	return visible.Text(strings.Join(texts, "; "))
}

// report prints an error for people and returns the exit code.
func report(w io.Writer, err error) int {
	if err == nil {
		return exitDone
	}
	if coded, ok := errors.AsType[*codeError](err); ok {
		if coded.err != nil {
			report(w, coded.err)
		}
		return coded.code
	}
	lines := []error{err}
	if several, ok := errors.AsType[problems](err); ok {
		lines = several
	}
	printed := map[hint]bool{} // a hint that several errors have is printed once
	help := func(err error) {
		var hinted *hintError
		if !errors.As(err, &hinted) {
			return
		}
		for _, hint := range hinted.hints {
			if !printed[hint] {
				visible.Fprintf(w, "  %s\n", string(hint))
			}
			printed[hint] = true
		}
	}
	for _, line := range lines {
		visible.Fprintf(w, "Error: %s\n", failure.Text(line))
		for _, detail := range detailsOf(line) {
			visible.Fprintf(w, "  %s\n", detail)
		}
		if len(lines) > 1 {
			help(line)
		}
	}
	help(err)
	if usage, ok := errors.AsType[*usageError](err); ok {
		visible.Fprintf(w, "Usage: %s\n", usage.usage)
		return exitUsage
	}
	if unresolved, ok := errors.AsType[*tenant.UnresolvedError](err); ok {
		name := tenantWord(unresolved.Typed)
		once := "name it once:       helm tenant use " + name
		if unresolved.InPod {
			once = "name it in the pod: HELM_TENANT=" + name + " in its environment"
		}
		visible.Fprintf(w, "  %s\n  or for one command: helm tenant --tenant %s COMMAND\n", once, name)
	}
	return exitFailed
}

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
