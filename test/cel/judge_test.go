package cel

import (
	"fmt"
	"testing"

	admissionapi "k8s.io/api/admission/v1"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/admission/plugin/cel"
	"k8s.io/apiserver/pkg/admission/plugin/policy/validating"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/cel/environment"
	"sigs.k8s.io/yaml"

	"helm-tenant/rails"
	"helm-tenant/tenant"
)

// judge evaluates the validations of one of the guard's policies as an API server does,
// in a namespace whose tenant may serve the hosts. old is empty for a creation.
func judge(t *testing.T, kind, hosts, old, object string) (allowed bool) {
	t.Helper()
	return judgeIn(t, kind, map[string]string{"guard.helm-tenant/hosts": hosts}, rails.Priorities{}, old, object)
}

// judgeIn is judge in a namespace with these annotations.
func judgeIn(t *testing.T, kind string, notes map[string]string, priorities rails.Priorities, old, object string) (allowed bool) {
	t.Helper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "a", Annotations: notes}}
	return judgePolicy(t, guardPolicy(kind, priorities), namespace, &admissionapi.AdmissionRequest{Namespace: "a"}, old, object)
}

// guardPolicy returns the guard's policy for a kind of objects.
func guardPolicy(kind string, priorities rails.Priorities) (policy *admissionv1.ValidatingAdmissionPolicy) {
	for _, o := range rails.Policies(priorities, tenant.GuardEnforce) {
		if p, isPolicy := o.(*admissionv1.ValidatingAdmissionPolicy); isPolicy && p.Name == rails.PolicyPrefix+kind {
			policy = p
		}
	}
	return policy
}

// judgePolicy evaluates the validations of a policy for a request. old or object is empty
// where the request has none.
func judgePolicy(t *testing.T, policy *admissionv1.ValidatingAdmissionPolicy, namespace *corev1.Namespace, request *admissionapi.AdmissionRequest, old, object string) (allowed bool) {
	t.Helper()
	return judgeAs(t, policy, namespace, request, nil, old, object)
}

// judgeAs is judgePolicy for a caller who may do what the authorizer allows.
func judgeAs(t *testing.T, policy *admissionv1.ValidatingAdmissionPolicy, namespace *corev1.Namespace, request *admissionapi.AdmissionRequest, may authorizer.Authorizer, old, object string) (allowed bool) {
	t.Helper()
	compiler, err := cel.NewCompositedCompiler(environment.MustBaseEnvSet(environment.DefaultCompatibilityVersion()))
	if err != nil {
		t.Fatal(err)
	}
	options := cel.OptionalVariableDeclarations{HasAuthorizer: true}
	for _, v := range policy.Spec.Variables {
		if r := compiler.CompileAndStoreVariable(&validating.Variable{Name: v.Name, Expression: v.Expression}, options, environment.StoredExpressions); r.Error != nil {
			t.Fatal(r.Error)
		}
	}
	var rules []cel.ExpressionAccessor
	for _, v := range policy.Spec.Validations {
		rules = append(rules, &validating.ValidationCondition{Expression: v.Expression, Message: v.Message})
	}
	conditions := compiler.CompileCondition(rules, options, environment.StoredExpressions)
	attributes := &admission.VersionedAttributes{Attributes: admission.NewAttributesRecord(nil, nil, schema.GroupVersionKind{}, "", "", schema.GroupVersionResource{}, "", "", nil, false,
		&user.DefaultInfo{Name: request.UserInfo.Username})}
	parsed := func(text string) runtime.Object {
		var u unstructured.Unstructured
		if err := yaml.Unmarshal([]byte(text), &u.Object); err != nil {
			t.Fatal(err)
		}
		attributes.VersionedKind = u.GroupVersionKind()
		return &u
	}
	if object != "" {
		attributes.VersionedObject.Set(parsed(object))
	}
	if old != "" {
		attributes.VersionedOldObject.Set(parsed(old))
	}
	results, _, err := conditions.ForInput(t.Context(), attributes, request, cel.OptionalVariableBindings{Authorizer: may}, namespace, celconfig.RuntimeCELCostBudget)
	if err != nil {
		t.Fatal(err)
	}
	allowed = true
	for _, r := range results {
		if r.Error != nil {
			t.Error(r.Error)
		}
		allowed = allowed && r.EvalResult != nil && r.EvalResult.Value() == true
	}
	return allowed
}

const (
	route     = "{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: x}, spec: {parentRefs: [%s]%s}}"
	listener  = "{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {name: x}, spec: {listeners: [{name: a, port: 80%s}]}}"
	outfitted = "{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {name: x}, spec: {listeners: [{name: a, port: 80, hostname: x.team.example.com}], infrastructure: {annotations: {%s}}}}"
	ingress   = "{apiVersion: networking.k8s.io/v1, kind: Ingress, metadata: {name: x, annotations: {%s}}, spec: {rules: [%s]}}"
)

// TestHostsOfGatewayAPI: objects that were not judged, such as a route of a mesh or a TCP
// listener, are judged when an update makes them serve hosts.
func TestHostsOfGatewayAPI(t *testing.T) {
	const service, gateway = "{kind: Service, name: s}", "{name: g}"
	const mine, other = ", hostnames: [x.team.example.com]", ", hostnames: [bank.example.com]"
	for _, test := range []struct {
		what, kind, old, object string
		allowed                 bool
	}{
		{"a route of a mesh", "httproutes", "", fmt.Sprintf(route, service, other), true},
		{"a route", "httproutes", "", fmt.Sprintf(route, gateway, mine), true},
		{"another's host", "httproutes", "", fmt.Sprintf(route, gateway, other), false},
		{"a gateway beside a mesh", "httproutes", "", fmt.Sprintf(route, service+", "+gateway, other), false},
		{"an old route that stays", "httproutes", fmt.Sprintf(route, gateway, other), fmt.Sprintf(route, gateway, other), true},
		{"an old route without hosts that stays", "httproutes", fmt.Sprintf(route, gateway, ""), fmt.Sprintf(route, gateway, ""), true},
		{"a route of a mesh that gets a gateway", "httproutes", fmt.Sprintf(route, service, mine), fmt.Sprintf(route, gateway, mine), true},
		{"the same with another's host", "httproutes", fmt.Sprintf(route, service, other), fmt.Sprintf(route, gateway, other), false},
		{"the same without hosts", "httproutes", fmt.Sprintf(route, service, ""), fmt.Sprintf(route, gateway, ""), false},
		{"a listener of TCP", "gateways", "", fmt.Sprintf(listener, ", protocol: TCP"), true},
		{"a listener of TCP with a host", "gateways", "", fmt.Sprintf(listener, ", protocol: TCP, hostname: bank.example.com"), false},
		{"a listener of a protocol of an implementation's own", "gateways", "", fmt.Sprintf(listener, ", protocol: example.com/HTTP, hostname: bank.example.com"), false},
		{"an old listener that stays", "gateways", fmt.Sprintf(listener, ", protocol: HTTP"), fmt.Sprintf(listener, ", protocol: HTTP"), true},
		{"a listener of TCP that becomes one of HTTP", "gateways", fmt.Sprintf(listener, ", protocol: TCP"), fmt.Sprintf(listener, ", protocol: HTTP"), false},
		{"a host for the Services of a Gateway", "gateways", "", fmt.Sprintf(outfitted, "external-dns.alpha.kubernetes.io/hostname: y.team.example.com"), true},
		{"another's host for them", "gateways", "", fmt.Sprintf(outfitted, "external-dns.alpha.kubernetes.io/hostname: bank.example.com"), false},
		{"an old one for them that stays", "gateways", fmt.Sprintf(outfitted, "external-dns.alpha.kubernetes.io/hostname: bank.example.com"), fmt.Sprintf(outfitted, "external-dns.alpha.kubernetes.io/hostname: bank.example.com, a: b"), true},
	} {
		if allowed := judge(t, test.kind, "*.team.example.com", test.old, test.object); allowed != test.allowed {
			t.Errorf("%s: allowed is %t", test.what, allowed)
		}
	}
}

// TestAnnotationsOfIngresses: which annotations add hosts, and how their values are read.
func TestAnnotationsOfIngresses(t *testing.T) {
	const hosts = "*.team.example.com,a.com,www.a.com,b.com"
	const www, wild = "nginx.ingress.kubernetes.io/from-to-www-redirect: ", "{host: x.team.example.com}"
	for _, test := range []struct {
		old, annotation, rules string
		allowed                bool
	}{
		{"", "nginx.ingress.kubernetes.io/rewrite-target: /", wild, true},
		{"", "nginx.ingress.kubernetes.io/server-alias: 'y.team.example.com, a.com'", wild, true},
		{"", "nginx.ingress.kubernetes.io/server-alias: 'localhost y.team.example.com'", wild, false},
		{"", "nginx.ingress.kubernetes.io/server-alias: '~bank|y.team.example.com'", wild, false},
		{"", "nginx.ingress.kubernetes.io/server-alias: 'x{.team.example.com'", wild, false},
		{"", "cert-manager.io/alt-names: y.team.example.com", wild, true},
		{"", "cert-manager.io/alt-names: 'y.team.example.com,bank.example.com'", wild, false},
		{"", "cert-manager.io/common-name: bank.example.com", wild, false},
		{"", "cert-manager.io/cluster-issuer: letsencrypt", wild, true},
		{"", "dns.alpha.kubernetes.io/external: bank.example.com", wild, false},
		{"", "haproxy-ingress.github.io/redirect-from: bank.example.com", wild, false},
		{"", "getambassador.io/config: '{apiVersion: getambassador.io/v3alpha1, kind: Mapping, hostname: bank.example.com}'", wild, false},
		{"", "traefik.ingress.kubernetes.io/router.tls.domains.0.main: bank.example.com", wild, false},
		{"", "traefik.ingress.kubernetes.io/router.tls.domains.12.sans: 'y.team.example.com,bank.example.com'", wild, false},
		{"", "traefik.ingress.kubernetes.io/router.tls.domains.0.main: '*.team.example.com'", wild, true},
		{"", "traefik.ingress.kubernetes.io/router.tls.domains.0.Main: bank.example.com", wild, false},
		{"", "traefik.ingress.kubernetes.io/Router.TLS.Domains.0.SANS: bank.example.com", wild, false},
		{"", "traefik.ingress.kubernetes.io/router.tls.domains.x.main: bank.example.com", wild, false},
		{"", "traefik.ingress.kubernetes.io/router.tls.domains.0.Main: y.team.example.com", wild, true},
		{"", "traefik.ingress.kubernetes.io/router.tls.certresolver: letsencrypt", wild, true},
		{"", "haproxy.org/route-acl: 'hdr(host) bank.example.com'", wild, false},
		{"", "kubernetes.io/ingress.https-rules: '[{host: bank.example.com}]'", wild, false},
		{"", "cert.gardener.cloud/dnsnames: bank.example.com", wild, false},
		{"", "dns.gardener.cloud/dnsnames: y.team.example.com", wild, true},
		{"", "dns.gardener.cloud/dnsnames: '*'", wild, true},
		{"", "dns.gardener.cloud/dnsnames: '*'", "{host: bank.example.com}", false},
		{"", "dns.gardener.cloud/dnsnames: '*,bank.example.com'", wild, false},
		{"", "dns.gardener.cloud/dnsnames: '*.example.com'", wild, false},
		{"", "cert.gardener.cloud/dnsnames: '*'", wild, false},
		{"", "nginx.ingress.kubernetes.io/server-alias: '*'", wild, false},
		{"", "nginx.ingress.kubernetes.io/server-alias: 'https://y.team.example.com'", wild, false},
		{"", "zalando.org/dnsname: bank.example.com", wild, false},
		{"", "k8s.ngrok.com/domain: bank.example.com", wild, false},
		{"", "appgw.ingress.kubernetes.io/backend-hostname: bank.example.com", wild, true},
		{"", "haproxy-ingress.github.io/redirect-from-regex: bank.*", wild, false},
		{"", "traefik.ingress.kubernetes.io/router.pathmatcher: 'Host(`bank.example.com`) || Path'", wild, false},
		{"", "traefik.ingress.kubernetes.io/router.entrypoints: web", wild, true},
		{"", www + "'true'", "{host: a.com}", true},
		{"", www + "'false'", "{host: b.com}", true},
		{"", www + "'true'", "{host: b.com}", false},
		{"", www + "'1'", "{host: b.com}", false},
		{"", www + "'T'", "{host: b.com}", false},
		{fmt.Sprintf(ingress, www+"'true'", "{host: a.com}"), www + "'true'", "{host: a.com}, {host: b.com}", false},
		{fmt.Sprintf(ingress, www+"'false'", "{host: b.com}"), www + "'true'", "{host: b.com}", false},
		{fmt.Sprintf(ingress, www+"'true'", "{host: b.com}"), www + "'true'", "{host: b.com}", true},
	} {
		if allowed := judge(t, "ingresses", hosts, test.old, fmt.Sprintf(ingress, test.annotation, test.rules)); allowed != test.allowed {
			t.Errorf("%s, %s: allowed is %t", test.annotation, test.rules, allowed)
		}
	}
}

// TestAnnotationsByKind: what an annotation adds depends on the kind of its object.
func TestAnnotationsByKind(t *testing.T) {
	const (
		service = "{apiVersion: v1, kind: Service, metadata: {name: x, annotations: {%s}}, spec: {}}"
		gateway = "{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {name: x, annotations: {%s}}, spec: {listeners: [{name: a, port: 80, hostname: x.team.example.com}]}}"
		named   = "{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: x, annotations: {%s}}, spec: {hostnames: [x.team.example.com]}}"
		spec    = "dns.gardener.cloud/dnsnames: '*'"
	)
	for _, test := range []struct {
		kind, object, annotation string
		allowed                  bool
	}{
		{"services", service, spec, false},
		{"services", service, "dns.gardener.cloud/dnsnames: y.team.example.com", true},
		{"gateways", gateway, spec, true},
		{"gateways", gateway, "dns.gardener.cloud/dnsnames: '*,bank.example.com'", false},
		{"gateways", outfitted, spec, false},
		{"listenersets", gateway, spec, false},
		{"httproutes", named, spec, false},
		{"services", service, "k8s.ngrok.com/domain: y.team.example.com", true},
		{"services", service, "k8s.ngrok.com/domain: bank.example.com", false},
		{"services", service, "k8s.ngrok.com/url: 'tls://y.team.example.com'", true},
		{"services", service, "ngrok.com/url: 'tls://Y.team.example.com:443/'", true},
		{"services", service, "ngrok.com/url: y.team.example.com", true},
		{"services", service, "ngrok.com/url: 'https://y.team.example.com/a://b'", true},
		{"services", service, "ngrok.com/url: 'tls://bank.example.com'", false},
		{"services", service, "NGROK.com/URL: 'tls://bank.example.com'", false},
		{"services", service, "k8s.ngrok.com/url: 'tls://bank.example.com/y.team.example.com'", false},
		{"services", service, "ngrok.com/url: 'tls://y.team.example.com@bank.example.com'", false},
		{"services", service, "ngrok.com/url: 'tls://y.team.example.com:443@bank.example.com'", false},
		{"services", service, "ngrok.com/url: 'bank.example.com://y.team.example.com@bank.example.com'", false},
		{"services", service, "ngrok.com/url: 'tls://y.team.example.com,tls://bank.example.com'", false},
		{"services", service, "ngrok.com/url: 'tls://'", false},
		{"services", service, "ngrok.com/computed-url: 'tcp://1.tcp.ngrok.io:12345'", true},
		{"services", service, "k8s.ngrok.com/computed-url: 'tcp://7.tcp.eu.ngrok.io:80'", true},
		{"services", service, "k8s.ngrok.com/computed-url: 'tls://y.team.example.com'", true},
		{"services", service, "k8s.ngrok.com/computed-url: 'tls://bank.example.com'", false},
		{"services", service, "ngrok.com/computed-url: 'tcp://bank.example.com:443'", false},
		{"services", service, "ngrok.com/computed-url: 'tcp://1.tcp.ngrok.io.example.com:443'", false},
		{"services", service, "ngrok.com/computed-url: 'tcp://1.tcp.ngrok.io:1,tls://bank.example.com'", false},
		{"services", service, "ngrok.com/url: 'tcp://1.tcp.ngrok.io:12345'", false},
		{"services", service, "external-dns.alpha.kubernetes.io/hostname: 'tls://y.team.example.com'", false},
	} {
		if allowed := judge(t, test.kind, "*.team.example.com", "", fmt.Sprintf(test.object, test.annotation)); allowed != test.allowed {
			t.Errorf("%s, %s: allowed is %t", test.kind, test.annotation, allowed)
		}
	}
}

// TestStorageOfTemplates: a volume that was there stays when something else changes, and
// none is added or pointed elsewhere.
func TestStorageOfTemplates(t *testing.T) {
	const shapes = "{apiVersion: batch/v1, kind: CronJob, metadata: {name: x}, spec: {schedule: '%s', jobTemplate: {spec: {template: {spec: {volumes: [%s]}}}}}}"
	const nfs = "{name: v, nfs: {server: 192.0.2.1, path: /mine}}"
	const inline = "{name: v, csi: {driver: nfs.csi.k8s.io, volumeAttributes: {server: 192.0.2.1, share: /mine}}}"
	const own = "{name: w, csi: {driver: csi.spiffe.io}}"
	for _, test := range []struct {
		what, before, after string
		allowed             bool
	}{
		{"the schedule changes", nfs, nfs, true},
		{"a volume is taken away", nfs + ", {name: e, emptyDir: {}}", "{name: e, emptyDir: {}}", true},
		{"another volume is added", nfs, nfs + ", {name: e, emptyDir: {}}", true},
		{"the path changes", nfs, "{name: v, nfs: {server: 192.0.2.1, path: /}}", false},
		{"a server is added", "{name: v, emptyDir: {}}", nfs, false},
		{"a share by a CSI driver stays", inline, inline + ", " + own, true},
		{"the share changes", inline, "{name: v, csi: {driver: nfs.csi.k8s.io, volumeAttributes: {server: 192.0.2.1, share: /}}}", false},
		{"a share by a CSI driver is added", own, own + ", " + inline, false},
	} {
		if allowed := judge(t, "cronjobs", "", fmt.Sprintf(shapes, "0 0 1 1 *", test.before), fmt.Sprintf(shapes, "0 0 2 1 *", test.after)); allowed != test.allowed {
			t.Errorf("%s: allowed is %t", test.what, allowed)
		}
	}
}
