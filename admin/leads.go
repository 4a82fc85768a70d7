package admin

import (
	"cmp"
	"context"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"helm-tenant/audit"
	"helm-tenant/cluster"
)

// leads finds what answers for a webhook beside the Service that its configuration names: a URL
// can have the host of an Ingress or an address of a Service, node or pod, a Service can be an
// ExternalName, and EndpointSlices that no controller made name whatever addresses they want.
type leads struct {
	services map[audit.ObjectRef]called
	// at has the Services with a host or an address, ports those with a port of every node, whose
	// addresses and names are in nodes.
	at    map[string][]audit.ObjectRef
	ports map[string]audit.ObjectRef
	nodes map[string]bool
	// endpoints are the addresses that others than the controller wrote for a Service.
	endpoints map[audit.ObjectRef][]string
	backends  []backend
	// pods have their own addresses.
	pods map[string][]audit.ObjectRef
}

// called is what a Service says of where requests to it go.
type called struct {
	selector map[string]string
	// external is the host of an ExternalName.
	external string
}

// bare reports whether the Service has no endpoints but those that others write.
func (c called) bare() bool { return c.external == "" && len(c.selector) == 0 }

// backend is the Service to which an Ingress sends the requests for a host, or hosts by a
// wildcard, with such a path.
type backend struct {
	host, path string
	kind       *networkingv1.PathType
	service    audit.ObjectRef
}

// takes reports whether the backend has a path, or may have it: it depends on the controller which
// ones begin so. An empty path is not known.
func (b backend) takes(path string) bool {
	switch {
	case path == "":
		return true
	case b.kind != nil && *b.kind == networkingv1.PathTypeExact:
		return path == b.path
	case b.kind != nil && *b.kind == networkingv1.PathTypePrefix:
		rest, begins := strings.CutPrefix(path, strings.TrimSuffix(b.path, "/"))
		return begins && (rest == "" || rest[0] == '/')
	}
	return strings.HasPrefix(path, strings.TrimSuffix(b.path, "*"))
}

// target is a host or an address, with a port and a path if they are known.
type target struct{ host, port, path string }

// mostLeads bounds how far a webhook is followed: an ExternalName can name another one.
const mostLeads = 4

// hostOf returns a host or an address in the one form in which they are compared.
func hostOf(host string) string {
	if address, err := netip.ParseAddr(host); err == nil {
		return address.Unmap().WithZone("").String()
	}
	return strings.TrimSuffix(strings.ToLower(host), ".")
}

func isAddress(host string) bool {
	_, err := netip.ParseAddr(host)
	return err == nil
}

// targetOf returns what a webhook's URL calls; zero if it has none.
func targetOf(w audit.Webhook) target {
	u, err := url.Parse(w.Server)
	if err != nil || u.Scheme == "" {
		return target{}
	}
	return target{hostOf(u.Hostname()), u.Port(), cmp.Or(u.Path, "/")}
}

// addNode adds a node's names and addresses, which its pods say.
func (l *leads) addNode(pod *corev1.Pod) {
	if l.nodes == nil {
		l.nodes = map[string]bool{}
	}
	for _, name := range []string{pod.Spec.NodeName, pod.Status.HostIP} {
		l.nodes[hostOf(name)] = name != ""
	}
	for _, address := range pod.Status.HostIPs {
		l.nodes[hostOf(address.IP)] = true
	}
}

func (l *leads) addService(service *corev1.Service) {
	if l.services == nil {
		l.services, l.at, l.ports = map[audit.ObjectRef]called{}, map[string][]audit.ObjectRef{}, map[string]audit.ObjectRef{}
	}
	ref := audit.ObjectRef{Kind: "Service", Namespace: service.Namespace, Name: service.Name}
	if service.Spec.Type == corev1.ServiceTypeExternalName {
		l.services[ref] = called{external: hostOf(service.Spec.ExternalName)}
		return
	}
	l.services[ref] = called{selector: service.Spec.Selector}
	for _, port := range service.Spec.Ports {
		if port.NodePort != 0 {
			l.ports[strconv.Itoa(int(port.NodePort))] = ref
		}
	}
	addresses := slices.Concat(service.Spec.ClusterIPs, service.Spec.ExternalIPs, []string{service.Spec.ClusterIP})
	for _, balancer := range service.Status.LoadBalancer.Ingress {
		addresses = append(addresses, balancer.IP, balancer.Hostname)
	}
	for _, address := range addresses {
		if address = hostOf(address); address != "" && address != "none" && !slices.Contains(l.at[address], ref) {
			l.at[address] = append(l.at[address], ref)
		}
	}
}

// addIngress adds the Services to which an Ingress sends requests. One for every host is left
// out: it answers where nothing else does.
func (l *leads) addIngress(ingress *networkingv1.Ingress) {
	for _, rule := range ingress.Spec.Rules {
		add := func(path string, kind *networkingv1.PathType, to *networkingv1.IngressBackend) {
			if rule.Host != "" && to != nil && to.Service != nil {
				l.backends = append(l.backends, backend{strings.ToLower(rule.Host), path, kind, audit.ObjectRef{Kind: "Service", Namespace: ingress.Namespace, Name: to.Service.Name}})
			}
		}
		if rule.HTTP != nil {
			for _, path := range rule.HTTP.Paths {
				add(path.Path, path.PathType, &path.Backend)
			}
		}
		add("", nil, ingress.Spec.DefaultBackend) // for all other paths of its hosts
	}
}

// from returns what answers behind a Service beside the pods that it selects.
func (l *leads) from(service audit.ObjectRef, depth int) []audit.ObjectRef {
	if host := l.services[service].external; host != "" {
		return l.behind(target{host: host}, depth-1)
	}
	return l.podsAt(l.endpoints[service]...)
}

// behind returns what answers at a host or an address.
func (l *leads) behind(to target, depth int) []audit.ObjectRef {
	if depth <= 0 || to.host == "" {
		return nil
	}
	services := slices.Clone(l.at[to.host])
	if service := serviceOf("https://" + to.host); service != (audit.ObjectRef{}) {
		services = []audit.ObjectRef{service}
	} else if !isAddress(to.host) {
		services = append(services, l.routed(to)...)
	}
	if service, served := l.ports[to.port]; served && l.nodes[to.host] {
		services = append(services, service)
	}
	found := l.podsAt(to.host)
	for _, service := range services {
		found = append(append(found, service), l.from(service, depth)...)
	}
	return found
}

// routed returns the Services to which Ingresses send requests for a host and a path: of each
// kind of host the one with the longest path that the path begins with, of several such all.
func (l *leads) routed(to target) []audit.ObjectRef {
	var services []audit.ObjectRef
	longest := -1
	_, parent, _ := strings.Cut(to.host, ".")
	for _, b := range l.backends {
		if b.host != to.host && b.host != "*."+parent || !b.takes(to.path) || to.path != "" && len(b.path) < longest {
			continue
		}
		if to.path != "" && len(b.path) > longest {
			services, longest = nil, len(b.path)
		}
		services = append(services, b.service)
	}
	return services
}

func (l *leads) podsAt(addresses ...string) []audit.ObjectRef {
	var pods []audit.ObjectRef
	for _, address := range addresses {
		pods = append(pods, l.pods[hostOf(address)]...)
	}
	return pods
}

// of returns what answers for a webhook beside its Service, each once.
func (l *leads) of(w audit.Webhook) []audit.ObjectRef {
	var all []audit.ObjectRef
	if w.Service != (audit.ObjectRef{}) {
		all = l.from(w.Service, mostLeads)
	} else {
		all = l.behind(targetOf(w), mostLeads)
	}
	known := map[audit.ObjectRef]bool{w.Service: true}
	return slices.DeleteFunc(all, func(ref audit.ObjectRef) bool {
		was := known[ref]
		known[ref] = true
		return was
	})
}

// reached returns the Services to which webhooks lead, each once, theirs among them.
func (l *leads) reached(webhooks []audit.Webhook) []audit.ObjectRef {
	var services []audit.ObjectRef
	known := map[audit.ObjectRef]bool{}
	for _, w := range webhooks {
		for _, ref := range append(l.of(w), w.Service) {
			if _, exists := l.services[ref]; exists && !known[ref] {
				known[ref] = true
				services = append(services, ref)
			}
		}
	}
	return services
}

// named reports whether a webhook leads to a host that the cluster's DNS does not know, which an
// Ingress may serve.
func (l *leads) named(webhooks []audit.Webhook) bool {
	outside := func(host string) bool {
		return host != "" && !isAddress(host) && serviceOf("https://"+host) == (audit.ObjectRef{})
	}
	return slices.ContainsFunc(webhooks, func(w audit.Webhook) bool {
		return w.Service == (audit.ObjectRef{}) && outside(targetOf(w).host)
	}) || slices.ContainsFunc(l.reached(webhooks), func(service audit.ObjectRef) bool { return outside(l.services[service].external) })
}

// followWebhooks reads what says where webhooks lead, when Services and pods are known, and sets
// what answers for them.
func (t *snapshotReader) followWebhooks(ctx context.Context) error {
	l, webhooks := &t.leads, t.snapshot.Webhooks
	l.pods = map[string][]audit.ObjectRef{}
	for _, pod := range t.snapshot.Pods {
		for _, address := range pod.Addresses {
			l.pods[hostOf(address)] = append(l.pods[hostOf(address)], audit.ObjectRef{Kind: "Pod", Namespace: pod.Namespace, Name: pod.Name})
		}
	}
	if l.named(webhooks) {
		err := t.readAll(ctx, []reading{{"ingresses", "which webhooks a tenant answers for", func(ctx context.Context) error {
			return cluster.Each(ctx, t.client, "Ingress", "", metav1.ListOptions{}, l.addIngress)
		}}})
		if err != nil {
			return err
		}
	}
	if services := l.reached(webhooks); len(services) > 0 { // also those behind Ingresses
		if err := t.readAll(ctx, []reading{t.slicesReading(services)}); err != nil {
			return err
		}
	}
	for i := range webhooks {
		w := &webhooks[i]
		w.Leads = l.of(*w)
		for _, place := range append([]audit.ObjectRef{w.Service}, w.Leads...) {
			if selector := l.services[place].selector; len(selector) > 0 {
				if w.Selectors == nil {
					w.Selectors = map[audit.ObjectRef]map[string]string{}
				}
				w.Selectors[place] = selector
			}
		}
	}
	return nil
}

func (t *snapshotReader) slicesReading(services []audit.ObjectRef) reading {
	return reading{"endpointslices", "which webhooks a tenant answers for", func(ctx context.Context) error {
		return unlessUnserved(t.readSlices(ctx, services))
	}}
}

// readSlices reads the addresses of EndpointSlices of these Services that Kubernetes' controller
// did not make: there are few. It makes none for a Service without a selector, whose slices can
// have its mark as well.
func (t *snapshotReader) readSlices(ctx context.Context, services []audit.ObjectRef) error {
	l := &t.leads
	l.endpoints = map[audit.ObjectRef][]string{}
	add := func(service audit.ObjectRef, s *cluster.EndpointSlice) {
		for _, endpoint := range s.Endpoints {
			l.endpoints[service] = append(l.endpoints[service], endpoint.Addresses...)
		}
	}
	selecting := map[audit.ObjectRef]bool{}
	for _, service := range services {
		switch called := l.services[service]; {
		case called.bare():
			options := metav1.ListOptions{LabelSelector: cluster.LabelOfService + "=" + service.Name}
			if err := cluster.Each(ctx, t.client, "EndpointSlice", service.Namespace, options, func(s *cluster.EndpointSlice) { add(service, s) }); err != nil {
				return err
			}
		case called.external == "":
			selecting[service] = true
		}
	}
	if len(selecting) == 0 {
		return nil
	}
	options := metav1.ListOptions{LabelSelector: cluster.LabelOfService + "," + cluster.LabelOfSliceMaker + "!=" + cluster.SliceController}
	return cluster.Each(ctx, t.client, "EndpointSlice", "", options, func(s *cluster.EndpointSlice) {
		service := audit.ObjectRef{Kind: "Service", Namespace: s.Namespace, Name: s.Labels[cluster.LabelOfService]}
		if selecting[service] {
			add(service, s)
		}
	})
}
