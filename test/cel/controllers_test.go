package cel

import (
	"fmt"
	"testing"

	admissionapi "k8s.io/api/admission/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authorization/authorizer"

	"helm-tenant/rails"
)

// TestWhatControllersRead: what a controller or a node writes for other controllers is refused
// of a tenant's subjects, whatever the case of its keys where the reader ignores that, and
// accepted of controllers with the right to it in the whole cluster.
func TestWhatControllersRead(t *testing.T) {
	const (
		revision = "{apiVersion: apps/v1, kind: ControllerRevision, metadata: {name: x}, revision: 1, data: %s}"
		pod      = "{apiVersion: v1, kind: Pod, metadata: {name: x}, status: {%s}}"
		address  = "podIP: %[1]s, podIPs: [{ip: %[1]s}]"
	)
	revisions := func(data string) string { return fmt.Sprintf(revision, data) }
	at := func(ip string) string { return fmt.Sprintf(pod, fmt.Sprintf(address, ip)) }
	for _, test := range []struct {
		what, kind, old, object string
		allowed                 bool
	}{
		{"a template", "controllerrevisions", "", revisions("{spec: {template: {$patch: replace, spec: {}}}}"), false},
		{"a template under other keys", "controllerrevisions", "", revisions("{Spec: {TEMPLATE: {}}}"), false},
		{"a template under keys that fold", "controllerrevisions", "", revisions("{\u017fpec: {template: {}}}"), false},
		{"a template beside another spec", "controllerrevisions", "", revisions("{spec: {}, sPEC: {template: {}}}"), false},
		{"another namespace", "controllerrevisions", "", revisions("{metadata: {namespace: b}}"), false},
		{"another namespace under another key", "controllerrevisions", "", revisions("{MetaData: {namespace: b}, spec: {}}"), false},
		{"no template", "controllerrevisions", "", revisions("{kind: VirtualMachineInstancetype, spec: {cpu: {guest: 1}}}"), true},
		{"nothing", "controllerrevisions", "", "{apiVersion: apps/v1, kind: ControllerRevision, metadata: {name: x}, revision: 1}", true},
		{"an address", "podstatuses", fmt.Sprintf(pod, "phase: Pending"), at("10.0.0.1"), false},
		{"another address", "podstatuses", at("10.0.0.2"), at("10.0.0.1"), false},
		{"one more address", "podstatuses", at("10.0.0.2"), fmt.Sprintf(pod, "podIP: 10.0.0.2, podIPs: [{ip: 10.0.0.2}, {ip: 'fd00::1'}]"), false},
		{"the same address", "podstatuses", at("10.0.0.2"), fmt.Sprintf(pod, "phase: Failed, "+fmt.Sprintf(address, "10.0.0.2")), true},
		{"an address that is another's by now", "podstatuses", fmt.Sprintf(pod, "phase: Failed, "+fmt.Sprintf(address, "10.0.0.2")), fmt.Sprintf(pod, "phase: Running, "+fmt.Sprintf(address, "10.0.0.2")), false},
		{"an ended pod's phase taken away", "podstatuses", fmt.Sprintf(pod, "phase: Succeeded, "+fmt.Sprintf(address, "10.0.0.2")), fmt.Sprintf(pod, fmt.Sprintf(address, "10.0.0.2")), false},
		{"another end", "podstatuses", fmt.Sprintf(pod, "phase: Succeeded"), fmt.Sprintf(pod, "phase: Failed"), true},
		{"no address", "podstatuses", "{apiVersion: v1, kind: Pod, metadata: {name: x}}", fmt.Sprintf(pod, "conditions: [{type: example.com/ready, status: 'True'}]"), true},
	} {
		everywhere := rights{"create controllerrevisions.apps", "update pods."}
		namespace, request := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "a"}}, &admissionapi.AdmissionRequest{Namespace: "a"}
		for _, who := range []struct {
			rights  rights
			allowed bool
		}{{nil, test.allowed}, {everywhere, true}} {
			got := judgeAs(t, guardPolicy(test.kind, rails.Priorities{}), namespace, request, authorizer.AuthorizerFunc(who.rights.authorize), test.old, test.object)
			if got != who.allowed {
				t.Errorf("%s, with the rights %v in the whole cluster: allowed is %t", test.what, who.rights, got)
			}
		}
	}
}
