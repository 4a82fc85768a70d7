package audit

import (
	"slices"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"helm-tenant/tenant"
)

// TestListenersOfPower: webhooks that are sent what leads to accounts which reach every deployer,
// or change what a controller carries out with its own rights.
func TestListenersOfPower(t *testing.T) {
	const validating, mutating = "ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"
	cluster, namespaced := admissionv1.ClusterScope, admissionv1.NamespacedScope
	for _, test := range []struct {
		name, kind, group, resource string
		scope                       *admissionv1.ScopeType
		namespaces, objects         *metav1.LabelSelector
		service                     string // its namespace
		eks                         bool
		want, note                  string
	}{
		{"pods of a namespace with a powerful account", mutating, "", "pods", nil, inNamespaces("operators"), nil, "hooks", false, "is sent the pods, to change them, of operators", "the namespaces named operators"},
		{"Secrets of such a namespace", validating, "", "secrets", nil, inNamespaces("operators"), nil, "hooks", false, "is sent the Secrets of operators", "the namespaces named operators"},
		{"Secrets of these and kube-system", validating, "", "secrets", nil, inNamespaces("operators", "kube-system"), nil, "hooks", false, "is sent the Secrets of kube-system, operators", "the namespaces named kube-system, operators"},
		{"what answers there", mutating, "", "pods", nil, inNamespaces("operators"), nil, "operators", false, "", ""},
		{"pods, not to change them", validating, "", "pods", nil, inNamespaces("operators"), nil, "hooks", false, "", ""},
		{"pods of a namespace with an account that reaches none", mutating, "", "pods", nil, inNamespaces("hooks", "other"), nil, "other", false, "", ""},
		{"the cloud's people", mutating, "", "configmaps", nil, inNamespaces("kube-system"), nil, "hooks", true, "is sent the ConfigMap aws-auth, to change it, of kube-system", "kube-system"},
		{"people of no cloud", mutating, "", "configmaps", nil, inNamespaces("kube-system"), nil, "hooks", false, "", ""},
		{"Argo CD's Applications", mutating, "argoproj.io", "*", &namespaced, inNamespaces("argocd"), nil, "hooks", false, "is sent the applications.argoproj.io, to change them, which Argo CD carries out", "out of its rules"},
		{"Argo CD's Applications elsewhere", mutating, "argoproj.io", "applications", nil, inNamespaces("other"), nil, "hooks", false, "", ""},
		{"Argo CD's own webhook", mutating, "argoproj.io", "applications", nil, inNamespaces("argocd"), nil, "argocd", false, "", ""},
		{"Applications, not to change them", validating, "argoproj.io", "applications", nil, inNamespaces("argocd"), nil, "hooks", false, "", ""},
		{"a controller's objects in any namespace", mutating, "kustomize.toolkit.fluxcd.io", "kustomizations", nil, inNamespaces("other"), nil, "hooks", false, "the kustomizations.kustomize.toolkit.fluxcd.io, to change them, which Flux's", ""},
		{"a controller's objects outside namespaces", mutating, "*", "*", &cluster, inNamespaces("nowhere"), nil, "hooks", false, "the clusterpolicies.kyverno.io, to change them, which Kyverno carries out", ""},
		{"a controller that is not there", mutating, "kro.run", "*", nil, nil, nil, "hooks", false, "", ""},
		{"a definition of a controller's objects", Definition, "applications.argoproj.io", "", nil, nil, nil, "hooks", false, "x converts the applications.argoproj.io, to change them, which Argo CD carries out", "in a namespace of no tenant"},
		{"a definition that the controller converts", Definition, "applications.argoproj.io", "", nil, nil, nil, "argocd", false, "", ""},
		{"a definition of other objects", Definition, "widgets.example.com", "", nil, nil, nil, "hooks", false, "", ""},
		{"a definition that a tenant converts", Definition, "widgets.example.com", "", nil, nil, nil, "a-1", false, "x converts the widgets.example.com, to change them, of b-1, and tenant a can answer for it", "in a namespace of no tenant"},
		{"an API that a tenant serves", AggregatedAPI, "v1.metrics.example.com", "", nil, nil, nil, "a-1", false, "x serves the API v1.metrics.example.com of b-1, and tenant a can answer for it", "in a namespace of no tenant"},
		{"an API of a controller's objects", AggregatedAPI, "v1alpha1.argoproj.io", "", nil, nil, nil, "hooks", false, "x serves the applications.argoproj.io, to change them, which Argo CD carries out", "in a namespace of no tenant"},
		{"an API that the controller serves", AggregatedAPI, "v1alpha1.argoproj.io", "", nil, nil, nil, "argocd", false, "", ""},
		{"an API that others serve", AggregatedAPI, "v1.metrics.example.com", "", nil, nil, nil, "hooks", false, "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := sceneOf(team("a", tenant.EngineImpersonation), team("b", tenant.EngineImpersonation))
			s.APIGroups = []string{"argoproj.io", "kustomize.toolkit.fluxcd.io", "kyverno.io"}
			s.Identities.Used = test.eks
			for _, name := range []string{"kube-system", "hooks", "operators", "argocd", "other"} {
				s.Namespaces = append(s.Namespaces, Namespace{Name: name})
			}
			labelByName(s)
			s.give("", "operator", Account("operators", "operator"), rbacv1.PolicyRule{APIGroups: []string{"*"}, Resources: []string{"*"}, Verbs: []string{"*"}})
			s.give("", "reader", Account("hooks", "reader"), rule("", "pods", "get"))
			w := Webhook{Kind: test.kind, Configuration: "w", Server: "x", Service: ObjectRef{"Service", test.service, "hook"}, NamespaceSelector: test.namespaces, ObjectSelector: test.objects,
				Rules: []admissionv1.RuleWithOperations{{Operations: []admissionv1.OperationType{admissionv1.Update}, Rule: admissionv1.Rule{APIGroups: []string{test.group}, APIVersions: []string{"*"}, Resources: []string{test.resource}, Scope: test.scope}}}}
			if !w.isAdmission() {
				w.Configuration, w.Rules = test.group, nil
			}
			s.Webhooks = []Webhook{w}
			findings := found(s, idWebhook)
			if test.want == "" {
				if len(findings) > 0 {
					t.Fatalf("got %v", findings)
				}
				return
			}
			if len(findings) != 1 || !strings.Contains(findings[0].Text, test.want) {
				t.Fatalf("got %v, want one with %q", findings, test.want)
			}
			if notes := findings[0].Fix.Notes; !slices.ContainsFunc(notes, func(note string) bool { return strings.Contains(note, test.note) }) {
				t.Errorf("the fix says %q, want %q", notes, test.note)
			}
		})
	}
}

// TestAnsweringDeployer: the deployer of the tenant in whose namespace a webhook is answered that
// is sent what homes hold: its binding is what the tenant is made of.
func TestAnsweringDeployer(t *testing.T) {
	s := sceneOf(team("a", tenant.EngineImpersonation), team("b", tenant.EngineImpersonation))
	s.Webhooks = []Webhook{{Kind: "ValidatingWebhookConfiguration", Configuration: "w", Server: "x", Service: ObjectRef{"Service", "a-1", "hook"},
		Rules: []admissionv1.RuleWithOperations{{Operations: []admissionv1.OperationType{admissionv1.Update}, Rule: admissionv1.Rule{APIGroups: []string{""}, APIVersions: []string{"*"}, Resources: []string{"secrets"}}}}}}
	findings := found(s, idAnswers)
	if len(findings) != 1 || findings[0].Subject != "service account a-helm:helm" || findings[0].Severity != High {
		t.Fatalf("got %v", findings)
	}
	if fix := findings[0].Fix.String(); strings.Contains(fix, "delete") || !strings.Contains(fix, "kubectl edit validatingwebhookconfiguration") {
		t.Errorf("got the fix %q", fix)
	}
}
