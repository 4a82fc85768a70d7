package audit

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"

	"helm-tenant/install"
	"helm-tenant/tenant"
)

// made says whether a workload made that pod: by the pod's owner, since labels
// anybody can give a pod. A Deployment's ReplicaSets have its name and a hash.
func made(w *Workload, pod Pod) bool {
	if w.Kind == "Deployment" {
		name, isSet := strings.CutPrefix(pod.Owner, "ReplicaSet ")
		at := strings.LastIndex(name, "-")
		return isSet && at > 0 && name[:at] == w.Name
	}
	return pod.Owner == w.Kind+" "+w.Name
}

// isOwnPod says whether a pod is the Tiller of that deployer, as its workload makes it;
// where it is not, why.
func (a *auditor) isOwnPod(d *deployer, pod Pod) (bool, string) {
	none := "is none of its Tiller's"
	switch {
	case d.target.Engine != tenant.EngineTiller:
		return false, "runs with its account, of which Helm 3 and 4 need no pod"
	case pod.Spec == nil || pod.Account != d.target.Account:
		return false, none
	}
	w, template := d.tiller, (*corev1.PodTemplateSpec)(nil)
	if w == nil {
		w = &Workload{Kind: "Deployment", Name: install.DeploymentName} // its pods go with it
	} else {
		template = w.Template
	}
	if w.Kind == "Deployment" && (template == nil || install.HasTillerLabels(template.Labels)) && !a.unseen("replicasets") {
		// While it rolls out there are pods of an older template.
		_, name, _ := strings.Cut(pod.Owner, " ")
		set := a.sets[[2]string{pod.Namespace, name}]
		if set == nil || set.Deployment != w.Name || !strings.HasPrefix(pod.Owner, "ReplicaSet ") {
			return false, none
		}
		template = set.Template
	} else if !made(w, pod) || template == nil {
		return false, none
	}
	if differs := differences(template.Spec, *pod.Spec); len(differs) > 0 {
		return false, "is not as its template says: " + strings.Join(differs, ", ")
	}
	return true, ""
}

// differences is what runs in a pod and is not in the template that it is said to be
// made of, leaving out what API servers and admission add to pods.
func differences(template, pod corev1.PodSpec) []string {
	var differs []string
	is := func(what string, same bool) {
		if !same {
			differs = append(differs, what)
		}
	}
	is("ephemeral containers", len(pod.EphemeralContainers) == 0)
	for what, lists := range map[string][2][]corev1.Container{"containers": {template.Containers, pod.Containers}, "init containers": {template.InitContainers, pod.InitContainers}} {
		of, has := lists[0], lists[1]
		is(what, len(of) == len(has))
		for i := range min(len(of), len(has)) {
			want, have := of[i], has[i]
			is("image "+have.Image, want.Image == have.Image)
			is("command", slices.Equal(want.Command, have.Command) && slices.Equal(want.Args, have.Args))
			is("lifecycle", equality.Semantic.DeepEqual(want.Lifecycle, have.Lifecycle))
			is("privileged", !privileged(have) || privileged(want))
		}
	}
	is("the node's own", template.HostNetwork == pod.HostNetwork && template.HostPID == pod.HostPID && template.HostIPC == pod.HostIPC)
	is("volumes", !slices.ContainsFunc(pod.Volumes, func(v corev1.Volume) bool {
		return v.HostPath != nil && !slices.ContainsFunc(template.Volumes, func(w corev1.Volume) bool { return equality.Semantic.DeepEqual(v, w) })
	}))
	slices.Sort(differs)
	return slices.Compact(differs)
}

func privileged(c corev1.Container) bool {
	return c.SecurityContext != nil && c.SecurityContext.Privileged != nil && *c.SecurityContext.Privileged
}

// impostor says why a pod in the home of that deployer's is one that has its token,
// or is taken for it, and should not be; empty where it is none.
func (a *auditor) impostor(d *deployer, pod Pod) string {
	// Helm's clients choose by the labels.
	isTaken := d.target.Engine == tenant.EngineTiller && install.HasTillerLabels(pod.Labels)
	if other := a.homes[d.target.Home][pod.Account]; other != d && other.isTenants() {
		return "" // told of that one
	}
	if pod.Account != d.target.Account && !isTaken {
		return ""
	}
	own, why := a.isOwnPod(d, pod)
	switch {
	case own:
		return ""
	case pod.Account != d.target.Account:
		return "has the labels by which Helm's clients find a Tiller, and " + why
	case strings.HasPrefix(why, "runs"), strings.HasPrefix(why, "is not"):
		return why
	}
	return "runs with its account, and " + why
}

// checkPods looks for pods at home that are not what the deployer's tenant runs there.
func (a *auditor) checkPods(d *deployer) {
	home := d.target.Home
	for _, pod := range a.pods[home] {
		why := a.impostor(d, pod)
		if why == "" {
			continue
		}
		f := d.about("Pod "+pod.Name, "pod %s at the home of the deployer %s %s", pod.Name, d.account.Name, why)
		f.Chains = [][]string{{objectName("Pod", home, pod.Name), Account(home, pod.Account).String()}}
		kind, name := "Pod", pod.Name
		if of, by, owned := strings.Cut(pod.Owner, " "); owned {
			f.Chains = [][]string{append([]string{objectName(of, home, by)}, f.Chains[0]...)}
			if resource, _ := resourceOf(of); resource != "" && !strings.HasPrefix(why, "is not") {
				kind, name = of, by
			}
		}
		f.Fix = deleteObject(home, kind, name)
		a.add(idImpostor, "", f)
	}
}

// neighbours are the workloads and pods at home that are no part of the Tiller.
func (a *auditor) neighbours(d *deployer) []string {
	var found []string
	workloads := a.workloads[d.target.Home]
	for _, w := range workloads {
		if (d.tiller == nil || w.Kind != d.tiller.Kind || w.Name != d.tiller.Name) && w.Template == nil {
			found = append(found, w.Kind+" "+w.Name)
		}
	}
	for _, pod := range a.pods[d.target.Home] {
		if other := a.homes[d.target.Home][pod.Account]; pod.Spec != nil || other.isTenants() ||
			slices.ContainsFunc(workloads, func(w *Workload) bool { return made(w, pod) }) {
			continue // told as what it is
		}
		name := pod.Owner
		if name == "" || strings.HasPrefix(name, "Node ") { // a static pod's
			name = "Pod " + pod.Name
		}
		if !slices.Contains(found, name) {
			found = append(found, name)
		}
	}
	return found
}
