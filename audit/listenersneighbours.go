package audit

import (
	"slices"

	"k8s.io/apimachinery/pkg/labels"

	"helm-tenant/tenant"
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
// tenants' namespaces. Where an administrator runs a webhook, it is trusted with these; a tenant
// can't make one, and becomes one by a Service that the configuration names.
func (a *auditor) seesNeighbours(w Webhook) neighbours {
	var n neighbours
	var own []string
	eachTenant := func(do func(t *tenant.Tenant)) {
		for i := range a.snapshot.Records {
			do(&a.snapshot.Records[i].Tenant)
		}
	}
	eachTenant(func(t *tenant.Tenant) {
		if w.Service.Namespace != "" && slices.Contains(t.Namespaces, w.Service.Namespace) {
			n.answering, own = append(n.answering, t.Name), append(own, t.Namespaces...)
		}
	})
	if n.answering == nil {
		return neighbours{}
	}
	// Whose labels an objectSelector may choose: none, those of Helm 3's records, and those of pods.
	secrets, pods := []labels.Set{{}, helmRecordLabels}, []labels.Set{{}}
	eachTenant(func(t *tenant.Tenant) {
		for _, namespace := range t.Namespaces {
			if slices.Contains(own, namespace) || slices.Contains(n.spaces, namespace) || !a.choosesNamespace(w, namespace) {
				continue
			}
			n.spaces = append(n.spaces, namespace)
			for _, pod := range a.pods[namespace] {
				pods = append(pods, pod.Labels)
			}
		}
	})
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
