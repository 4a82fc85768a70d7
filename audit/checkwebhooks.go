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
		found := listener{w, w.sees(), a.homesOf(w.NamespaceSelector)}
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
// certificate as well.
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
	for _, read := range p.either([]string{"get", "list", "watch"}, certificate) {
		for _, verb := range change {
			path.Any = append(path.Any, append(slices.Clone(read), p.only(verb, "", "services", service.Name)...))
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

// sees describes the objects of a home that the webhook gets; empty if none of them
// matters.
func (w Webhook) sees() string {
	takes := func(group, resource, verb string) bool {
		return slices.ContainsFunc(w.Rules, func(rule admissionv1.RuleWithOperations) bool {
			operations := []admissionv1.OperationType{admissionv1.Create, admissionv1.OperationAll}
			if verb == "update" {
				operations = []admissionv1.OperationType{admissionv1.Update, admissionv1.OperationAll}
			}
			_, sub, isSub := strings.Cut(resource, "/")
			return slices.ContainsFunc(operations, func(o admissionv1.OperationType) bool { return slices.Contains(rule.Operations, o) }) &&
				(slices.Contains(rule.APIGroups, group) || slices.Contains(rule.APIGroups, "*")) &&
				(rule.Scope == nil || *rule.Scope == admissionv1.AllScopes || (*rule.Scope == admissionv1.ClusterScope) == (resource == "namespaces")) &&
				slices.ContainsFunc(rule.Resources, func(r string) bool {
					return r == resource || r == "*/*" || r == "*" && !isSub || isSub && (r == "*/"+sub || r == strings.TrimSuffix(resource, sub)+"*")
				})
		})
	}
	chosen := func(objects ...map[string]string) bool {
		selector, err := metav1.LabelSelectorAsSelector(w.ObjectSelector)
		return w.ObjectSelector == nil || err == nil && slices.ContainsFunc(objects, func(l map[string]string) bool { return selector.Matches(labels.Set(l)) })
	}
	plain, record := map[string]string{}, releaseLabels(w.ObjectSelector)
	ours := rbac.Labels("x")
	tiller := map[string]string{"app": "helm", "name": "tiller"}
	changes := w.Kind == "MutatingWebhookConfiguration" || w.Kind == MutatingPolicy
	switch {
	case (takes("", "secrets", "create") || takes("", "secrets", "update")) && chosen(plain, record):
		return "the Secrets"
	case w.Kind != MutatingPolicy && takes("", "serviceaccounts/token", "create") && chosen(plain):
		return "the requests for tokens"
	case changes && chosen(tiller) && slices.ContainsFunc(podWrites, func(write act) bool { return takes(write.group, write.resource, write.verb) }):
		return "the pods, to change them"
	case changes && (chosen(plain) || chosen(ours)):
		for _, write := range trustedWrites {
			if takes(write.group, write.resource, "create") || takes(write.group, write.resource, "update") {
				return write.objects
			}
		}
	}
	return ""
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
		if requirement.Operator == metav1.LabelSelectorOpIn && len(requirement.Values) > 0 {
			requested(requirement.Key, requirement.Values[0])
		}
	}
	return record
}
