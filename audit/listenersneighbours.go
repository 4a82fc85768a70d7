package audit

import (
	"slices"
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// neighbours is what a webhook that a tenant answers for gets of other tenants' namespaces.
type neighbours struct {
	// answering are the tenants in whose namespace the webhook's Service is: whoever may change
	// something there answers for it.
	answering []string
	// objects describes what it is sent of spaces; empty for nothing.
	objects string
	spaces  []string
	// severity is that of the finding on it.
	severity Severity
}

// seesNeighbours returns what a webhook whose Service is in a tenant's namespace gets of other
// tenants' namespaces. A tenant can't make a webhook, but answers for one whose configuration, which
// an administrator made, names a Service in a namespace of the tenant.
func (a *auditor) seesNeighbours(w Webhook) neighbours {
	var n neighbours
	var own []string
	for i := range a.snapshot.Records {
		t := &a.snapshot.Records[i].Tenant
		if w.isAnsweredIn(t.Namespaces...) {
			n.answering, own = append(n.answering, t.Name), append(own, t.Namespaces...)
		}
	}
	if n.answering == nil {
		return neighbours{}
	}
	// The labels among which an objectSelector chooses.
	secrets, pods := []labels.Set{{}, helmRecordLabels}, []labels.Set{{}}
	for i := range a.snapshot.Records {
		for _, namespace := range a.snapshot.Records[i].Tenant.Namespaces {
			if slices.Contains(own, namespace) || slices.Contains(n.spaces, namespace) || w.isAdmission() && !a.choosesNamespace(w, namespace) {
				continue
			}
			n.spaces = append(n.spaces, namespace)
			for _, pod := range a.pods[namespace] {
				pods = append(pods, pod.Labels)
			}
		}
	}
	if len(n.spaces) > 0 {
		n.objects, n.severity = w.ofNeighbours(secrets, pods)
	}
	if n.objects == "" {
		return neighbours{}
	}
	return n
}

// ofNeighbours describes what the webhook gets of namespaces where Secrets and pods have such
// labels, and how severe that is; empty for nothing.
func (w Webhook) ofNeighbours(secrets, pods []labels.Set) (objects string, severity Severity) {
	switch {
	case w.Kind == Definition:
		return "the " + w.Configuration + ", to change them,", Medium
	case w.Kind == AggregatedAPI:
		return "the API " + w.Configuration, Medium
	case w.writes("", "secrets", "create", "update", "delete") && w.chooses(secrets...):
		return "the Secrets", High
	case w.changes() && w.chooses(pods...) && w.writesPods():
		return "the pods, to change them,", High
	}
	resources, builtIn := w.written()
	if len(resources) == 0 {
		return "", ""
	}
	objects, severity = "the "+shortened(resources), Low
	if builtIn {
		severity = Medium
	}
	if w.ObjectSelector != nil && !w.chooses(labels.Set{}) {
		objects += " that its objectSelector chooses"
	}
	if w.changes() {
		return objects + ", to change or refuse them,", severity
	}
	return objects + ", to refuse them,", severity
}

// written returns the resources in namespaces about which the webhook is asked, and whether some
// are Kubernetes' own: whoever answers can refuse what is asked, whatever its failurePolicy is.
// Objects of other kinds are often those of what answers.
func (w Webhook) written() (resources []string, builtIn bool) {
	for _, rule := range w.Rules {
		if rule.Scope != nil && *rule.Scope == admissionv1.ClusterScope {
			continue
		}
		for _, resource := range rule.Resources {
			for _, group := range rule.APIGroups {
				name := resource
				switch {
				case group == "*" && (resource == "*" || resource == "*/*"):
					name = "objects of every kind"
				case group != "" && group != "*":
					name += "." + group
				}
				if slices.Contains(clusterScoped, resource) && !slices.Contains(namespaceWrites, resource) || slices.Contains(resources, name) {
					continue
				}
				resources, builtIn = append(resources, name), builtIn || isBuiltIn(group)
			}
		}
	}
	return resources, builtIn
}

// isBuiltIn reports whether Kubernetes itself serves the group: those of others have a domain.
func isBuiltIn(group string) bool {
	return group == "*" || !strings.Contains(group, ".") || strings.HasSuffix(group, ".k8s.io")
}

// writesPods reports whether the webhook is sent requests that create or change pods, or a
// workload that makes them.
func (w Webhook) writesPods() bool {
	return slices.ContainsFunc(podWrites, func(write act) bool { return w.takes(write.verb, write.group, write.resource) }) ||
		slices.ContainsFunc(workloadKinds, func(kind workloadKind) bool { return w.writes(kind.group, kind.resource, "create", "update") })
}
