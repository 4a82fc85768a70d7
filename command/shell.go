package command

import (
	"runtime"
	"strings"
)

// Shell is a family of shells that read a quoted word alike.
type Shell int

const (
	// Common are bash, dash, zsh and fish, and other POSIX shells.
	Common Shell = iota
	// PowerShell is PowerShell and pwsh.
	PowerShell
)

// Native is the shell of the system that this program was built for.
func Native() Shell {
	if runtime.GOOS == "windows" {
		return PowerShell
	}
	return Common
}

// Characters of words that each shell of a family takes as they are.
const (
	letters      = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	inCommon     = letters + "_./:@+,=-"
	inPowerShell = letters + "_/-" // "@", ",", "." and ":" mean something there
)

// bare reports whether a word needs no quotes.
func (s Shell) bare(word string) bool {
	if s == PowerShell {
		// A bare word that begins with "-" is split at "." and ":".
		return word != "" && strings.Trim(word, inPowerShell) == ""
	}
	// zsh takes "=ls" for the path of ls.
	return word != "" && strings.Trim(word, inCommon) == "" && word[0] != '='
}

// Typeable reports whether a word is one argument in every shell without quotes, and no
// option.
func Typeable(word string) bool {
	return Common.bare(word) && !strings.HasPrefix(word, "-")
}

// powerShellQuotes doubles the characters that end a single-quoted string there:
// PowerShell takes U+2018 to U+201B for the ASCII one.
var powerShellQuotes = strings.NewReplacer("'", "''", "\u2018", "\u2018\u2018", "\u2019", "\u2019\u2019", "\u201a", "\u201a\u201a", "\u201b", "\u201b\u201b")

// Quote is a word as the shell reads it as this one word.
func (s Shell) Quote(word string) string {
	if s.bare(word) {
		return word
	}
	return s.Literal(word)
}

// Literal is a word in quotes, needed or not, as the value of an assignment is written.
func (s Shell) Literal(word string) string {
	if s == PowerShell {
		return "'" + powerShellQuotes.Replace(word) + "'"
	}
	return quoteCommon(word)
}

// quoteCommon puts a word in single quotes, in which POSIX shells and zsh take every
// character as it is. fish does so too but for \' and \\, so that a backslash and a
// single quote stand outside the quotes, where one backslash escapes the next
// character in all of them. No two quotes of one kind meet: zsh's option RC_QUOTES
// reads ” inside quotes as one.
func quoteCommon(word string) string {
	if word == "" {
		return "''"
	}
	var quoted strings.Builder
	for rest := word; rest != ""; {
		position := strings.IndexAny(rest, `'\`)
		switch {
		case position < 0:
			quoted.WriteString("'" + rest + "'")
			return quoted.String()
		case position == 0:
			quoted.WriteString(`\` + rest[:1])
			rest = rest[1:]
		default:
			quoted.WriteString("'" + rest[:position] + "'")
			rest = rest[position:]
		}
	}
	return quoted.String()
}

// Line is a command as it is typed; not ok where the shell would not hand its
// arguments on as they are: PowerShell up to 7.2 puts a double quote and a backslash
// at the end of an argument into the program's command line unescaped, which then
// ends the argument early.
func (s Shell) Line(c Command) (line string, ok bool) {
	var words []string
	for _, word := range c {
		if s == PowerShell && (strings.Contains(word, `"`) || strings.HasSuffix(word, `\`)) {
			return "", false
		}
		words = append(words, s.Quote(word))
	}
	return strings.Join(words, " "), true
}
