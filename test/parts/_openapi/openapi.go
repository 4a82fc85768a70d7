// Package openapi stands for k8s.io/kubernetes/pkg/generated/openapi of Kubernetes versions
// that generate it when they are built, and do not publish it. The definitions come from
// the Go types by reflection: their JSON names, types and references, and the merge keys of
// their lists. Descriptions, defaults and validation are missing.
package openapi

import (
	"reflect"
	"strings"

	"github.com/go-openapi/spec"
	extensions "k8s.io/apiextensions-apiserver/pkg/apiserver"
	machinery "k8s.io/apiextensions-apiserver/pkg/generated/openapi"
	"k8s.io/apimachinery/pkg/runtime"
	aggregator "k8s.io/kube-aggregator/pkg/apiserver/scheme"
	"k8s.io/kube-openapi/pkg/common"
	"k8s.io/kubernetes/pkg/api/legacyscheme"
)

// GetOpenAPIDefinitions returns the definitions of all kinds that the API server has, by
// the names of their types with their packages.
func GetOpenAPIDefinitions(ref common.ReferenceCallback) map[string]common.OpenAPIDefinition {
	d := &definitions{ref: ref, all: machinery.GetOpenAPIDefinitions(ref)}
	for _, scheme := range []*runtime.Scheme{legacyscheme.Scheme, extensions.Scheme, aggregator.Scheme} {
		for gvk, kind := range scheme.AllKnownTypes() {
			if gvk.Version != runtime.APIVersionInternal {
				d.add(kind)
			}
		}
	}
	return d.all
}

type definitions struct {
	ref common.ReferenceCallback
	all map[string]common.OpenAPIDefinition
}

// formatted is a type whose JSON is none of an object: a time, a quantity.
type formatted interface {
	OpenAPISchemaType() []string
	OpenAPISchemaFormat() string
}

func nameOf(t reflect.Type) string { return t.PkgPath() + "." + t.Name() }

// add makes the definition of a named struct, and those of all types that it refers to.
func (d *definitions) add(t reflect.Type) {
	name := nameOf(t)
	if _, found := d.all[name]; found {
		return
	}
	d.all[name] = common.OpenAPIDefinition{} // ends the recursion of types that refer to themselves
	definition := common.OpenAPIDefinition{Schema: spec.Schema{SchemaProps: spec.SchemaProps{Type: []string{"object"}}}}
	if f, ok := reflect.New(t).Interface().(formatted); ok {
		definition.Schema.Type, definition.Schema.Format = f.OpenAPISchemaType(), f.OpenAPISchemaFormat()
	} else {
		d.addProperties(&definition, t)
	}
	d.all[name] = definition
}

func (d *definitions) addProperties(definition *common.OpenAPIDefinition, t reflect.Type) {
	for i := range t.NumField() {
		field := t.Field(i)
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		switch {
		case name == "-":
		case name == "" && field.Anonymous && field.Type.Kind() == reflect.Struct:
			d.addProperties(definition, field.Type)
		case name != "":
			property := d.schema(definition, field.Type)
			for tag, extension := range map[string]string{"patchStrategy": "x-kubernetes-patch-strategy", "patchMergeKey": "x-kubernetes-patch-merge-key"} {
				if value := field.Tag.Get(tag); value != "" {
					property.AddExtension(extension, value)
				}
			}
			definition.Schema.SetProperty(name, property)
		}
	}
}

// schema is that of a field of definition, whose dependencies it adds.
func (d *definitions) schema(definition *common.OpenAPIDefinition, t reflect.Type) spec.Schema {
	switch t.Kind() {
	case reflect.Ptr:
		return d.schema(definition, t.Elem())
	case reflect.Struct:
		d.add(t)
		definition.Dependencies = append(definition.Dependencies, nameOf(t))
		return spec.Schema{SchemaProps: spec.SchemaProps{Ref: d.ref(nameOf(t))}}
	case reflect.Map:
		values := d.schema(definition, t.Elem())
		return *spec.MapProperty(&values)
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return *spec.StrFmtProperty("byte")
		}
		items := d.schema(definition, t.Elem())
		return *spec.ArrayProperty(&items)
	case reflect.String:
		return *spec.StringProperty()
	case reflect.Bool:
		return *spec.BooleanProperty()
	case reflect.Int32, reflect.Uint16:
		return *spec.Int32Property()
	case reflect.Int, reflect.Int64, reflect.Uint32:
		return *spec.Int64Property()
	case reflect.Float32, reflect.Float64:
		return *spec.Float64Property()
	}
	return spec.Schema{} // anything
}
