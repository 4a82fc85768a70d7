package tenant

import (
	"errors"
	"fmt"
	"slices"
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
