package cel

import (
	"fmt"
	"strings"
	"testing"

	admissionapi "k8s.io/api/admission/v1"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"helm-tenant/install"
)

// TestOwners: an owner changes subjects and the annotation of grants for a time, and
// nothing else.
func TestOwners(t *testing.T) {
	policy := install.Owners()[0].(*admissionv1.ValidatingAdmissionPolicy)
	policy.Spec.MatchConditions = nil // only the API server knows who may update the namespace
	home := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "t-helm"}}
	binding := func(meta, subjects string) string {
		return "{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: helm-tenant-member, labels: {a: b}" + meta + "}, " +
			subjects + "roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: helm-tenant-member}}"
	}
	subjects := func(all string) string { return "subjects: [" + all + "], " }
	const (
		alice    = "{kind: User, apiGroup: rbac.authorization.k8s.io, name: alice}"
		devs     = "{kind: Group, apiGroup: rbac.authorization.k8s.io, name: devs}"
		bot      = "{kind: ServiceAccount, namespace: ci, name: bot}"
		everyone = "{kind: Group, apiGroup: rbac.authorization.k8s.io, name: 'system:authenticated'}"
		nobody   = "{kind: User, apiGroup: rbac.authorization.k8s.io, name: 'system:anonymous'}"
	)
	many := func(n int) string { // with the length of a distinguished name
		all := make([]string, n)
		for i := range all {
			all[i] = fmt.Sprintf("{kind: User, apiGroup: rbac.authorization.k8s.io, name: 'CN=%0200d'}", i)
		}
		return strings.Join(all, ", ")
	}
	none := binding("", "")
	for _, test := range []struct {
		what, old, object string
		allowed           bool
	}{
		{"the first subjects", none, binding("", subjects(alice+", "+devs+", "+bot)), true},
		{"no subject left", binding("", subjects(alice)), none, true},
		{"everybody", none, binding("", subjects(everyone)), false},
		{"everybody beside somebody", binding("", subjects(alice)), binding("", subjects(alice+", "+everyone)), false},
		{"the anonymous user", none, binding("", subjects(nobody)), false},
		{"everybody, whom an admin let in", binding("", subjects(everyone)), binding("", subjects(everyone+", "+alice)), true},
		{"everybody goes", binding("", subjects(everyone)), binding("", subjects(alice)), true},
		{"a service account whose namespace is none", none, binding("", subjects("{kind: ServiceAccount, namespace: 'kube-system:x', name: bot}")), false},
		{"a service account without a namespace", none, binding("", subjects("{kind: ServiceAccount, name: bot}")), false},
		{"a service account whose namespace is none, whom an admin let in", binding("", subjects("{kind: ServiceAccount, namespace: 'A', name: bot}")), binding("", subjects(alice+", {kind: ServiceAccount, namespace: 'A', name: bot}")), true},
		{"a user with a blank name", none, binding("", subjects("{kind: User, apiGroup: rbac.authorization.k8s.io, name: ' '}")), false},
		{"a group with a name of no-break spaces", none, binding("", subjects(`{kind: Group, apiGroup: rbac.authorization.k8s.io, name: "\u00a0\u3000"}`)), false},
		{"a user whose name turns the line", none, binding("", subjects(`{kind: User, apiGroup: rbac.authorization.k8s.io, name: "alice\u202e"}`)), false},
		{"a group with a newline", none, binding("", subjects(`{kind: Group, apiGroup: rbac.authorization.k8s.io, name: "devs\nops"}`)), false},
		{"a user with an escape sequence", none, binding("", subjects(`{kind: User, apiGroup: rbac.authorization.k8s.io, name: "\e[2Jalice"}`)), false},
		{"a user with a zero-width space, whom an admin let in", binding("", subjects(`{kind: User, apiGroup: rbac.authorization.k8s.io, name: "a\u200b"}`)), binding("", subjects(alice+`, {kind: User, apiGroup: rbac.authorization.k8s.io, name: "a\u200b"}`)), true},
		{"names of people", none, binding("", subjects(`{kind: User, apiGroup: rbac.authorization.k8s.io, name: "Zoë Müller"}, {kind: User, apiGroup: rbac.authorization.k8s.io, name: "oidc:山田@example.com"}, {kind: Group, apiGroup: rbac.authorization.k8s.io, name: "CN=devs,OU=it"}`)), true},
		{"a thousand subjects", none, binding("", subjects(many(1000))), true},
		{"more than a thousand", none, binding("", subjects(many(1001))), false},
		{"more than a thousand, one of whom goes", binding("", subjects(many(1500))), binding("", subjects(many(1499))), true},
		{"more than a thousand, and one more", binding("", subjects(many(1500))), binding("", subjects(many(1501))), false},
		{"a grant for a time", none, binding(", annotations: {helm-tenant/temporary: x}", subjects(alice)), true},
		{"another end", binding(", annotations: {helm-tenant/temporary: x}", subjects(alice)), binding(", annotations: {helm-tenant/temporary: y}", subjects(alice)), true},
		{"a grant for good", binding(", annotations: {helm-tenant/temporary: x}", subjects(alice)), none, true},
		{"an annotation more", none, binding(", annotations: {x: y}", ""), false},
		{"an annotation less", binding(", annotations: {x: y}", ""), none, false},
		{"an annotation changed", binding(", annotations: {x: y}", ""), binding(", annotations: {x: z}", ""), false},
		{"an annotation that stays", binding(", annotations: {x: y}", ""), binding(", annotations: {x: y}", subjects(alice)), true},
		{"a label", none, "{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, metadata: {name: helm-tenant-member, labels: {a: c}}, roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: helm-tenant-member}}", false},
		{"a finalizer", none, binding(", finalizers: [example.com/x]", ""), false},
		{"a finalizer that stays", binding(", finalizers: [example.com/x]", ""), binding(", finalizers: [example.com/x]", subjects(alice)), true},
		{"an owner reference", none, binding(", ownerReferences: [{apiVersion: v1, kind: ConfigMap, name: x, uid: y}]", ""), false},
		{"an owner reference less", binding(", ownerReferences: [{apiVersion: v1, kind: ConfigMap, name: x, uid: y}]", ""), none, false},
	} {
		request := &admissionapi.AdmissionRequest{Namespace: "t-helm", Name: "helm-tenant-member", Operation: admissionapi.Update, UserInfo: authenticationv1.UserInfo{Username: "dana"},
			Resource: metav1.GroupVersionResource{Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "rolebindings"}}
		if got := judgePolicy(t, policy, home, request, test.old, test.object); got != test.allowed {
			t.Errorf("%s: allowed is %t", test.what, got)
		}
	}
}
