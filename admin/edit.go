package admin

import (
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"helm-tenant/tenant"
)

// These are the edits of live objects, for cluster.Plan.Edit.

// withoutLabels removes labels, and the annotation that names the home namespace.
func withoutLabels(names ...string) func(*unstructured.Unstructured) {
	return func(object *unstructured.Unstructured) {
		labels := object.GetLabels()
		for _, name := range names {
			delete(labels, name)
		}
		object.SetLabels(labels)
		withAnnotation(tenant.AnnotationHome, "")(object)
	}
}

// withAnnotation sets an annotation, or removes it if the value is empty.
func withAnnotation(name, value string) func(*unstructured.Unstructured) {
	return func(object *unstructured.Unstructured) {
		annotations := object.GetAnnotations()
		if annotations == nil {
			annotations = map[string]string{}
		}
		annotations[name] = value
		if value == "" {
			delete(annotations, name)
		}
		object.SetAnnotations(annotations)
	}
}

func ofTenant(name, home string) func(*unstructured.Unstructured) {
	return func(object *unstructured.Unstructured) {
		labels := object.GetLabels()
		if labels == nil {
			labels = map[string]string{}
		}
		labels[tenant.LabelTenant] = name
		object.SetLabels(labels)
		withAnnotation(tenant.AnnotationHome, home)(object)
	}
}

func withReplicas(replicas int32) func(*unstructured.Unstructured) {
	return func(object *unstructured.Unstructured) {
		spec, _ := object.Object["spec"].(map[string]any)
		if spec == nil {
			spec = map[string]any{}
			object.Object["spec"] = spec
		}
		spec["replicas"] = int64(replicas)
	}
}

func withSubjects(subjects []rbacv1.Subject) (func(*unstructured.Unstructured), error) {
	list := make([]any, len(subjects))
	for i := range subjects {
		item, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&subjects[i])
		if err != nil {
			return nil, err
		}
		list[i] = item
	}
	return func(object *unstructured.Unstructured) { object.Object["subjects"] = list }, nil
}
