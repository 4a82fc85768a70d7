package audit

import (
	"slices"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"helm-tenant/tenant"
)

// TestListenersOfNeighbours: a webhook whose Service is in a tenant's namespace, and which is sent
// what other tenants write. Tenant a has the namespaces a-1 and common, b has b-1 and common.
func TestListenersOfNeighbours(t *testing.T) {
	const validating, mutating = "ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"
	for _, test := range []struct {
		name, kind, operation, group, resource string
		namespaces, objects                    *metav1.LabelSelector
		service                                string // its namespace
		conditional                            bool
		want                                   string
		severity                               Severity
	}{
		{"Secrets of another tenant", validating, "CREATE", "", "secrets", inNamespaces("b-1"), nil, "a-1", false, "the Secrets of b-1, and tenant a can answer for it", High},
		{"Helm's records of another tenant", validating, "UPDATE", "", "secrets", inNamespaces("b-1"), withLabel("owner", "helm"), "a-1", false, "the Secrets of b-1, and tenant a can answer for it", High},
		{"Secrets with a label of no record", validating, "UPDATE", "", "secrets", inNamespaces("b-1"), withLabel("vault", "yes"), "a-1", false, "the secrets that its objectSelector chooses, to refuse them, of b-1, and tenant a can answer for it", Medium},
		{"its conditions may leave them out", validating, "CREATE", "", "secrets", inNamespaces("b-1"), nil, "a-1", true, "the Secrets of b-1, and tenant a can answer for it", Medium},
		{"its own Secrets", validating, "CREATE", "", "secrets", inNamespaces("a-1"), nil, "a-1", false, "", ""},
		{"Secrets of a namespace of both", validating, "CREATE", "", "secrets", inNamespaces("common"), nil, "a-1", false, "", ""},
		{"answered in a namespace of both", validating, "CREATE", "", "secrets", inNamespaces("a-1", "b-1"), nil, "common", false, "", ""},
		{"answered in a namespace of both, for a third tenant", validating, "CREATE", "", "secrets", inNamespaces("c-1"), nil, "common", false, "the Secrets of c-1, and tenants a, b can answer for it", High},
		{"an administrator's", validating, "CREATE", "", "secrets", inNamespaces("b-1"), nil, "hooks", false, "", ""},
		{"pods of another tenant", mutating, "CREATE", "", "pods", inNamespaces("b-1"), nil, "a-1", false, "the pods, to change them, of b-1, and tenant a can answer for it", High},
		{"Deployments of another tenant", mutating, "UPDATE", "apps", "deployments", inNamespaces("b-1"), nil, "a-1", false, "the pods, to change them, of b-1, and tenant a can answer for it", High},
		{"pods that are there", mutating, "UPDATE", "", "pods", inNamespaces("b-1"), withLabel("app", "web"), "a-1", false, "the pods, to change them, of b-1, and tenant a can answer for it", High},
		{"pods that are not there", mutating, "UPDATE", "", "pods", inNamespaces("b-1"), withLabel("inject", "yes"), "a-1", false, "the pods that its objectSelector chooses, to change or refuse them, of b-1", Medium},
		{"pods, not to change them", validating, "CREATE", "", "pods", inNamespaces("b-1"), nil, "a-1", false, "the pods, to refuse them, of b-1, and tenant a can answer for it", Medium},
		{"ConfigMaps of another tenant", mutating, "CREATE", "", "configmaps", inNamespaces("b-1"), nil, "a-1", false, "the configmaps, to change or refuse them, of b-1", Medium},
		{"its operator's own kind", validating, "UPDATE", "db.example.com", "postgresqls", inNamespaces("a-1", "b-1"), nil, "a-1", true, "the postgresqls.db.example.com, to refuse them, of b-1", Low},
		{"everything that is written", validating, "DELETE", "*", "*/*", inNamespaces("b-1"), withLabel("x", "y"), "a-1", false, "the objects of every kind that its objectSelector chooses, to refuse them, of b-1", Medium},
		{"Roles of another tenant", mutating, "UPDATE", rbacGroup, "roles", inNamespaces("b-1"), nil, "a-1", false, "x is sent the Roles, to change them, of b-1, and tenant a can answer for it", High},
		{"its own ConfigMaps", mutating, "CREATE", "", "configmaps", inNamespaces("a-1"), nil, "a-1", false, "", ""},
		{"objects outside namespaces", validating, "CREATE", rbacGroup, "clusterroles", nil, nil, "a-1", false, "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := sceneOf(team("a", tenant.EngineImpersonation), team("b", tenant.EngineImpersonation), team("c", tenant.EngineImpersonation))
			for i := range s.Records {
				if s.Records[i].Tenant.Name != "c" {
					s.Records[i].Tenant.Namespaces = append(s.Records[i].Tenant.Namespaces, "common")
				}
			}
			s.Namespaces = append(s.Namespaces, Namespace{Name: "common"}, Namespace{Name: "hooks"})
			labelByName(s)
			s.Pods = append(s.Pods, Pod{Namespace: "b-1", Name: "web-1", Labels: map[string]string{"app": "web"}})
			s.Webhooks = []Webhook{{Kind: test.kind, Configuration: "w", Server: "x", Conditional: test.conditional, Service: ObjectRef{"Service", test.service, "hook"}, NamespaceSelector: test.namespaces, ObjectSelector: test.objects,
				Rules: []admissionv1.RuleWithOperations{{Operations: []admissionv1.OperationType{admissionv1.OperationType(test.operation)}, Rule: admissionv1.Rule{APIGroups: []string{test.group}, APIVersions: []string{"*"}, Resources: []string{test.resource}}}}}}
			findings := found(s, idWebhook)
			if test.want == "" {
				if len(findings) > 0 {
					t.Fatalf("got %v", findings)
				}
				return
			}
			if len(findings) != 1 || !strings.Contains(findings[0].Text, test.want) || findings[0].Severity != test.severity {
				t.Fatalf("got %v, want one of severity %s with %q", findings, test.severity, test.want)
			}
			if notes := findings[0].Fix.Notes; !slices.ContainsFunc(notes, func(note string) bool {
				return strings.Contains(note, "those of other tenants, by the label "+tenant.LabelTenant)
			}) {
				t.Errorf("the fix says %q", notes)
			}
			// As well where the Service of others leads to the tenant.
			s.Webhooks[0].Service, s.Webhooks[0].Leads = ObjectRef{"Service", "hooks", "hook"}, []ObjectRef{{"Pod", test.service, "hook-1"}}
			if led := found(s, idWebhook); len(led) != 1 || led[0].Text != findings[0].Text || !slices.Contains(led[0].Chains[0], "Pod hook-1 in namespace "+test.service) {
				t.Errorf("where its Service leads to the tenant: %v", led)
			}
			// The tenant's own deployer answers for it: its rights at home are no finding of their own.
			if answers := found(s, idAnswers); len(answers) > 0 {
				t.Errorf("got %v", answers)
			}
		})
	}
}
