package audit

import (
	"fmt"
	"slices"
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"helm-tenant/command"
	"helm-tenant/rbac"
	"helm-tenant/recognise"
	"helm-tenant/tenant"
)

// listener is a webhook that is sent objects of homes.
type listener struct {
	Webhook
	// objects describes what it is sent.
	objects string
	homes   []string
}

// configuration returns "KIND NAME".
func (w Webhook) configuration() string { return w.Kind + " " + w.Configuration }

// isElsewhere reports whether a Service of the cluster answers for the webhook, outside
// kube-system: who can run pods there reaches every deployer anyway.
func (w Webhook) isElsewhere() bool {
	return w.Service != (ObjectRef{}) && w.Service.Namespace != systemNamespace
}

// sent returns how the webhook gets the objects, as text: its matchConditions are not evaluated.
func (w listener) sent() string {
	switch {
	case w.Kind == MutatingPolicy:
		return "can change" // if its mutations do
	case w.Conditional:
		return "may be sent"
	}
	return "is sent"
}

// listeners returns the webhooks that are sent objects of homes. Those without conditions, which
// are certain, come first.
func (a *auditor) listeners() []listener {
	if a.heard == nil {
		found := a.findListeners()
		a.heard = &found
	}
	return *a.heard
}

func (a *auditor) findListeners() []listener {
	if a.unseen("namespaces") {
		return nil
	}
	var certain, conditional []listener
	for _, w := range a.snapshot.Webhooks {
		homes := a.homesOf(w.NamespaceSelector)
		found := listener{w, w.sees(a.kept(homes)), homes}
		if w.Kind == MutatingPolicy { // it sends nothing
			found.objects, _, _ = strings.Cut(found.objects, ", to change")
		}
		switch {
		case found.objects == "" || len(found.homes) == 0:
		case w.Conditional:
			conditional = append(conditional, found)
		default:
			certain = append(certain, found)
		}
	}
	return append(certain, conditional...)
}

// checkWebhooks finds webhooks that get the objects of homes, and subjects that can answer in
// the place of one. The matchConditions of a webhook are not evaluated: a webhook that has some
// is reported as one that may get them.
func (a *auditor) checkWebhooks() {
	reported, answered := map[string]bool{}, map[ObjectRef]bool{}
	for _, w := range a.listeners() {
		if w.isElsewhere() && !answered[w.Service] {
			answered[w.Service] = true
			a.checkAnswers(w)
		}
		key := w.configuration()
		if reported[key] {
			continue
		}
		reported[key] = true
		f := Finding{Subject: key, Text: fmt.Sprintf("%s %s %s of %s", w.Server, w.sent(), w.objects, shortened(w.homes)), Chains: [][]string{{"namespace " + w.homes[0], key, w.Server}}}
		if w.Conditional {
			f.Text += ": its matchConditions, which are not evaluated, may leave some out"
		}
		part := "webhooks"
		if w.Kind == MutatingPolicy {
			part, f.Chains[0] = "matchConstraints", f.Chains[0][:2]
		}
		f.Fix = command.Run(command.Kubectl("edit", "", strings.ToLower(w.Kind), w.Configuration)).
			With("give its " + part + " a namespaceSelector that leaves out namespaces with the label " + tenant.LabelHome)
		a.add(idWebhook, "", f)
	}
}

// checkAnswers finds subjects that can answer in the place of a webhook: they see what it is
// sent, and one of a MutatingWebhookConfiguration changes it. The accounts of its own namespace
// are left out: what runs it may need their rights.
func (a *auditor) checkAnswers(w listener) {
	path, namespace := a.answer(w.Service), w.Service.Namespace
	a.eachOther([]string{namespace}, func(s Subject, mine func(grant) bool) {
		if s.Namespace == namespace || s == Group(groupAccounts+":"+namespace) {
			return
		}
		steps, open := a.rights.opens(identityOf(s), path, nil, mine)
		if !open {
			return
		}
		f := Finding{Subject: s.String(), Object: w.Service.String(), Text: fmt.Sprintf("%s can answer in the place of %s, which %s %s of %s", s, w.Service, w.sent(), w.objects, shortened(w.homes))}
		f.Chains = append(chainsOf(s, []opened{{path, steps}}), []string{"namespace " + w.homes[0], w.configuration(), w.Service.String()})
		f.Fix = a.takeAwayAll([]opened{{path, steps}}).With("or leave homes out of the webhook, as for " + idWebhook)
		severity := everybodyIs(s)
		if severity == "" && (w.Conditional || s.Namespace == systemNamespace) {
			severity = Medium
		}
		a.add(idAnswers, severity, f)
	})
}

// answer returns the path to a webhook's place. A pod of its namespace can have the labels by
// which the Service finds its pods, and mount the Secret with the certificate; a pod that is
// there may be one of them. A Service of type ExternalName leads to any host, which needs the
// certificate as well; so do its EndpointSlices, which lead to any address.
func (a *auditor) answer(service ObjectRef) Path {
	if path, known := a.answers[service]; known {
		return path
	}
	t := Target{Home: service.Namespace, Server: a.snapshot.Server, NamesKnown: a.namesKnown(), Workloads: a.heldBy(Account(service.Namespace, "")).Workloads}
	for _, pod := range a.pods[service.Namespace] {
		t.Pods = append(t.Pods, pod.Name)
	}
	path := Path{ID: answerPath, Name: "answer for a webhook that is sent what homes hold", finding: idAnswers}
	for _, way := range a.rights.paths(t) {
		switch way.finding {
		case idMakePods, idEnterPods:
			path.Any = append(path.Any, way.Any...)
		case idRights: // over the whole cluster they lead to every deployer anyway
			path.Any = append(path.Any, slices.DeleteFunc(way.Any, func(need Need) bool { return need[0].Namespace == "" })...)
		}
	}
	p := pather{t, a.rights}
	certificate := p.ask("", "secrets")
	certificate.AnyName = true
	var leads []Need
	for _, verb := range change {
		leads = append(leads, p.only(verb, "", "services", service.Name))
	}
	slice := p.ask("discovery.k8s.io", "endpointslices")
	slice.AnyName = true // the Service has some, of names that its controller makes up
	leads = slices.Concat(leads, p.create(slice.Group, slice.Resource), p.either(change, slice))
	for _, read := range p.either([]string{"get", "list", "watch"}, certificate) {
		for _, lead := range leads {
			path.Any = append(path.Any, append(slices.Clone(read), lead...))
		}
	}
	if a.answers == nil {
		a.answers = map[ObjectRef]Path{}
	}
	a.answers[service] = path
	return path
}

const answerPath = "answer-webhook"

// answerPathTo returns the path to the place of a webhook that is sent objects of the deployer's
// home, if it is open to somebody.
func (a *auditor) answerPathTo(one *somebody, d *deployer) (opened, bool) {
	for _, w := range a.listeners() {
		if !w.isElsewhere() || !slices.Contains(w.homes, d.target.Home) {
			continue
		}
		if o, open := a.opensTo(one, a.answer(w.Service)); open {
			return o, true
		}
	}
	return opened{}, false
}

// kept is what homes hold, as far as webhooks choose by it: labels of objects that carry their
// tenant's, labels of the homes themselves, and whether a Tiller's releases are in ConfigMaps.
type kept struct {
	ours, homes  []labels.Set
	inConfigMaps bool
}

func (a *auditor) kept(homes []string) kept {
	var k kept
	for _, home := range homes {
		k.homes = append(k.homes, a.namespaces[home].Labels)
		for _, d := range a.homes[home] {
			k.inConfigMaps = k.inConfigMaps || d.target.InConfigMaps
			if d.isTenants() {
				k.ours = append(k.ours, rbac.Labels(d.tenant()))
			}
		}
	}
	return k
}

// takes reports whether one of the webhook's rules has the request.
func (w Webhook) takes(verb, group, resource string) bool {
	operation := admissionv1.OperationType(strings.ToUpper(verb))
	_, sub, isSub := strings.Cut(resource, "/")
	return slices.ContainsFunc(w.Rules, func(rule admissionv1.RuleWithOperations) bool {
		return (slices.Contains(rule.Operations, operation) || slices.Contains(rule.Operations, admissionv1.OperationAll)) &&
			(slices.Contains(rule.APIGroups, group) || slices.Contains(rule.APIGroups, "*")) &&
			(rule.Scope == nil || *rule.Scope == admissionv1.AllScopes || (*rule.Scope == admissionv1.ClusterScope) == (resource == "namespaces")) &&
			slices.ContainsFunc(rule.Resources, func(r string) bool {
				return r == resource || r == "*/*" || r == "*" && !isSub || isSub && (r == "*/"+sub || r == strings.TrimSuffix(resource, sub)+"*")
			})
	})
}

// sees describes the objects of a home that the webhook gets; empty if none of them
// matters. A deletion is sent with what the object was.
func (w Webhook) sees(k kept) string {
	chosen := func(objects ...labels.Set) bool {
		selector, err := metav1.LabelSelectorAsSelector(w.ObjectSelector)
		return w.ObjectSelector == nil || err == nil && slices.ContainsFunc(objects, func(l labels.Set) bool { return selector.Matches(l) })
	}
	verbs := []string{"create", "update", "delete"}
	if w.Kind == MutatingPolicy { // it is sent nothing, and changes nothing that is deleted
		verbs = verbs[:2]
	}
	written := func(resource string) bool {
		return slices.ContainsFunc(verbs, func(verb string) bool { return w.takes(verb, "", resource) })
	}
	plain, record := labels.Set{}, releaseLabels(w.ObjectSelector)
	changes := w.Kind == "MutatingWebhookConfiguration" || w.Kind == MutatingPolicy
	switch {
	case written("secrets") && chosen(plain, record):
		return "the Secrets"
	case k.inConfigMaps && written("configmaps") && chosen(record):
		return "the releases in ConfigMaps"
	case w.Kind != MutatingPolicy && w.takes("create", "", "serviceaccounts/token") && chosen(plain):
		return "the requests for tokens"
	case !changes:
		return ""
	case chosen(tillerLabels(k.ours)...) && slices.ContainsFunc(podWrites, func(write act) bool { return w.takes(write.verb, write.group, write.resource) }):
		return "the pods, to change them"
	}
	for _, write := range trustedWrites {
		objects := k.ours
		switch {
		case write.resource == "namespaces":
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
	{"", "namespaces", "the namespaces themselves, to change their labels"},
}

// podWrites are the requests that create or change a Tiller's pod.
var podWrites = []act{
	{"create", "", "pods"}, {"update", "", "pods"}, {"update", "", "pods/ephemeralcontainers"},
	{"create", "apps", "deployments"}, {"update", "apps", "deployments"}, {"create", "apps", "replicasets"}, {"update", "apps", "replicasets"},
}

// releaseLabels returns the labels of a release record, with the selector's values for labels
// whose values differ between records (k8s.io/helm/pkg/storage/driver).
func releaseLabels(selector *metav1.LabelSelector) map[string]string {
	record := map[string]string{"OWNER": "TILLER", "NAME": "x", "STATUS": "DEPLOYED", "VERSION": "1", "CREATED_AT": "1", "MODIFIED_AT": "1"}
	requested := func(key, value string) {
		if _, differs := record[key]; differs && key != "OWNER" {
			record[key] = value
		}
	}
	if selector == nil {
		return record
	}
	for key, value := range selector.MatchLabels {
		requested(key, value)
	}
	for _, requirement := range selector.MatchExpressions {
		switch {
		case requirement.Operator == metav1.LabelSelectorOpIn && len(requirement.Values) > 0:
			requested(requirement.Key, requirement.Values[0])
		case requirement.Operator == metav1.LabelSelectorOpNotIn && slices.Contains(requirement.Values, record[requirement.Key]):
			requested(requirement.Key, strings.Join(requirement.Values, "-")+"-") // another value
		}
	}
	return record
}
