package tenant

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	yamlv3 "go.yaml.in/yaml/v3"
	"gopkg.in/yaml.v2"

	"helm-tenant/lists"
)

func (d *Document) addTenant(i int, t Tenant) {
	prefix := fmt.Sprintf("tenant %q: ", t.Name)
	if t.Name == "" {
		prefix = ""
	}
	wrongNumbers := map[string]bool{}
	for _, field := range []string{"historyMax", "replicas"} {
		path := []any{"tenants", i, "tiller", field}
		if number := nodeAt(d.top, path...).Value; !d.Follows(path...) && !plainNumber(number) {
			wrongNumbers[field] = true
			d.Add(fmt.Errorf("%s%s: %s is not a whole number in decimal digits", prefix, field, number), path...)
		}
	}
	for _, problem := range slices.Concat(t.Validate(), t.checkNamedOnce(), t.checkOwnersSay()) {
		path := fieldOf(problem, "tenants", i)
		if last, isText := path[len(path)-1].(string); isText && wrongNumbers[last] || d.followsInTenant(path) {
			continue
		}
		d.Add(fmt.Errorf("%s%w", prefix, problem), path...)
	}
}

func fieldOf(problem error, below ...any) []any {
	if field, isField := errors.AsType[*FieldError](problem); isField {
		return append(below, field.Path...)
	}
	return below
}

// dependsOn has the other fields of a tenant on which the problems of a field depend.
var dependsOn = map[string][]string{
	"namespaces":        {"allNamespaces", "namespaceSelector", "homeNamespace", "engine"},
	"namespaceSelector": {"allNamespaces", "namespaces"},
	"tiller":            {"engine"},
	"fluxAccount":       {"engine", "allNamespaces"},
	"members":           {"membersFrom"},
	"readers":           {"membersFrom", "engine"},
	"owners":            {"membersFrom"},
	"temporary":         {"membersFrom", "engine", "members", "readers", "owners"},
	"membersFrom":       {"owners", "members", "readers", "temporary", "engine"},
	"allowFrom":         {"network"},
	"networkExcept":     {"network"},
}

// followsInTenant is Follows for the path of a tenant's field.
func (d *Document) followsInTenant(path []any) bool {
	if d.Follows(path...) {
		return true
	}
	if len(path) < 3 {
		return false
	}
	field, _ := path[2].(string)
	return slices.ContainsFunc(dependsOn[field], func(other string) bool {
		return d.Follows("tenants", path[1], other) || slices.Contains(railFields, other) && d.Follows("defaults", other)
	})
}

// railFields are those of dependsOn that a file's defaults can set.
var railFields = []string{"network"}

// misfits are the values of a file that do not fit a Go type.
type misfits struct {
	// wrong are the paths of values of another kind than the type's, such as text where a list
	// is wanted, and of missing fields whose names were mistyped.
	wrong [][]any
	// kinds counts the values of another kind.
	kinds int
}

// findMisfits finds the values in a node that do not fit the type, and replaces those of another
// kind by null, so that the rest can be decoded with all items of lists in their places.
func findMisfits(node *yamlv3.Node, t reflect.Type) *misfits {
	m := &misfits{}
	holder := &yamlv3.Node{Content: []*yamlv3.Node{node}}
	m.walk(holder, 0, t, nil)
	if holder.Content[0] != node {
		*node = *holder.Content[0]
	}
	return m
}

// walk looks at the value at that index of the parent's content.
func (m *misfits) walk(parent *yamlv3.Node, index int, t reflect.Type, path []any) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	t = fileType(t)
	node := parent.Content[index]
	for node.Kind == yamlv3.AliasNode {
		node = node.Alias
	}
	if node.Tag == "!!null" {
		return
	}
	if !fits(node, t.Kind()) {
		m.kinds++
		m.wrong = append(m.wrong, path)
		parent.Content[index] = &yamlv3.Node{Kind: yamlv3.ScalarNode, Tag: "!!null", Value: "null", Line: parent.Content[index].Line}
		return
	}
	below := func(step any) []any { return append(slices.Clone(path), step) }
	switch t.Kind() {
	case reflect.Slice:
		for i := range node.Content {
			m.walk(node, i, t.Elem(), below(i))
		}
	case reflect.Map:
		for i := 0; i+1 < len(node.Content); i += 2 {
			m.walk(node, i+1, t.Elem(), below(node.Content[i].Value))
		}
	case reflect.Struct:
		fields := yamlFields(t)
		var unknown []string
		missing := yamlNames(fields)
		for i := 0; i+1 < len(node.Content); i += 2 {
			name := node.Content[i].Value
			field, known := fields[name]
			if !known {
				unknown = append(unknown, name)
				continue
			}
			missing = slices.DeleteFunc(missing, func(m string) bool { return m == name })
			m.walk(node, i+1, field, below(name))
		}
		for _, name := range unknown {
			for _, meant := range Near(strings.ToLower(name), lowered(missing)) {
				m.wrong = append(m.wrong, below(missing[slices.Index(lowered(missing), meant)]))
			}
			if i := slices.Index(lowered(missing), strings.ToLower(name)); i >= 0 {
				m.wrong = append(m.wrong, below(missing[i])) // only the case differs
			}
		}
	}
}

func lowered(words []string) []string {
	return lists.Map(words, strings.ToLower)
}

// fits reports whether gopkg.in/yaml.v2 decodes a node into a type of that kind.
func fits(node *yamlv3.Node, kind reflect.Kind) bool {
	switch kind {
	case reflect.Struct, reflect.Map:
		return node.Kind == yamlv3.MappingNode
	case reflect.Slice:
		return node.Kind == yamlv3.SequenceNode
	case reflect.Int, reflect.Bool:
		return node.Kind == yamlv3.ScalarNode && yaml.Unmarshal([]byte(plainScalar(node)), reflect.New(goTypes[kind]).Interface()) == nil
	}
	return node.Kind == yamlv3.ScalarNode
}

var goTypes = map[reflect.Kind]reflect.Type{reflect.Int: reflect.TypeFor[int](), reflect.Bool: reflect.TypeFor[bool]()}

// plainScalar returns a scalar as YAML text in its style: only one without quotes can be a number.
func plainScalar(node *yamlv3.Node) string {
	if node.Style&(yamlv3.SingleQuotedStyle|yamlv3.DoubleQuotedStyle|yamlv3.LiteralStyle|yamlv3.FoldedStyle) != 0 || node.Tag == "!!str" && node.Style&yamlv3.TaggedStyle != 0 {
		return `""`
	}
	return node.Value
}

func yamlFields(t reflect.Type) map[string]reflect.Type {
	fields := map[string]reflect.Type{}
	for field := range t.Fields() {
		name, options, _ := strings.Cut(field.Tag.Get("yaml"), ",")
		switch {
		case name == "-" || !field.IsExported() && !field.Anonymous:
		case slices.Contains(strings.Split(options, ","), "inline"):
			maps.Copy(fields, yamlFields(field.Type))
		case name == "":
			fields[strings.ToLower(field.Name)] = field.Type
		default:
			fields[name] = field.Type
		}
	}
	return fields
}

func yamlNames(fields map[string]reflect.Type) []string {
	var names []string
	for name := range fields {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// concerns reports whether a path leads to one of the values that do not fit, into one, or
// through one.
func (m *misfits) concerns(path ...any) bool {
	return m != nil && slices.ContainsFunc(m.wrong, func(wrong []any) bool {
		n := min(len(wrong), len(path))
		return slices.Equal(wrong[:n], path[:n])
	})
}
