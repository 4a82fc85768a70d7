package audit

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"helm-tenant/tenant"
)

// inNamespaces returns the selector of the namespaces of those names.
func inNamespaces(names ...string) *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: corev1.LabelMetadataName, Operator: metav1.LabelSelectorOpIn, Values: names}}}
}

func withLabel(key, value string) *metav1.LabelSelector {
	return &metav1.LabelSelector{MatchLabels: map[string]string{key: value}}
}

// labelByName gives each namespace the label that the API server gives it.
func labelByName(s *Snapshot) {
	for i, ns := range s.Namespaces {
		if ns.Labels == nil {
			s.Namespaces[i].Labels = map[string]string{}
		}
		s.Namespaces[i].Labels[corev1.LabelMetadataName] = ns.Name
	}
}

// TestListenersBesideHomes: webhooks that are sent objects of kube-system, of Tillers that no
// tenant has, of homes without a record, and the rights in tenants' namespaces.
func TestListenersBesideHomes(t *testing.T) {
	const validating, mutating = "ValidatingWebhookConfiguration", "MutatingWebhookConfiguration"
	for _, test := range []struct {
		name, kind, operation, group, resource string
		namespaces, objects                    *metav1.LabelSelector
		service                                string // its namespace
		want, fix                              string
		reach                                  bool
	}{
		{"Secrets of kube-system", validating, "UPDATE", "", "secrets", inNamespaces("kube-system"), nil, "", "the Secrets of kube-system", "the namespaces named kube-system", true},
		{"pods of kube-system", mutating, "CREATE", "", "pods", inNamespaces("kube-system"), nil, "", "the pods, to change them, of kube-system", "the namespaces named kube-system", true},
		{"pods of kube-system, not to change them", validating, "CREATE", "", "pods", inNamespaces("kube-system"), nil, "", "", "", false},
		{"Jobs of kube-system", mutating, "CREATE", "batch", "jobs", inNamespaces("kube-system"), nil, "", "the pods, to change them, of kube-system", "kube-system", true},
		{"some pods of kube-system", mutating, "CREATE", "", "pods", inNamespaces("kube-system"), withLabel("k8s-app", "kube-dns"), "", "the pods, to change them, of kube-system", "kube-system", true},
		{"no pods of kube-system", mutating, "CREATE", "", "pods", inNamespaces("kube-system"), withLabel("inject", "yes"), "", "", "", false},
		{"RoleBindings of kube-system", mutating, "UPDATE", rbacGroup, "rolebindings", inNamespaces("kube-system"), nil, "", "the RoleBindings, to change them, of kube-system", "kube-system", true},
		{"ConfigMaps of kube-system", mutating, "UPDATE", "", "configmaps", inNamespaces("kube-system"), nil, "", "", "", false},
		{"a policy of pods of kube-system", MutatingPolicy, "CREATE", "", "pods", inNamespaces("kube-system"), nil, "", "the pods of kube-system", "kube-system", true},
		{"a policy of Secrets of kube-system", MutatingPolicy, "CREATE", "", "secrets", inNamespaces("kube-system"), nil, "", "", "", false},
		{"Secrets of a Tiller of no tenant", validating, "CREATE", "", "secrets", inNamespaces("old"), nil, "", "the Secrets of old", "the namespaces named old", false},
		{"pods of a Tiller of no tenant, by its labels", mutating, "CREATE", "", "pods", inNamespaces("old"), withLabel("by", "hand"), "", "the pods, to change them of old", "the namespaces named old", false},
		{"Secrets of a home without a record", validating, "CREATE", "", "secrets", inNamespaces("c-helm"), nil, "", "the Secrets of c-helm", "namespaces with the label helm-tenant/home", false},
		{"RoleBindings of tenants", mutating, "UPDATE", rbacGroup, "rolebindings", inNamespaces("a-1", "b-1"), nil, "", "the RoleBindings, to change them, of a-1, b-1", "those with the label helm-tenant/tenant", false},
		{"RoleBindings of tenants, not to change them", validating, "UPDATE", rbacGroup, "rolebindings", inNamespaces("a-1", "b-1"), nil, "", "", "", false},
		{"Roles of a tenant", mutating, "CREATE", rbacGroup, "roles", inNamespaces("b-1"), nil, "", "the Roles, to change them, of b-1", "those with the label helm-tenant/tenant", false},
		{"RoleBindings of helm-tenant's", mutating, "CREATE", rbacGroup, "rolebindings", inNamespaces("a-1"), withLabel(tenant.LabelTenant, "a"), "", "the RoleBindings, to change them, of a-1", "", false},
		{"deleted RoleBindings", mutating, "DELETE", rbacGroup, "rolebindings", inNamespaces("a-1"), nil, "", "", "", false},
		{"a tenant's own webhook", mutating, "UPDATE", rbacGroup, "rolebindings", inNamespaces("a-1"), nil, "a-1", "", "", false},
		{"a tenant's webhook, of others", mutating, "UPDATE", rbacGroup, "rolebindings", inNamespaces("a-1", "b-1"), nil, "a-1", "the RoleBindings, to change them, of b-1, and tenant a can answer for it", "", false},
		{"labels of tenants' namespaces", mutating, "UPDATE", "", "namespaces", inNamespaces("a-1", "b-1"), nil, "", "the labels and annotations, to change them, of a-1, b-1", "those with the label helm-tenant/tenant", false},
		{"labels of tenants' namespaces, by their status", mutating, "UPDATE", "", "namespaces/status", inNamespaces("b-1"), withLabel(tenant.LabelTenant, "b"), "", "the labels and annotations, to change them, of b-1", "", false},
		{"labels of a home, by its finalizers", mutating, "UPDATE", "", "namespaces/finalize", inNamespaces("b-helm"), nil, "", "the namespaces themselves, to change their labels of b-helm", "", false},
		{"namespaces, not to change them", validating, "UPDATE", "", "namespaces", inNamespaces("a-1", "b-1"), nil, "", "", "", false},
		{"pods of tenants, as injectors do", mutating, "CREATE", "", "pods", inNamespaces("a-1", "b-1"), nil, "", "", "", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := sceneOf(team("a", tenant.EngineImpersonation), team("b", tenant.EngineImpersonation), team("c", tenant.EngineImpersonation))
			s.Records = slices.DeleteFunc(s.Records, func(r Record) bool { return r.Tenant.Name == "c" })
			byHand := corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"by": "hand"}}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "x", Image: "tiller"}}}}
			s.Workloads = append(s.Workloads, Workload{Kind: "Deployment", Namespace: "old", Name: "tiller", Template: &byHand})
			s.Namespaces = append(s.Namespaces, Namespace{Name: "old"}, Namespace{Name: "kube-system"}, Namespace{Name: "hooks"})
			labelByName(s)
			s.Pods = append(s.Pods, Pod{Namespace: "kube-system", Name: "coredns-1", Labels: map[string]string{"k8s-app": "kube-dns"}})
			service := ObjectRef{"Service", "hooks", "hook"}
			if test.service != "" {
				service.Namespace = test.service
			}
			s.Webhooks = []Webhook{{Kind: test.kind, Configuration: "w", Server: "x", Service: service, NamespaceSelector: test.namespaces, ObjectSelector: test.objects,
				Rules: []admissionv1.RuleWithOperations{{Operations: []admissionv1.OperationType{admissionv1.OperationType(test.operation)}, Rule: admissionv1.Rule{APIGroups: []string{test.group}, APIVersions: []string{"*"}, Resources: []string{test.resource}}}}}}
			got, fix := "", ""
			a := newAuditor(s)
			a.findAccess()
			for _, w := range a.findListeners() {
				got = w.what()
			}
			if got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
			for _, f := range found(s, idWebhook) {
				fix += f.Fix.String() + strings.Join(f.Fix.Notes, "; ")
			}
			if !strings.Contains(fix, test.fix) || fix == "" && test.want != "" {
				t.Errorf("the fix %q lacks %q", fix, test.fix)
			}
			if test.kind == MutatingPolicy { // nobody answers for it
				return
			}
			s.give("hooks", "w", User("zoe"), rule("", "pods", "create"))
			var reached []string
			for _, r := range Audit(s, Options{Ask: User("zoe"), Tenants: []string{"a"}}).CanReach {
				for _, path := range r.Paths {
					if path.ID == "answer-webhook" {
						reached = append(reached, r.Tenant)
					}
				}
			}
			var want []string
			if test.reach {
				want = []string{"a"}
			}
			if diff := cmp.Diff(want, reached); diff != "" {
				t.Errorf("--can-reach by the webhook's place, -want +got:\n%s", diff)
			}
		})
	}
}
