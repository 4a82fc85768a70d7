// Package visible shows the characters of foreign words that a terminal obeys or
// hides. Names in a cluster are chosen by whoever may create an object: printed raw,
// an escape sequence steers the reader's terminal, a line break forges a line, and a
// bidirectional or zero-width character makes one name look like another.
package visible

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Hidden reports whether a character is not seen as itself: control characters (C0,
// C1, DEL), format characters (bidirectional ones, zero-width ones, tags), line and
// paragraph separators, blanks other than the space, unassigned and private
// characters, and letters and marks that Unicode shows as nothing.
func Hidden(r rune) bool {
	if r >= ' ' && r <= '~' {
		return false // most of what is printed, so asked first
	}
	return !unicode.IsPrint(r) || unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}

// Plain reports whether a word is valid UTF-8 without a hidden character.
func Plain(word string) bool {
	return utf8.ValidString(word) && !strings.ContainsFunc(word, Hidden)
}

// Text is a text on one line with its hidden characters as escapes: \n, \x1b, \u202e.
// Bytes that are no UTF-8 are shown as \xff.
func Text(text string) string {
	if Plain(text) {
		return text
	}
	return escape(text, inText, nil)
}

// escape replaces the hidden characters of a text, but for those that are kept, by
// what format returns.
func escape(text string, format func(r rune) string, kept func(r rune) bool) string {
	var shown strings.Builder
	for i, r := range text {
		switch {
		case r == utf8.RuneError && !strings.HasPrefix(text[i:], string(utf8.RuneError)):
			fmt.Fprintf(&shown, `\x%02x`, text[i]) // no UTF-8
		case Hidden(r) && (kept == nil || !kept(r)):
			shown.WriteString(format(r))
		default:
			shown.WriteRune(r)
		}
	}
	return shown.String()
}

func inText(r rune) string {
	switch {
	case r == '\n':
		return `\n`
	case r == '\t':
		return `\t`
	case r <= 0xff:
		return fmt.Sprintf(`\x%02x`, r)
	case r <= 0xffff:
		return fmt.Sprintf(`\u%04x`, r)
	}
	return fmt.Sprintf(`\U%08x`, r)
}

// Name shows a name that could read as several among others, or as more than a name, in
// double quotes: one that holds what separates names or cells.
func Name(name string) string {
	if strings.ContainsAny(name, `,;"`) || strings.Contains(name, "  ") || name != strings.TrimSpace(name) {
		return quote(name)
	}
	return name
}

func quote(name string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(name) + `"`
}

// List shows names, separated by commas.
func List(names []string) string {
	shown := make([]string, len(names))
	for i, name := range names {
		shown[i] = Name(name)
	}
	return strings.Join(shown, ", ")
}

// Chain shows names that lead from one to the next; one that holds an arrow itself stands in
// quotes, too.
func Chain(names []string) string {
	shown := make([]string, len(names))
	for i, name := range names {
		shown[i] = Name(name)
		if shown[i] == name && strings.Contains(name, "->") {
			shown[i] = quote(name)
		}
	}
	return strings.Join(shown, " -> ")
}

// Writer shows the hidden characters of what is written as escapes, but for the
// line breaks and tabs that the text itself is laid out with. It expects whole
// characters in each Write, as fmt and encoding/json write them.
type Writer struct {
	W io.Writer
	// As makes the escape of a character; nil for that of a text for people.
	As func(r rune) string
}

// JSON is a character's escape in a JSON string.
func JSON(r rune) string {
	if r > 0xffff {
		// A surrogate pair (RFC 8259, 7).
		r -= 0x10000
		return fmt.Sprintf(`\u%04x\u%04x`, 0xd800+r>>10, 0xdc00+r&0x3ff)
	}
	return fmt.Sprintf(`\u%04x`, r)
}

// YAML is a character's escape in a double-quoted YAML scalar.
func YAML(r rune) string {
	if r > 0xffff {
		return fmt.Sprintf(`\U%08x`, r)
	}
	return fmt.Sprintf(`\u%04x`, r)
}

// Write writes p; the count that it returns is of p, not of what it became.
func (v Writer) Write(p []byte) (int, error) {
	layout := func(r rune) bool { return r == '\n' || r == '\t' }
	if utf8.Valid(p) && !bytes.ContainsFunc(p, func(r rune) bool { return Hidden(r) && !layout(r) }) {
		return v.W.Write(p)
	}
	as := v.As
	if as == nil {
		as = inText
	}
	if _, err := io.WriteString(v.W, escape(string(p), as, layout)); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Sprintf is fmt.Sprintf, but that each argument is shown as Text shows it: what is
// ours, the format, may break lines, and nothing that it is filled with can.
func Sprintf(format string, args ...any) string {
	return fmt.Sprintf(format, wrap(args)...)
}

// Fprintf writes what Sprintf returns.
func Fprintf(w io.Writer, format string, args ...any) (int, error) {
	return fmt.Fprintf(w, format, wrap(args)...)
}

func wrap(args []any) []any {
	wrapped := make([]any, len(args))
	for i, arg := range args {
		wrapped[i] = argument{arg}
	}
	return wrapped
}

// argument formats as its value does, and shows what comes of it.
type argument struct{ value any }

func (a argument) Format(state fmt.State, verb rune) {
	io.WriteString(state, Text(fmt.Sprintf(fmt.FormatString(state, verb), a.value)))
}
