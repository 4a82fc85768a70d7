package cluster

import (
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"helm-tenant/difference"
	"helm-tenant/rails"
)

// Field is one field in which a live object differs from the wanted one.
type Field = difference.Field

// differences compares a wanted object with the live one. Of labels and annotations only
// the wanted ones are compared, since others may add theirs; one with the value
// rails.Absent must not exist. The other fields that helm-tenant writes are compared
// entirely, so that an added subject, rule or container is a difference.
func differences(wanted, live *unstructured.Unstructured) []Field {
	var fields []Field
	fields = append(fields, difference.Entries("metadata.labels", wanted.GetLabels(), live.GetLabels())...)
	fields = append(fields, difference.Entries("metadata.annotations", wanted.GetAnnotations(), live.GetAnnotations())...)
	for _, name := range kinds[wanted.GetKind()].fields {
		fields = append(fields, difference.Values(name, wanted.Object[name], live.Object[name])...)
	}
	return fields
}

// changedFields returns the fields in which an edited object differs from the live one.
func changedFields(next, live *unstructured.Unstructured) []Field {
	fields := slices.Concat(
		changedEntries("metadata.labels", next.GetLabels(), live.GetLabels()),
		changedEntries("metadata.annotations", next.GetAnnotations(), live.GetAnnotations()))
	names := maps.Clone(next.Object)
	maps.Copy(names, live.Object)
	delete(names, "metadata")
	for _, name := range slices.Sorted(maps.Keys(names)) {
		fields = append(fields, difference.Values(name, next.Object[name], live.Object[name])...)
	}
	return fields
}

// changedEntries returns the differences of difference.Entries, and the removed entries.
func changedEntries(path string, next, live map[string]string) []Field {
	fields := difference.Entries(path, next, live)
	for _, key := range slices.Sorted(maps.Keys(live)) {
		if _, stays := next[key]; !stays {
			fields = append(fields, Field{Path: path + "[" + key + "]", Live: live[key]})
		}
	}
	return fields
}

// overlay returns the live object with the wanted fields put into it. All other fields
// stay.
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
