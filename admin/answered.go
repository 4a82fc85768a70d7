package admin

import (
	"context"
	"net/url"
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"helm-tenant/audit"
	"helm-tenant/cluster"
)

func setServer(w *audit.Webhook, config admissionv1.WebhookClientConfig) {
	switch {
	case config.Service != nil:
		w.Server = "service " + config.Service.Name + " in namespace " + config.Service.Namespace
		w.Service = audit.ObjectRef{Kind: "Service", Namespace: config.Service.Namespace, Name: config.Service.Name}
	case config.URL != nil:
		w.Server, w.Service = *config.URL, serviceOf(*config.URL)
	}
}

// serviceOf returns the Service that the cluster's DNS finds by the host of a URL,
// NAME.NAMESPACE.svc with or without a domain; zero for another host.
func serviceOf(address string) audit.ObjectRef {
	u, err := url.Parse(address)
	if err != nil {
		return audit.ObjectRef{}
	}
	labels := strings.Split(strings.ToLower(u.Hostname()), ".")
	for i := 2; i < len(labels); i++ { // a pod's own name can stand before the Service's
		if labels[i] == "svc" {
			return audit.ObjectRef{Kind: "Service", Namespace: labels[i-1], Name: labels[i-2]}
		}
	}
	return audit.ObjectRef{}
}

// readDefinitions reads the conversion webhooks of definitions. A kind of one version is never
// converted.
func (t *snapshotReader) readDefinitions(ctx context.Context) error {
	return unlessUnserved(cluster.Each(ctx, t.client, audit.Definition, "", metav1.ListOptions{}, func(d *cluster.CustomResourceDefinition) {
		conversion := d.Spec.Conversion
		if len(d.Spec.Versions) < 2 || conversion == nil || conversion.Webhook == nil || conversion.Webhook.ClientConfig == nil {
			return
		}
		w := audit.Webhook{Kind: audit.Definition, Configuration: d.Name}
		setServer(&w, *conversion.Webhook.ClientConfig)
		t.locked(func() { t.snapshot.Webhooks = append(t.snapshot.Webhooks, w) })
	}))
}

// readAPIServices reads which APIs another server serves.
func (t *snapshotReader) readAPIServices(ctx context.Context) error {
	return unlessUnserved(cluster.Each(ctx, t.client, audit.AggregatedAPI, "", metav1.ListOptions{}, func(s *cluster.APIService) {
		if s.Spec.Service == nil {
			return
		}
		w := audit.Webhook{Kind: audit.AggregatedAPI, Configuration: s.Name, Unverified: s.Spec.InsecureSkipTLSVerify}
		setServer(&w, admissionv1.WebhookClientConfig{Service: s.Spec.Service})
		t.locked(func() { t.snapshot.Webhooks = append(t.snapshot.Webhooks, w) })
	}))
}
