package admin

import (
	"context"
	"net"
	"net/url"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"helm-tenant/audit"
	"helm-tenant/cluster"
)

// leads finds what answers for a webhook beside the Service that its configuration names: a URL
// can have the host of an Ingress or an address of a Service or pod, a Service can be an
// ExternalName, and one without a selector has whatever addresses its EndpointSlices name.
type leads struct {
	// wanted are the hosts and addresses of the webhooks' URLs, called their Services.
	wanted map[string]bool
	called map[audit.ObjectRef]bool
	// selectors has those of Services that are called, external the hosts of ExternalNames, bare
	// the Services without a selector.
	selectors map[audit.ObjectRef]map[string]string
	external  map[audit.ObjectRef]string
	bare      map[audit.ObjectRef]bool
	// at has the Services with a wanted address.
	at map[string][]audit.ObjectRef
	// endpoints are the addresses of bare Services.
	endpoints map[audit.ObjectRef][]string
	backends  []backend
	// pods have their own addresses.
	pods []audit.Pod
}

// backend is the Service to which an Ingress sends the requests for a host, or hosts by a
// wildcard, whose path begins so.
type backend struct {
	host, path string
	service    audit.ObjectRef
}

// mostLeads bounds how far a webhook is followed: an ExternalName can name another one.
const mostLeads = 4

// hostOf returns the host and the path of a webhook that is called by a URL.
func hostOf(w audit.Webhook) (host, path string) {
	u, err := url.Parse(w.Server)
	if err != nil || u.Scheme == "" {
		return "", ""
	}
	return strings.TrimSuffix(strings.ToLower(u.Hostname()), "."), u.Path
}

// want notes whose addresses are looked for.
func (l *leads) want(webhooks []audit.Webhook) {
	*l = leads{wanted: map[string]bool{}, called: map[audit.ObjectRef]bool{}, selectors: map[audit.ObjectRef]map[string]string{}, external: map[audit.ObjectRef]string{}, bare: map[audit.ObjectRef]bool{}, at: map[string][]audit.ObjectRef{}, endpoints: map[audit.ObjectRef][]string{}}
	for _, w := range webhooks {
		l.called[w.Service] = true
		if host, _ := hostOf(w); host != "" {
			l.wanted[host] = true
		}
	}
}

// addService adds the facts of a Service.
func (l *leads) addService(service *corev1.Service) {
	ref := audit.ObjectRef{Kind: "Service", Namespace: service.Namespace, Name: service.Name}
	switch {
	case service.Spec.Type == corev1.ServiceTypeExternalName:
		l.external[ref] = strings.TrimSuffix(strings.ToLower(service.Spec.ExternalName), ".")
		return
	case len(service.Spec.Selector) == 0:
		l.bare[ref] = true
	case l.called[ref]:
		l.selectors[ref] = service.Spec.Selector
	}
	addresses := slices.Concat(service.Spec.ClusterIPs, service.Spec.ExternalIPs, []string{service.Spec.ClusterIP})
	for _, balancer := range service.Status.LoadBalancer.Ingress {
		addresses = append(addresses, balancer.IP, balancer.Hostname)
	}
	for _, address := range addresses {
		if l.wanted[address] && !slices.Contains(l.at[address], ref) {
			l.at[address] = append(l.at[address], ref)
		}
	}
}

// addIngress adds the Services to which an Ingress sends requests. One for every host is left
// out: it answers where nothing else does.
func (l *leads) addIngress(ingress *networkingv1.Ingress) {
	for _, rule := range ingress.Spec.Rules {
		if rule.Host == "" || rule.HTTP == nil {
			continue
		}
		for _, path := range rule.HTTP.Paths {
			if path.Backend.Service != nil {
				l.backends = append(l.backends, backend{strings.ToLower(rule.Host), path.Path, audit.ObjectRef{Kind: "Service", Namespace: ingress.Namespace, Name: path.Backend.Service.Name}})
			}
		}
	}
}

// from returns what answers behind a Service that has no pods of its own.
func (l *leads) from(service audit.ObjectRef, depth int) []audit.ObjectRef {
	if host := l.external[service]; host != "" {
		return l.behind(host, "", depth-1)
	}
	return l.podsAt(l.endpoints[service]...)
}

// behind returns what answers at a host or an address.
func (l *leads) behind(host, path string, depth int) []audit.ObjectRef {
	if depth <= 0 {
		return nil
	}
	services := l.at[host]
	if service := serviceOf("https://" + host); service != (audit.ObjectRef{}) {
		services = []audit.ObjectRef{service}
	} else if net.ParseIP(host) == nil {
		services = append(slices.Clone(services), l.routed(host, path)...)
	}
	found := l.podsAt(host)
	for _, service := range services {
		found = append(append(found, service), l.from(service, depth)...)
	}
	return found
}

// routed returns the Services to which Ingresses send requests for a host and a path: of each
// kind of host the one with the longest path that the path begins with, of several such all.
func (l *leads) routed(host, path string) []audit.ObjectRef {
	var services []audit.ObjectRef
	longest := -1
	_, parent, _ := strings.Cut(host, ".")
	for _, b := range l.backends {
		if b.host != host && b.host != "*."+parent || path != "" && !strings.HasPrefix(path, b.path) || path != "" && len(b.path) < longest {
			continue
		}
		if path != "" && len(b.path) > longest {
			services, longest = nil, len(b.path)
		}
		services = append(services, b.service)
	}
	return services
}

// podsAt returns the pods that have one of the addresses.
func (l *leads) podsAt(addresses ...string) []audit.ObjectRef {
	var pods []audit.ObjectRef
	for _, pod := range l.pods {
		if slices.ContainsFunc(pod.Addresses, func(address string) bool { return slices.Contains(addresses, address) }) {
			pods = append(pods, audit.ObjectRef{Kind: "Pod", Namespace: pod.Namespace, Name: pod.Name})
		}
	}
	return pods
}

// of returns what answers for a webhook beside its Service, each once.
func (l *leads) of(w audit.Webhook) []audit.ObjectRef {
	var all []audit.ObjectRef
	if w.Service != (audit.ObjectRef{}) {
		all = l.from(w.Service, mostLeads)
	} else if host, path := hostOf(w); host != "" {
		all = l.behind(host, path, mostLeads)
	}
	var found []audit.ObjectRef
	for _, ref := range all {
		if ref != w.Service && !slices.Contains(found, ref) {
			found = append(found, ref)
		}
	}
	return found
}

// open returns the bare Services to which webhooks lead, and whether Ingresses matter.
func (l *leads) open(webhooks []audit.Webhook) (bare []audit.ObjectRef, hosts bool) {
	for _, w := range webhooks {
		for _, ref := range append(l.of(w), w.Service) {
			if l.bare[ref] && !slices.Contains(bare, ref) {
				bare = append(bare, ref)
			}
		}
		host, _ := hostOf(w)
		hosts = hosts || w.Service == (audit.ObjectRef{}) && host != "" && net.ParseIP(host) == nil || l.external[w.Service] != "" && serviceOf("https://"+l.external[w.Service]) == (audit.ObjectRef{})
	}
	return bare, hosts
}

// leadReadings returns the readings that say where webhooks lead, when Services are known.
func (t *taking) leadReadings() []reading {
	t.leads.pods = t.snapshot.Pods
	bare, hosts := t.leads.open(t.snapshot.Webhooks)
	var readings []reading
	if len(bare) > 0 {
		readings = append(readings, t.sliceReading(bare))
	}
	if hosts {
		readings = append(readings, reading{"ingresses", "which webhooks a tenant answers for", func(ctx context.Context) error {
			return cluster.Each(ctx, t.client, "Ingress", "", metav1.ListOptions{}, t.leads.addIngress)
		}})
	}
	return readings
}

// sliceReading reads the addresses of those Services.
func (t *taking) sliceReading(services []audit.ObjectRef) reading {
	return reading{"endpointslices", "which webhooks a tenant answers for", func(ctx context.Context) error {
		for _, service := range services {
			options := metav1.ListOptions{LabelSelector: cluster.LabelOfService + "=" + service.Name}
			err := cluster.Each(ctx, t.client, "EndpointSlice", service.Namespace, options, func(s *cluster.EndpointSlice) {
				for _, endpoint := range s.Endpoints {
					t.leads.endpoints[service] = append(t.leads.endpoints[service], endpoint.Addresses...)
				}
			})
			if err != nil {
				return unlessUnserved(err)
			}
		}
		return nil
	}}
}

// follow sets by what labels the webhooks' Services find their pods, and what answers beside them.
func (t *taking) follow() {
	for i := range t.snapshot.Webhooks {
		w := &t.snapshot.Webhooks[i]
		w.Selector, w.Leads = t.leads.selectors[w.Service], t.leads.of(*w)
	}
}
