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
)

// unmarshalKnown reads YAML of our own into a value and returns the fields that it does
// not know, each as "line N: unknown field NAME". A duplicate field or a value of another
// kind is an error: one line that names lines and fields, and no types of Go's.
func unmarshalKnown(text string, into any) (unknown []string, err error) {
	err = yaml.UnmarshalStrict([]byte(text), into)
	if err == nil {
		return nil, nil
	}
	var several *yaml.TypeError
	if !errors.As(err, &several) {
		return nil, errors.New(strings.TrimPrefix(oneLine(err), "yaml: "))
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

// The problems that gopkg.in/yaml.v2 finds (decode.go). They are compiled when
// there is a problem: the wrapper's start should not pay for them.
var (
	unknownField = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^(line \d+): field (.*) not found in type \S+$`) })
	doubleField  = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^(line \d+): field (.*) already set in type \S+$`) })
	otherKind    = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile("(?s)^(line \\d+): cannot unmarshal !!(\\S+)(?: `(.*)`)? into (\\S+)$")
	})
)

// plainProblem says in words what is wrong with what was read into that value.
func plainProblem(problem string, into any) string {
	if m := unknownField().FindStringSubmatch(problem); m != nil {
		return fmt.Sprintf("%s: unknown field %q", m[1], m[2])
	}
	if m := doubleField().FindStringSubmatch(problem); m != nil {
		return fmt.Sprintf("%s: duplicate field %q", m[1], m[2])
	}
	if m := otherKind().FindStringSubmatch(problem); m != nil {
		have := valueWords[m[2]]
		if have == "" {
			have = fmt.Sprintf("%q", m[3])
		}
		return fmt.Sprintf("%s: %s where %s is wanted", m[1], have, wanted(m[4], reflect.TypeOf(into)))
	}
	return strings.Join(strings.Fields(problem), " ")
}

// valueWords are the names that yaml.v2 and encoding/json have for what is not
// a plain value.
var valueWords = map[string]string{"seq": "a list", "map": "a map of fields", "array": "a list", "object": "a map of fields"}

// wanted says in words what a type of Go's is written as, which is that type or one
// within it.
func wanted(goType string, within reflect.Type) string {
	switch {
	case goType == "int":
		return "a whole number"
	case goType == "bool":
		return "true or false"
	case strings.HasPrefix(goType, "map[") || isStruct(goType, within):
		return "a map of fields"
	case strings.HasPrefix(goType, "[]"):
		return "a list"
	}
	return "text"
}

func isStruct(name string, within reflect.Type) bool {
	if other, ok := reflect.Zero(within).Interface().(interface{ fileForm() any }); ok {
		within = reflect.TypeOf(other.fileForm())
	}
	switch within.Kind() {
	case reflect.Pointer, reflect.Slice:
		return isStruct(name, within.Elem())
	case reflect.Struct:
		if within.String() == name {
			return true
		}
		for i := range within.NumField() {
			if isStruct(name, within.Field(i).Type) {
				return true
			}
		}
	}
	return false
}

// unmarshalJSON reads JSON of our own into a value; fields that it does not know are left
// out. The error is one line, and names no types of Go's.
func unmarshalJSON(text []byte, into any) error {
	return decodeJSON(json.NewDecoder(bytes.NewReader(text)), into)
}

// unmarshalStrictJSON is unmarshalJSON, with an error for fields that it does not know.
func unmarshalStrictJSON(text []byte, into any) error {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	return decodeJSON(decoder, into)
}

func decodeJSON(decoder *json.Decoder, into any) error {
	err := decoder.Decode(into)
	if kind, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		have, field := valueWords[kind.Value], ""
		if have == "" {
			have = "a " + kind.Value
		}
		if kind.Field != "" {
			field = kind.Field + ": "
		}
		return fmt.Errorf("%s%s where %s is wanted", field, have, wanted(kind.Type.String(), kind.Type))
	}
	if err != nil {
		return errors.New(strings.TrimPrefix(oneLine(err), "json: "))
	}
	return nil
}
