package preflight

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// unjudged returns the paths at which a schema has rules for a value that violations does not
// check, with the names of these rules: combined schemas, CEL expressions, formats and others
// (https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#validation).
// Rules for values that the object does not have are left out.
func unjudged(s map[string]any, value any, path string) []string {
	if s == nil || value == nil {
		return nil
	}
	var rules []string
	for name := range s {
		if isUnjudged(s, name, value) {
			rules = append(rules, name)
		}
	}
	var found []string
	if len(rules) > 0 {
		slices.Sort(rules)
		where := strings.TrimPrefix(path, ".")
		if where == "" {
			where = "the object"
		}
		found = append(found, fmt.Sprintf("%s (%s)", where, strings.Join(rules, ", ")))
	}
	switch v := value.(type) {
	case map[string]any:
		properties, _ := s["properties"].(map[string]any)
		additional, _ := s["additionalProperties"].(map[string]any)
		for name, inner := range v {
			property, known := properties[name].(map[string]any)
			if !known {
				property = additional
			}
			found = append(found, unjudged(property, inner, path+"."+name)...)
		}
	case []any:
		items, _ := s["items"].(map[string]any)
		for i, item := range v {
			found = append(found, unjudged(items, item, fmt.Sprintf("%s[%d]", path, i))...)
		}
	}
	return found
}

// numberFormats are formats that add nothing to the type.
var numberFormats = []string{"int32", "int64", "float", "double", "password"}

func isUnjudged(s map[string]any, rule string, value any) bool {
	switch rule {
	case "anyOf":
		return s["x-kubernetes-int-or-string"] != true || !isIntOrString(s[rule])
	case "allOf", "oneOf", "not", "x-kubernetes-validations", "multipleOf", "uniqueItems", "minProperties", "maxProperties", "x-kubernetes-embedded-resource":
		return s[rule] != false
	case "x-kubernetes-list-type":
		items, _ := value.([]any)
		return s[rule] != "atomic" && len(items) > 1 // the items must differ
	case "format":
		format, _ := s[rule].(string)
		return !slices.Contains(numberFormats, format)
	case "pattern":
		text, _ := s[rule].(string)
		_, err := regexp.Compile(text)
		return err != nil
	}
	return false
}

// isIntOrString reports whether combined schemas mean the same as x-kubernetes-int-or-string;
// generators of definitions write both.
func isIntOrString(joined any) bool {
	all, _ := joined.([]any)
	var types []string
	for _, one := range all {
		s, _ := one.(map[string]any)
		kind, _ := s["type"].(string)
		if len(s) != 1 {
			return false
		}
		types = append(types, kind)
	}
	slices.Sort(types)
	return slices.Equal(types, []string{"integer", "string"})
}
