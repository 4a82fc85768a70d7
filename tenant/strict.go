package tenant

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"strings"
	"sync"

	"gopkg.in/yaml.v2"

	"helm-tenant/visible"
)

// unmarshalKnown parses YAML of helm-tenant into a value and returns the unknown fields,
// each as "line N: unknown field NAME". A duplicate field or a value of another kind is
// an error: one line with lines and fields, and without names of Go types.
func unmarshalKnown(text string, into any) (unknown []string, err error) {
	err = yaml.UnmarshalStrict([]byte(text), into)
	if err == nil {
		return nil, nil
	}
	var several *yaml.TypeError
	if !errors.As(err, &several) {
		return nil, errors.New(strings.TrimPrefix(visible.OneLine(err.Error()), "yaml: "))
	}
	var wrong []string
	for _, problem := range several.Errors {
		if plain := plainProblem(problem, into); unknownField().MatchString(problem) {
			unknown = append(unknown, plain)
		} else {
			wrong = append(wrong, plain)
		}
	}
	if len(wrong) > 0 {
		return unknown, errors.New(strings.Join(wrong, "; "))
	}
	return unknown, nil
}

// These match the problems that gopkg.in/yaml.v2 finds (decode.go). They are compiled
// when there is a problem, so that they do not slow down the start of the wrapper.
var (
	unknownField = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^(line \d+): field (.*) not found in type \S+$`) })
	doubleField  = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^(line \d+): field (.*) already set in type \S+$`) })
	otherKind    = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile("(?s)^(line \\d+): cannot unmarshal !!(\\S+)(?: `(.*)`)? into (\\S+)$")
	})
)

// plainProblem rephrases a problem of parsing into that value.
func plainProblem(problem string, into any) string {
	if m := unknownField().FindStringSubmatch(problem); m != nil {
		return fmt.Sprintf("%s: unknown field %q", m[1], m[2])
	}
	if m := doubleField().FindStringSubmatch(problem); m != nil {
		return fmt.Sprintf("%s: duplicate field %q", m[1], m[2])
	}
	if m := otherKind().FindStringSubmatch(problem); m != nil {
		found := valueWords[m[2]]
		if found == "" {
			found = fmt.Sprintf("%q", m[3])
		}
		return fmt.Sprintf("%s: %s where %s is wanted", m[1], found, wanted(m[4], reflect.TypeOf(into)))
	}
	return visible.OneLine(problem)
}

// meantField suggests a known field for a problem of parsing about an unknown one; empty for none.
func meantField(problem string, into any) string {
	m := unknownField().FindStringSubmatch(problem)
	if m == nil {
		return ""
	}
	_, goType, _ := strings.Cut(problem[len(m[1]):], " not found in type ")
	found := typeNamed(goType, reflect.TypeOf(into))
	if near := Near(m[2], fieldNames(found)); len(near) > 0 && len(m[2]) > 1 {
		return ", did you mean " + strings.Join(near, " or ") + "?"
	}
	return ""
}

func fieldNames(of reflect.Type) []string {
	if of == nil || of.Kind() != reflect.Struct {
		return nil
	}
	var names []string
	for field := range of.Fields() {
		name, options, _ := strings.Cut(field.Tag.Get("yaml"), ",")
		switch {
		case options == "inline":
			names = append(names, fieldNames(field.Type)...)
		case name != "" && name != "-":
			names = append(names, name)
		}
	}
	return names
}

// valueWords rephrase the names of yaml.v2 and encoding/json for values that are not
// plain.
var valueWords = map[string]string{"seq": "a list", "map": "a map of fields", "array": "a list", "object": "a map of fields"}

// wanted describes the values of a Go type, which is within or part of it.
func wanted(goType string, within reflect.Type) string {
	switch {
	case goType == "int":
		return "a whole number"
	case goType == "bool":
		return "true or false"
	case strings.HasPrefix(goType, "map["):
		return "a map of fields"
	case strings.HasPrefix(goType, "[]"):
		return "a list"
	}
	switch kindOf(goType, within) {
	case reflect.Struct, reflect.Map:
		return "a map of fields"
	case reflect.Slice:
		return "a list"
	}
	return "text"
}

// kindOf returns the kind of the type with that name, which is within or part of it; Invalid if it
// is neither.
func kindOf(name string, within reflect.Type) reflect.Kind {
	if found := typeNamed(name, within); found != nil {
		return found.Kind()
	}
	return reflect.Invalid
}

// fileType returns the type of a value in a file: another one if the type has a form of its
// own there.
func fileType(t reflect.Type) reflect.Type {
	if other, ok := reflect.TypeAssert[interface{ fileForm() any }](reflect.Zero(t)); ok {
		return reflect.TypeOf(other.fileForm())
	}
	return t
}

// typeNamed returns the type with that name, which is within or part of it; nil if it is neither.
func typeNamed(name string, within reflect.Type) reflect.Type {
	if within.String() == name {
		return within
	}
	within = fileType(within)
	switch within.Kind() {
	case reflect.Pointer, reflect.Slice:
		return typeNamed(name, within.Elem())
	case reflect.Struct:
		if within.String() == name {
			return within
		}
		for field := range within.Fields() {
			if found := typeNamed(name, field.Type); found != nil {
				return found
			}
		}
	}
	return nil
}

// unmarshalStrictJSON is unmarshalJSON with an error for unknown fields.
func unmarshalStrictJSON(text []byte, into any) error {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	return decodeJSON(decoder, into)
}

func decodeJSON(decoder *json.Decoder, into any) error {
	err := decoder.Decode(into)
	if kind, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		found, field := valueWords[kind.Value], ""
		if found == "" {
			found = "a " + kind.Value
		}
		if kind.Field != "" {
			field = kind.Field + ": "
		}
		return fmt.Errorf("%s%s where %s is wanted", field, found, wanted(kind.Type.String(), kind.Type))
	}
	if err != nil {
		return errors.New(strings.TrimPrefix(visible.OneLine(err.Error()), "json: "))
	}
	return nil
}

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
