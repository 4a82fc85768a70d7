package cli

import (
	"errors"
	"fmt"
	"io"

	"helm-tenant/tenant"
)

// Exit codes; a wrapped helm's own passes through unchanged.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
	exitPartly = 3
	exitFound  = 4 // by an audit
	exitUnseen = 5 // an audit could not see everything
	// exitDiffers is what --detailed-exitcode asks for, as in terraform plan and
	// helm diff.
	exitDiffers = 2
)

// hintError is an error and what to type instead, each hint a line of its own.
type hintError struct {
	err   error
	hints []string
}

func (e *hintError) Error() string { return e.err.Error() }
func (e *hintError) Unwrap() error { return e.err }

func withHint(err error, hints ...string) error {
	if err == nil {
		return nil
	}
	return &hintError{err, hints}
}

// usageError is a command line that can't be understood.
type usageError struct {
	err error
	// usage is the line that says how the command is typed.
	usage string
}

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// codeError ends with an exit code of its own; err may be nil where nothing is
// to be said.
type codeError struct {
	code int
	err  error
}

func (e *codeError) Error() string { return fmt.Sprint(e.err) }
func (e *codeError) Unwrap() error { return e.err }

// problems are several things that are wrong at once, a line each.
type problems []error

func (p problems) Error() string   { return errors.Join(p...).Error() }
func (p problems) Unwrap() []error { return p }

// report prints an error as people read it and returns the exit code.
func report(w io.Writer, err error) int {
	if err == nil {
		return exitDone
	}
	var coded *codeError
	if errors.As(err, &coded) {
		if coded.err != nil {
			report(w, coded.err)
		}
		return coded.code
	}
	lines := []error{err}
	var several problems
	if errors.As(err, &several) {
		lines = several
	}
	said := map[string]bool{} // what helps many is said once
	hint := func(err error) {
		var hinted *hintError
		if !errors.As(err, &hinted) {
			return
		}
		for _, hint := range hinted.hints {
			if !said[hint] {
				fmt.Fprintf(w, "  %s\n", hint)
			}
			said[hint] = true
		}
	}
	for _, line := range lines {
		fmt.Fprintf(w, "Error: %v\n", line)
		if len(lines) > 1 {
			hint(line)
		}
	}
	hint(err)
	var usage *usageError
	if errors.As(err, &usage) {
		fmt.Fprintf(w, "Usage: %s\n", usage.usage)
		return exitUsage
	}
	var unresolved *tenant.UnresolvedError
	switch {
	case !errors.As(err, &unresolved):
	case unresolved.InPod:
		fmt.Fprintf(w, "  name it in the pod: HELM_TENANT=TENANT in its environment\n  or for one command: helm tenant --tenant TENANT COMMAND\n")
	default:
		fmt.Fprintf(w, "  name it once:       helm tenant use TENANT\n  or for one command: helm tenant --tenant TENANT COMMAND\n")
	}
	return exitFailed
}
