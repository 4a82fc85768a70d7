package rails

import admissionv1 "k8s.io/api/admissionregistration/v1"

// Kubernetes' controllers are not restricted. So these policies judge objects other than
// workloads by which a controller or the kubelet does something for whoever wrote them. The
// roles admin and edit can't write them; a role for all resources of an API group can.

// byController returns a CEL expression that reports whether the caller may do something in
// the whole cluster, as the controllers of others that write such objects may.
func byController(group, resource, subresource, verb string) string {
	check := `authorizer.group(` + quoted(group) + `).resource(` + quoted(resource) + `)`
	if subresource != "" {
		check += `.subresource(` + quoted(subresource) + `)`
	}
	return check + `.check(` + quoted(verb) + `).allowed()`
}

// controllerRevisions keeps a StatefulSet's earlier template from being replaced: its
// controller creates pods from the revision that the set's status names, which no policy
// judges again. Revisions of other controllers have no template of pods, or are written by
// controllers of the whole cluster. Content can't be changed later.
//
// The controller merges the revision into the set. Up to Kubernetes 1.36 it takes the set's
// metadata from that too, and creates the pods in the namespace that these name
// (k8s.io/kubernetes/pkg/controller/statefulset, ApplyRevision).
//
// The controller reads the revision without regard to case, as Go does.
func controllerRevisions() policy {
	return policy{
		kind: "controllerrevisions", groups: []string{"apps"}, resources: []string{"controllerrevisions"}, operations: onCreate,
		variables: []admissionv1.Variable{
			{Name: "templated", Expression: `has(object.data) && object.data.exists(k, k.matches("(?i)^metadata$") || k.matches("(?i)^spec$") && object.data[k].exists(t, t.matches("(?i)^template$")))`},
		},
		rules: []admissionv1.Validation{rule(
			`!variables.templated || `+byController("apps", "controllerrevisions", "", "create"),
			"only controllers make revisions of workloads in a tenant's namespace",
			`"only controllers make revisions of workloads here, of which they create pods"`,
		)},
	}
}

// podAddresses keeps a pod from having an address that no node gave it, or that the node took
// back when the pod ended: Kubernetes leads the traffic of Services there, and networks apply to
// it the NetworkPolicies that select the pod.
func podAddresses() policy {
	addresses := func(object string) string {
		return `(has(` + object + `.status) ? [has(` + object + `.status.podIP) ? ` + object + `.status.podIP : ""] + (has(` + object + `.status.podIPs) ? ` + object + `.status.podIPs.map(i, has(i.ip) ? i.ip : "") : []) : [""])`
	}
	return policy{
		kind: "podstatuses", groups: []string{""}, resources: []string{"pods/status"}, operations: onWrite,
		variables: []admissionv1.Variable{
			{Name: "byController", Expression: byController("", "pods", "status", "update")},
			{Name: "ended", Expression: `oldObject != null && has(oldObject.status) && has(oldObject.status.phase) && oldObject.status.phase in ["Failed", "Succeeded"]`},
		},
		rules: []admissionv1.Validation{
			rule(`oldObject != null && `+addresses("object")+` == `+addresses("oldObject")+` || variables.byController`,
				"only a node sets the addresses in a pod's status", `"only a node sets the addresses in a pod's status"`),
			rule(`!variables.ended || has(object.status) && has(object.status.phase) && object.status.phase in ["Failed", "Succeeded"] || variables.byController`,
				"a pod that ended can't run again: its addresses may be another's", `"a pod that ended can't run again: its addresses may be another's"`),
		},
	}
}
