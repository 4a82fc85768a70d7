package cluster

import (
	"fmt"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"helm-tenant/rails"
)

// Field is one field in which a live object differs from the wanted one. A
// value is nil where the field is not there.
type Field struct {
	Path         string
	Live, Wanted any
}

// Differences compares a wanted object with the live one. Of labels and
// annotations only the wanted ones count: others may add theirs. One with the value
// rails.Absent must not be there. The fields
// that are ours are compared entirely, so that an added subject, rule or
// container is seen.
func Differences(wanted, live *unstructured.Unstructured) []Field {
	var fields []Field
	fields = append(fields, missingEntries("metadata.labels", wanted.GetLabels(), live.GetLabels())...)
	fields = append(fields, missingEntries("metadata.annotations", wanted.GetAnnotations(), live.GetAnnotations())...)
	for _, name := range kinds[wanted.GetKind()].fields {
		fields = append(fields, compareValues(name, wanted.Object[name], live.Object[name])...)
	}
	return fields
}

// changedFields are the fields in which an edited object differs from the live one.
func changedFields(next, live *unstructured.Unstructured) []Field {
	fields := slices.Concat(
		changedEntries("metadata.labels", next.GetLabels(), live.GetLabels()),
		changedEntries("metadata.annotations", next.GetAnnotations(), live.GetAnnotations()))
	names := maps.Clone(next.Object)
	maps.Copy(names, live.Object)
	delete(names, "metadata")
	for _, name := range slices.Sorted(maps.Keys(names)) {
		fields = append(fields, compareValues(name, next.Object[name], live.Object[name])...)
	}
	return fields
}

// changedEntries are missingEntries, and those that are gone.
func changedEntries(path string, next, live map[string]string) []Field {
	fields := missingEntries(path, next, live)
	for _, key := range slices.Sorted(maps.Keys(live)) {
		if _, stays := next[key]; !stays {
			fields = append(fields, Field{Path: path + "[" + key + "]", Live: live[key]})
		}
	}
	return fields
}

func missingEntries(path string, wanted, live map[string]string) []Field {
	var fields []Field
	for _, key := range slices.Sorted(maps.Keys(wanted)) {
		have, found := live[key]
		switch {
		case wanted[key] == rails.Absent:
			if found {
				fields = append(fields, Field{Path: path + "[" + key + "]", Live: have})
			}
		case !found:
			fields = append(fields, Field{Path: path + "[" + key + "]", Wanted: wanted[key]})
		case have != wanted[key]:
			fields = append(fields, Field{Path: path + "[" + key + "]", Live: have, Wanted: wanted[key]})
		}
	}
	return fields
}

func compareValues(path string, wanted, live any) []Field {
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
			// A pod template's own metadata: kubectl rollout restart writes there.
			if key == "metadata" {
				wantedMeta, liveMeta := &unstructured.Unstructured{Object: w}, &unstructured.Unstructured{Object: l}
				fields = append(fields, missingEntries(path+".metadata.labels", wantedMeta.GetLabels(), liveMeta.GetLabels())...)
				fields = append(fields, missingEntries(path+".metadata.annotations", wantedMeta.GetAnnotations(), liveMeta.GetAnnotations())...)
				continue
			}
			fields = append(fields, compareValues(path+"."+key, w[key], l[key])...)
		}
		return fields
	}
	ws, wantedList := wanted.([]any)
	ls, liveList := live.([]any)
	// Who is bound is a set: the second of two subjects did not turn into another.
	if wantedList && liveList && len(ws) == len(ls) && path != "subjects" {
		var fields []Field
		for i := range ws {
			fields = append(fields, compareValues(fmt.Sprintf("%s[%d]", path, i), ws[i], ls[i])...)
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

// overlay returns the live object with all that is wanted put into it; what is
// not ours stays.
func overlay(wanted, live *unstructured.Unstructured) *unstructured.Unstructured {
	merged := live.DeepCopy()
	if labels := wanted.GetLabels(); len(labels) > 0 {
		merged.SetLabels(rails.Changed(merged.GetLabels(), labels))
	}
	if annotations := wanted.GetAnnotations(); len(annotations) > 0 {
		merged.SetAnnotations(rails.Changed(merged.GetAnnotations(), annotations))
	}
	for _, name := range kinds[wanted.GetKind()].fields {
		if value, found := wanted.Object[name]; found {
			merged.Object[name] = runtime.DeepCopyJSONValue(value)
		} else {
			delete(merged.Object, name)
		}
	}
	return merged
}
