package tenant

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"

	"gopkg.in/yaml.v2"
)

// unmarshalStrict reads YAML of our own into a value. A field that it does not
// know is an error, and so is one that stands there twice. The error is one line
// that names lines and fields, and no types of Go's.
func unmarshalStrict(text string, into any) error {
	err := yaml.UnmarshalStrict([]byte(text), into)
	if err == nil {
		return nil
	}
	var several *yaml.TypeError
	if !errors.As(err, &several) {
		return errors.New(strings.TrimPrefix(oneLine(err), "yaml: "))
	}
	var found []string
	for _, problem := range several.Errors {
		found = append(found, plainProblem(problem))
	}
	out := strings.Join(found, "; ")
	if strings.Contains(out, "unknown field") {
		out += " (a newer helm-tenant may have written it)"
	}
	return errors.New(out)
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

func plainProblem(problem string) string {
	if m := unknownField().FindStringSubmatch(problem); m != nil {
		return fmt.Sprintf("%s: unknown field %q", m[1], m[2])
	}
	if m := doubleField().FindStringSubmatch(problem); m != nil {
		return fmt.Sprintf("%s: field %q stands there twice", m[1], m[2])
	}
	if m := otherKind().FindStringSubmatch(problem); m != nil {
		have := valueWords[m[2]]
		if have == "" {
			have = fmt.Sprintf("%q", m[3])
		}
		return fmt.Sprintf("%s: %s where %s is wanted", m[1], have, wanted(m[4]))
	}
	return strings.Join(strings.Fields(problem), " ")
}

// valueWords are the names that yaml.v2 and encoding/json have for what is not
// a plain value.
var valueWords = map[string]string{"seq": "a list", "map": "a map of fields", "array": "a list", "object": "a map of fields"}

// wanted says in words what a type of Go's is written as.
func wanted(goType string) string {
	switch goType {
	case "int":
		return "a whole number"
	case "bool":
		return "true or false"
	case "tenant.File", "tenant.Tenant", "tenant.Members", "tenant.Tiller", "tenant.Extension", "tenant.Known", "map[string]string":
		return "a map of fields"
	}
	if strings.HasPrefix(goType, "[]") {
		return "a list"
	}
	return "text"
}

// unmarshalStrictJSON is unmarshalStrict for JSON.
func unmarshalStrictJSON(text []byte, into any) error {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(into)
	var kind *json.UnmarshalTypeError
	if errors.As(err, &kind) {
		have, field := valueWords[kind.Value], ""
		if have == "" {
			have = "a " + kind.Value
		}
		if kind.Field != "" {
			field = kind.Field + ": "
		}
		return fmt.Errorf("%s%s where %s is wanted", field, have, wanted(kind.Type.String()))
	}
	if err != nil {
		return errors.New(strings.TrimPrefix(oneLine(err), "json: "))
	}
	return nil
}
