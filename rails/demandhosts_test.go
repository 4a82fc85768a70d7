package rails

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestAnnotationsThatAddHosts: which annotations of an Ingress and of a Service are refused
// where hosts are restricted.
func TestAnnotationsThatAddHosts(t *testing.T) {
	notes := map[string]string{annotationHosts: "*.team.example.com"}
	for _, test := range []struct {
		key, value       string
		ingress, service bool
	}{
		{"nginx.ingress.kubernetes.io/server-alias", "y.team.example.com", false, false},
		{"nginx.ingress.kubernetes.io/server-alias", "bank.example.com", true, true},
		{"nginx.ingress.kubernetes.io/server-alias", "https://y.team.example.com", true, true},
		{"traefik.ingress.kubernetes.io/router.tls.domains.0.main", "bank.example.com", true, true},
		{"traefik.ingress.kubernetes.io/router.tls.domains.0.Main", "bank.example.com", true, true},
		{"traefik.ingress.kubernetes.io/Router.TLS.Domains.0.SANS", "y.team.example.com,bank.example.com", true, true},
		{"traefik.ingress.kubernetes.io/router.tls.domains.x.main", "bank.example.com", true, true},
		{"traefik.ingress.kubernetes.io/router.tls.domains.0.Main", "y.team.example.com", false, false},
		{"dns.gardener.cloud/dnsnames", "*", false, true},
		{"dns.gardener.cloud/dnsnames", "*,y.team.example.com", true, true},
		{"cert.gardener.cloud/dnsnames", "*", true, true},
		{"k8s.ngrok.com/domain", "bank.example.com", true, true},
		{"k8s.ngrok.com/url", "tls://y.team.example.com", false, false},
		{"ngrok.com/url", "tls://Y.team.example.com:443/path", false, false},
		{"ngrok.com/url", "y.team.example.com", false, false},
		{"ngrok.com/url", "tls://bank.example.com", true, true},
		{"ngrok.com/computed-url", "tcp://1.tcp.ngrok.io:12345", false, false},
		{"k8s.ngrok.com/computed-url", "tls://bank.example.com", true, true},
		{"ngrok.com/computed-url", "tcp://1.tcp.ngrok.io:1,tls://bank.example.com", true, true},
		{"ngrok.com/url", "tls://y.team.example.com@bank.example.com", true, true},
		{"ngrok.com/url", "tls://", true, true},
	} {
		meta := metav1.ObjectMeta{Annotations: map[string]string{test.key: test.value}}
		if refused := refusesAnnotation(OfIngress(&networkingv1.Ingress{ObjectMeta: meta}), notes, test.key); refused != test.ingress {
			t.Errorf("%s: %s of an Ingress: refused is %t", test.key, test.value, refused)
		}
		if refused := refusesAnnotation(OfService(&corev1.Service{ObjectMeta: meta}), notes, test.key); refused != test.service {
			t.Errorf("%s: %s of a Service: refused is %t", test.key, test.value, refused)
		}
	}
}

// refusesAnnotation reports whether a demand, nil for none, is refused for an annotation.
func refusesAnnotation(d *Demand, notes map[string]string, key string) bool {
	return d != nil && slices.Contains(d.Refusals("a", notes, Priorities{}), "it has the annotation "+key)
}
