// Package difference compares wanted objects with live ones, field by field. The plan of
// what to write (package cluster) and the drift that an audit reports both come from it,
// so that they can't contradict each other. It reads nothing from a cluster.
package difference

import (
	"fmt"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"helm-tenant/lists"
	"helm-tenant/rails"
)

// Field is one field in which a live object differs from the wanted one. A value is nil
// if the field is missing.
type Field struct {
	Path         string
	Live, Wanted any
}

// Typed is Values for two pointers to a part of an object, such as a DeploymentSpec. The
// error reports that a part can't be converted to JSON.
func Typed(path string, wanted, live any) ([]Field, error) {
	wantedMap, err := runtime.DefaultUnstructuredConverter.ToUnstructured(wanted)
	if err != nil {
		return nil, err
	}
	liveMap, err := runtime.DefaultUnstructuredConverter.ToUnstructured(live)
	if err != nil {
		return nil, err
	}
	return Values(path, wantedMap, liveMap), nil
}

// Paths returns the paths of fields.
func Paths(fields []Field) []string {
	return lists.Map(fields, func(field Field) string { return field.Path })
}

// Entries compares labels or annotations at that path. Only the wanted ones are compared,
// since others may add theirs. One with the value rails.Absent must not exist.
func Entries(path string, wanted, live map[string]string) []Field {
	var fields []Field
	for _, key := range slices.Sorted(maps.Keys(wanted)) {
		current, found := live[key]
		switch {
		case wanted[key] == rails.Absent:
			if found {
				fields = append(fields, Field{Path: path + "[" + key + "]", Live: current})
			}
		case !found:
			fields = append(fields, Field{Path: path + "[" + key + "]", Wanted: wanted[key]})
		case current != wanted[key]:
			fields = append(fields, Field{Path: path + "[" + key + "]", Live: current, Wanted: wanted[key]})
		}
	}
	return fields
}

// Values compares the values at a path of two objects: maps key by key, and lists of the
// same length item by item. A pod template's metadata is compared as by Entries, and an
// empty value equals a missing one.
func Values(path string, wanted, live any) []Field {
	if isEmpty(wanted) && isEmpty(live) {
		return nil
	}
	w, wantedMap := wanted.(map[string]any)
	l, liveMap := live.(map[string]any)
	if wantedMap && liveMap {
		var fields []Field
		keys := maps.Clone(w)
		maps.Copy(keys, l)
		for _, key := range slices.Sorted(maps.Keys(keys)) {
			// A pod template's own metadata, to which kubectl rollout restart writes.
			if key == "metadata" {
				wantedMeta, liveMeta := &unstructured.Unstructured{Object: w}, &unstructured.Unstructured{Object: l}
				fields = append(fields, Entries(path+".metadata.labels", wantedMeta.GetLabels(), liveMeta.GetLabels())...)
				fields = append(fields, Entries(path+".metadata.annotations", wantedMeta.GetAnnotations(), liveMeta.GetAnnotations())...)
				continue
			}
			fields = append(fields, Values(path+"."+key, w[key], l[key])...)
		}
		return fields
	}
	ws, wantedList := wanted.([]any)
	ls, liveList := live.([]any)
	// Subjects are a set: a change of the second one does not make it another subject.
	if wantedList && liveList && len(ws) == len(ls) && path != "subjects" {
		var fields []Field
		for i := range ws {
			fields = append(fields, Values(fmt.Sprintf("%s[%d]", path, i), ws[i], ls[i])...)
		}
		return fields
	}
	if equality.Semantic.DeepEqual(wanted, live) {
		return nil
	}
	return []Field{{Path: path, Live: live, Wanted: wanted}}
}

func isEmpty(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case map[string]any:
		return len(v) == 0
	case []any:
		return len(v) == 0
	}
	return false
}
