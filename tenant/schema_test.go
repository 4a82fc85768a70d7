package tenant

import (
	"bytes"
	"encoding/json"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"sigs.k8s.io/yaml"

	"helm-tenant/lists"
)

const schemaFile = "../docs/tenants-file.schema.json"

// schemaNode is what of a JSON Schema is compared with the Go types.
type schemaNode struct {
	Ref                  string                `json:"$ref"`
	Type                 any                   `json:"type"`
	Enum                 []string              `json:"enum"`
	Const                any                   `json:"const"`
	Required             []string              `json:"required"`
	Properties           map[string]schemaNode `json:"properties"`
	AdditionalProperties json.RawMessage       `json:"additionalProperties"`
	Items                *schemaNode           `json:"items"`
	Default              any                   `json:"default"`
	Defs                 map[string]schemaNode `json:"$defs"`
}

// TestSchemaHasTheTypesFields holds the schema that editors read against the
// types that we read files into, in both directions.
func TestSchemaHasTheTypesFields(t *testing.T) {
	text, err := os.ReadFile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	var schema schemaNode
	if err := json.Unmarshal(text, &schema); err != nil {
		t.Fatal(err)
	}
	var compare func(path string, node schemaNode, goType reflect.Type)
	compare = func(path string, node schemaNode, goType reflect.Type) {
		if name, isRef := strings.CutPrefix(node.Ref, "#/$defs/"); isRef {
			name, property, isProperty := strings.Cut(name, "/properties/")
			def, found := schema.Defs[name]
			if isProperty {
				def, found = def.Properties[property]
			}
			if !found {
				t.Errorf("%s: there is no definition %s", path, name)
			}
			node = def
		}
		if goType.Kind() == reflect.Pointer {
			goType = goType.Elem()
		}
		if goType == reflect.TypeFor[Members]() {
			goType = reflect.TypeFor[memberLists]()
		}
		if goType == reflect.TypeFor[Term]() {
			goType = reflect.TypeFor[termForm]()
		}
		if want := schemaType(goType); typeOf(node) != want {
			t.Errorf("%s: the schema has the type %s, Go %s", path, typeOf(node), want)
			return
		}
		switch goType.Kind() {
		case reflect.Slice:
			compare(path+"[]", *node.Items, goType.Elem())
		case reflect.Struct:
			if string(node.AdditionalProperties) != "false" {
				t.Errorf("%s: unknown fields are refused when the file is read, and not by the schema", path)
			}
			var fields, required []string
			for _, field := range reflect.VisibleFields(goType) {
				name, options, _ := strings.Cut(field.Tag.Get("yaml"), ",")
				if options == "inline" || name == "-" {
					continue // its fields come by themselves, or it is in no file
				}
				fields = append(fields, name)
				if !strings.Contains(options, "omitempty") {
					required = append(required, name)
				}
				if property, found := node.Properties[name]; found {
					compare(path+"."+name, property, field.Type)
				}
			}
			var properties []string
			for name := range node.Properties {
				properties = append(properties, name)
			}
			slices.Sort(fields)
			slices.Sort(properties)
			if diff := cmp.Diff(fields, properties); diff != "" {
				t.Errorf("%s: fields of Go's (-) and the schema's (+):\n%s", path, diff)
			}
			if diff := cmp.Diff(required, node.Required); diff != "" {
				t.Errorf("%s: required of Go's (-) and the schema's (+):\n%s", path, diff)
			}
		}
	}
	compare("file", schema, reflect.TypeFor[File]())

	tiller := schema.Defs["tiller"].Properties
	defaults := Tenant{Name: "t"}.WithDefaults()
	for name, want := range map[string]any{
		"historyMax": float64(*defaults.Tiller.HistoryMax), "replicas": float64(*defaults.Tiller.Replicas), "storage": string(defaults.Tiller.Storage),
	} {
		if got := tiller[name].Default; got != want {
			t.Errorf("tiller.%s: the schema's default is %v, ours %v", name, got, want)
		}
	}
	for _, c := range []struct {
		name string
		got  []string
		want []string
	}{
		{"engine", schema.Defs["tenant"].Properties["engine"].Enum, []string{string(EngineTiller), string(EngineImpersonation), string(EngineBoth)}},
		{"podSecurity", schema.Defs["tenant"].Properties["podSecurity"].Enum, lists.Strings(PodSecurities)},
		{"guard", schema.Defs["tenant"].Properties["guard"].Enum, lists.Strings(Guards)},
		{"network", schema.Defs["tenant"].Properties["network"].Enum, lists.Strings(Networks)},
		{"as", schema.Defs["term"].Properties["as"].Enum, lists.Strings(Relations)},
		{"membersFrom", schema.Defs["tenant"].Properties["membersFrom"].Enum, lists.Strings([]MembersFrom{MembersFromFile, MembersFromOwners})},
		{"storage", tiller["storage"].Enum, []string{string(StorageSecret), string(StorageConfigMap)}},
	} {
		if diff := cmp.Diff(c.want, c.got); diff != "" {
			t.Errorf("%s: -want +got:\n%s", c.name, diff)
		}
	}
}

// typeOf returns the schema's type for a node.
func typeOf(node schemaNode) string {
	if node.Enum != nil || node.Const != nil {
		return "string"
	}
	word, _ := node.Type.(string)
	return word
}

func schemaType(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Struct, reflect.Map:
		return "object"
	case reflect.Slice:
		return "array"
	case reflect.Bool:
		return "boolean"
	case reflect.Int:
		return "integer"
	}
	return "string"
}

// TestSchemaAndParserAgree gives the same files to both.
func TestSchemaAndParserAgree(t *testing.T) {
	compiler := jsonschema.NewCompiler()
	schema, err := compiler.Compile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	full, err := FormatFile([]Tenant{fullTenant()})
	if err != nil {
		t.Fatal(err)
	}
	const head = "apiVersion: helm-tenant/v1\ntenants:\n"
	for _, c := range []struct {
		name, text string
		good       bool
	}{
		{"everything", full, true},
		{"the least", head + "- {name: a, namespaces: [a]}", true},
		{"all namespaces", head + "- {name: a, allNamespaces: true, homeNamespace: kube-system}", true},
		{"a number as a quantity", head + "- {name: a, namespaces: [a], tiller: {resources: {limits.cpu: 2}}}", true},
		{"a label that YAML takes for true", head + "- {name: a, namespaces: [a], tiller: {nodeSelector: {ssd: true}}}", true},
		{"guard rails that are numbers", head + "- {name: a, namespaces: [a], quota: {pods: 20, requests.cpu: 1.5}, labels: {cost-center: 42}}", true},
		{"a list that says none", head + "- {name: a, namespaces: [a], hosts: [], quota: {}, limits: {}}", true},
		{"defaults", "apiVersion: helm-tenant/v1\ndefaults: {podSecurity: baseline, network: isolated}\ntenants:\n- {name: a, namespaces: [a]}", true},
		{"a default that is wrong", "apiVersion: helm-tenant/v1\ndefaults: {podSecurity: strict}\ntenants:\n- {name: a, namespaces: [a]}", false},
		{"defaults of something else", "apiVersion: helm-tenant/v1\ndefaults: {role: edit}\ntenants:\n- {name: a, namespaces: [a]}", false},
		{"a level of PodSecurity", head + "- {name: a, namespaces: [a], podSecurity: strict}", false},
		{"a guard", head + "- {name: a, namespaces: [a], guard: on}", false},
		{"a network", head + "- {name: a, namespaces: [a], network: closed}", false},
		{"blocks", head + "- {name: a, namespaces: [a], network: isolated, allowFrom: [10.0.0.0/24, 'fd00::/8']}", true},
		{"a block that is an address", head + "- {name: a, namespaces: [a], network: isolated, allowFrom: [10.0.0.1]}", false},
		{"a host with a port", head + "- {name: a, namespaces: [a], hosts: ['shop.example.com:80']}", false},
		{"a host twice", head + "- {name: a, namespaces: [a], hosts: [b.c, b.c]}", false},
		{"a class that is no name", head + "- {name: a, namespaces: [a], priorityClasses: [High]}", false},
		{"a limit of something else", head + "- {name: a, namespaces: [a], limits: {min: {cpu: 1}}}", false},
		{"a quota of something else", head + "- {name: a, namespaces: [a], quota: {'pod s': 1}}", false},
		{"a freeze", head + "- {name: a, namespaces: [a], frozen: {reason: INC-12, since: '2026-01-31T12:00:00Z'}}", true},
		{"a freeze without a reason", head + "- {name: a, namespaces: [a], frozen: {}}", false},
		{"a freeze of two lines", head + "- {name: a, namespaces: [a], frozen: {reason: \"a\\nb\"}}", false},
		{"a freeze that says nothing", head + "- {name: a, namespaces: [a], frozen: {reason: ' '}}", false},
		{"a contact of two lines", head + "- {name: a, namespaces: [a], contact: \"a\\nb\"}", false},
		{"nothing", "{}", false},
		{"another version", "apiVersion: helm-tenant/v2\ntenants: [{name: a, namespaces: [a]}]", false},
		{"no tenants", "apiVersion: helm-tenant/v1\ntenants: []", false},
		{"an unknown field", head + "- {name: a, namespaces: [a], roles: x}", false},
		{"an unknown field below", head + "- {name: a, namespaces: [a], tiller: {tls: true}}", false},
		{"no name", head + "- {namespaces: [a]}", false},
		{"no namespace", head + "- {name: a}", false},
		{"an empty list of namespaces", head + "- {name: a, namespaces: []}", false},
		{"all namespaces is false", head + "- {name: a, allNamespaces: false}", false},
		{"a name that is no label", head + "- {name: A, namespaces: [a]}", false},
		{"a name that is too long", head + "- {name: " + strings.Repeat("a", maxName+1) + ", namespaces: [a]}", false},
		{"a namespace twice", head + "- {name: a, namespaces: [a, a]}", false},
		{"a namespace that is no label", head + "- {name: a, namespaces: [a_b]}", false},
		{"text where a list is", head + "- {name: a, namespaces: a}", false},
		{"an engine", head + "- {name: a, namespaces: [a], engine: steam}", false},
		{"a storage", head + "- {name: a, namespaces: [a], tiller: {storage: disk}}", false},
		{"a negative history", head + "- {name: a, namespaces: [a], tiller: {historyMax: -1}}", false},
		{"half a replica", head + "- {name: a, namespaces: [a], tiller: {replicas: 0.5}}", false},
		{"no replica", head + "- {name: a, namespaces: [a], tiller: {replicas: 0}}", false},
		{"a resource without a kind", head + "- {name: a, namespaces: [a], tiller: {resources: {cpu: 1}}}", false},
		{"an account without a namespace", head + "- {name: a, namespaces: [a], members: {serviceAccounts: [x]}}", false},
		{"an empty user", head + "- {name: a, namespaces: [a], members: {users: ['']}}", false},
		{"a grant for a time", head + "- {name: a, namespaces: [a], engine: impersonation, temporary: [{user: x, until: 2026-01-31T18:00:00Z, reason: INC-12}, {group: devs, as: reader, until: '2026-01-31T18:00:00+01:00'}]}", true},
		{"a grant for a time without an end", head + "- {name: a, namespaces: [a], temporary: [{user: x}]}", false},
		{"a grant for a time until tomorrow", head + "- {name: a, namespaces: [a], temporary: [{user: x, until: tomorrow}]}", false},
		{"a grant for a time of two subjects", head + "- {name: a, namespaces: [a], temporary: [{user: x, group: y, until: 2026-01-31T18:00:00Z}]}", false},
		{"a grant for a time of nobody", head + "- {name: a, namespaces: [a], temporary: [{until: 2026-01-31T18:00:00Z}]}", false},
		{"a grant for a time as something else", head + "- {name: a, namespaces: [a], temporary: [{user: x, as: king, until: 2026-01-31T18:00:00Z}]}", false},
		{"a grant for a time with a reason of two lines", head + "- {name: a, namespaces: [a], temporary: [{user: x, until: 2026-01-31T18:00:00Z, reason: \"a\\nb\"}]}", false},
		{"a role with a slash", head + "- {name: a, namespaces: [a], role: a/b}", false},
		{"a pull secret that is no name", head + "- {name: a, namespaces: [a], tiller: {imagePullSecrets: [A]}}", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, problems := ParseFile("f", []byte(c.text)); (len(problems) == 0) != c.good {
				t.Errorf("the parser: %q", lines(problems))
			}
			// As an editor does: YAML read as JSON.
			asJSON, err := yaml.YAMLToJSON([]byte(c.text))
			if err != nil {
				t.Fatal(err)
			}
			value, err := jsonschema.UnmarshalJSON(bytes.NewReader(asJSON))
			if err != nil {
				t.Fatal(err)
			}
			if err := schema.Validate(value); (err == nil) != c.good {
				t.Errorf("the schema: %v", err)
			}
		})
	}
}
