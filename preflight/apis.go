package preflight

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// moved maps kinds to the groups of Kubernetes' APIs into which they were moved
// (https://kubernetes.io/docs/reference/using-api/deprecation-guide/). An empty group means
// that the kind has no successor.
var moved = map[schema.GroupKind]string{
	{Group: "extensions", Kind: "Deployment"}:              "apps",
	{Group: "extensions", Kind: "DaemonSet"}:               "apps",
	{Group: "extensions", Kind: "ReplicaSet"}:              "apps",
	{Group: "extensions", Kind: "Ingress"}:                 "networking.k8s.io",
	{Group: "extensions", Kind: "NetworkPolicy"}:           "networking.k8s.io",
	{Group: "extensions", Kind: "PodSecurityPolicy"}:       "",
	{Group: "policy", Kind: "PodSecurityPolicy"}:           "",
	{Group: "settings.k8s.io", Kind: "PodPreset"}:          "",
	{Group: "extensions", Kind: "ThirdPartyResource"}:      "",
	{Group: "auditregistration.k8s.io", Kind: "AuditSink"}: "",
	{Group: "extensions", Kind: "HorizontalPodAutoscaler"}: "autoscaling",
	{Group: "extensions", Kind: "Job"}:                     "batch",
}

// successor returns the kind that replaces a kind that is not served. known is false if the
// table has no entry for it.
func (k Kinds) successor(gvk schema.GroupVersionKind) (do string, known bool) {
	if versions := k.versionsOf(gvk.Group, gvk.Kind); len(versions) > 0 {
		served := schema.GroupVersion{Group: gvk.Group, Version: versions[0]}
		return fmt.Sprintf("use %s, which this API server serves: a newer version of the chart may", served), true
	}
	group, isMoved := moved[gvk.GroupKind()]
	switch {
	case !isMoved:
		return "", false
	case gvk.Kind == "PodSecurityPolicy":
		return "leave it out by the chart's values: Kubernetes has none any more; PodSecurity labels of the namespace, which an admin sets, took its place", true
	case group == "":
		return "leave it out by the chart's values: Kubernetes has none any more, and nothing takes its place", true
	}
	if versions := k.versionsOf(group, gvk.Kind); len(versions) > 0 {
		return fmt.Sprintf("use %s, which this API server serves: a newer version of the chart may", schema.GroupVersion{Group: group, Version: versions[0]}), true
	}
	return "", false
}

// judgeServed returns the finding about an object whose kind is not served.
func (k Kinds) judgeServed(o Object) Finding {
	do, known := k.successor(o.gvk())
	if !known {
		do = "check the spelling of apiVersion and kind, or use a version of the chart for this version of Kubernetes"
		if isCustom(o.gvk().Group) {
			do = "ask an admin to install the CustomResourceDefinition of that kind (mostly its operator), or leave the object out by the chart's values"
		}
	}
	return refused(o, APINotServed, fmt.Sprintf("the API server does not serve %s %s", o.GetAPIVersion(), o.GetKind()), do, "")
}

// isCustom reports whether a group is not one of Kubernetes' own.
func isCustom(group string) bool {
	if !strings.Contains(group, ".") {
		return false
	}
	return !strings.HasSuffix(group, ".k8s.io") || strings.Contains(group, ".x-k8s.io")
}
