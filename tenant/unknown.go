package tenant

import (
	"encoding/json"
	"maps"
	"reflect"
	"strings"

	yamlv3 "go.yaml.in/yaml/v3"
)

// keepUnknown copies the fields that this helm-tenant does not know from the extension
// that is replaced: a newer one wrote them.
func keepUnknown(next, before *yamlv3.Node) {
	keepFields(next, before, reflect.TypeFor[Extension]())
	tenants := mapValue(next, "tenants")
	if tenants == nil {
		return
	}
	for _, item := range tenants.Content {
		if name := mapValue(item, "name"); name != nil {
			keepFields(item, namedItem(mapValue(before, "tenants"), name.Value), reflect.TypeFor[Known]())
		}
	}
}

// keepFields adds the fields of before that the type does not have.
func keepFields(next, before *yamlv3.Node, goType reflect.Type) {
	if before == nil || before.Kind != yamlv3.MappingNode {
		return
	}
	known := jsonFields(goType)
	for i := 0; i+1 < len(before.Content); i += 2 {
		if key := before.Content[i]; !known[strings.ToLower(key.Value)] {
			next.Content = append(next.Content, key, before.Content[i+1])
		}
	}
}

// unknownFields returns the fields of a JSON object that the type does not have, nil if
// there are none. The text was parsed into that type before.
func unknownFields(text []byte, goType reflect.Type) map[string]json.RawMessage {
	var fields map[string]json.RawMessage
	_ = json.Unmarshal(text, &fields) // it was parsed as an object before
	known := jsonFields(goType)
	maps.DeleteFunc(fields, func(name string, _ json.RawMessage) bool { return known[strings.ToLower(name)] })
	if len(fields) == 0 {
		return nil
	}
	return fields
}

// jsonFields returns the JSON names of a struct's fields in lower case, since
// encoding/json ignores the case.
func jsonFields(goType reflect.Type) map[string]bool {
	fields := map[string]bool{}
	for field := range goType.Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		fields[strings.ToLower(name)] = true
	}
	return fields
}
