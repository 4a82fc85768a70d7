package audit

import (
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"helm-tenant/tenant"
)

// TestGuardPolicies: which policies are reported, with which severity and fix.
func TestGuardPolicies(t *testing.T) {
	policy := GuardProblem{Object: ObjectRef{Kind: "ValidatingAdmissionPolicy", Name: "helm-tenant-guard-services"}, Missing: true}
	binding := func(mode tenant.Guard) GuardProblem {
		return GuardProblem{Object: ObjectRef{Kind: "ValidatingAdmissionPolicyBinding", Name: "helm-tenant-guard-services-" + string(mode)}, Mode: mode}
	}
	for _, test := range []struct {
		name     string
		guards   []tenant.Guard
		state    GuardState
		severity Severity
		fix      string
	}{
		{"nothing wrong", []tenant.Guard{tenant.GuardEnforce}, GuardState{}, "", ""},
		{"nobody has the guard", []tenant.Guard{tenant.GuardOff}, GuardState{Unserved: true}, "", ""},
		{"a policy is missing", []tenant.Guard{tenant.GuardEnforce}, GuardState{Problems: []GuardProblem{policy}}, High, "helm tenant init a"},
		{"a policy is missing, and two modes are in use", []tenant.Guard{tenant.GuardEnforce, tenant.GuardWarn}, GuardState{Problems: []GuardProblem{policy}}, High, "helm tenant init b"},
		{"a binding that warns", []tenant.Guard{tenant.GuardEnforce, tenant.GuardWarn}, GuardState{Problems: []GuardProblem{binding(tenant.GuardWarn)}}, Medium, "helm tenant init b"},
		{"bindings of two modes", []tenant.Guard{tenant.GuardEnforce, tenant.GuardWarn}, GuardState{Problems: []GuardProblem{binding(tenant.GuardWarn), binding(tenant.GuardEnforce)}}, High,
			"helm tenant init a; helm tenant init b"},
		{"policies of pods that differ", []tenant.Guard{tenant.GuardEnforce}, GuardState{Problems: []GuardProblem{{Object: ObjectRef{Kind: "ValidatingAdmissionPolicy", Name: "helm-tenant-guard-pods"}}}}, High,
			"helm tenant init a"},
		{"no such policies", []tenant.Guard{tenant.GuardEnforce}, GuardState{Unserved: true}, Low, "upgrade the API server"},
	} {
		s := &Snapshot{Guard: test.state}
		for i, mode := range test.guards {
			tested := team(string(rune('a'+i)), tenant.EngineImpersonation)
			tested.Rails = tenant.Rails{PodSecurity: tenant.PodSecurityBaseline, Guard: mode, Network: tenant.NetworkOpen}
			s.Records = append(s.Records, Record{Namespace: tested.Home(), Tenant: tested.WithDefaults()})
		}
		got := found(s, idGuardPolicies)
		if test.severity == "" && len(got) == 0 {
			continue
		}
		if len(got) != 1 || got[0].Severity != test.severity || !strings.HasPrefix(got[0].Fix.String(), test.fix) {
			t.Errorf("%s: found %+v", test.name, got)
			continue
		}
		if output := strings.Contains(strings.Join(got[0].Fix.Notes, " "), "PriorityClasses"); output != strings.HasPrefix(test.name, "policies of pods") {
			t.Errorf("%s: notes are %q", test.name, got[0].Fix.Notes)
		}
	}
}

// A volume is reported where some tenant may make claims.
func TestOpenVolume(t *testing.T) {
	s := sceneOf(team("a", tenant.EngineTiller))
	s.Volumes = []Volume{{Name: "disk", Class: "fast"}}
	if got := found(s, idOpenVolume); len(got) != 0 {
		t.Errorf("of a volume that no tenant can claim is reported %+v", got)
	}
	s.Roles[0].Rules = append(s.Roles[0].Rules, rule("", "persistentvolumeclaims", "create"))
	want := `kubectl patch --type=merge '--patch=spec: {claimRef: {namespace: NS, name: CLAIM}}' persistentvolume -- disk`
	if got := found(s, idOpenVolume); len(got) != 1 || got[0].Fix.String() != want {
		t.Errorf("reported is %+v", got)
	}
}

// TestWebhooks: which webhooks are reported to receive objects of homes. A webhook with
// matchConditions never replaces one without.
func TestWebhooks(t *testing.T) {
	hook := func(kind, group, resource string, operation admissionv1.OperationType, selector *metav1.LabelSelector, conditional bool) Webhook {
		w := Webhook{Kind: kind, Configuration: "x", Server: "service s in namespace n", ObjectSelector: selector, Conditional: conditional,
			Rules: []admissionv1.RuleWithOperations{{Operations: []admissionv1.OperationType{operation}, Rule: admissionv1.Rule{APIGroups: []string{group}, APIVersions: []string{"*"}, Resources: []string{resource}}}}}
		if kind == MutatingPolicy {
			w.Server = kind + " p"
		}
		return w
	}
	const validating, mutating = "ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"
	labelled := func(key, value string) *metav1.LabelSelector {
		return &metav1.LabelSelector{MatchLabels: map[string]string{key: value}}
	}
	for _, test := range []struct {
		name  string
		hooks []Webhook
		want  string
	}{
		{"Secrets", []Webhook{hook(validating, "", "secrets", "CREATE", nil, false)}, "is sent the Secrets"},
		{"Secrets, on conditions", []Webhook{hook(validating, "", "secrets", "CREATE", nil, true)}, "may be sent the Secrets"},
		{"Secrets, on conditions and without", []Webhook{hook(validating, "", "secrets", "CREATE", nil, true), hook(validating, "", "secrets", "UPDATE", nil, false)}, "is sent the Secrets"},
		{"deleted Secrets", []Webhook{hook(validating, "", "secrets", "DELETE", nil, false)}, "is sent the Secrets"}, // as they were
		{"Secrets with a label of no record", []Webhook{hook(validating, "", "secrets", "CREATE", labelled("inject", "yes"), false)}, ""},
		{"records of a status", []Webhook{hook(validating, "", "secrets", "UPDATE", labelled("STATUS", "SUPERSEDED"), false)}, "is sent the Secrets"},
		{"records of Helm 3", []Webhook{hook(validating, "", "secrets", "UPDATE", labelled("OWNER", "HELM"), false)}, ""},
		{"pods, to be judged", []Webhook{hook(validating, "", "pods", "CREATE", nil, false)}, ""},
		{"pods, to be changed", []Webhook{hook(mutating, "", "pods", "CREATE", nil, false)}, "is sent the pods"},
		{"pods, to be changed later", []Webhook{hook(mutating, "", "*/*", "UPDATE", labelled("app", "helm"), false)}, "is sent the pods"},
		{"Deployments, to be changed", []Webhook{hook(mutating, "apps", "deployments", "UPDATE", nil, true)}, "may be sent the pods"},
		{"RoleBindings, to be changed", []Webhook{hook(mutating, "rbac.authorization.k8s.io", "rolebindings", "UPDATE", nil, false)}, "is sent the RoleBindings"},
		{"Roles, to be changed", []Webhook{hook(mutating, "rbac.authorization.k8s.io", "*", "CREATE", labelled("app.kubernetes.io/managed-by", "helm-tenant"), true)}, "may be sent the RoleBindings"},
		{"RoleBindings, to be judged", []Webhook{hook(validating, "rbac.authorization.k8s.io", "rolebindings", "UPDATE", nil, false)}, ""},
		{"RoleBindings of others", []Webhook{hook(mutating, "rbac.authorization.k8s.io", "rolebindings", "UPDATE", labelled("app", "web"), false)}, ""},
		{"deleted RoleBindings", []Webhook{hook(mutating, "rbac.authorization.k8s.io", "rolebindings", "DELETE", nil, false)}, ""},
		{"records, to be changed", []Webhook{hook(mutating, "", "configmaps", "UPDATE", nil, false)}, "is sent the tenants' records"},
		{"namespaces, to be changed", []Webhook{hook(mutating, "", "namespaces", "UPDATE", nil, false)}, "is sent the namespaces themselves"},
		{"cluster-scoped bindings, to be changed", []Webhook{hook(mutating, "rbac.authorization.k8s.io", "clusterrolebindings", "UPDATE", nil, false)}, "is sent the ClusterRoleBindings, to change them"},
		{"cluster-scoped bindings, to be judged", []Webhook{hook(validating, "rbac.authorization.k8s.io", "clusterrolebindings", "UPDATE", nil, false)}, ""},
		{"cluster roles, by a policy", []Webhook{hook(MutatingPolicy, "rbac.authorization.k8s.io", "clusterroles", "UPDATE", nil, false)}, "MutatingAdmissionPolicy p can change the ClusterRoles"},
		{"pods, by a policy", []Webhook{hook(MutatingPolicy, "", "pods", "CREATE", nil, true)}, "MutatingAdmissionPolicy p can change the pods of"},
		{"Secrets, by a policy", []Webhook{hook(MutatingPolicy, "", "secrets", "CREATE", nil, false)}, "MutatingAdmissionPolicy p can change the Secrets of"},
		{"RoleBindings, by a policy", []Webhook{hook(MutatingPolicy, "rbac.authorization.k8s.io", "*", "UPDATE", labelled("helm-tenant/tenant", "a"), false)}, "MutatingAdmissionPolicy p can change the RoleBindings of"},
		{"another tenant's RoleBindings, by a policy", []Webhook{hook(MutatingPolicy, "*", "*", "UPDATE", &metav1.LabelSelector{MatchLabels: map[string]string{"helm-tenant/tenant": "b", "app.kubernetes.io/managed-by": "helm-tenant"}}, false)}, ""},
		{"requests for tokens", []Webhook{hook(validating, "", "serviceaccounts/token", "CREATE", nil, false)}, ""},
		{"requests for tokens, to be changed", []Webhook{hook(mutating, "", "serviceaccounts/*", "*", nil, false)}, ""},
		{"requests for tokens, by a policy", []Webhook{hook(MutatingPolicy, "", "serviceaccounts/token", "CREATE", nil, false)}, ""},
		{"Ingresses, by a policy", []Webhook{hook(MutatingPolicy, "networking.k8s.io", "ingresses", "CREATE", nil, false)}, ""},
		{"other pods", []Webhook{hook(mutating, "", "pods", "CREATE", labelled("app", "web"), false)}, ""},
	} {
		s := sceneOf(team("a", tenant.EngineTiller))
		s.Webhooks = test.hooks
		got := found(s, idWebhook)
		if test.want == "" && len(got) == 0 {
			continue
		}
		if len(got) != 1 || test.want == "" || !strings.Contains(got[0].Text, test.want) {
			t.Errorf("%s: reported is %+v", test.name, got)
		}
	}
}
