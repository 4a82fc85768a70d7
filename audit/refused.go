package audit

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"helm-tenant/command"
	"helm-tenant/rails"
	"helm-tenant/recognise"
	"helm-tenant/tenant"
)

// object returns the namespace in the form in which guard rails are computed.
func (ns *Namespace) object() metav1.Object {
	return &metav1.ObjectMeta{Name: ns.Name, Labels: ns.Labels, Annotations: ns.Annotations}
}

// checkRefused finds objects of the tenant that the guard would not let its members
// create: they existed before it, and stay until they are created again.
func (a *auditor) checkRefused(r *Record) {
	t := r.Tenant
	if t.Guard == "" || r.Problem != "" || t.AllNamespaces || a.unseen("namespaces") {
		return
	}
	verb := "refuses"
	if t.Guard != tenant.GuardEnforce {
		verb = "would refuse, if it enforced,"
	}
	held := t
	held.Guard = tenant.GuardEnforce
	for _, name := range t.Namespaces {
		live := a.namespaces[name]
		if live == nil || tenant.IsSystemNamespace(name) {
			continue
		}
		_, annotations, err := rails.NamespaceMeta(held, name, live.object())
		if err != nil {
			continue // init reports it
		}
		notes := rails.Changed(live.Annotations, annotations)
		for _, d := range a.demands[name] {
			if slices.ContainsFunc(a.refused, func(ref ObjectRef) bool { return ref == d.Object }) {
				continue // shared with another tenant
			}
			refusals := d.Asks.Refusals(name, notes, a.snapshot.Priorities)
			if len(refusals) == 0 {
				continue
			}
			a.refused = append(a.refused, d.Object)
			f := r.about(d.Object.String(), "the guard %s to make %s anew: %s", verb, d.Object, strings.Join(refusals, "; "))
			f.Chains = [][]string{append([]string{"namespace " + name, d.Object.String()}, refusals...)}
			f.Fix = a.fixRefused(d)
			a.add(idRefused, "", f)
		}
	}
}

// fixRefused returns the commands that remove from an object what is refused. A claim's
// volume and a pod's specification can't be changed. ReplicaSets of a Deployment's earlier
// revisions are deleted: whoever can scale them has pods of them, which a controller creates
// and the guard does not judge.
func (a *auditor) fixRefused(d Demand) command.Fix {
	var w Workload
	if i := slices.IndexFunc(a.workloads[d.Object.Namespace], func(w *Workload) bool { return w.Kind == d.Object.Kind && w.Name == d.Object.Name }); i >= 0 {
		w = *a.workloads[d.Object.Namespace][i]
	}
	switch {
	case d.Object.Kind == "Pod", w.MadeBy != "":
		return deleteObject(d.Object.Namespace, d.Object.Kind, d.Object.Name)
	case len(d.Asks.Volumes) > 0:
		return command.Advice("make the claim anew without volumeName, or what makes it with another template of claims; what is in the volume stays there only where its reclaim policy is Retain")
	case len(d.Asks.Storage) > 0:
		return command.Advice("make a PersistentVolume for what the volume names, with a claimRef, and use a claim in its place")
	case len(d.Asks.Drivers) > 0:
		return command.Advice("use a claim in its place; or, where the attributes of the driver's inline volumes give nobody what is another tenant's, name the driver in the namespace's annotation " + rails.AnnotationDrivers)
	case d.Object.Kind == "Job": // its template can't be changed
		return deleteObject(d.Object.Namespace, d.Object.Kind, d.Object.Name).
			With("take that out in its chart, where it is a release's, and in its CronJob; or allow it in the tenant, as its priorityClasses")
	}
	commands := []command.Command{command.Kubectl("edit", d.Object.Namespace, strings.ToLower(d.Object.Kind), d.Object.Name)}
	if len(w.Sets) > 0 { // those of the template before the edit, when no pod is theirs any more
		// A paused Deployment has no rollout that ends.
		commands = append(commands, command.Command{"kubectl", "rollout", "status", "--namespace=" + d.Object.Namespace, "--timeout=5m", "deployment", "--", d.Object.Name})
		for _, set := range slices.Sorted(slices.Values(w.Sets)) {
			commands = append(commands, command.Kubectl("delete", d.Object.Namespace, "replicaset", set))
		}
	}
	note := "take that out, where the object is a release's in its chart; or allow it in the tenant, as its hosts or priorityClasses"
	if d.Object.Kind == "StatefulSet" { // its controller makes the pods below the partition of the revision before
		note += "; take a partition out of its updateStrategy as well, which keeps the pods as they were"
	}
	return command.Run(commands...).With(note)
}

// demandsOf returns what objects ask for that the guard judges, by namespace.
// RoleBindings are left out: those of outsiders are foreign bindings.
func demandsOf(s *Snapshot) map[string][]Demand {
	all := map[string][]Demand{}
	add := func(d Demand) { all[d.Object.Namespace] = append(all[d.Object.Namespace], d) }
	for _, d := range s.Demands {
		add(d)
	}
	demanding := map[string][]*Workload{}
	for i := range s.Workloads {
		if w := &s.Workloads[i]; w.Demand != nil {
			demanding[w.Namespace] = append(demanding[w.Namespace], w)
			add(Demand{ObjectRef{w.Kind, w.Namespace, w.Name}, w.Demand})
		}
	}
	for i := range s.Pods {
		pod := &s.Pods[i]
		if pod.Demand == nil {
			continue
		}
		// A pod's controller is reported instead of it, for what its template asks for. The
		// owner reference is the claim of the pod's author.
		asks := pod.Demand
		for _, w := range demanding[pod.Namespace] {
			if asks != nil && (created(w, *pod) || madeJobOf(w, *pod)) {
				asks = asks.Beyond(w.Demand)
			}
		}
		if asks != nil {
			add(Demand{ObjectRef{"Pod", pod.Namespace, pod.Name}, asks})
		}
	}
	for i := range s.Policies {
		policy := &s.Policies[i]
		if asks := rails.OfNetworkPolicy(&policy.Spec); asks != nil && policy.Name != rails.ObjectName && !strings.HasPrefix(policy.Name, rails.ObjectName+"-") {
			add(Demand{ObjectRef{"NetworkPolicy", policy.Namespace, policy.Name}, asks})
		}
	}
	for _, demands := range all {
		slices.SortFunc(demands, func(x, y Demand) int {
			return cmp.Or(cmp.Compare(x.Object.Kind, y.Object.Kind), cmp.Compare(x.Object.Name, y.Object.Name))
		})
	}
	return all
}

// madeJobOf reports whether a CronJob created the Job of that pod, whose name is the
// CronJob's and a time.
func madeJobOf(w *Workload, pod Pod) bool {
	index := strings.LastIndex(pod.Owner.Name, "-")
	return w.Kind == "CronJob" && pod.Owner.Kind == "Job" && index > 0 && pod.Owner.Name[:index] == w.Name
}

// Parts of a Tiller's Deployment that findings report, in addition to fields.
const (
	partListen     = "--listen"
	partStorage    = "--storage"
	partHistory    = "TILLER_HISTORY_MAX"
	partPrivileged = "privileged"
)

// leaveOut makes a live pod equal to the wanted one in a part that a finding has reported
// already, so that a comparison reports the other parts. Both are copies.
func leaveOut(part string, live, want *corev1.PodSpec) {
	c := recognise.Container(*live)
	if c == nil || len(want.Containers) == 0 {
		return
	}
	w := &want.Containers[0]
	kind, name, _ := strings.Cut(part, " ")
	resource, isLimit := strings.CutPrefix(part, "limits.")
	switch {
	case part == partListen, part == partStorage:
		for _, container := range []*corev1.Container{c, w} {
			container.Command, container.Args = withoutFlag(container.Command, part), withoutFlag(container.Args, part)
			if part == partListen {
				container.Env = withoutEnv(container.Env, "TILLER_TLS_VERIFY")
			}
		}
	case part == partHistory:
		c.Env, w.Env = withoutEnv(c.Env, part), withoutEnv(w.Env, part)
		c.Command = withoutFlag(c.Command, "--history-max")
	case isLimit:
		delete(c.Resources.Limits, corev1.ResourceName(resource))
		delete(w.Resources.Limits, corev1.ResourceName(resource))
	case kind == "volume":
		live.Volumes = slices.DeleteFunc(live.Volumes, func(v corev1.Volume) bool { return v.Name == name })
		c.VolumeMounts = slices.DeleteFunc(c.VolumeMounts, func(m corev1.VolumeMount) bool { return m.Name == name })
	case kind == "hostPort":
		withoutHostPorts(live, func(port int32) bool { return strconv.Itoa(int(port)) == name })
	case part == "hostNetwork":
		live.HostNetwork = want.HostNetwork
		withoutHostPorts(live, func(int32) bool { return true }) // the API server makes all ports the node's own
	case kind == partPrivileged && name != "":
		for _, containers := range [][]corev1.Container{live.Containers, live.InitContainers} {
			for i := range containers {
				if containers[i].Name == name && containers[i].SecurityContext != nil {
					containers[i].SecurityContext.Privileged = nil
				}
			}
		}
	case part == "hostPID":
		live.HostPID = want.HostPID
	case part == "hostIPC":
		live.HostIPC = want.HostIPC
	default:
		leaveOutContext(part, live, want, c, w)
	}
}

func withoutHostPorts(live *corev1.PodSpec, such func(int32) bool) {
	for _, containers := range [][]corev1.Container{live.Containers, live.InitContainers} {
		for i := range containers {
			for j := range containers[i].Ports {
				if such(containers[i].Ports[j].HostPort) {
					containers[i].Ports[j].HostPort = 0
				}
			}
		}
	}
}

func leaveOutContext(part string, live, want *corev1.PodSpec, c, w *corev1.Container) {
	for _, context := range []**corev1.SecurityContext{&c.SecurityContext, &w.SecurityContext} {
		if *context == nil {
			*context = &corev1.SecurityContext{}
		}
	}
	for _, context := range []**corev1.PodSecurityContext{&live.SecurityContext, &want.SecurityContext} {
		if *context == nil {
			*context = &corev1.PodSecurityContext{}
		}
	}
	current, wanted, pod, wantedPod := c.SecurityContext, w.SecurityContext, live.SecurityContext, want.SecurityContext
	switch part {
	case "runAsNonRoot": // either field reports root
		current.RunAsNonRoot, current.RunAsUser = wanted.RunAsNonRoot, wanted.RunAsUser
		pod.RunAsNonRoot, pod.RunAsUser = wantedPod.RunAsNonRoot, wantedPod.RunAsUser
	case "allowPrivilegeEscalation":
		current.AllowPrivilegeEscalation = wanted.AllowPrivilegeEscalation
	case "readOnlyRootFilesystem":
		current.ReadOnlyRootFilesystem = wanted.ReadOnlyRootFilesystem
	case "capabilities":
		current.Capabilities = wanted.Capabilities
	case "seccompProfile":
		current.SeccompProfile, pod.SeccompProfile = wanted.SeccompProfile, wantedPod.SeccompProfile
	case partPrivileged:
		current.Privileged = wanted.Privileged
	}
}

// withoutFlag returns the words without a flag and its value.
func withoutFlag(words []string, flag string) []string {
	var kept []string
	for i := 0; i < len(words); i++ {
		switch {
		case words[i] == flag:
			i++ // its value is the next word
		case strings.HasPrefix(words[i], flag+"="), strings.HasPrefix(words[i], flag[1:]+"="):
		default:
			kept = append(kept, words[i])
		}
	}
	return kept
}

func withoutEnv(env []corev1.EnvVar, name string) []corev1.EnvVar {
	return slices.DeleteFunc(slices.Clone(env), func(e corev1.EnvVar) bool { return e.Name == name })
}
