package install

import (
	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"helm-tenant/rbac"
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

// OwnersName is that of the ValidatingAdmissionPolicy and of its binding that hold what
// owners write.
const OwnersName = "helm-tenant-owners"

// Owners is the admission policy, with its binding, for those who may update bindings in a
// home namespace and not the namespace itself: a tenant's owners. They may change subjects
// and the annotation of grants for a time; no further subject may be a user or group of
// Kubernetes' own, which one that an admin granted can stay. Whoever may update the
// namespace is an admin of the tenant, whom the policy does not limit.
func Owners() []runtime.Object {
	meta := metav1.ObjectMeta{Name: OwnersName, Labels: map[string]string{tenant.LabelManagedBy: tenant.ManagedBy}}
	fail, equivalent, namespaced := admissionv1.Fail, admissionv1.Equivalent, admissionv1.NamespacedScope
	same := func(field string) string {
		return `(has(object.metadata.` + field + `) ? object.metadata.` + field + ` : []) == (has(oldObject.metadata.` + field + `) ? oldObject.metadata.` + field + ` : [])`
	}
	const terms = `"` + tenant.AnnotationTerms + `"`
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
				ResourceRules: []admissionv1.NamedRuleWithOperations{{
					ResourceNames: []string{rbac.MemberName, rbac.ReaderName},
					RuleWithOperations: admissionv1.RuleWithOperations{
						Operations: []admissionv1.OperationType{admissionv1.Update},
						Rule:       admissionv1.Rule{APIGroups: []string{"rbac.authorization.k8s.io"}, APIVersions: []string{"*"}, Resources: []string{"rolebindings"}, Scope: &namespaced},
					}}},
			},
			MatchConditions: []admissionv1.MatchCondition{{
				Name:       "not-an-admin-of-the-namespace",
				Expression: `!authorizer.group("").resource("namespaces").namespace(request.namespace).name(request.namespace).check("update").allowed()`,
			}},
			Variables: []admissionv1.Variable{
				{Name: "before", Expression: `has(oldObject.metadata.annotations) ? oldObject.metadata.annotations : {}`},
				{Name: "after", Expression: `has(object.metadata.annotations) ? object.metadata.annotations : {}`},
				{Name: "labelsBefore", Expression: `has(oldObject.metadata.labels) ? oldObject.metadata.labels : {}`},
				{Name: "labelsAfter", Expression: `has(object.metadata.labels) ? object.metadata.labels : {}`},
			},
			Validations: []admissionv1.Validation{
				{
					Expression: `!has(object.subjects) || object.subjects.all(s, s.kind == "ServiceAccount" || !s.name.startsWith("system:") || (has(oldObject.subjects) && s in oldObject.subjects))`,
					Message:    "an owner can't let in a user or group of Kubernetes' own (system:...)",
				},
				{
					Expression: `variables.labelsBefore == variables.labelsAfter && ` + same("finalizers") + ` && ` + same("ownerReferences"),
					Message:    "an owner can't change labels, finalizers and owner references",
				},
				{
					Expression: `variables.after.all(k, k == ` + terms + ` || (k in variables.before && variables.before[k] == variables.after[k]))` +
						` && variables.before.all(k, k == ` + terms + ` || k in variables.after)`,
					Message: "an owner can't change an annotation other than that of grants for a time",
				},
			},
		},
	}
	binding := &admissionv1.ValidatingAdmissionPolicyBinding{
		TypeMeta:   metav1.TypeMeta{APIVersion: admissionv1.SchemeGroupVersion.String(), Kind: "ValidatingAdmissionPolicyBinding"},
		ObjectMeta: meta,
		Spec: admissionv1.ValidatingAdmissionPolicyBindingSpec{
			PolicyName:        OwnersName,
			ValidationActions: []admissionv1.ValidationAction{admissionv1.Deny},
		},
	}
	return []runtime.Object{policy, binding}
}
