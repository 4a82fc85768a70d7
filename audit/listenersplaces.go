package audit

import "slices"

// places returns the Services and pods that answer for the webhook.
func (w Webhook) places() []ObjectRef {
	if w.Service == (ObjectRef{}) {
		return w.Leads
	}
	return append([]ObjectRef{w.Service}, w.Leads...)
}

// places of a listener are those outside kube-system: who can run pods there reaches every
// deployer anyway.
func (w listener) places() []ObjectRef {
	return slices.DeleteFunc(w.Webhook.places(), func(place ObjectRef) bool { return place.Namespace == systemNamespace })
}

func (w Webhook) isAnsweredIn(namespaces ...string) bool {
	return slices.ContainsFunc(w.places(), func(place ObjectRef) bool { return slices.Contains(namespaces, place.Namespace) })
}

func (w Webhook) isAnsweredBy(namespaces ...string) bool {
	places := w.places()
	return len(places) > 0 && !slices.ContainsFunc(places, func(place ObjectRef) bool { return !slices.Contains(namespaces, place.Namespace) })
}

// leading returns what is called, and where that leads.
func (w Webhook) leading() []string {
	chain := []string{w.Server}
	if len(w.Leads) > 0 {
		var leads []string
		for _, place := range w.Leads {
			leads = append(leads, place.String())
		}
		chain = append(chain, shortened(leads))
	}
	return chain
}
