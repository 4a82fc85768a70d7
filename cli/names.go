package cli

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"
)

// nameList is a flag for users, groups and service accounts. Several names are separated
// by commas, or each has a flag of its own. A value is never guessed: a distinguished
// name (CN=alice,O=devs) is one name, and a value that could be one name or several is
// refused. An empty value comes from a variable that a script forgot to set, and is
// refused as well.
type nameList []string

func (n *nameList) String() string { return "" }
func (n *nameList) Type() string   { return "strings" }

func (n *nameList) Set(value string) error {
	names, err := splitNames(value)
	if err == nil {
		*n = append(*n, names...)
	}
	return err
}

// splitNames returns the names in a flag's value. Its error says what to type instead.
func splitNames(value string) ([]string, error) {
	const quoted = "put a name with a comma or a quote in double quotes, and double a quote in it"
	if strings.ContainsFunc(value, func(r rune) bool { return r == '\n' || r == '\r' || unicode.IsControl(r) }) {
		return nil, errors.New("it has several lines, or a control character: give each name a flag of its own")
	}
	if strings.Contains(value, `"`) {
		names, err := csv.NewReader(strings.NewReader(value)).Read()
		switch {
		case errors.Is(err, io.EOF), err == nil && slices.Contains(names, ""):
			return nil, errors.New("a name is empty")
		case err != nil:
			return nil, errors.New(quoted)
		}
		return names, nil // as quoted
	}
	names := strings.Split(value, ",")
	if slices.Contains(names, "") {
		return nil, errors.New("a name is empty")
	}
	pairs := 0
	for _, name := range names {
		if strings.Contains(name, "=") {
			pairs++
		}
	}
	switch {
	case len(names) > 1 && pairs == len(names): // a distinguished name (RFC 4514)
		return []string{value}, checkBlanks([]string{value})
	case len(names) > 1 && pairs > 0:
		return nil, fmt.Errorf("%q may be one name with a comma, or several: %s", value, quoted)
	}
	return names, checkBlanks(names)
}

// checkBlanks refuses blanks around a name: the API server would take them for a part of
// it.
func checkBlanks(names []string) error {
	for _, name := range names {
		if trimmed := strings.TrimSpace(name); name != trimmed && trimmed != "" { // empty names are refused later with the other problems
			return fmt.Errorf("%q begins or ends with a blank: leave it out, or give each name a flag of its own", name)
		}
	}
	return nil
}

// wordList is a flag for words without commas or blanks, such as namespaces.
type wordList []string

func (w *wordList) String() string { return "" }
func (w *wordList) Type() string   { return "strings" }

func (w *wordList) Set(value string) error {
	if value == "" {
		return nil // the verb reports what is missing
	}
	words := strings.Split(value, ",")
	for _, word := range words {
		if word == "" || strings.ContainsFunc(word, unicode.IsSpace) {
			return fmt.Errorf("%q is not one word: separate several by commas alone, or give each a flag of its own", word)
		}
	}
	*w = append(*w, words...)
	return nil
}
