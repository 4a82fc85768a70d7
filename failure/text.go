package failure

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"strings"
)

// endOfJSON is the text of the *json.SyntaxError of a document that is cut off. The error has no
// field that tells it from those of other broken documents.
const endOfJSON = "unexpected end of JSON input"

// Text returns the text of an error for people: an error of Go's libraries at its end is
// described by what it means. Errors of requests to an API server are described by package
// cluster.
func Text(err error) string {
	text := err.Error()
	for _, cause := range causes(err) {
		before, last := strings.CutSuffix(text, cause.Error())
		if meaning := meaningOf(cause); last && meaning != "" {
			return before + meaning
		}
	}
	return text
}

// causes returns the errors that err ends in: those that wrap no others.
func causes(err error) []error {
	inner := wrapped(err)
	if len(inner) == 0 {
		return []error{err}
	}
	var all []error
	for _, one := range inner {
		all = append(all, causes(one)...)
	}
	return all
}

// meaningOf returns what an error of Go's libraries means; empty for others.
func meaningOf(cause error) string {
	switch {
	case errors.Is(cause, context.Canceled):
		return "interrupted"
	case errors.Is(cause, context.DeadlineExceeded):
		return "it took too long"
	case errors.Is(cause, io.ErrUnexpectedEOF):
		return "it ends too early"
	case errors.Is(cause, os.ErrDeadlineExceeded):
		return "no answer in time"
	}
	if syntax, ok := errors.AsType[*json.SyntaxError](cause); ok && syntax.Error() == endOfJSON {
		return "it ends too early to be JSON"
	}
	return ""
}
