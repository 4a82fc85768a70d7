package preflight

import (
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation"

	"helm-tenant/rails"
	"helm-tenant/tenant"
)

// subdomainGroups are the groups whose namespaced kinds have names that are DNS subdomains
// (RFC 1123). RBAC's kinds take any name that can stand in a path.
var subdomainGroups = []string{"", "apps", "batch", "autoscaling", "policy", "networking.k8s.io", "discovery.k8s.io", "coordination.k8s.io", "storage.k8s.io"}

// labelKinds are the kinds whose names are DNS labels.
var labelKinds = []string{"Service"}

// maxCronJobName leaves room for what the controller adds (k8s.io/kubernetes/pkg/apis/batch/validation).
const maxCronJobName = 52

// wrongName returns why the API server refuses an object's name; empty if it does not.
func wrongName(o Object) string {
	name, group := o.GetName(), o.gvk().Group
	if name == "" {
		return ""
	}
	var why []string
	switch {
	case len(name) > validation.DNS1123SubdomainMaxLength || strings.ContainsAny(name, "/%"):
		why = []string{"it is too long, or has a character that no name has"}
	case group == "" && slices.Contains(labelKinds, o.GetKind()):
		why = validation.IsDNS1123Label(name)
	case group == "batch" && o.GetKind() == "CronJob" && len(name) > maxCronJobName:
		why = []string{fmt.Sprintf("a CronJob's has at most %d characters", maxCronJobName)}
	case slices.Contains(subdomainGroups, group):
		why = validation.IsDNS1123Subdomain(name)
	}
	if len(why) == 0 {
		return ""
	}
	return fmt.Sprintf("the name %q is none that the object can have: %s", name, why[0])
}

// tooLarge returns why a ConfigMap or Secret is too large; empty if it is not.
func tooLarge(o Object) string {
	if o.gvk().Group != "" || o.GetKind() != "ConfigMap" && o.GetKind() != "Secret" {
		return ""
	}
	sizes := map[string]int{} // by key, since stringData replaces values of data
	for _, field := range []string{"data", "stringData", "binaryData"} {
		values, _, _ := unstructured.NestedMap(o.Object, field)
		for key, value := range values {
			text, _ := value.(string)
			sizes[key] = len(text)
			if field == "binaryData" || field == "data" && o.GetKind() == "Secret" {
				sizes[key] = base64.StdEncoding.DecodedLen(len(text)) - strings.Count(text, "=")
			}
		}
	}
	total := 0
	for _, size := range sizes {
		total += size
	}
	if total <= maxSecret {
		return ""
	}
	return fmt.Sprintf("its values have %d bytes, and a %s holds %d", total, o.GetKind(), maxSecret)
}

// unmatched returns why an object's selector does not select its own pods; empty if it does, or if
// one of both is missing.
func unmatched(o Object) string {
	fields := []string{"spec", "selector", "matchLabels"}
	switch group := o.gvk().Group; {
	case group == "" && o.GetKind() == "ReplicationController":
		fields = fields[:2]
	case group != "apps" || !slices.Contains([]string{"Deployment", "ReplicaSet", "StatefulSet", "DaemonSet"}, o.GetKind()):
		return ""
	}
	selector, _, _ := unstructured.NestedStringMap(o.Object, fields...)
	labels, _, _ := unstructured.NestedStringMap(o.Object, "spec", "template", "metadata", "labels")
	for _, key := range slices.Sorted(maps.Keys(selector)) {
		if value, found := labels[key]; labels != nil && (!found || value != selector[key]) {
			return fmt.Sprintf("its selector wants the label %s=%s, which its pods do not have", key, selector[key])
		}
	}
	return ""
}

// protectedName reports whether the guard keeps an object of that kind and name for helm-tenant
// (package rails, protected).
func protectedName(o Object) bool {
	switch name := o.GetName(); o.GetKind() {
	case "NetworkPolicy", "ResourceQuota", "LimitRange":
		return name == rails.ObjectName || strings.HasPrefix(name, rails.ObjectName+"-")
	case "RoleBinding":
		return strings.HasPrefix(name, "helm-tenant.")
	}
	return false
}

// systemClasses are Kubernetes' own priority classes; their values are above any default.
var systemClasses = []string{"system-cluster-critical", "system-node-critical"}

// refusedClass returns the priority class of an object's pods if the guard refuses it for sure. The
// values of other classes are not known to a member.
func (p Plan) refusedClass(o Object, t tenant.Tenant) string {
	pod, found, err := p.podOf(o)
	if !found || err != nil || !slices.Contains(systemClasses, pod.Spec.PriorityClassName) || slices.Contains(t.PriorityClasses, pod.Spec.PriorityClassName) {
		return ""
	}
	return pod.Spec.PriorityClassName
}

// refusedHosts returns why the guard refuses a new Ingress of a tenant that is restricted to these
// hosts; nothing if there are none. An Ingress that is there may keep its hosts.
func refusedHosts(o Object, allowed []string) []string {
	group := o.gvk().Group
	if o.GetKind() != "Ingress" || group != "networking.k8s.io" && group != "extensions" || len(allowed) == 0 {
		return nil
	}
	var ingress networkingv1.Ingress
	if runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, &ingress) != nil {
		return nil
	}
	return rails.OfIngress(&ingress).RefusedHosts(allowed)
}
