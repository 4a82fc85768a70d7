package preflight

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"helm-tenant/visible"
)

// Resource returns the resource for an object of a kind that the chart defines.
func (p Plan) Resource(o Object) schema.GroupResource {
	definition := p.Definitions[o.gvk().GroupKind()]
	plural, _, _ := unstructured.NestedString(definition.Object, "spec", "names", "plural")
	return schema.GroupResource{Group: o.gvk().Group, Resource: plural}
}

// JudgeCustom judges an object of a kind that the chart defines and that the API server does
// not serve yet. allowed reports whether the deployer may create the object.
func (q Question) JudgeCustom(p Plan, o Object, allowed bool) []Finding {
	definition := p.Definitions[o.gvk().GroupKind()]
	var findings []Finding
	if !allowed {
		findings = append(findings, refused(o, Rights, fmt.Sprintf("the deployer may not create %s objects, which the chart's own CustomResourceDefinition %s defines", o.GetKind(), definition.GetName()),
			"ask an admin for a role that allows it, when the definition is there", ""))
	}
	if o.GetNamespace() != "" && !q.Has(o.GetNamespace()) {
		findings = append(findings, q.foreign(o, ""))
	}
	return append(findings, judgeSchema(definition, o)...)
}

func judgeSchema(definition, o Object) []Finding {
	versions, _, _ := unstructured.NestedSlice(definition.Object, "spec", "versions")
	for _, version := range versions {
		one, _ := version.(map[string]any)
		if one == nil || one["name"] != o.gvk().Version {
			continue
		}
		if served, _ := one["served"].(bool); !served {
			break
		}
		root, _, _ := unstructured.NestedMap(one, "schema", "openAPIV3Schema")
		body := map[string]any{}
		for name, value := range o.Object {
			if name != "apiVersion" && name != "kind" && name != "metadata" {
				body[name] = value
			}
		}
		var findings []Finding
		for _, why := range violations(root, body, "") {
			findings = append(findings, refused(o, Invalid, "it is not what the chart's own CustomResourceDefinition says: "+visible.Excerpt(why), "mend the chart's values or its template", ""))
		}
		if rules := unjudged(root, body, ""); len(rules) > 0 {
			slices.Sort(rules)
			findings = append(findings, about(o, NotTried, Untried, "the chart's own CustomResourceDefinition has rules that only the API server judges: "+visible.Excerpt(strings.Join(rules, ", ")),
				"only the installation itself shows it, or another preflight when the definition is there", ""))
		}
		return findings
	}
	return []Finding{refused(o, APINotServed, fmt.Sprintf("the chart's own CustomResourceDefinition %s does not serve the version %s", definition.GetName(), o.gvk().Version),
		"use a version that it serves", "")}
}

const maxViolations = 20

// violations lists where a value does not match a structural schema
// (https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#specifying-a-structural-schema).
// Combined schemas (anyOf and the like) and CEL rules are reported by unjudged.
func violations(s map[string]any, value any, path string) []string {
	if s == nil {
		return nil
	}
	if value == nil {
		if nullable, _ := s["nullable"].(bool); nullable || path == "" {
			return nil
		}
		return nil // the API server drops a null that is not allowed, or replaces it by the default
	}
	field := strings.TrimPrefix(path, ".")
	if kind, _ := s["type"].(string); !isOfType(kind, s["x-kubernetes-int-or-string"] == true, value) {
		return []string{fmt.Sprintf("%s must be of type %s", field, kind)}
	}
	var found []string
	if enum, given := s["enum"].([]any); given && !slices.ContainsFunc(enum, func(one any) bool { return fmt.Sprint(one) == fmt.Sprint(value) }) {
		found = append(found, fmt.Sprintf("%s must be one of %v", field, enum))
	}
	switch v := value.(type) {
	case map[string]any:
		found = append(found, objectViolations(s, v, path)...)
	case []any:
		if n, given := number(s["minItems"]); given && float64(len(v)) < n {
			found = append(found, fmt.Sprintf("%s has fewer than %v items", field, n))
		}
		if n, given := number(s["maxItems"]); given && float64(len(v)) > n {
			found = append(found, fmt.Sprintf("%s has more than %v items", field, n))
		}
		items, _ := s["items"].(map[string]any)
		for i, item := range v {
			found = append(found, violations(items, item, fmt.Sprintf("%s[%d]", path, i))...)
		}
	case string:
		found = append(found, stringViolations(s, v, field)...)
	default:
		found = append(found, numberViolations(s, v, field)...)
	}
	return found[:min(len(found), maxViolations)]
}

func objectViolations(s, value map[string]any, path string) []string {
	var found []string
	properties, _ := s["properties"].(map[string]any)
	required, _ := s["required"].([]any)
	for _, name := range required {
		name := fmt.Sprint(name)
		property, _ := properties[name].(map[string]any)
		if _, has := value[name]; !has && property["default"] == nil {
			found = append(found, strings.TrimPrefix(path+"."+name, ".")+" is required")
		}
	}
	additional, _ := s["additionalProperties"].(map[string]any)
	var names []string
	for name := range value {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		property, known := properties[name].(map[string]any)
		if !known {
			property = additional // the API server drops unknown fields and does not refuse them
		}
		found = append(found, violations(property, value[name], path+"."+name)...)
	}
	return found
}

func stringViolations(s map[string]any, value, field string) []string {
	var found []string
	length := float64(utf8.RuneCountInString(value))
	if n, given := number(s["minLength"]); given && length < n {
		found = append(found, fmt.Sprintf("%s is shorter than %v", field, n))
	}
	if n, given := number(s["maxLength"]); given && length > n {
		found = append(found, fmt.Sprintf("%s is longer than %v", field, n))
	}
	if text, given := s["pattern"].(string); given {
		if pattern, err := regexp.Compile(text); err == nil && !pattern.MatchString(value) {
			found = append(found, fmt.Sprintf("%s does not match %s", field, text))
		}
	}
	return found
}

func numberViolations(s map[string]any, value any, field string) []string {
	n, ok := number(value)
	if !ok {
		return nil
	}
	var found []string
	if least, given := number(s["minimum"]); given && (n < least || n == least && s["exclusiveMinimum"] == true) {
		found = append(found, fmt.Sprintf("%s is less than %v", field, least))
	}
	if maximum, given := number(s["maximum"]); given && (n > maximum || n == maximum && s["exclusiveMaximum"] == true) {
		found = append(found, fmt.Sprintf("%s is more than %v", field, maximum))
	}
	return found
}

func isOfType(kind string, intOrString bool, value any) bool {
	n, isNumber := number(value)
	_, isString := value.(string)
	whole := isNumber && n == math.Trunc(n)
	switch {
	case intOrString:
		return whole || isString
	case kind == "object":
		_, ok := value.(map[string]any)
		return ok
	case kind == "array":
		_, ok := value.([]any)
		return ok
	case kind == "string":
		return isString
	case kind == "boolean":
		_, ok := value.(bool)
		return ok
	case kind == "integer":
		return whole
	case kind == "number":
		return isNumber
	}
	return true
}

func number(value any) (float64, bool) {
	switch v := value.(type) {
	case int64:
		return float64(v), true
	case float64:
		return v, true
	}
	return 0, false
}

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
