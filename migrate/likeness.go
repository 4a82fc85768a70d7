package migrate

import (
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"
	"sigs.k8s.io/yaml"
)

// Body is an object in the manifest of a release, with all its fields.
type Body struct {
	Object
	Fields map[string]any
}

// These bound a manifest that is compared. A forged record unpacks to much more than a
// chart's objects: parsed, it takes ten times the memory, and each object takes a
// request.
const (
	mostObjects  = 5000
	mostManifest = 8 << 20
)

// Bodies returns the objects of a manifest as Objects does, with their fields, or an
// error if the manifest is larger than those of charts, or if not all of it can be compared:
// Tiller installs nothing of a manifest that is no YAML.
func Bodies(manifest string) ([]Body, error) {
	if len(manifest) > mostManifest {
		return nil, fmt.Errorf("its manifest is larger than %d MiB", mostManifest>>20)
	}
	var bodies []Body
	for document := range strings.SplitSeq("\n"+manifest, "\n---") {
		var fields map[string]any
		if yaml.Unmarshal([]byte(document), &fields) != nil {
			return nil, errors.New("its manifest has a document that is no object in YAML")
		}
		bodies = appendBodies(bodies, fields)
		if len(bodies) > mostObjects {
			return nil, fmt.Errorf("its manifest has more than %d objects", mostObjects)
		}
	}
	return bodies, nil
}

func appendBodies(bodies []Body, fields map[string]any) []Body {
	text := func(from map[string]any, key string) string {
		value, _ := from[key].(string)
		return value
	}
	metadata, _ := fields["metadata"].(map[string]any)
	kind, name := text(fields, "kind"), text(metadata, "name")
	switch {
	case kind == "":
		return bodies
	case strings.HasSuffix(kind, "List") && name == "":
		items, _ := fields["items"].([]any)
		for _, item := range items {
			if inner, ok := item.(map[string]any); ok {
				bodies = appendBodies(bodies, inner)
			}
		}
		return bodies
	}
	return append(bodies, Body{Object{Resource: Resource{text(fields, "apiVersion"), kind, name}, Namespace: text(metadata, "namespace")}, fields})
}

// Unlike returns the path of the first field of the manifest that is missing in the live
// object, or has another value; empty if there is none. The live object may have more
// fields: defaults of the API server, and what controllers and people add. Replicas are
// left out, since autoscalers set them, and so is the status. Quantities and numbers are
// compared by value.
func (b Body) Unlike(live map[string]any) string {
	wanted := maps.Clone(b.Fields)
	delete(wanted, "status")
	delete(wanted, "apiVersion") // items of a list may come without it, and without a kind
	delete(wanted, "kind")
	if metadata, ok := wanted["metadata"].(map[string]any); ok {
		kept := map[string]any{}
		for _, key := range []string{"labels", "annotations"} {
			if value, found := metadata[key]; found {
				kept[key] = value
			}
		}
		wanted["metadata"] = kept
	}
	if spec, ok := wanted["spec"].(map[string]any); ok {
		spec = maps.Clone(spec)
		delete(spec, "replicas")
		wanted["spec"] = spec
	}
	if plain, ok := wanted["stringData"].(map[string]any); ok && b.Kind == "Secret" {
		delete(wanted, "stringData")
		data, _ := wanted["data"].(map[string]any)
		if data = maps.Clone(data); data == nil {
			data = map[string]any{}
		}
		for key, value := range plain {
			data[key] = base64.StdEncoding.EncodeToString(fmt.Append(nil, value))
		}
		wanted["data"] = data
	}
	left := mostCompared
	return unlike("", wanted, live, &left)
}

// mostCompared is the number of compared values of an object after which elements of
// lists are compared by index only: a forged list in another order takes the square of
// its length.
const mostCompared = 1_000_000

// unlike compares one value; path is its path, and left the number of comparisons before
// lists are compared by index only.
func unlike(path string, wanted, live any, left *int) string {
	*left--
	if isZero(wanted) && (live == nil || isZero(live)) {
		return ""
	}
	switch w := wanted.(type) {
	case map[string]any:
		l, ok := live.(map[string]any)
		if !ok {
			return path
		}
		for _, key := range slices.Sorted(maps.Keys(w)) {
			if w[key] == nil { // null requests the default
				continue
			}
			if difference := unlike(strings.TrimPrefix(path+"."+key, "."), w[key], l[key], left); difference != "" {
				return difference
			}
		}
		return ""
	case []any:
		l, ok := live.([]any)
		if !ok {
			return path
		}
		return unlikeList(path, w, l, left)
	}
	if sameScalar(wanted, live) {
		return ""
	}
	return path
}

// unlikeList finds for each wanted element an element of the live list that is not taken
// yet, that of the same index first. Others have added the remaining elements of the live
// list.
func unlikeList(path string, wanted, live []any, left *int) string {
	taken := make([]bool, len(live))
	for i, element := range wanted {
		first := ""
		if i < len(live) && !taken[i] {
			if first = unlike(fmt.Sprintf("%s[%d]", path, i), element, live[i], left); first == "" {
				taken[i] = true
				continue
			}
		}
		index := -1
		for j := 0; j < len(live) && *left > 0; j++ {
			if !taken[j] && unlike(path, element, live[j], left) == "" {
				index = j
				break
			}
		}
		switch {
		case index >= 0:
			taken[index] = true
		case first != "":
			return first
		default:
			return fmt.Sprintf("%s[%d]", path, i)
		}
	}
	return ""
}

// isZero reports whether the API server may omit a value.
func isZero(value any) bool {
	switch v := value.(type) {
	case nil:
		return true
	case map[string]any:
		for _, inner := range v {
			if !isZero(inner) {
				return false
			}
		}
		return true
	case []any:
		return len(v) == 0
	case string:
		return v == ""
	case bool:
		return !v
	case float64:
		return v == 0
	case int64:
		return v == 0
	}
	return false
}

// sameScalar reports whether two values are the same text, or the same quantity.
func sameScalar(wanted, live any) bool {
	w, l := scalarText(wanted), scalarText(live)
	if w == l {
		return true
	}
	if w == "" || l == "" {
		return false
	}
	q, err := resource.ParseQuantity(w)
	if err != nil {
		return false
	}
	p, err := resource.ParseQuantity(l)
	return err == nil && q.Cmp(p) == 0
}

// scalarText formats a number without an exponent, so that a float of a manifest and an
// integer in an answer of the API server give the same text.
func scalarText(value any) string {
	switch v := value.(type) {
	case nil:
		return ""
	case float64:
		if v == float64(int64(v)) {
			return fmt.Sprint(int64(v))
		}
	case map[string]any, []any:
		return ""
	}
	return fmt.Sprint(value)
}
