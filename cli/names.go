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
