package admin

import (
	"context"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"helm-tenant/audit"
	"helm-tenant/cluster"
)

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
