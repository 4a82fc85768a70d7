package preflight

import (
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"helm-tenant/rails"
)

// refusedHosts returns why the guard refuses a new Ingress of a tenant that is restricted to these
// hosts; nothing if there are none. An Ingress that is there may keep its hosts.
func refusedHosts(o Object, allowed []string) []string {
	group := o.gvk().Group
	if o.GetKind() != "Ingress" || group != "networking.k8s.io" && group != "extensions" || len(allowed) == 0 {
		return nil
	}
	var ingress networkingv1.Ingress
	if runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, &ingress) != nil {
		return nil
	}
	return rails.OfIngress(&ingress).RefusedHosts(allowed)
}
