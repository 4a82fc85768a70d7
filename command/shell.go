package command

import (
	"runtime"
	"strings"
)

// Shell is a family of shells with the same quoting rules.
type Shell int

const (
	// Common are bash, dash, zsh and fish, and other POSIX shells.
	Common Shell = iota
	// PowerShell is PowerShell and pwsh.
	PowerShell
)

// Native returns the shell of the system for which this program was built.
func Native() Shell {
	if runtime.GOOS == "windows" {
		return PowerShell
	}
	return Common
}

// These are the characters of words that each shell of a family takes literally.
const (
	letters      = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	inCommon     = letters + "_./:@+,=-"
	inPowerShell = letters + "_/-" // "@", ",", "." and ":" have a meaning there
)

// bare reports whether a word needs no quotes.
func (s Shell) bare(word string) bool {
	if s == PowerShell {
		// An unquoted word that begins with "-" is split at "." and ":".
		return word != "" && strings.Trim(word, inPowerShell) == ""
	}
	// zsh expands "=ls" to the path of ls.
	return word != "" && strings.Trim(word, inCommon) == "" && word[0] != '='
}

// Typeable reports whether every shell takes a word without quotes as one argument that
// is not an option. PowerShell makes two arguments of a word with a comma, as pflag does of a
// list's value, and a variable's elements of one that begins with "@".
func Typeable(word string) bool {
	return Common.bare(word) && !strings.HasPrefix(word, "-") && !strings.HasPrefix(word, "@") && !strings.Contains(word, ",")
}

// powerShellQuotes doubles the characters that end a single-quoted string there:
// PowerShell takes U+2018 to U+201B for the ASCII quote.
var powerShellQuotes = strings.NewReplacer("'", "''", "\u2018", "\u2018\u2018", "\u2019", "\u2019\u2019", "\u201a", "\u201a\u201a", "\u201b", "\u201b\u201b")

// Quote returns a word in a form that the shell reads as one word.
func (s Shell) Quote(word string) string {
	if s.bare(word) {
		return word
	}
	return s.Literal(word)
}

// Literal returns a word in quotes, needed or not, for the value of an assignment.
func (s Shell) Literal(word string) string {
	if s == PowerShell {
		return "'" + powerShellQuotes.Replace(word) + "'"
	}
	return quoteCommon(word)
}

// quoteCommon puts a word in single quotes, in which POSIX shells and zsh take every
// character literally. fish does so except for \' and \\, so backslashes and single
// quotes are put outside the quotes, where one backslash escapes the next character in
// all of them. No two quotes of one kind are adjacent: zsh's option RC_QUOTES reads two
// quotes inside quotes as one. No two "#" are adjacent either: a CI runner takes what follows
// them in a printed line for a command (package visible).
func quoteCommon(word string) string {
	if word == "" {
		return "''"
	}
	var quoted strings.Builder
	within := false
	for i := range len(word) {
		escaped := word[i] == '\'' || word[i] == '\\' || word[i] == '#' && i > 0 && word[i-1] == '#'
		if escaped == within {
			quoted.WriteByte('\'')
			within = !within
		}
		if escaped {
			quoted.WriteByte('\\')
		}
		quoted.WriteByte(word[i])
	}
	if within {
		quoted.WriteByte('\'')
	}
	return quoted.String()
}

// Line returns a command as it is typed; ok is false if the shell would not pass its
// arguments unchanged: PowerShell up to 7.2 puts a double quote, and a backslash at the
// end of an argument, into the program's command line unescaped, which ends the argument
// early; and it has no quotes that keep two "#" apart, by which CI runners know commands.
func (s Shell) Line(c Command) (line string, ok bool) {
	var words []string
	for _, word := range c {
		if s == PowerShell && (strings.Contains(word, `"`) || strings.HasSuffix(word, `\`) || strings.Contains(word, "##")) {
			return "", false
		}
		words = append(words, s.Quote(word))
	}
	return strings.Join(words, " "), true
}
