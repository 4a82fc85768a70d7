package preflight

import (
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// templates are where kinds that make pods have the pod's template.
var templates = map[string][]string{
	"Deployment":            {"spec", "template"},
	"ReplicaSet":            {"spec", "template"},
	"StatefulSet":           {"spec", "template"},
	"DaemonSet":             {"spec", "template"},
	"Job":                   {"spec", "template"},
	"CronJob":               {"spec", "jobTemplate", "spec", "template"},
	"ReplicationController": {"spec", "template"},
}

var builtin = []string{"", "apps", "batch", "extensions"}

// Pod returns a pod as the object's controller would create it, with an existing service
// account: the namespace's default account replaces one that is in the chart. found is false
// for objects that create no pods, and for pods themselves.
func (p Plan) Pod(o Object) (pod *unstructured.Unstructured, found bool) {
	path, isMaker := templates[o.GetKind()]
	if !isMaker || !isBuiltin(o) {
		return nil, false
	}
	template, found, err := unstructured.NestedMap(o.Object, path...)
	if err != nil || !found {
		return nil, false
	}
	spec, found, err := unstructured.NestedMap(template, "spec")
	if err != nil || !found {
		return nil, false
	}
	p.standInAccount(spec, o.GetNamespace())
	claims, _, _ := unstructured.NestedSlice(o.Object, "spec", "volumeClaimTemplates")
	volumes, _, _ := unstructured.NestedSlice(spec, "volumes")
	for _, claim := range claims {
		if body, ok := claim.(map[string]any); ok {
			name, _, _ := unstructured.NestedString(body, "metadata", "name")
			volumes = append(volumes, map[string]any{"name": name, "persistentVolumeClaim": map[string]any{"claimName": name}})
		}
	}
	if len(volumes) > 0 {
		spec["volumes"] = volumes
	}
	metadata := map[string]any{"generateName": "preflight-", "namespace": o.GetNamespace()}
	for _, field := range []string{"labels", "annotations"} {
		if values, found, _ := unstructured.NestedMap(template, "metadata", field); found {
			metadata[field] = values
		}
	}
	return &unstructured.Unstructured{Object: map[string]any{"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}}, true
}

// JobOf returns a Job that makes a pod like this one, which ends instead of being restarted: the
// only restart policies that a Job can have.
func JobOf(pod *unstructured.Unstructured) *unstructured.Unstructured {
	template := map[string]any{}
	for _, field := range []string{"labels", "annotations"} {
		if values, found, _ := unstructured.NestedMap(pod.Object, "metadata", field); found {
			template[field] = values
		}
	}
	spec, found, _ := unstructured.NestedMap(pod.Object, "spec")
	if found {
		spec["restartPolicy"] = "Never"
	}
	return &unstructured.Unstructured{Object: map[string]any{"apiVersion": "batch/v1", "kind": "Job",
		"metadata": map[string]any{"generateName": "preflight-", "namespace": pod.GetNamespace()},
		"spec":     map[string]any{"template": map[string]any{"metadata": template, "spec": spec}}}}
}

// standInAccount replaces the pods' service account by the namespace's default account if the
// chart creates it: a dry run would not find it.
func (p Plan) standInAccount(spec map[string]any, namespace string) {
	for _, field := range []string{"serviceAccountName", "serviceAccount"} {
		name, _ := spec[field].(string)
		if _, defined := p.Of("", "ServiceAccount", namespace, name); defined {
			spec[field] = "default"
		}
	}
}

// Mend returns the pod without the part that a finding is about, so that further problems are
// found: the API server's answer names one. mended is false if nothing was changed.
func Mend(pod *unstructured.Unstructured, f Finding) (mend *unstructured.Unstructured, mended bool) {
	field, value := "", ""
	switch f.ID {
	case ServiceAccount:
		field, value = "serviceAccountName", "default"
	case PriorityClass:
		field = "priorityClassName"
	default:
		return pod, false
	}
	mend = pod.DeepCopy()
	spec, found, err := unstructured.NestedMap(mend.Object, "spec")
	if was, _ := spec[field].(string); err != nil || !found || was == value {
		return pod, false
	}
	delete(spec, "serviceAccount")
	if spec[field] = value; value == "" {
		delete(spec, field)
	}
	mend.Object["spec"] = spec
	return mend, true
}

// Claims returns the volume claims that a StatefulSet's controller would create for its first
// pod.
func (p Plan) Claims(o Object) []*unstructured.Unstructured {
	if o.GetKind() != "StatefulSet" || !isBuiltin(o) {
		return nil
	}
	var all []*unstructured.Unstructured
	claims, _, _ := unstructured.NestedSlice(o.Object, "spec", "volumeClaimTemplates")
	for _, claim := range claims {
		body, ok := claim.(map[string]any)
		if !ok {
			continue
		}
		newClaim := (&unstructured.Unstructured{Object: body}).DeepCopy()
		newClaim.SetAPIVersion("v1")
		newClaim.SetKind("PersistentVolumeClaim")
		newClaim.SetName(newClaim.GetName() + "-" + o.GetName() + "-0")
		newClaim.SetNamespace(o.GetNamespace())
		all = append(all, newClaim)
	}
	return all
}

func isBuiltin(o Object) bool {
	return slices.Contains(builtin, o.gvk().Group)
}

// harmlessRole is a ClusterRole that every authenticated user holds: whoever may write
// RoleBindings may bind it.
const harmlessRole = "system:basic-user"

// StandIn returns the object, or a stand-in that a dry run can judge: a Pod with an existing
// account, a RoleBinding with an existing role instead of one that the chart creates. role is
// that role of the chart if its own dry run can't show whether its rules may be granted: a
// ClusterRole, which a tenant can't write.
func (p Plan) StandIn(o Object) (standIn Object, role *Object) {
	switch {
	case o.GetKind() == "Pod" && o.gvk().Group == "":
		standIn = o.with(o.DeepCopy())
		if spec, found, _ := unstructured.NestedMap(standIn.Object, "spec"); found {
			p.standInAccount(spec, o.GetNamespace())
			standIn.Object["spec"] = spec
		}
		return standIn, nil
	case o.GetKind() != "RoleBinding" || o.gvk().Group != rbacGroup:
		return o, nil
	}
	kind, _, _ := unstructured.NestedString(o.Object, "roleRef", "kind")
	name, _, _ := unstructured.NestedString(o.Object, "roleRef", "name")
	namespace := o.GetNamespace()
	if kind == "ClusterRole" {
		namespace = ""
	}
	own, found := p.Of(rbacGroup, kind, namespace, name)
	if !found {
		return o, nil
	}
	standIn = o.with(o.DeepCopy())
	standIn.Object["roleRef"] = map[string]any{"apiGroup": rbacGroup, "kind": "ClusterRole", "name": harmlessRole}
	if kind != "ClusterRole" {
		return standIn, nil
	}
	rules := own.DeepCopy()
	rules.SetKind("Role")
	rules.SetName("preflight-" + own.GetName())
	rules.SetNamespace(o.GetNamespace())
	delete(rules.Object, "aggregationRule")
	return standIn, new(o.with(rules))
}

// with returns another object from the same document.
func (o Object) with(body *unstructured.Unstructured) Object {
	o.Unstructured = body
	return o
}

const rbacGroup = "rbac.authorization.k8s.io"
