package audit

import "slices"

func (a *auditor) accountObjects(account Subject) AccountObjects {
	held := AccountObjects{Workloads: map[string][]string{}}
	for _, w := range a.workloads[account.Namespace] {
		if resource, _ := resourceOf(w.Kind); resource != "" {
			held.Workloads[resource] = append(held.Workloads[resource], w.Name)
		}
	}
	for _, pod := range a.pods[account.Namespace] {
		if pod.Account == account.Name {
			held.Pods = append(held.Pods, pod.Name)
			if pod.Node != "" && !slices.Contains(held.Nodes, pod.Node) {
				held.Nodes = append(held.Nodes, pod.Node)
			}
		}
	}
	for _, token := range a.tokens[account.Namespace] {
		if token.Account == account.Name {
			held.Tokens = append(held.Tokens, token.Name)
		}
	}
	return held
}

// namesKnown reports whether the existing pods, workloads and Secrets are known.
func (a *auditor) namesKnown() bool {
	return !a.unseen("pods", "deployments", "statefulsets", "daemonsets", "secrets")
}

func (a *auditor) webhooks() map[string][]string {
	names := map[string][]string{}
	for _, webhook := range webhookKinds {
		if present, known := a.snapshot.WebhookNames[webhook.kind]; known {
			names[webhook.resource] = present
		}
	}
	return names
}

// beAccount returns the ways to act as a service account, like rights.beAccount. In
// kube-system every pod counts, since the control plane's pods have its keys.
func (a *auditor) beAccount(s Subject, impersonating bool) []Need {
	held := a.accountObjects(s)
	if s.Namespace == systemNamespace {
		held.Pods, held.Nodes = nil, nil
		for _, pod := range a.pods[systemNamespace] {
			held.Pods = append(held.Pods, pod.Name)
		}
	}
	return a.rights.beAccount(s, held, a.snapshot.Server, a.namesKnown(), impersonating)
}

func (a *auditor) policiesIn(namespace string) []string {
	var names []string
	for i := range a.snapshot.Policies {
		if policy := &a.snapshot.Policies[i]; policy.Namespace == namespace {
			names = append(names, policy.Name)
		}
	}
	return names
}
