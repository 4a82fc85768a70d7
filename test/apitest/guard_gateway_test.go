package apitest

import (
	"fmt"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// gatewayKinds are the kinds of the Gateway API whose hosts the guard restricts.
var gatewayKinds = map[string]string{"Gateway": "gateways", "ListenerSet": "listenersets", "HTTPRoute": "httproutes", "GRPCRoute": "grpcroutes", "TLSRoute": "tlsroutes"}

// TestTheGuardOfGatewayAPI judges objects of the Gateway API with the project's own
// definitions, whose defaults the API server sets before its policies read an object.
func TestTheGuardOfGatewayAPI(t *testing.T) {
	w, team, actors := guardedTeam(t)
	ctx := t.Context()
	w.define(t, w.admin(t).kubeconfig, "Gateway", "ListenerSet", "HTTPRoute", "GRPCRoute", "TLSRoute")
	w.role(t, team.a, "gateways", rule("gateway.networking.k8s.io", "*", "*"))
	w.bind(t, team.a, "gateways", "Role", "gateways", rbacv1.Subject{Kind: "ServiceAccount", Namespace: team.home, Name: "tiller"},
		rbacv1.Subject{Kind: "User", APIGroup: rbacv1.GroupName, Name: "person-" + team.name})
	const (
		listener = `{apiVersion: gateway.networking.k8s.io/%s, kind: Gateway, metadata: {annotations: {%s}}, spec: {gatewayClassName: c, listeners: [{name: a, port: %s}]}}`
		set      = `{apiVersion: gateway.networking.k8s.io/v1, kind: ListenerSet, spec: {parentRef: {name: g, namespace: shared}, listeners: [{name: a, port: 80, protocol: HTTP%s}]}}`
		route    = `{apiVersion: gateway.networking.k8s.io/%s, kind: %s, spec: {parentRefs: [{name: g, namespace: shared}]%s}}`
		mesh     = `{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, spec: {parentRefs: [%s]%s}}`
		mine     = `, hostnames: [x.team.example.com]`
		theirs   = `, hostnames: [x.team.example.com, shop.example.com]`
	)
	type attempt struct{ what, refusedBy, object string }
	tests := []attempt{
		{"a listener", "", fmt.Sprintf(listener, "v1", "", "80, protocol: HTTP, hostname: x.team.example.com")},
		{"a listener for all of the tenant's hosts", "", fmt.Sprintf(listener, "v1", "", "80, protocol: HTTP, hostname: '*.team.example.com'")},
		{"a listener for every host", "gateways", fmt.Sprintf(listener, "v1", "", "80, protocol: HTTP")},
		{"the same by an older version", "gateways", fmt.Sprintf(listener, "v1beta1", "", "80, protocol: HTTP")},
		{"a listener for another's host", "gateways", fmt.Sprintf(listener, "v1", "", "443, protocol: TLS, tls: {mode: Passthrough}, hostname: shop.example.com")},
		{"a listener for a wider wildcard", "gateways", fmt.Sprintf(listener, "v1", "", "80, protocol: HTTP, hostname: '*.example.com'")},
		{"a listener of TCP", "", fmt.Sprintf(listener, "v1", "", "90, protocol: TCP")},
		{"a Gateway with a name in DNS", "gateways", fmt.Sprintf(listener, "v1", "external-dns.alpha.kubernetes.io/hostname: shop.example.com", "80, protocol: HTTP, hostname: x.team.example.com")},
		{"listeners of a set", "", fmt.Sprintf(set, ", hostname: x.team.example.com")},
		{"listeners of a set for another's host", "listenersets", fmt.Sprintf(set, ", hostname: shop.example.com")},
		{"listeners of a set for every host", "listenersets", fmt.Sprintf(set, "")},
		{"a route with a default parent kind", "httproutes", fmt.Sprintf(route, "v1beta1", "HTTPRoute", theirs)},
		{"a route of a mesh", "", fmt.Sprintf(mesh, "{kind: Service, group: '', name: s}", "")},
		{"a route of a mesh and a Gateway", "httproutes", fmt.Sprintf(mesh, "{kind: Service, group: '', name: s}, {name: g, namespace: shared}", "")},
	}
	const toService = `, rules: [{backendRefs: [{name: s, port: 443}]}]`
	for _, kind := range []string{"HTTPRoute", "GRPCRoute", "TLSRoute"} {
		tests = append(tests, attempt{"a " + kind, "", fmt.Sprintf(route, "v1", kind, mine+toService)},
			attempt{"a " + kind + " for another's host", gatewayKinds[kind], fmt.Sprintf(route, "v1", kind, theirs+toService)})
		if kind != "TLSRoute" { // which must have hosts
			tests = append(tests, attempt{"a " + kind + " for every host", gatewayKinds[kind], fmt.Sprintf(route, "v1", kind, toService)})
		}
	}
	for _, test := range tests {
		object := parsed(t, team, test.object)
		resource := schema.GroupVersionResource{Group: "gateway.networking.k8s.io", Version: object.GroupVersionKind().Version, Resource: gatewayKinds[object.GetKind()]}
		for _, who := range []string{"deployer", "person"} {
			// The policies know a new kind after some seconds.
			eventually(t, who+", "+test.what, func() error {
				_, err := actors[who].Resource(resource).Namespace(team.a).Create(ctx, object, metav1.CreateOptions{DryRun: []string{"All"}})
				if test.refusedBy != "" {
					return byGuard(err, test.refusedBy)
				}
				return err
			})
		}
		if _, err := w.as(t, "").Resource(resource).Namespace(team.a).Create(ctx, object, metav1.CreateOptions{DryRun: []string{"All"}}); err != nil {
			t.Errorf("an admin, %s: %v", test.what, err)
		}
	}

	// What an admin made stays, and a member can't widen it.
	kept := parsed(t, team, fmt.Sprintf(route, "v1", "HTTPRoute", theirs))
	routes := schema.GroupVersionResource{Group: "gateway.networking.k8s.io", Version: "v1", Resource: "httproutes"}
	created, err := w.as(t, "").Resource(routes).Namespace(team.a).Create(ctx, kept, metav1.CreateOptions{})
	must(t, err)
	created.SetLabels(map[string]string{"a": "b"})
	created, err = actors["person"].Resource(routes).Namespace(team.a).Update(ctx, created, metav1.UpdateOptions{})
	must(t, err)
	spec, _ := created.Object["spec"].(map[string]any)
	spec["hostnames"] = []any{"shop.example.com", "another.example.com"}
	_, err = actors["person"].Resource(routes).Namespace(team.a).Update(ctx, created, metav1.UpdateOptions{})
	if err := byGuard(err, "httproutes"); err != nil {
		t.Errorf("a host that was not there: %v", err)
	}
}
