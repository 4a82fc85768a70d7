package audit

import (
	"slices"

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
}

// seesNeighbours returns what a webhook whose Service is in a tenant's namespace gets of other
// tenants' namespaces. A tenant can't make a webhook, but answers for one whose configuration, which
// an administrator made, names a Service in a namespace of the tenant.
func (a *auditor) seesNeighbours(w Webhook) neighbours {
	var n neighbours
	var own []string
	for i := range a.snapshot.Records {
		t := &a.snapshot.Records[i].Tenant
		if w.Service.Namespace != "" && slices.Contains(t.Namespaces, w.Service.Namespace) {
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
			if slices.Contains(own, namespace) || slices.Contains(n.spaces, namespace) || !a.choosesNamespace(w, namespace) {
				continue
			}
			n.spaces = append(n.spaces, namespace)
			for _, pod := range a.pods[namespace] {
				pods = append(pods, pod.Labels)
			}
		}
	}
	switch {
	case len(n.spaces) == 0:
	case w.writes("", "secrets", "create", "update", "delete") && w.chooses(secrets...):
		n.objects = "the Secrets"
	case w.Kind == "MutatingWebhookConfiguration" && w.chooses(pods...) && w.writesPods():
		n.objects = "the pods, to change them,"
	}
	if n.objects == "" {
		return neighbours{}
	}
	return n
}

// helmRecordLabels are those of a release record of Helm 3 and 4
// (helm.sh/helm/v3/pkg/storage/driver, newSecretsObject).
var helmRecordLabels = labels.Set{"owner": "helm", "name": "x", "status": "deployed", "version": "1"}

// writesPods reports whether the webhook is sent requests that create or change pods, or a
// workload that makes them.
func (w Webhook) writesPods() bool {
	return slices.ContainsFunc(podWrites, func(write act) bool { return w.takes(write.verb, write.group, write.resource) }) ||
		slices.ContainsFunc(workloadKinds, func(kind workloadKind) bool { return w.writes(kind.group, kind.resource, "create", "update") })
}
