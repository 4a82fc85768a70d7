package preflight

import (
	"strings"
	"testing"
)

// TestJudgeCustom compares objects with the chart's own definition of their kind.
func TestJudgeCustom(t *testing.T) {
	const definition = `
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: things.x.com}
spec:
  group: x.com
  scope: Namespaced
  names: {kind: Thing, plural: things}
  versions:
  - {name: v0, served: false}
  - name: v1
    served: true
    schema:
      openAPIV3Schema:
        type: object
        required: [spec]
        properties:
          spec:
            type: object
            required: [size, kept]
            properties:
              size: {type: integer, minimum: 1, maximum: 5}
              kept: {type: string, default: x}
              port: {x-kubernetes-int-or-string: true}
              name: {type: string, pattern: "^[a-z]+$", maxLength: 4}
              mode: {type: string, enum: [a, b]}
              on: {type: boolean}
              list: {type: array, maxItems: 2, items: {type: string}}
              map: {type: object, additionalProperties: {type: number}}
              any: {x-kubernetes-preserve-unknown-fields: true}
              either: {x-kubernetes-int-or-string: true, anyOf: [{type: integer}, {type: string}]}
              joined: {type: object, oneOf: [{required: [a]}, {required: [b]}], properties: {a: {type: string}, b: {type: string}}}
              ruled: {type: integer, x-kubernetes-validations: [{rule: self > 3}]}
              when: {type: string, format: date-time}
              count: {type: integer, format: int32}
              set: {type: array, x-kubernetes-list-type: set, items: {type: string}}
              deep: {type: array, items: {type: object, additionalProperties: {type: string, not: {enum: [x]}}}}
---
`
	thing := func(version, spec string) string {
		return "apiVersion: x.com/" + version + "\nkind: Thing\nmetadata: {name: x}\n" + spec
	}
	for _, c := range []struct {
		name, object, want string
		allowed            bool
	}{
		{"right", thing("v1", "spec: {size: 1, port: 80, name: ab, mode: a, on: true, list: [a], map: {a: 1.5, b: 2}, any: {x: [1]}, unknown: 3}\n"), "", true},
		{"right, too", thing("v1", "spec: {size: 5, port: http, list: [], any: 3, name: null}\nstatus: {}\n"), "", true},
		{"nothing", thing("v1", ""), "spec is required", true},
		{"no size", thing("v1", "spec: {}\n"), "spec.size is required", true},
		{"a string", thing("v1", "spec: {size: '1'}\n"), "spec.size must be of type integer", true},
		{"too much", thing("v1", "spec: {size: 6}\n"), "spec.size is more than 5", true},
		{"another name", thing("v1", "spec: {size: 1, name: A}\n"), "spec.name does not match", true},
		{"a long name", thing("v1", "spec: {size: 1, name: abcde}\n"), "longer than 4", true},
		{"no mode", thing("v1", "spec: {size: 1, mode: c}\n"), "spec.mode must be one of [a b]", true},
		{"a list", thing("v1", "spec: {size: 1, list: [a, 2]}\n"), "spec.list[1] must be of type string", true},
		{"a long list", thing("v1", "spec: {size: 1, list: [a, b, c]}\n"), "more than 2 items", true},
		{"a map", thing("v1", "spec: {size: 1, map: {a: b}}\n"), "spec.map.a must be of type number", true},
		{"a port", thing("v1", "spec: {size: 1, port: 1.5}\n"), "spec.port must be", true},
		{"integer or string", thing("v1", "spec: {size: 1, either: a, count: 3, set: [a]}\n"), "", true},
		{"joined schemas", thing("v1", "spec: {size: 1, joined: {a: x, b: z}}\n"), "only the API server judges: spec.joined (oneOf)", true},
		{"CEL", thing("v1", "spec: {size: 1, ruled: 1, when: never}\n"), "spec.ruled (x-kubernetes-validations), spec.when (format)", true},
		{"a set", thing("v1", "spec: {size: 1, set: [a, a]}\n"), "spec.set (x-kubernetes-list-type)", true},
		{"far below", thing("v1", "spec: {size: 1, deep: [{a: x}]}\n"), "spec.deep[0].a (not)", true},
		{"another version", thing("v2", "spec: {size: 1}\n"), "does not serve the version v2", true},
		{"one that is not served", thing("v0", "spec: {size: 1}\n"), "does not serve the version v0", true},
		{"no right", thing("v1", "spec: {size: 1}\n"), "may not create Thing", false},
	} {
		q := question()
		plan := q.Judge(served(), parse(t, definition+c.object).Objects)
		if len(plan.Custom) != 1 {
			t.Fatalf("%s: %v", c.name, plan)
		}
		if got := plan.Resource(plan.Custom[0]).String(); got != "things.x.com" {
			t.Errorf("the resource is %s", got)
		}
		findings := q.JudgeCustom(plan, plan.Custom[0], c.allowed)
		switch {
		case c.want == "" && len(findings) > 0, c.want != "" && (len(findings) != 1 || !strings.Contains(findings[0].Why, c.want)),
			strings.Contains(c.want, "(") != (len(findings) == 1 && findings[0].Result == Untried):
			t.Errorf("%s: %v, wanted %q", c.name, findings, c.want)
		}
	}
}
