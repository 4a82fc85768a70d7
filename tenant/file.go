package tenant

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"math"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	yamlv3 "go.yaml.in/yaml/v3"
	"gopkg.in/yaml.v2"

	"helm-tenant/visible"
)

// File is a tenants file: the complete state of the tenants that it names.
type File struct {
	APIVersion string `yaml:"apiVersion" json:"apiVersion"`
	// Defaults are the guard rails of the file's tenants that do not set them.
	Defaults Rails    `yaml:"defaults,omitempty" json:"defaults,omitzero"`
	Tenants  []Tenant `yaml:"tenants" json:"tenants"`
}

// FieldError is a problem of a tenant with the path of its field: keys and indexes,
// starting at the tenant.
type FieldError struct {
	Path []any
	Err  error
}

func (e *FieldError) Error() string { return e.Err.Error() }
func (e *FieldError) Unwrap() error { return e.Err }

// inField adds the path of a field to an error; nil stays nil.
func inField(err error, path ...any) error {
	if err == nil {
		return nil
	}
	return &FieldError{path, err}
}

// Located is a tenant of a file with the line on which it starts.
type Located struct {
	Tenant
	File string
	Line int
}

// Document is a YAML file of helm-tenant, with the lines of its fields and its problems.
type Document struct {
	name     string
	top      *yamlv3.Node
	problems []error
	// misfits are the values that could not be decoded; nil for none.
	misfits *misfits
	// undecided is set if it is not known which values these are.
	undecided bool
}

// ParseDocument strictly parses any of helm-tenant's YAML files into a value. name is the
// file's name in the problems.
func ParseDocument(name string, text []byte, into any) *Document {
	d := &Document{name: name, top: &yamlv3.Node{Line: 1}}
	var doc, second yamlv3.Node
	decoder := yamlv3.NewDecoder(bytes.NewReader(text))
	if err := decoder.Decode(&doc); err != nil && !errors.Is(err, io.EOF) {
		d.add(syntaxProblem(text, err))
		return d
	}
	err := decoder.Decode(&second)
	for err == nil && isEmptyDocument(&second) { // a bare --- at the end, as generators write it
		second = yamlv3.Node{}
		err = decoder.Decode(&second)
	}
	if !errors.Is(err, io.EOF) {
		// Its content would be ignored: tenants, for example, that --prune would then
		// remove.
		if err != nil {
			second.Line, _ = splitLine(visible.OneLine(err.Error()))
		}
		d.add(second.Line, errors.New("a second YAML document starts here: give each a file of its own"))
		return d
	}
	if len(doc.Content) == 0 {
		d.add(1, fmt.Errorf("the file is empty: it begins with apiVersion: %s", APIVersion))
		return d
	}
	d.top = doc.Content[0]
	var head struct {
		APIVersion string `yaml:"apiVersion"`
	}
	_ = d.top.Decode(&head) // its problems are found below
	otherVersion := fmt.Errorf("apiVersion is %q; this helm-tenant reads %s", head.APIVersion, APIVersion)
	if head.APIVersion != "" && head.APIVersion != APIVersion {
		d.Add(otherVersion, "apiVersion")
		d.undecided = true // its fields are of that version
		return d
	}
	if err := yaml.UnmarshalStrict(text, into); err != nil {
		var several *yaml.TypeError
		if !errors.As(err, &several) {
			d.addText(visible.OneLine(err.Error()))
			return d
		}
		for _, problem := range several.Errors {
			d.addText(plainProblem(problem, into) + meantField(problem, into))
		}
		d.leaveOutMisfits(several.Errors, into)
	}
	if head.APIVersion == "" && !d.Follows("apiVersion") {
		d.Add(otherVersion, "apiVersion")
	}
	return d
}

// leaveOutMisfits decodes the document again without the values that have problems of a parser.
func (d *Document) leaveOutMisfits(problems []string, into any) {
	kinds := 0
	for _, problem := range problems {
		if otherKind().MatchString(problem) {
			kinds++
		}
	}
	d.misfits = findMisfits(d.top, reflect.TypeOf(into))
	text, err := yamlv3.Marshal(d.top)
	if d.misfits.kinds != kinds || err != nil {
		d.undecided = true
		return
	}
	if kinds == 0 {
		return
	}
	decoded := reflect.New(reflect.TypeOf(into).Elem())
	if err := yaml.Unmarshal(text, decoded.Interface()); err != nil {
		d.undecided = true
		return
	}
	reflect.ValueOf(into).Elem().Set(decoded.Elem())
}

// Follows reports whether a problem of the value at path may follow from one that the parser has
// found, and so is to be left out.
func (d *Document) Follows(path ...any) bool { return d.undecided || d.misfits.concerns(path...) }

func (d *Document) add(line int, err error) {
	d.problems = append(d.problems, fmt.Errorf("%s:%d: %w", d.name, line, err))
}

func (d *Document) addText(text string) {
	line, message := splitLine(text)
	d.add(line, errors.New(message))
}

// line returns the line of the value at path: keys and indexes, starting at the top.
func (d *Document) line(path ...any) int { return nodeAt(d.top, path...).Line }

// Add adds a problem of the value at path.
func (d *Document) Add(err error, path ...any) { d.add(d.line(path...), err) }

// Problems returns all problems by line, each beginning with "FILE:LINE: ".
func (d *Document) Problems() []error {
	slices.SortStableFunc(d.problems, func(a, b error) int { return cmp.Compare(lineIn(d.name, a), lineIn(d.name, b)) })
	return d.problems
}

// ParseFile strictly parses a tenants file. name is the file's name in the errors. It
// returns all errors at once, each beginning with "FILE:LINE: ".
func ParseFile(name string, text []byte) ([]Located, []error) {
	var file File
	d := ParseDocument(name, text, &file)
	if len(file.Tenants) == 0 && len(d.problems) == 0 {
		d.Add(errors.New("there are no tenants in it"), "tenants")
	}
	wrongDefaults := file.Defaults.validate()
	for _, problem := range wrongDefaults {
		if path := fieldOf(problem, "defaults"); !d.Follows(path...) {
			d.Add(fmt.Errorf("defaults: %w", problem), path...)
		}
	}
	first := map[string]int{}
	var located []Located
	for i, t := range file.Tenants {
		t = t.WithDefaults()
		if len(wrongDefaults) == 0 && !t.AllNamespaces {
			t.Rails = t.Rails.withFileDefaults(file.Defaults)
		}
		t.Rails = t.Rails.compact()
		line := d.line("tenants", i)
		located = append(located, Located{t, name, line})
		if before, twice := first[t.Name]; twice && t.Name != "" {
			d.add(line, fmt.Errorf("duplicate tenant %q, first on line %d", t.Name, before))
		}
		first[t.Name] = line
		d.addTenant(i, t)
	}
	return located, d.Problems()
}

// plainNumber reports whether a value is written so that YAML 1.1 means the number that
// people read, if it means a number: gopkg.in/yaml.v2 cuts off a fraction without a word, and
// reads 010 as 8.
func plainNumber(value string) bool {
	if number, err := strconv.ParseFloat(value, 64); err == nil && number != math.Trunc(number) {
		return false
	}
	digits := strings.TrimLeft(value, "+-")
	return len(digits) < 2 || digits[0] != '0'
}

// lineIn returns the line number at the beginning of a problem of this file.
func lineIn(name string, problem error) int {
	number, _, _ := strings.Cut(strings.TrimPrefix(problem.Error(), name+":"), ":")
	line, _ := strconv.Atoi(number) // add wrote it
	return line
}

var leadingLine = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^(?:yaml: )?line (\d+): `) })

// splitLine splits the line number from an error of a YAML parser.
func splitLine(text string) (line int, rest string) {
	match := leadingLine().FindStringSubmatch(text)
	if match == nil {
		return 1, text
	}
	line, _ = strconv.Atoi(match[1]) // the match has only digits
	return line, text[len(match[0]):]
}

// nodeAt returns the node at path, or the last existing node on the way.
func nodeAt(node *yamlv3.Node, path ...any) *yamlv3.Node {
	found := node
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
			return found
		}
		node, found = next, next
	}
	return found
}

// FormatFile returns tenants as a tenants file, without defaults.
func FormatFile(tenants []Tenant) (string, error) {
	file := File{APIVersion: APIVersion}
	for _, t := range tenants {
		file.Tenants = append(file.Tenants, t.inFile().withoutDefaults())
	}
	text, err := yaml.Marshal(file)
	return string(text), err
}

// withoutDefaults removes settings that WithDefaults would set again.
func (t Tenant) withoutDefaults() Tenant {
	if t.HomeNamespace == t.Engine.ConventionalHome(t.Name) {
		t.HomeNamespace = ""
	}
	if t.AllNamespaces && t.Role == DefaultClusterRole || !t.AllNamespaces && t.Role == DefaultRole {
		t.Role = ""
	}
	t.Namespaces, t.Selected = t.named(), nil
	if t.Frozen != nil {
		t.Frozen = &Freeze{Reason: t.Frozen.Reason, Since: t.Frozen.Since}
	}
	if t.MembersFrom == MembersFromFile {
		t.MembersFrom = ""
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
