package preflight

import (
	"fmt"
	"slices"
	"strings"

	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// refusedHosts returns why the guard refuses a new Ingress of a tenant that is restricted to these
// hosts (package rails, ingresses). An Ingress that is there may keep its hosts.
func refusedHosts(o Object, allowed []string) []string {
	group := o.gvk().Group
	if o.GetKind() != "Ingress" || group != "networking.k8s.io" && group != "extensions" || len(allowed) == 0 {
		return nil
	}
	var ingress networkingv1.Ingress
	if runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, &ingress) != nil {
		return nil
	}
	list := strings.Join(allowed, ", ")
	var why []string
	for _, rule := range ingress.Spec.Rules {
		switch {
		case rule.Host == "":
			why = append(why, "an Ingress here can't have a rule without a host; allowed: "+list)
		case !isAllowedHost(rule.Host, allowed):
			why = append(why, fmt.Sprintf("an Ingress here can't serve %s; allowed: %s", rule.Host, list))
		}
	}
	if slices.ContainsFunc(ingress.Spec.TLS, func(tls networkingv1.IngressTLS) bool {
		return len(tls.Hosts) == 0 || slices.ContainsFunc(tls.Hosts, func(host string) bool { return !isAllowedHost(host, allowed) })
	}) {
		why = append(why, "tls of an Ingress here must name hosts, of those allowed: "+list)
	}
	if ingress.Spec.DefaultBackend != nil {
		why = append(why, "an Ingress here can't have a default backend, which serves every host; allowed: "+list)
	}
	slices.Sort(why)
	return slices.Compact(why)
}

// isAllowedHost reports whether a host is one of those allowed, of which *.NAME stands for one label
// before NAME.
func isAllowedHost(host string, allowed []string) bool {
	return slices.ContainsFunc(allowed, func(pattern string) bool {
		if pattern == host {
			return true
		}
		parent, wild := strings.CutPrefix(pattern, "*")
		label, below := strings.CutSuffix(host, parent)
		return wild && below && label != "" && !strings.Contains(label, ".")
	})
}
