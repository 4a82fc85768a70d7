package tenant

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"gopkg.in/yaml.v2"

	"helm-tenant/visible"
)

// syntaxProblem returns the line of what is wrong in a text that is no YAML, and what it is. err is
// the error of yaml.v3, which gives the line where a block or value begins, and for the errors of
// its parser the line before (parserc.go, which all begin with "did not find expected"). yaml.v2
// gives the line where the problem is, and for its parser the line before.
func syntaxProblem(text []byte, err error) (int, error) {
	line, message := splitLine(visible.OneLine(err.Error()))
	other := line
	if second := yaml.Unmarshal(text, new(any)); second != nil {
		if theirs, same := splitLine(visible.OneLine(second.Error())); same == message {
			other = theirs
		}
	}
	lines := strings.Split(string(text), "\n")
	at := func(number int) string { return lines[min(max(number-1, 0), len(lines)-1)] }
	isTab := func(number int) bool {
		indent := at(number)[:len(at(number))-len(strings.TrimLeft(at(number), "- \t"))]
		return strings.Contains(indent, "\t")
	}
	switch {
	case message == "found a tab character that violates indentation", message == "found character that cannot start any token" && isTab(line):
		return other, errors.New("a tab where YAML takes spaces only")
	case message == "found character that cannot start any token", message == "did not find expected alphabetic or numeric character":
		return line, errors.New("a value begins with a character that means something in YAML: put the value in quotes")
	case message == "found unexpected end of stream":
		return line, errors.New("a quote that begins here does not end")
	case message == "mapping values are not allowed in this context":
		return line, errors.New("a colon in a value, or an indentation that does not fit: put a value with a colon in quotes")
	case strings.HasPrefix(message, "did not find expected ',' or "):
		return line + 1, errors.New("a list or map in brackets that begins here is not closed")
	case strings.HasPrefix(message, "did not find expected "):
		return other + 1, errors.New(message + "; look at the indentation and quotes")
	case strings.HasPrefix(message, "yaml: unknown anchor '"):
		name := strings.TrimSuffix(strings.TrimPrefix(message, "yaml: unknown anchor '"), "' referenced")
		alias := regexp.MustCompile(`(?m)(^|[\s\[,])\*` + regexp.QuoteMeta(name) + `\b`)
		if index := alias.FindIndex(text); index != nil {
			line = 1 + strings.Count(string(text[:index[1]]), "\n")
		}
		return line, fmt.Errorf("*%s is an alias in YAML, and there is no anchor &%s: put the value in quotes", name, name)
	}
	return line, errors.New(message)
}
