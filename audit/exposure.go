package audit

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"helm-tenant/recognise"
)

// exposure is how a Tiller can be reached without asking the API server.
type exposure struct {
	// listens says that it listens on more than its pod's loopback, asks nobody
	// for a certificate.
	listens bool
	// closed says that a NetworkPolicy allows no connection; partly, that policies allow some.
	closed, partly bool
	// services are the Services by which Tiller can be reached from outside the cluster, and
	// the node's own port.
	services []string
	// listener is where Tiller listens.
	listener recognise.Listener
	// policies are the policies that select its pods; letting are those of them that allow some
	// connections.
	policies, letting []string
}

// network returns how a Tiller with that pod template can be reached.
func (s *Snapshot) network(template *corev1.PodTemplateSpec, namespace string) exposure {
	var e exposure
	c := recognise.Container(template.Spec)
	if c == nil {
		return e
	}
	e.listener = recognise.ListenerOf(c)
	e.listens = !e.listener.Loopback && !recognise.VerifiesClients(c)
	isolated := false
	for _, policy := range s.Policies {
		if policy.Namespace != namespace || !selects(policy.Spec.PodSelector, template.Labels) ||
			len(policy.Spec.PolicyTypes) > 0 && !slices.Contains(policy.Spec.PolicyTypes, networkingv1.PolicyTypeIngress) {
			continue
		}
		isolated = true
		e.policies = append(e.policies, policy.Name)
		if slices.ContainsFunc(policy.Spec.Ingress, func(rule networkingv1.NetworkPolicyIngressRule) bool { return admits(rule, e.listener, template.Spec) }) {
			e.partly = true
			e.letting = append(e.letting, policy.Name)
		}
	}
	if template.Spec.HostNetwork { // no policy applies
		isolated, e.partly = false, false
	}
	e.closed = isolated && !e.partly
	for _, service := range s.Services {
		if service.Namespace == namespace && len(service.Selector) > 0 && labels.SelectorFromSet(service.Selector).Matches(labels.Set(template.Labels)) {
			e.services = append(e.services, objectName("Service", namespace, service.Name))
		}
	}
	if template.Spec.HostNetwork || hasNodePort(template.Spec, e.listener) {
		e.services = append(e.services, nodePort)
	}
	return e
}

// hasNodePort reports whether a port of the node leads to Tiller's port in the pod. The
// containers of a pod share an address, so any of them may declare it.
func hasNodePort(spec corev1.PodSpec, listener recognise.Listener) bool {
	return declares(spec, func(port corev1.ContainerPort) bool { return port.HostPort != 0 && listener.Leads(port.ContainerPort) })
}

func declares(spec corev1.PodSpec, such func(corev1.ContainerPort) bool) bool {
	return slices.ContainsFunc(recognise.Listening(spec), func(c *corev1.Container) bool {
		return slices.ContainsFunc(c.Ports, func(port corev1.ContainerPort) bool {
			return (port.Protocol == "" || port.Protocol == corev1.ProtocolTCP) && such(port)
		})
	})
}

// byService reports whether Tiller can be reached from outside the cluster by a Service.
// Services come before the node's own port.
func (e exposure) byService() bool { return len(e.services) > 0 && e.services[0] != nodePort }

func selects(selector metav1.LabelSelector, podLabels map[string]string) bool {
	s, err := metav1.LabelSelectorAsSelector(&selector)
	return err == nil && s.Matches(labels.Set(podLabels))
}

// nodePort is the text for a pod's port that is also its node's.
const nodePort = "the node's own port"

// admits reports whether a rule allows anybody to connect to the port on which the Tiller of a
// pod listens. A rule can use the name of a container's port.
func admits(rule networkingv1.NetworkPolicyIngressRule, listener recognise.Listener, spec corev1.PodSpec) bool {
	if len(rule.Ports) == 0 {
		return true
	}
	return slices.ContainsFunc(rule.Ports, func(p networkingv1.NetworkPolicyPort) bool {
		switch {
		case p.Protocol != nil && *p.Protocol != corev1.ProtocolTCP:
			return false
		case p.Port == nil, listener.Port == 0:
			return true
		case p.Port.StrVal != "":
			return declares(spec, func(port corev1.ContainerPort) bool {
				return port.Name == p.Port.StrVal && listener.Leads(port.ContainerPort)
			})
		}
		return p.Port.IntVal == listener.Port || p.EndPort != nil && p.Port.IntVal <= listener.Port && listener.Port <= *p.EndPort
	})
}

// connects reports whether somebody reaches a Tiller that is open on the network, from
// a pod of theirs or from outside.
func (a *auditor) connects(one *somebody, d *deployer) (OpenPath, bool) {
	if d.tiller == nil || !d.network.listens || d.network.closed {
		return OpenPath{}, false
	}
	path := a.rights.connect(d.target)
	workload := objectName(d.tiller.Kind, d.target.Home, d.tiller.Name)
	if len(d.network.services) > 0 {
		return OpenPath{path, [][]string{{"anybody who reaches a node", d.network.services[0], workload, d.network.listener.String()}}}, true
	}
	steps, open := a.rights.opens(one.who, path, nil, nil)
	if !open {
		return OpenPath{}, false
	}
	return OpenPath{path, append(opened{path, steps}.chains(one.subject), []string{"any pod of the cluster", workload, d.network.listener.String()})}, true
}

// connect returns the path to an open Tiller for whoever runs anything in any pod.
func (x *rights) connect(t Target) Path {
	path := Path{ID: "connect", Name: "connect to Tiller from a pod", finding: idOpen}
	t.Home = ""
	p := pather{t, x}
	anywhere := func(verbs []string, group, resource string) {
		path.needs = append(path.needs, p.either(verbs, Ask{Group: group, Resource: resource, AnyNamespace: true, AnyName: verbs[0] != "create" || resource == "pods/exec"})...)
	}
	anywhere([]string{"create"}, "", "pods")
	anywhere(change, "", "pods")
	anywhere(p.stream(), "", "pods/exec")
	anywhere(change, "", "pods/ephemeralcontainers")
	for _, workload := range workloadKinds {
		anywhere([]string{"create"}, workload.group, workload.resource)
		if workload.changes {
			anywhere(change, workload.group, workload.resource)
		}
	}
	return path
}
