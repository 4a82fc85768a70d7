package command

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"helm-tenant/command/shelltest"
)

// readPowerShell splits a line into words by the part of PowerShell's grammar that Quote uses:
// bare words, and single-quoted strings, in which two of the five single quote characters stand
// for the second one (about_Quoting_Rules; the tokenizer's ScanStringLiteral). It returns false
// if the line is more than a command with its arguments.
func readPowerShell(line string) ([]string, bool) {
	quote := func(r rune) bool { return strings.ContainsRune("'\u2018\u2019\u201a\u201b", r) }
	bare := func(r rune) bool { return r < 0x80 && strings.ContainsRune(letters+"_/-", r) }
	var words []string
	for text := []rune(line); len(text) > 0; {
		switch {
		case text[0] == ' ':
			text = text[1:]
			continue
		case quote(text[0]):
			var word []rune
			for text = text[1:]; ; text = text[1:] {
				if len(text) == 0 {
					return nil, false // not closed
				}
				if quote(text[0]) {
					if len(text) == 1 || !quote(text[1]) {
						break
					}
					text = text[1:]
				}
				word = append(word, text[0])
			}
			text = text[1:]
			words = append(words, string(word))
		default:
			end := slices.IndexFunc(text, func(r rune) bool { return !bare(r) })
			if end < 0 {
				end = len(text)
			}
			if end == 0 {
				return nil, false
			}
			words = append(words, string(text[:end]))
			text = text[end:]
		}
		if len(text) > 0 && text[0] != ' ' {
			return nil, false // two tokens meet
		}
	}
	return words, true
}

// TestPowerShellReads: by PowerShell's grammar, a printed line has the original words.
func TestPowerShellReads(t *testing.T) {
	quotes := []string{"'", "\u2018", "\u2019", "\u201a", "\u201b"}
	words := slices.Clone(shelltest.Words)
	for _, a := range quotes {
		for _, b := range quotes {
			words = append(words, a+b, "x"+a+b+"; calc", a+"$(calc)"+b, "a"+a+" b"+b)
		}
	}
	for _, word := range words {
		line, ok := PowerShell.Line(Command{"kubectl", "delete", "--", word})
		if !ok || !utf8.ValidString(word) { // an API server takes no other
			continue
		}
		got, whole := readPowerShell(line)
		if want := []string{"kubectl", "delete", "--", word}; !whole || !slices.Equal(got, want) {
			t.Errorf("%q is printed as %s, which PowerShell reads as %q", word, line, got)
		}
	}
	if _, whole := readPowerShell("kubectl 'a'; calc"); whole {
		t.Error("a second command is not seen")
	}
}
