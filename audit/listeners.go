package audit

import (
	"slices"
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"helm-tenant/rbac"
	"helm-tenant/recognise"
	"helm-tenant/visible"
)

// listener is a webhook that is sent objects of homes or of kube-system, or changes rights.
type listener struct {
	Webhook
	// objects describes what of homes it is sent; empty for nothing.
	objects string
	homes   []string
	// system describes what it is sent of systems, kube-system and namespaces with accounts that
	// reach every deployer: whoever has such an account does as well. It is empty for nothing.
	system  string
	systems []string
	// lent describes the objects that it changes and a controller carries out with its own
	// rights; empty for none.
	lent string
	// rights describes what it changes in tenants' namespaces, which are in spaces; empty for
	// nothing.
	rights string
	spaces []string
	// wide describes what it changes outside namespaces, where no namespaceSelector counts;
	// empty for nothing.
	wide string
	// neighbours is what a tenant that answers for it gets of others.
	neighbours neighbours
}

func (w listener) what() string {
	var parts []string
	if w.objects != "" {
		parts = append(parts, w.objects+" of "+shortened(w.homes))
	}
	if w.system != "" {
		parts = append(parts, w.system+" of "+shortened(w.systems))
	}
	if w.rights != "" && w.rights != w.neighbours.objects {
		parts = append(parts, w.rights+" of "+shortened(w.spaces))
	}
	if w.neighbours.objects != "" {
		parts = append(parts, w.neighbours.objects+" of "+shortened(w.neighbours.spaces)+", and "+visible.Named("tenant", w.neighbours.answering)+" can answer for it")
	}
	for _, part := range []string{w.lent, w.wide} {
		if part != "" {
			parts = append(parts, part)
		}
	}
	return strings.Join(parts, ", and ")
}

// onlyNeighbours reports whether it gets nothing that leads to a deployer or to rights.
func (w listener) onlyNeighbours() bool {
	return w.objects == "" && w.rights == "" && !w.reachesAll()
}

// reachesAll reports whether who answers for it reaches every deployer.
func (w listener) reachesAll() bool { return w.wide != "" || w.system != "" || w.lent != "" }

// chain returns how its objects lead to the webhook.
func (w listener) chain(rest ...string) []string {
	chain := append([]string{w.configuration()}, rest...)
	switch {
	case w.objects != "":
		return append([]string{"namespace " + w.homes[0]}, chain...)
	case w.system != "":
		return append([]string{"namespace " + w.systems[0]}, chain...)
	case w.rights != "":
		return append([]string{"namespace " + w.spaces[0]}, chain...)
	case w.neighbours.objects != "":
		return append([]string{"namespace " + w.neighbours.spaces[0]}, chain...)
	}
	return chain
}

// reaches reports whether who answers for it reaches the deployer of a home.
func (w listener) reaches(home string) bool {
	return w.reachesAll() || w.objects != "" && slices.Contains(w.homes, home)
}

// configuration returns "KIND NAME".
func (w Webhook) configuration() string { return w.Kind + " " + w.Configuration }

// isAdmission reports whether it is sent requests before they are carried out, and chooses them
// by its rules.
func (w Webhook) isAdmission() bool { return w.Kind != Definition && w.Kind != AggregatedAPI }

func (w Webhook) changes() bool {
	return w.Kind == "MutatingWebhookConfiguration" || w.Kind == MutatingPolicy
}

// sent returns how the webhook gets the objects, as text: its matchConditions are not evaluated.
func (w listener) sent() string {
	switch {
	case w.Kind == Definition:
		return "converts"
	case w.Kind == AggregatedAPI:
		return "serves"
	case w.Kind == MutatingPolicy:
		return "can change" // if its mutations do
	case w.Conditional:
		return "may be sent"
	}
	return "is sent"
}

// listeners returns the webhooks that are sent objects of homes or of kube-system, or roles and
// bindings to change them. Those without conditions, which are certain, come first.
func (a *auditor) listeners() []listener {
	if a.listenerCache == nil {
		found := a.findListeners()
		a.listenerCache = &found
	}
	return *a.listenerCache
}

func (a *auditor) findListeners() []listener {
	if a.unseen("namespaces") {
		return nil
	}
	var certain, conditional []listener
	powerful := a.powerfulNamespaces()
	for _, w := range a.snapshot.Webhooks {
		found := a.listener(w, powerful)
		switch {
		case found.what() == "":
		case w.Conditional:
			conditional = append(conditional, found)
		default:
			certain = append(certain, found)
		}
	}
	return append(certain, conditional...)
}

// listener returns what a webhook is sent. powerful are the namespaces with accounts that reach
// every deployer.
func (a *auditor) listener(w Webhook, powerful []string) listener {
	found := listener{Webhook: w, lent: a.changesLent(w), neighbours: a.seesNeighbours(w)}
	if !w.isAdmission() {
		return found
	}
	found.homes = a.homesOf(w.NamespaceSelector)
	if len(found.homes) > 0 {
		found.objects = w.sees(a.kept(found.homes))
	}
	if all := a.homesOf(nil); len(all) > 0 {
		found.wide = w.seesClusterRights(a.kept(all))
		found.system, found.systems = a.seesSystems(w, powerful)
	}
	found.rights, found.spaces = a.changesRights(w)
	if n := &found.neighbours; found.rights != "" && n.objects != "" && n.severity != High {
		n.objects, n.severity = found.rights, High
	}
	if w.Kind == MutatingPolicy { // it sends nothing
		for _, part := range []*string{&found.objects, &found.system, &found.rights, &found.lent, &found.wide} {
			*part, _, _ = strings.Cut(*part, ", to change")
		}
	}
	return found
}

// kept is what homes hold, as far as webhooks choose by it: labels of objects that carry their
// tenant's, labels of the homes themselves, and whether a Tiller's releases are in ConfigMaps.
type kept struct {
	ours, homes  []labels.Set
	inConfigMaps bool
	// tillers are the labels of pods of Tillers that others made.
	tillers []labels.Set
}

func (a *auditor) kept(homes []string) kept {
	var k kept
	for _, home := range homes {
		k.homes = append(k.homes, a.namespaces[home].Labels)
		for _, d := range a.homes[home] {
			k.inConfigMaps = k.inConfigMaps || d.target.InConfigMaps
			switch {
			case d.isTenants():
				k.ours = append(k.ours, rbac.Labels(d.tenant()))
			case d.tiller != nil:
				k.tillers = append(k.tillers, labels.Set(d.tiller.Template.Labels))
			}
		}
	}
	return k
}

// takes reports whether one of the webhook's rules has the request.
func (w Webhook) takes(verb, group, resource string) bool {
	return w.takesIn(verb, group, resource, slices.Contains(clusterScoped, resource))
}

// takesIn is takes for a resource that is in no namespace if unscoped.
func (w Webhook) takesIn(verb, group, resource string, unscoped bool) bool {
	operation := admissionv1.OperationType(strings.ToUpper(verb))
	_, sub, isSub := strings.Cut(resource, "/")
	return slices.ContainsFunc(w.Rules, func(rule admissionv1.RuleWithOperations) bool {
		return (slices.Contains(rule.Operations, operation) || slices.Contains(rule.Operations, admissionv1.OperationAll)) &&
			(slices.Contains(rule.APIGroups, group) || slices.Contains(rule.APIGroups, "*")) &&
			(rule.Scope == nil || *rule.Scope == admissionv1.AllScopes || (*rule.Scope == admissionv1.ClusterScope) == unscoped) &&
			slices.ContainsFunc(rule.Resources, func(r string) bool {
				return r == resource || r == "*/*" || r == "*" && !isSub || isSub && (r == "*/"+sub || r == strings.TrimSuffix(resource, sub)+"*")
			})
	})
}

const (
	clusterRoles    = "clusterroles"
	clusterBindings = "clusterrolebindings"
)

// clusterScoped are those of the resources about which takes is asked that are in no namespace.
var clusterScoped = append([]string{clusterRoles, clusterBindings}, namespaceWrites...)

// namespaceWrites are the resources that change a namespace's labels: neither of the subresources
// resets the metadata (k8s.io/kubernetes/pkg/registry/core/namespace).
var namespaceWrites = []string{"namespaces", "namespaces/status", "namespaces/finalize"}

// seesClusterRights describes the objects outside namespaces that the webhook changes, and by
// which anybody gets rights in every home; empty for none. An administrator writes them, as for
// trustedWrites.
func (w Webhook) seesClusterRights(k kept) string {
	if !w.changes() {
		return ""
	}
	var seen []string
	for _, write := range []struct{ resource, objects string }{{clusterBindings, "the ClusterRoleBindings"}, {clusterRoles, "the ClusterRoles"}} {
		if (w.takes("create", rbacv1.GroupName, write.resource) || w.takes("update", rbacv1.GroupName, write.resource)) && w.chooses(append([]labels.Set{{}}, k.ours...)...) {
			seen = append(seen, write.objects)
		}
	}
	if seen == nil {
		return ""
	}
	return strings.Join(seen, " and ") + ", to change them"
}

func (w Webhook) chooses(objects ...labels.Set) bool {
	selector, err := metav1.LabelSelectorAsSelector(w.ObjectSelector)
	return w.ObjectSelector == nil || err == nil && slices.ContainsFunc(objects, func(l labels.Set) bool { return selector.Matches(l) })
}

// sees describes the objects of a home that the webhook gets; empty if none of them
// matters. A deletion is sent with what the object was. A request for a token is sent before there
// is a token (k8s.io/kubernetes/pkg/registry/core/serviceaccount/storage).
func (w Webhook) sees(k kept) string {
	chosen := w.chooses
	verbs := []string{"create", "update", "delete"}
	if w.Kind == MutatingPolicy { // it is sent nothing, and changes nothing that is deleted
		verbs = verbs[:2]
	}
	written := func(resource string) bool {
		return slices.ContainsFunc(verbs, func(verb string) bool { return w.takes(verb, "", resource) })
	}
	plain, record := labels.Set{}, releaseLabels(w.ObjectSelector)
	switch {
	case written("secrets") && chosen(plain, record):
		return "the Secrets"
	case k.inConfigMaps && written("configmaps") && chosen(record):
		return "the releases in ConfigMaps"
	case !w.changes():
		return ""
	case chosen(slices.Concat(tillerLabels(k.ours), k.tillers)...) && slices.ContainsFunc(podWrites, func(write act) bool { return w.takes(write.verb, write.group, write.resource) }):
		return "the pods, to change them"
	}
	for _, write := range trustedWrites {
		objects := k.ours
		switch {
		case slices.Contains(namespaceWrites, write.resource):
			objects = k.homes
		case write.group == rbacv1.GroupName: // whoever wrote a binding, it gives rights
			objects = append([]labels.Set{plain}, k.ours...)
		}
		if (w.takes("create", write.group, write.resource) || w.takes("update", write.group, write.resource)) && chosen(objects...) {
			return write.objects
		}
	}
	return ""
}

// tillerLabels returns the labels of Tillers' pods and ReplicaSets, and of their Deployments in
// those of tenants.
func tillerLabels(ours []labels.Set) []labels.Set {
	pod := labels.Set(recognise.Labels())
	all := []labels.Set{pod, labels.Merge(pod, labels.Set{"pod-template-hash": "x"})}
	for _, tenants := range ours {
		all = append(all, labels.Merge(pod, tenants))
	}
	return all
}

// trustedWrites are the objects at home that decide who reaches the deployer and what
// helm-tenant believes of the tenant. An administrator writes them, so RBAC's check of
// escalation accepts what a webhook adds.
var trustedWrites = []struct{ group, resource, objects string }{
	{rbacv1.GroupName, "rolebindings", "the RoleBindings, to change them"},
	{rbacv1.GroupName, "roles", "the Roles, to change them"},
	{"", "configmaps", "the tenants' records, to change them"},
	{"", "namespaces", labelsOfNamespaces}, {"", "namespaces/status", labelsOfNamespaces}, {"", "namespaces/finalize", labelsOfNamespaces},
}

const labelsOfNamespaces = "the namespaces themselves, to change their labels"

// podWrites are the requests that create or change a Tiller's pod.
var podWrites = []act{
	{"create", "", "pods"}, {"update", "", "pods"}, {"update", "", "pods/ephemeralcontainers"},
	{"create", "apps", "deployments"}, {"update", "apps", "deployments"}, {"create", "apps", "replicasets"}, {"update", "apps", "replicasets"},
}
