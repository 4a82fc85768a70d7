package audit

import (
	"cmp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"helm-tenant/command"
	"helm-tenant/install"
	"helm-tenant/recognise"
	"helm-tenant/tenant"
)

// created reports whether a workload created that pod. It goes by the pod's owner reference and
// the UID in it, since anybody can set labels and names. The ReplicaSets of a Deployment have its
// name and a hash.
func created(w *Workload, pod Pod) bool {
	if w.Kind == "Deployment" {
		index := strings.LastIndex(pod.Owner.Name, "-")
		return pod.Owner.Kind == "ReplicaSet" && index > 0 && pod.Owner.Name[:index] == w.Name
	}
	return pod.Owner == (ObjectRef{w.Kind, w.Namespace, w.Name}) && (w.UID == "" || w.UID == pod.OwnerUID)
}

// impostor is the reason why a pod should not be in a home namespace.
type impostor int

const (
	noImpostor impostor = iota
	// needless is a pod of an account that needs no pods.
	needless
	// foreign is a pod that the Tiller's workload did not create.
	foreign
	// altered is a pod that the workload created and that was changed since.
	altered
)

// ownership returns noImpostor if the pod is that deployer's Tiller as its workload
// creates it, otherwise the kind of impostor, and for an altered pod what differs.
func (a *auditor) ownership(d *deployer, pod Pod) (kind impostor, differs []string) {
	switch {
	case d.target.Engine != tenant.EngineTiller:
		return needless, nil
	case pod.Spec == nil || pod.Account != d.target.Account:
		return foreign, nil
	}
	w, template := d.tiller, (*corev1.PodTemplateSpec)(nil)
	if w == nil {
		w = &Workload{Kind: "Deployment", Namespace: pod.Namespace, Name: install.DeploymentName} // deleting it deletes its pods
	} else {
		template = w.Template
	}
	if w.Kind == "Deployment" && (template == nil || recognise.HasLabels(template.Labels)) && !a.unseen("replicasets") {
		// During a rollout there are pods of an older template.
		set := a.sets[[2]string{pod.Namespace, pod.Owner.Name}]
		if set == nil || set.UID != pod.OwnerUID || set.Deployment != w.Name || pod.Owner.Kind != "ReplicaSet" {
			return foreign, nil
		}
		template = set.Template
	} else if !created(w, pod) || template == nil {
		return foreign, nil
	}
	if differs := podDifferences(template.Spec, *pod.Spec); len(differs) > 0 {
		return altered, differs
	}
	return noImpostor, nil
}

// impostorOf reports whether a pod in the home of a deployer has its token, or is taken
// for it, and should not be there, with the reason as text.
func (a *auditor) impostorOf(d *deployer, pod Pod) (impostor, string) {
	// Helm's clients choose by the labels.
	isTaken := d.target.Engine == tenant.EngineTiller && recognise.HasLabels(pod.Labels)
	if other := a.homes[d.target.Home][pod.Account]; other != d && other.isTenants() {
		return noImpostor, "" // reported for that deployer
	}
	if pod.Account != d.target.Account && !isTaken {
		return noImpostor, ""
	}
	kind, differs := a.ownership(d, pod)
	switch {
	case kind == noImpostor:
		return kind, ""
	case kind == needless:
		return kind, "runs with its account, of which Helm 3 and 4 need no pod"
	case kind == altered:
		return kind, "is not as its template says: " + strings.Join(differs, ", ")
	case pod.Account != d.target.Account:
		return kind, "has the labels by which Helm's clients find a Tiller, and is none of its Tiller's"
	}
	return kind, "runs with its account, and is none of its Tiller's"
}

// checkPods finds pods in the home that the deployer's tenant does not run.
func (a *auditor) checkPods(d *deployer) {
	home := d.target.Home
	for _, pod := range a.pods[home] {
		kind, why := a.impostorOf(d, pod)
		if kind == noImpostor {
			continue
		}
		f := d.about("Pod "+pod.Name, "pod %s at the home of the deployer %s %s", pod.Name, d.account.Name, why)
		f.Chains = [][]string{{objectName("Pod", home, pod.Name), Account(home, pod.Account).String()}}
		f.Fix = a.removePod(d, pod, kind)
		if pod.Owner != (ObjectRef{}) {
			f.Chains = [][]string{append([]string{pod.Owner.String()}, f.Chains[0]...)}
		}
		a.add(idImpostor, "", f)
	}
}

// removePod returns the command that removes an impostor: its workload, if that exists
// and creates nothing else; otherwise the pod, which may come back.
func (a *auditor) removePod(d *deployer, pod Pod, kind impostor) command.Fix {
	index := slices.IndexFunc(a.workloads[pod.Namespace], func(w *Workload) bool {
		return w.Kind == pod.Owner.Kind && created(w, pod) && w.Template != nil && w != d.tiller
	})
	if kind != altered && index >= 0 {
		return deleteObject(pod.Namespace, pod.Owner.Kind, pod.Owner.Name)
	}
	return deletePod(pod.Namespace, pod.Name, kind != altered && pod.Owner != (ObjectRef{}))
}

// neighbours returns the workloads and pods in the home that are not part of the Tiller.
func (a *auditor) neighbours(d *deployer) []string {
	var found []string
	var others []*Workload
	for _, w := range a.workloads[d.target.Home] {
		if (d.tiller == nil || w.Kind != d.tiller.Kind || w.Name != d.tiller.Name) && w.Template == nil && !a.homes[d.target.Home][cmp.Or(w.Account, "default")].isTenants() {
			found, others = append(found, w.Kind+" "+w.Name), append(others, w)
		}
	}
	for _, pod := range a.pods[d.target.Home] {
		if other := a.homes[d.target.Home][pod.Account]; pod.Spec != nil || other.isTenants() ||
			slices.ContainsFunc(others, func(w *Workload) bool { return created(w, pod) }) {
			continue // reported as a Tiller, as an impostor, or with its workload
		}
		name := pod.Owner.short()
		if pod.Owner == (ObjectRef{}) || pod.Owner.Kind == "Node" { // a static pod
			name = "Pod " + pod.Name
		}
		if !slices.Contains(found, name) {
			found = append(found, name)
		}
	}
	return found
}

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
