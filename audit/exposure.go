package audit

import (
	"slices"
	"strings"

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
	// closed says that a NetworkPolicy lets nobody connect; partly, that policies
	// let some.
	closed, partly bool
	// services are those that lead there from outside the cluster, and the node's own ports.
	services []string
	// policies are those that select its pods, letting those of them that let some
	// connect.
	policies, letting []string
}

// network says how a Tiller of that template can be reached.
func (s *Snapshot) network(template *corev1.PodTemplateSpec, namespace string) exposure {
	var e exposure
	c := recognise.Container(template.Spec)
	if c == nil {
		return e
	}
	address := recognise.Flag(c, "listen")
	host := address[:max(strings.LastIndex(address, ":"), 0)]
	loopback := host == "localhost" || strings.HasPrefix(host, "127.") || host == "[::1]"
	e.listens = !loopback && !recognise.VerifiesClients(c)
	isolated := false
	for _, policy := range s.Policies {
		if policy.Namespace != namespace || !selects(policy.Spec.PodSelector, template.Labels) || !isolatesIngress(policy.Spec) {
			continue
		}
		isolated = true
		e.policies = append(e.policies, policy.Name)
		if slices.ContainsFunc(policy.Spec.Ingress, admits) {
			e.partly = true
			e.letting = append(e.letting, policy.Name)
		}
	}
	if template.Spec.HostNetwork { // where no policy holds
		isolated, e.partly = false, false
	}
	e.closed = isolated && !e.partly
	for _, service := range s.Services {
		if service.Namespace == namespace && len(service.Selector) > 0 && labels.SelectorFromSet(service.Selector).Matches(labels.Set(template.Labels)) {
			e.services = append(e.services, objectName("Service", namespace, service.Name))
		}
	}
	if template.Spec.HostNetwork || hasNodePort(template.Spec) {
		e.services = append(e.services, nodePort)
	}
	return e
}

// hasNodePort reports whether a port of the node leads to Tiller's port in the pod. The
// containers of a pod have one address, so it is the same whichever of them declares it. Init
// containers declare ports only if they keep running.
func hasNodePort(spec corev1.PodSpec) bool {
	leads := func(port corev1.ContainerPort) bool {
		return port.ContainerPort == tillerPort && port.HostPort != 0 && (port.Protocol == "" || port.Protocol == corev1.ProtocolTCP)
	}
	declares := func(c corev1.Container) bool { return slices.ContainsFunc(c.Ports, leads) }
	return slices.ContainsFunc(spec.Containers, declares) || slices.ContainsFunc(spec.InitContainers, func(c corev1.Container) bool {
		return c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways && declares(c)
	})
}

// byService reports whether a Service leads there from outside the cluster. Services are
// before the node's own port.
func (e exposure) byService() bool { return len(e.services) > 0 && e.services[0] != nodePort }

func selects(selector metav1.LabelSelector, podLabels map[string]string) bool {
	s, err := metav1.LabelSelectorAsSelector(&selector)
	return err == nil && s.Matches(labels.Set(podLabels))
}

func isolatesIngress(spec networkingv1.NetworkPolicySpec) bool {
	return len(spec.PolicyTypes) == 0 || slices.Contains(spec.PolicyTypes, networkingv1.PolicyTypeIngress)
}

const (
	// tillerPort is where Tiller listens (k8s.io/helm/pkg/tiller/environment).
	tillerPort = 44134
	// nodePort stands for the port of a pod that is one of its node's.
	nodePort = "the node's own port"
)

// admits reports whether a rule lets anybody connect to Tiller's port.
func admits(rule networkingv1.NetworkPolicyIngressRule) bool {
	const port = tillerPort
	if len(rule.Ports) == 0 {
		return true
	}
	for _, p := range rule.Ports {
		switch {
		case p.Protocol != nil && *p.Protocol != corev1.ProtocolTCP:
		case p.Port == nil, p.Port.StrVal == "tiller", p.Port.IntVal == port, p.EndPort != nil && p.Port.IntVal <= port && port <= *p.EndPort:
			return true
		}
	}
	return false
}
