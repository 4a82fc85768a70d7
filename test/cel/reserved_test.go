package cel

import (
	"context"
	"fmt"
	"slices"
	"testing"

	admissionapi "k8s.io/api/admission/v1"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authorization/authorizer"

	"helm-tenant/rails"
)

// rights are what a caller may do in the whole cluster, as VERB RESOURCE.GROUP/NAME, or
// without the name for all of them.
type rights []string

func (r rights) authorize(_ context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
	asked := a.GetVerb() + " " + a.GetResource() + "." + a.GetAPIGroup()
	for _, right := range []string{asked, asked + "/" + a.GetName()} {
		// Nobody here has rights in one namespace only; a Namespace is asked for in itself.
		if (a.GetNamespace() == "" || a.GetResource() == "namespaces") && slices.Contains(r, right) {
			return authorizer.DecisionAllow, "", nil
		}
	}
	return authorizer.DecisionNoOpinion, "", nil
}

// reserving returns one of the policies that reserve helm-tenant's labels, with its conditions
// as the first of its validations.
func reserving(t *testing.T, kind string) (policy *admissionv1.ValidatingAdmissionPolicy, conditions *admissionv1.ValidatingAdmissionPolicy) {
	t.Helper()
	for _, o := range rails.Reserving() {
		if p, isPolicy := o.(*admissionv1.ValidatingAdmissionPolicy); isPolicy && p.Name == rails.PolicyPrefix+kind {
			policy, conditions = p, p.DeepCopy()
		}
	}
	conditions.Spec.Variables, conditions.Spec.Validations = nil, nil
	for _, c := range policy.Spec.MatchConditions {
		conditions.Spec.Validations = append(conditions.Spec.Validations, admissionv1.Validation{Expression: c.Expression})
	}
	return policy, conditions
}

func judgeReserved(t *testing.T, kind string, operation admissionapi.Operation, allowed rights, old, object string) bool {
	t.Helper()
	policy, conditions := reserving(t, kind)
	request := &admissionapi.AdmissionRequest{Operation: operation, Namespace: "x", UserInfo: authenticationv1.UserInfo{Username: "eve"}}
	live := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "x"}}
	return !judgeAs(t, conditions, live, request, authorizer.AuthorizerFunc(allowed.authorize), old, object) || judgeAs(t, policy, live, request, authorizer.AuthorizerFunc(allowed.authorize), old, object)
}

// TestReservedNamespaces: who has no right of an administrator creates, changes and deletes
// namespaces, and leaves helm-tenant's labels and annotations on them alone.
func TestReservedNamespaces(t *testing.T) {
	ns := func(meta string) string {
		if meta != "" {
			meta = ", " + meta
		}
		return "{apiVersion: v1, kind: Namespace, metadata: {name: x" + meta + "}}"
	}
	const (
		home      = "labels: {helm-tenant/tenant: t, helm-tenant/home: tiller, app.kubernetes.io/managed-by: helm-tenant}"
		tenants   = "labels: {helm-tenant/tenant: t, helm-tenant/guard: enforce}, annotations: {helm-tenant/home-namespace: t-tiller, rails.helm-tenant/t: '{}', guard.helm-tenant/hosts: a.example.com}"
		unrelated = "labels: {team: a, app.kubernetes.io/managed-by: Helm, example.com/helm-tenant: x, helm-tenant: x}, annotations: {example.com/helm-tenant: y, not-helm-tenant/home: z}"
	)
	for _, test := range []struct {
		what        string
		operation   admissionapi.Operation
		old, object string
		allowed     bool
	}{
		{"a namespace", admissionapi.Create, "", ns(""), true},
		{"a namespace with labels of others", admissionapi.Create, "", ns(unrelated), true},
		{"a home", admissionapi.Create, "", ns(home), false},
		{"a tenant's namespace", admissionapi.Create, "", ns(tenants), false},
		{"only the tenant's label", admissionapi.Create, "", ns("labels: {helm-tenant/tenant: t}"), false},
		{"only the annotation that leads to a home", admissionapi.Create, "", ns("annotations: {helm-tenant/home-namespace: t-helm}"), false},
		{"a claim of a tenant's", admissionapi.Create, "", ns("annotations: {rails.helm-tenant/t: '{}'}"), false},
		{"reachable", admissionapi.Create, "", ns("labels: {helm-tenant/reachable: 'true'}"), false},
		{"a label that has no meaning yet", admissionapi.Create, "", ns("labels: {later.helm-tenant/x: y}"), false},
		{"managed by helm-tenant", admissionapi.Create, "", ns("labels: {app.kubernetes.io/managed-by: helm-tenant}"), false},
		{"labels of others on a home", admissionapi.Update, ns(home), ns("labels: {helm-tenant/tenant: t, helm-tenant/home: tiller, app.kubernetes.io/managed-by: helm-tenant, team: a}"), true},
		{"nothing changes", admissionapi.Update, ns(tenants), ns(tenants), true},
		{"all labels go", admissionapi.Update, ns(home), ns(""), false},
		{"all annotations go", admissionapi.Update, ns(tenants), ns("labels: {helm-tenant/tenant: t, helm-tenant/guard: enforce}"), false},
		{"the home's label goes", admissionapi.Update, ns(home), ns("labels: {helm-tenant/tenant: t, app.kubernetes.io/managed-by: helm-tenant}"), false},
		{"a label gets another value", admissionapi.Update, ns("labels: {helm-tenant/tenant: t}"), ns("labels: {helm-tenant/tenant: u}"), false},
		{"the annotation leads elsewhere", admissionapi.Update, ns("annotations: {helm-tenant/home-namespace: t-tiller}"), ns("annotations: {helm-tenant/home-namespace: x-tiller}"), false},
		{"a label becomes an annotation", admissionapi.Update, ns("labels: {helm-tenant/guard: enforce}"), ns("annotations: {helm-tenant/guard: enforce}"), false},
		{"managed by others", admissionapi.Update, ns("labels: {app.kubernetes.io/managed-by: helm-tenant}"), ns("labels: {app.kubernetes.io/managed-by: Helm}"), false},
		{"managed by others before and after", admissionapi.Update, ns("labels: {app.kubernetes.io/managed-by: Helm}"), ns("labels: {app.kubernetes.io/managed-by: argocd}"), true},
		{"drivers that the guard allows", admissionapi.Update, ns(tenants), ns(tenants[:len(tenants)-1] + ", helm-tenant/csi-drivers: nfs.csi.k8s.io}"), false},
		{"a namespace is deleted", admissionapi.Delete, ns(unrelated), "", true},
		{"a tenant's namespace is deleted", admissionapi.Delete, ns(tenants), "", true},
		{"a home is deleted", admissionapi.Delete, ns(home), "", false},
		{"a home that is being deleted is deleted again", admissionapi.Delete, ns("deletionTimestamp: '2026-01-31T12:00:00Z', " + home), "", true},
	} {
		for may, allowed := range map[string]bool{"": test.allowed, "create rolebindings.rbac.authorization.k8s.io": true, "claim namespaces.helm-tenant/x": true,
			"claim namespaces.helm-tenant/y": test.allowed, "update namespaces.": test.allowed, "create namespaces.": test.allowed} {
			if got := judgeReserved(t, "namespaces", test.operation, rights{may}, test.old, test.object); got != allowed {
				t.Errorf("%s, by somebody who may %q: allowed is %t", test.what, may, got)
			}
		}
	}
}

// TestReservedRecords: outside homes a record is an administrator's.
func TestReservedRecords(t *testing.T) {
	record := func(name, meta, data string) string {
		return fmt.Sprintf("{apiVersion: v1, kind: ConfigMap, metadata: {name: %s%s}%s}", name, meta, data)
	}
	const data = ", data: {tenant.yaml: 'name: t'}"
	for _, test := range []struct {
		what, old, object string
		allowed           bool
	}{
		{"a record", "", record("helm-tenant", "", data), false},
		{"one beside other keys", "", record("helm-tenant", "", ", data: {a: b, tenant.yaml: ''}"), false},
		{"another ConfigMap", "", record("tenants", "", data), true},
		{"a ConfigMap of that name", "", record("helm-tenant", "", ", data: {a: b}"), true},
		{"a ConfigMap without data", "", record("helm-tenant", "", ""), true},
		{"one that becomes a record", record("helm-tenant", "", ", data: {a: b}"), record("helm-tenant", "", data), false},
		{"another tenant", record("helm-tenant", "", ", data: {tenant.yaml: 'name: u'}"), record("helm-tenant", "", data), false},
		{"an annotation", record("helm-tenant", "", data), record("helm-tenant", ", annotations: {helm-tenant/migration: x}", data), false},
		{"a label", record("helm-tenant", "", data), record("helm-tenant", ", labels: {helm-tenant/tenant: t}", data), false},
		{"a finalizer less", record("helm-tenant", ", finalizers: [foregroundDeletion]", data), record("helm-tenant", "", data), true},
		{"no record any more", record("helm-tenant", "", data), record("helm-tenant", "", ", data: {a: b}"), true},
	} {
		operation := admissionapi.Create
		if test.old != "" {
			operation = admissionapi.Update
		}
		for may, allowed := range map[string]bool{"": test.allowed, "create rolebindings.rbac.authorization.k8s.io": true, "claim namespaces.helm-tenant/x": true, "update namespaces.": test.allowed} {
			if got := judgeReserved(t, "configmaps", operation, rights{may}, test.old, test.object); got != allowed {
				t.Errorf("%s, by somebody who may %q: allowed is %t", test.what, may, got)
			}
		}
	}
}
