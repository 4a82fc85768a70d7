// Package visible escapes the characters of untrusted text that a terminal obeys or
// hides. Names in a cluster are chosen by whoever may create an object: printed raw, an
// escape sequence controls the reader's terminal, a line break forges a line, and a
// bidirectional or zero-width character makes one name look like another.
package visible

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"

	"helm-tenant/lists"
)

// Hidden reports whether a character does not look like itself: control characters (C0,
// C1, DEL), format characters (bidirectional ones, zero-width ones, tags), line and
// paragraph separators, blanks other than the space, unassigned and private characters,
// letters, marks and symbols that Unicode or fonts show as nothing.
func Hidden(r rune) bool {
	if r >= ' ' && r <= '~' {
		return false // the most frequent ones first
	}
	return !unicode.IsPrint(r) || unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector) || strings.ContainsRune(blanks, r)
}

// blanks are symbols without any ink: the empty pattern of Braille, the empty head of a note, and
// the filler of Khitan script.
const blanks = "\u2800\U0001d159\U00016fe4"

// Plain reports whether a word is valid UTF-8 without a hidden character.
func Plain(word string) bool {
	return utf8.ValidString(word) && !strings.ContainsFunc(word, Hidden)
}

// Text returns a text on one line with its hidden characters escaped: \n, \x1b, \u202e, and what
// begins a command of a CI runner. Bytes that are not UTF-8 become \xff.
func Text(text string) string {
	if !Plain(text) {
		text = escape(text, inText, nil)
	}
	if !Instructs(text) {
		return text
	}
	text = strings.ReplaceAll(text, runnersMark, `#\x23`)
	if blanks := len(text) - len(strings.TrimLeft(text, " ")); beginsCommand(text) {
		text = text[:blanks] + `\x3a` + text[blanks+1:]
	}
	return text
}

// escape replaces the hidden characters of a text, except for those that are kept, by the
// result of format.
func escape(text string, format func(r rune) string, kept func(r rune) bool) string {
	var shown strings.Builder
	for i, r := range text {
		switch {
		case r == utf8.RuneError && !strings.HasPrefix(text[i:], string(utf8.RuneError)):
			fmt.Fprintf(&shown, `\x%02x`, text[i]) // not UTF-8
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

// Name returns a name, in double quotes if it contains what separates names or cells, and
// so could look like several names or more than a name.
func Name(name string) string {
	if strings.ContainsAny(name, `,;"`) || strings.Contains(name, "  ") || name != strings.TrimSpace(name) {
		return quote(name)
	}
	return name
}

func quote(name string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(name) + `"`
}

// List returns names separated by commas.
func List(names []string) string {
	shown := lists.Map(names, Name)
	return strings.Join(shown, ", ")
}

// Chain returns names that lead from one to the next; a name that contains an arrow
// itself is quoted.
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

// Writer escapes the hidden characters of what is written, except for the line breaks and
// tabs of the layout; with As, which is for text in quotes, it also divides runnersMark. It
// expects whole characters and marks in each Write, as fmt and encoding/json write them.
type Writer struct {
	W io.Writer
	// As returns the escape of a character; nil for that of Text.
	As func(r rune) string
}

// JSON returns a character's escape in a JSON string.
func JSON(r rune) string {
	if r > 0xffff {
		// A surrogate pair (RFC 8259, 7).
		r -= 0x10000
		return fmt.Sprintf(`\u%04x\u%04x`, 0xd800+r>>10, 0xdc00+r&0x3ff)
	}
	return fmt.Sprintf(`\u%04x`, r)
}

// YAML returns a character's escape in a double-quoted YAML scalar.
func YAML(r rune) string {
	if r > 0xffff {
		return fmt.Sprintf(`\U%08x`, r)
	}
	return fmt.Sprintf(`\u%04x`, r)
}

// Write writes p; the count that it returns is that of p, not of the escaped text.
func (v Writer) Write(p []byte) (int, error) {
	layout := func(r rune) bool { return r == '\n' || r == '\t' }
	text := string(p)
	if v.As != nil {
		text = strings.ReplaceAll(text, runnersMark, "#"+v.As('#'))
	}
	if text == string(p) && utf8.Valid(p) && !bytes.ContainsFunc(p, func(r rune) bool { return Hidden(r) && !layout(r) }) {
		return v.W.Write(p)
	}
	as := v.As
	if as == nil {
		as = inText
	}
	if _, err := io.WriteString(v.W, escape(text, as, layout)); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Fprintf is fmt.Fprintf with each argument escaped as by Text: the format, which is
// ours, may contain line breaks, and arguments can't add any.
func Fprintf(w io.Writer, format string, args ...any) (int, error) {
	wrapped := lists.Map(args, func(arg any) any { return argument{arg} })
	return fmt.Fprintf(w, format, wrapped...)
}

// argument formats as its value does, and escapes the result.
type argument struct{ value any }

func (a argument) Format(state fmt.State, verb rune) {
	io.WriteString(state, Text(fmt.Sprintf(fmt.FormatString(state, verb), a.value)))
}
