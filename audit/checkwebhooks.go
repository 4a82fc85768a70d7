package audit

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/labels"

	"helm-tenant/command"
	"helm-tenant/lists"
	"helm-tenant/tenant"
)

// checkWebhooks finds webhooks that get the objects of homes, and subjects that can answer in
// the place of one. The matchConditions of a webhook are not evaluated: a webhook that has some
// is reported as one that may get them.
func (a *auditor) checkWebhooks() {
	reported, answered := map[string]bool{}, map[answerer]bool{}
	for _, w := range a.listeners() {
		// Whoever may change something in a tenant's namespace is its deployer, or a member.
		if !w.onlyNeighbours() {
			for _, place := range w.places() {
				if key := (answerer{place, w.Unverified}); !answered[key] {
					answered[key] = true
					a.checkAnswers(w, place)
				}
			}
		}
		key := w.configuration()
		if reported[key] {
			continue
		}
		reported[key] = true
		f := Finding{Subject: key, Text: fmt.Sprintf("%s %s %s", w.Server, w.sent(), w.what()), Chains: [][]string{w.chain(w.leading()...)}}
		if w.Conditional {
			f.Text += ": its matchConditions, which are not evaluated, may leave some out"
		}
		part := "webhooks"
		if w.Kind == MutatingPolicy {
			part, f.Chains[0] = "matchConstraints", w.chain()
		}
		f.Fix = command.Run(command.Kubectl("edit", "", strings.ToLower(w.Kind), w.Configuration))
		for _, note := range a.webhookNotes(w, part) {
			f.Fix = f.Fix.With(note)
		}
		a.add(idWebhook, w.severity(), f)
	}
}

// severity returns the severity of the finding on the webhook; empty for the usual one.
func (w listener) severity() Severity {
	n := w.neighbours
	switch {
	case n.objects == "" || w.Conditional && n.severity == High:
		return ""
	case n.severity == Low && !w.onlyNeighbours():
		return ""
	}
	return n.severity
}

// webhookNotes returns what to change in the webhook's configuration, of which part has the
// selectors.
func (a *auditor) webhookNotes(w listener, part string) []string {
	if !w.isAdmission() {
		return []string{"name a Service in a namespace of no tenant, to which only administrators have rights"}
	}
	var notes []string
	if left := a.leaveOut(w); len(left) > 0 {
		notes = append(notes, "give its "+part+" a namespaceSelector that leaves out "+strings.Join(left, " and "))
	}
	if w.wide != "" {
		notes = append(notes, "take "+clusterRoles+" and "+clusterBindings+" out of its rules, for which no namespaceSelector counts")
	}
	if w.lent != "" {
		notes = append(notes, "take what a controller carries out with its own rights out of its rules")
	}
	return notes
}

// leaveOut describes the namespaces that a webhook's namespaceSelector should leave out.
func (a *auditor) leaveOut(w listener) []string {
	var labelled, named []string
	if w.objects != "" {
		for _, home := range w.homes {
			if a.namespaces[home].Labels[tenant.LabelHome] == "" {
				named = append(named, home)
			} else if labelled == nil {
				labelled = []string{"namespaces with the label " + tenant.LabelHome}
			}
		}
	}
	if w.rights != "" {
		labelled = append(labelled, "those with the label "+tenant.LabelTenant+", or take roles, rolebindings and namespaces out of its rules for them")
	}
	if w.neighbours.objects != "" {
		labelled = append(labelled, "those of other tenants, by the label "+tenant.LabelTenant)
	}
	for _, namespace := range w.systems {
		if !slices.Contains(named, namespace) {
			named = append(named, namespace)
		}
	}
	if len(named) > 0 {
		labelled = append([]string{"the namespaces named " + shortened(named)}, labelled...)
	}
	return labelled
}

// checkAnswers finds subjects that can answer in the place of a webhook: they see what it is
// sent, and one of a MutatingWebhookConfiguration changes it. The accounts of its own namespace
// are left out: what runs it may need their rights.
func (a *auditor) checkAnswers(w listener, place ObjectRef) {
	path, namespace := a.pathToPlace(w.Webhook, place), place.Namespace
	a.eachOther([]string{namespace}, func(s Subject, mine func(grant) bool) {
		if s.Namespace == namespace || s == Group(tenant.GroupAccounts+":"+namespace) {
			return
		}
		steps, open := a.rights.opens(identityOf(s), path, nil, mine)
		if !open {
			return
		}
		f := Finding{Subject: s.String(), Object: place.String(), Text: fmt.Sprintf("%s can answer in the place of %s, which %s %s", s, place, w.sent(), w.what())}
		f.Chains = append(chainsOf(s, []opened{{path, steps}}), w.chain(place.String()))
		left := "homes"
		if w.objects == "" {
			left = "these"
		}
		onlyTenants := w.objects == "" && !w.reachesAll()
		switch {
		case !a.isDeployerIn(s, namespace):
			f.Fix = a.takeAwayAll([]opened{{path, steps}}).With("or leave " + left + " out of the webhook, as for " + idWebhook)
		case onlyTenants && w.neighbours.objects != "":
			return // the webhook's own finding says that the tenant answers for it
		default: // the tenant would be nothing without its binding
			f.Fix = command.Run(command.Kubectl("edit", "", strings.ToLower(w.Kind), w.Configuration)).With("leave " + left + " out of the webhook, as for " + idWebhook + ", or have it answered in a namespace of no tenant")
		}
		severity := everybodyIs(s)
		if severity == "" && (w.Conditional || s.Namespace == systemNamespace || onlyTenants) {
			severity = Medium
		}
		a.add(idAnswers, severity, f)
	})
}

// pathToPlace returns the path to the place of a webhook. A pod of its namespace can have the labels by
// which the Service finds its pods, and mount the Secret with the certificate; of the pods that are
// there those answer that the Service selects. A Service of type ExternalName leads to any host,
// which needs the certificate as well; so do its EndpointSlices, which lead to any address. Where
// the API server verifies nobody, no certificate is needed.
func (a *auditor) pathToPlace(w Webhook, place ObjectRef) Path {
	key := answerer{place, w.Unverified}
	if path, known := a.placePaths[key]; known {
		return path
	}
	t := Target{Home: place.Namespace, Server: a.snapshot.Server, NamesKnown: a.namesKnown(), Workloads: a.accountObjects(Account(place.Namespace, "")).Workloads}
	answering := t
	for _, pod := range a.pods[place.Namespace] {
		t.Pods = append(t.Pods, pod.Name)
		switch {
		case place.Kind == "Pod" && pod.Name != place.Name:
		case !labels.SelectorFromSet(w.Selectors[place]).Matches(labels.Set(pod.Labels)): // without one: any
		default:
			answering.Pods = append(answering.Pods, pod.Name)
		}
	}
	path := Path{ID: answerPath, Name: "answer for a webhook that is sent what homes hold", finding: idAnswers}
	for _, way := range a.rights.paths(t) {
		switch {
		case way.finding == idMakePods, way.ID == replaceImage: // of a pod the labels change as well
			path.needs = append(path.needs, way.needs...)
		case way.finding == idRights: // over the whole cluster they lead to every deployer anyway
			path.needs = append(path.needs, slices.DeleteFunc(way.needs, func(need Need) bool { return need[0].Namespace == "" })...)
		}
	}
	for _, way := range a.rights.paths(answering) {
		if way.finding == idEnterPods && way.ID != replaceImage {
			path.needs = append(path.needs, way.needs...)
		}
	}
	p := pather{t, a.rights}
	certificate := p.ask("", "secrets")
	certificate.AnyName = true
	leads := lists.Map(change, func(verb string) Need { return p.only(verb, "", "services", place.Name) })
	slice := p.ask("discovery.k8s.io", "endpointslices")
	slice.AnyName = true // the Service has some, of names that its controller makes up
	leads = slices.Concat(leads, p.create(slice.Group, slice.Resource), p.either(change, slice))
	if w.Unverified {
		path.needs = append(path.needs, leads...)
	}
	for _, read := range p.either([]string{"get", "list", "watch"}, certificate) {
		for _, lead := range leads {
			path.needs = append(path.needs, append(slices.Clone(read), lead...))
		}
	}
	if a.placePaths == nil {
		a.placePaths = map[answerer]Path{}
	}
	a.placePaths[key] = path
	return path
}

// answerer is a place that answers, and whether the API server verifies it.
type answerer struct {
	place      ObjectRef
	unverified bool
}

const answerPath = "answer-webhook"

// answerPathTo returns the path to the place of a webhook that is sent objects of the deployer's
// home, if it is open to somebody.
func (a *auditor) answerPathTo(one *somebody, d *deployer) (opened, bool) {
	for _, w := range a.listeners() {
		if !w.reaches(d.target.Home) {
			continue
		}
		for _, place := range w.places() {
			if o, open := a.opensTo(one, a.pathToPlace(w.Webhook, place)); open {
				return o, true
			}
		}
	}
	return opened{}, false
}
