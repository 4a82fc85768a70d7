package install

import (
	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"helm-tenant/tenant"
)

// AdmissionName is that of the ValidatingAdmissionPolicy and of its binding.
const AdmissionName = "helm-tenant-records"

// Admission is the policy under which a Tiller's account can write only its own
// release records in a home namespace. Without it a chart that puts a Secret
// into the home namespace could have a token made for Tiller's own account, or
// put in a release that was never installed. It belongs to no tenant: the
// cluster has it once.
func Admission() []runtime.Object {
	meta := metav1.ObjectMeta{Name: AdmissionName, Labels: map[string]string{tenant.LabelManagedBy: tenant.ManagedBy}}
	fail, equivalent := admissionv1.Fail, admissionv1.Equivalent
	namespaced := admissionv1.NamespacedScope
	policy := &admissionv1.ValidatingAdmissionPolicy{
		TypeMeta:   metav1.TypeMeta{APIVersion: admissionv1.SchemeGroupVersion.String(), Kind: "ValidatingAdmissionPolicy"},
		ObjectMeta: meta,
		Spec: admissionv1.ValidatingAdmissionPolicySpec{
			FailurePolicy: &fail,
			MatchConstraints: &admissionv1.MatchResources{
				NamespaceSelector: &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{
					{Key: tenant.LabelHome, Operator: metav1.LabelSelectorOpExists}}},
				ObjectSelector: &metav1.LabelSelector{},
				MatchPolicy:    &equivalent,
				ResourceRules: []admissionv1.NamedRuleWithOperations{{RuleWithOperations: admissionv1.RuleWithOperations{
					Operations: []admissionv1.OperationType{admissionv1.Create, admissionv1.Update, admissionv1.Delete},
					Rule:       admissionv1.Rule{APIGroups: []string{"*"}, APIVersions: []string{"*"}, Resources: []string{"*/*"}, Scope: &namespaced},
				}}},
			},
			MatchConditions: []admissionv1.MatchCondition{{
				Name:       "is-the-tiller-of-this-namespace",
				Expression: `request.userInfo.username == "` + tenant.AccountPrefix + `" + request.namespace + ":` + tenant.TillerAccount + `"`,
			}},
			// What Helm 2's storage drivers write (k8s.io/helm/pkg/storage/driver,
			// secrets.go and cfgmaps.go): NAME.vN, OWNER=TILLER, one key.
			Validations: []admissionv1.Validation{
				{
					Expression: `request.resource.group == "" && request.resource.resource in ["secrets", "configmaps"] && (!has(request.subResource) || request.subResource == "")`,
					Message:    "in its home namespace a Tiller writes nothing but release records",
				},
				{
					Expression: `oldObject == null || (has(oldObject.metadata.labels) && "OWNER" in oldObject.metadata.labels && oldObject.metadata.labels["OWNER"] == "TILLER")`,
					Message:    "in its home namespace a Tiller changes and deletes nothing but release records",
				},
				{
					Expression: `object == null || (has(object.metadata.labels) && "OWNER" in object.metadata.labels && object.metadata.labels["OWNER"] == "TILLER"` +
						` && object.metadata.name.matches("^.+\\.v[0-9]+$") && has(object.data) && object.data.all(k, k == "release")` +
						` && !has(object.metadata.finalizers) && !has(object.metadata.ownerReferences))`,
					Message: "what a Tiller writes into its home namespace must be a release record",
				},
				{
					Expression: `object == null || request.resource.resource != "secrets" || !has(object.type) || object.type == "Opaque"`,
					Message:    "a release record is a Secret of type Opaque",
				},
			},
		},
	}
	binding := &admissionv1.ValidatingAdmissionPolicyBinding{
		TypeMeta:   metav1.TypeMeta{APIVersion: admissionv1.SchemeGroupVersion.String(), Kind: "ValidatingAdmissionPolicyBinding"},
		ObjectMeta: meta,
		Spec: admissionv1.ValidatingAdmissionPolicyBindingSpec{
			PolicyName:        AdmissionName,
			ValidationActions: []admissionv1.ValidationAction{admissionv1.Deny},
		},
	}
	return []runtime.Object{policy, binding}
}
