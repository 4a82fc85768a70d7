// Package failure makes errors that name their tenant and their cluster context once, however many
// of them wrap one another, and the texts of errors for people.
package failure

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Error is an error of an operation, for a tenant and in a context, both of which may be empty. Its
// text leaves out what an error around it names; and what the errors that it wraps name
// in sentences of their own (Namer).
type Error struct {
	// Operation is a noun phrase such as "destroy" or `reading namespace "a"`; it may be empty.
	Operation     string
	Tenant, Where Subject
	// Outcome follows the subjects, such as "can't be listed"; it may be empty.
	Outcome string
	Err     error
}

// Subject is what an error is about, with the preposition that follows an operation.
type Subject struct{ Preposition, Text string }

// Tenant returns the text of a tenant as a subject.
func Tenant(name string) string { return fmt.Sprintf("tenant %q", name) }

// Of describes an operation on a tenant, in the context that where describes.
func Of(operation, tenant, where string) Error {
	return Error{Operation: operation, Tenant: Subject{"of", Tenant(tenant)}, Where: Subject{"in", where}}
}

// OfTenant describes errors of one of several tenants.
func OfTenant(name string) Error { return Error{Tenant: Subject{"of", Tenant(name)}} }

// In describes an operation in the context that where describes; the operation may be empty.
func In(operation, where string) Error {
	return Error{Operation: operation, Where: Subject{"in", where}}
}

// Wrap returns an error of the operation because of err; nil if err is nil.
func (e Error) Wrap(err error) error {
	if err == nil {
		return nil
	}
	e.Err = err
	return &e
}

func (e *Error) Error() string { return e.without(nil) }
func (e *Error) Unwrap() error { return e.Err }

// without returns the text without the subjects that the text around it names.
func (e *Error) without(named []string) string {
	text := e.Err.Error()
	var head []string
	add := func(words ...string) { head = append(head, words...) }
	if e.Operation != "" {
		add(e.Operation)
	}
	for _, subject := range []Subject{e.Tenant, e.Where} {
		if subject.Text == "" || slices.Contains(named, subject.Text) || namedIn(text, e.Err, subject.Text) {
			continue
		}
		if e.Operation != "" {
			add(subject.Preposition)
		}
		add(subject.Text)
		named = append(slices.Clone(named), subject.Text)
	}
	if e.Outcome != "" {
		add(e.Outcome)
	}
	for _, inner := range failuresIn(e.Err) {
		text = strings.Replace(text, inner.Error(), inner.without(named), 1)
	}
	if len(head) == 0 {
		return text
	}
	return strings.Join(head, " ") + ": " + text
}

// Namer is an error whose text names subjects in a sentence, which would lack them.
type Namer interface {
	error
	// Names returns the texts of the subjects.
	Names() []string
}

// Naming returns an error whose text names these subjects in a sentence; nil if err is nil.
func Naming(err error, subjects ...string) error {
	if err == nil {
		return nil
	}
	return &naming{err, subjects}
}

type naming struct {
	error
	subjects []string
}

func (n *naming) Names() []string { return n.subjects }
func (n *naming) Unwrap() error   { return n.error }

// namedIn reports whether a Namer that err is or wraps, and that is part of the text, names the
// subject.
func namedIn(text string, err error, subject string) bool {
	// The error itself is looked at, not what it wraps.
	if namer, ok := any(err).(Namer); ok && slices.Contains(namer.Names(), subject) && strings.Contains(text, namer.Error()) {
		return true
	}
	return slices.ContainsFunc(wrapped(err), func(inner error) bool { return namedIn(text, inner, subject) })
}

// failuresIn returns the outermost errors of this package that err is or wraps.
func failuresIn(err error) []*Error {
	if outermost, ok := any(err).(*Error); ok {
		return []*Error{outermost}
	}
	var all []*Error
	for _, inner := range wrapped(err) {
		all = append(all, failuresIn(inner)...)
	}
	return all
}

func wrapped(err error) []error {
	if several, ok := any(err).(interface{ Unwrap() []error }); ok {
		return several.Unwrap()
	}
	if inner := errors.Unwrap(err); inner != nil {
		return []error{inner}
	}
	return nil
}
