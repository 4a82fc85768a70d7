package tenant

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	yamlv3 "go.yaml.in/yaml/v3"
	"gopkg.in/yaml.v2"
)

// File is a tenants file: the whole truth for the tenants that it names.
type File struct {
	APIVersion string   `yaml:"apiVersion" json:"apiVersion"`
	Tenants    []Tenant `yaml:"tenants" json:"tenants"`
}

// FieldError is something wrong with a tenant, and in which field: keys and
// indexes from the tenant down.
type FieldError struct {
	Path []any
	Err  error
}

func (e *FieldError) Error() string { return e.Err.Error() }
func (e *FieldError) Unwrap() error { return e.Err }

// at says in which field an error is; nil stays nil.
func at(err error, path ...any) error {
	if err == nil {
		return nil
	}
	return &FieldError{path, err}
}

// Located is a tenant of a file, and the line on which it starts.
type Located struct {
	Tenant
	File string
	Line int
}

// ParseFile reads a tenants file strictly. name stands in the errors, of which
// it returns all at once, each beginning with "FILE:LINE: ".
func ParseFile(name string, text []byte) ([]Located, []error) {
	var problems []error
	add := func(line int, format string, args ...any) {
		problems = append(problems, fmt.Errorf("%s:%d: %w", name, line, fmt.Errorf(format, args...)))
	}
	var doc, second yamlv3.Node
	decoder := yamlv3.NewDecoder(bytes.NewReader(text))
	if err := decoder.Decode(&doc); err != nil && !errors.Is(err, io.EOF) {
		line, what := splitLine(oneLine(err))
		add(line, "%s", what)
		return nil, problems
	}
	if err := decoder.Decode(&second); !errors.Is(err, io.EOF) {
		// Tenants in it would be overlooked, and gone with --prune.
		if err != nil {
			second.Line, _ = splitLine(oneLine(err))
		}
		add(second.Line, "a second YAML document starts here: give each a file of its own")
		return nil, problems
	}
	if len(doc.Content) == 0 {
		add(1, "the file is empty: it begins with apiVersion: %s", APIVersion)
		return nil, problems
	}
	var file File
	if err := yaml.UnmarshalStrict(text, &file); err != nil {
		var several *yaml.TypeError
		if !errors.As(err, &several) {
			line, what := splitLine(oneLine(err))
			add(line, "%s", what)
			return nil, problems
		}
		for _, problem := range several.Errors {
			line, what := splitLine(plainProblem(problem))
			add(line, "%s", what)
		}
	}
	top := doc.Content[0]
	if file.APIVersion != APIVersion {
		add(lineOf(top, "apiVersion"), "apiVersion is %q; this helm-tenant reads %s", file.APIVersion, APIVersion)
	}
	if len(file.Tenants) == 0 && len(problems) == 0 {
		add(lineOf(top, "tenants"), "there are no tenants in it")
	}
	first := map[string]int{}
	var located []Located
	for i, t := range file.Tenants {
		t = t.WithDefaults()
		line := lineOf(top, "tenants", i)
		located = append(located, Located{t, name, line})
		if before, twice := first[t.Name]; twice {
			add(line, "tenant %q stands there twice, first on line %d", t.Name, before)
		}
		first[t.Name] = line
		for _, problem := range t.Validate() {
			path := []any{"tenants", i}
			var field *FieldError
			if errors.As(problem, &field) {
				path = append(path, field.Path...)
			}
			who := fmt.Sprintf("tenant %q: ", t.Name)
			if t.Name == "" {
				who = ""
			}
			add(lineOf(top, path...), "%s%w", who, problem)
		}
	}
	slices.SortStableFunc(problems, func(a, b error) int { return cmp.Compare(lineIn(name, a), lineIn(name, b)) })
	return located, problems
}

// lineIn is the line number that a problem of this file begins with.
func lineIn(name string, problem error) int {
	number, _, _ := strings.Cut(strings.TrimPrefix(problem.Error(), name+":"), ":")
	line, _ := strconv.Atoi(number) // as written by ParseFile
	return line
}

var leadingLine = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^(?:yaml: )?line (\d+): `) })

// splitLine takes the line number off an error of a YAML parser.
func splitLine(text string) (line int, rest string) {
	match := leadingLine().FindStringSubmatch(text)
	if match == nil {
		return 1, text
	}
	line, _ = strconv.Atoi(match[1]) // digits, as matched
	return line, text[len(match[0]):]
}

// lineOf is the line of the node at path, or of the last one on the way that is
// there.
func lineOf(node *yamlv3.Node, path ...any) int {
	line := node.Line
	for _, step := range path {
		for node.Kind == yamlv3.AliasNode {
			node = node.Alias
		}
		var next *yamlv3.Node
		switch step := step.(type) {
		case string:
			next = mapValue(node, step)
		case int:
			if node.Kind == yamlv3.SequenceNode && step < len(node.Content) {
				next = node.Content[step]
			}
		}
		if next == nil {
			return line
		}
		node, line = next, next.Line
	}
	return line
}

// FormatFile writes tenants as a tenants file; defaults are left out.
func FormatFile(tenants []Tenant) (string, error) {
	file := File{APIVersion: APIVersion}
	for _, t := range tenants {
		file.Tenants = append(file.Tenants, t.withoutDefaults())
	}
	text, err := yaml.Marshal(file)
	return string(text), err
}

// withoutDefaults is the reverse of WithDefaults, as far as it makes no
// difference to it.
func (t Tenant) withoutDefaults() Tenant {
	if t.HomeNamespace == t.Engine.ConventionalHome(t.Name) {
		t.HomeNamespace = ""
	}
	if t.AllNamespaces && t.Role == DefaultClusterRole || !t.AllNamespaces && t.Role == DefaultRole {
		t.Role = ""
	}
	if t.Engine == EngineTiller {
		t.Engine = ""
		if t.Tiller.Storage == StorageSecret {
			t.Tiller.Storage = ""
		}
		if t.Tiller.HistoryMax != nil && *t.Tiller.HistoryMax == DefaultHistoryMax {
			t.Tiller.HistoryMax = nil
		}
		if t.Tiller.Replicas != nil && *t.Tiller.Replicas == DefaultReplicas {
			t.Tiller.Replicas = nil
		}
	}
	return t
}
