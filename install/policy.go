package install

import (
	"strconv"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"helm-tenant/rbac"
	"helm-tenant/tenant"
)

// AdmissionName is the name of the ValidatingAdmissionPolicy and of its binding.
const AdmissionName = "helm-tenant-records"

// Admission returns the policy under which a Tiller's account can write only its own
// release records in a home namespace. Without it a chart that puts a Secret into the
// home namespace could get a token of Tiller's own account, or add a release that was
// never installed. The policy belongs to no tenant: a cluster has it once.
func Admission() []runtime.Object {
	namespaced := admissionv1.NamespacedScope
	return policyInHomes(AdmissionName, admissionv1.NamedRuleWithOperations{RuleWithOperations: admissionv1.RuleWithOperations{
		Operations: []admissionv1.OperationType{admissionv1.Create, admissionv1.Update, admissionv1.Delete},
		Rule:       admissionv1.Rule{APIGroups: []string{"*"}, APIVersions: []string{"*"}, Resources: []string{"*/*"}, Scope: &namespaced},
	}}, admissionv1.ValidatingAdmissionPolicySpec{
		MatchConditions: []admissionv1.MatchCondition{{
			Name:       "is-the-tiller-of-this-namespace",
			Expression: `request.userInfo.username == "` + tenant.AccountPrefix + `" + request.namespace + ":` + tenant.TillerAccount + `"`,
		}},
		// The names and labels of Helm 2's storage drivers
		// (k8s.io/helm/pkg/storage/driver, secrets.go and cfgmaps.go): NAME.vN,
		// OWNER=TILLER, one key.
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
	})
}

// OwnersName is the name of the ValidatingAdmissionPolicy, and of its binding, that
// restrict what owners write.
const OwnersName = "helm-tenant-owners"

// AnnotationProbe is the annotation that the policy of owners refuses to everybody in a dry run:
// by it an admin sees whether the API server enforces the policy.
const AnnotationProbe = "helm-tenant/probe"

// maxSubjectsOfOwners bounds the subjects of a binding that an owner writes.
const maxSubjectsOfOwners = 1000

// Owners returns the admission policy, with its binding, for subjects that may update
// bindings in a home namespace but not the namespace itself: a tenant's owners. They may
// change subjects and the annotation of grants for a time. A new subject may not be a
// user or group of Kubernetes, or have a name that nobody can have; one that an admin
// granted can stay. Whoever may update the namespace is an admin of the tenant, whom the
// policy does not restrict.
func Owners() []runtime.Object {
	same := func(field string) string {
		return `(has(object.metadata.` + field + `) ? object.metadata.` + field + ` : []) == (has(oldObject.metadata.` + field + `) ? oldObject.metadata.` + field + ` : [])`
	}
	const terms = `"` + tenant.AnnotationTerms + `"`
	namespaced := admissionv1.NamespacedScope
	return policyInHomes(OwnersName, admissionv1.NamedRuleWithOperations{
		ResourceNames: []string{rbac.MemberName, rbac.ReaderName},
		RuleWithOperations: admissionv1.RuleWithOperations{
			Operations: []admissionv1.OperationType{admissionv1.Update},
			Rule:       admissionv1.Rule{APIGroups: []string{"rbac.authorization.k8s.io"}, APIVersions: []string{"*"}, Resources: []string{"rolebindings"}, Scope: &namespaced},
		},
	}, admissionv1.ValidatingAdmissionPolicySpec{
		MatchConditions: []admissionv1.MatchCondition{{
			Name: "not-an-admin-of-the-namespace",
			Expression: `has(request.dryRun) && request.dryRun && has(object.metadata.annotations) && "` + AnnotationProbe + `" in object.metadata.annotations || ` +
				`!authorizer.group("").resource("namespaces").namespace(request.namespace).name(request.namespace).check("update").allowed()`,
		}},
		Variables: []admissionv1.Variable{
			{Name: "before", Expression: `has(oldObject.metadata.annotations) ? oldObject.metadata.annotations : {}`},
			{Name: "after", Expression: `has(object.metadata.annotations) ? object.metadata.annotations : {}`},
			{Name: "labelsBefore", Expression: `has(oldObject.metadata.labels) ? oldObject.metadata.labels : {}`},
			{Name: "labelsAfter", Expression: `has(object.metadata.labels) ? object.metadata.labels : {}`},
			{Name: "subjectsBefore", Expression: `has(oldObject.subjects) ? oldObject.subjects : []`},
			{Name: "subjectsAfter", Expression: `has(object.subjects) ? object.subjects : []`},
		},
		Validations: []admissionv1.Validation{
			{
				// The cost of the validations below grows with the number of subjects,
				// and so does the cost of everything that reads the binding.
				Expression: `size(variables.subjectsAfter) <= ` + strconv.Itoa(maxSubjectsOfOwners) + ` || size(variables.subjectsAfter) <= size(variables.subjectsBefore)`,
				Message:    "an owner can't let in more than " + strconv.Itoa(maxSubjectsOfOwners) + " subjects",
			},
			{
				Expression: `variables.subjectsAfter.all(s, s.kind == "ServiceAccount" || !s.name.startsWith("system:") || s in variables.subjectsBefore)`,
				Message:    "an owner can't let in a user or group of Kubernetes' own (system:...)",
			},
			{
				// The API server does not validate the namespace of an account, nor the
				// names of users and groups (pkg/apis/rbac/validation).
				Expression: `variables.subjectsAfter.all(s, (s.kind == "ServiceAccount"` +
					` ? has(s.namespace) && size(s.namespace) <= 63 && s.namespace.matches("^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")` +
					` : s.name.matches("[^\\pZ\\pC]") && !s.name.matches("[\\p{Cc}\\p{Cf}\\p{Zl}\\p{Zp}]"))` +
					` || s in variables.subjectsBefore)`,
				Message: "an owner can't let in a service account whose namespace is no valid name, nor a user or group whose name is blank or has control or format characters",
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
	})
}

// policyInHomes returns the named policy for what a rule matches in home namespaces, and
// the binding that denies what the policy refuses.
func policyInHomes(name string, rule admissionv1.NamedRuleWithOperations, spec admissionv1.ValidatingAdmissionPolicySpec) []runtime.Object {
	meta := metav1.ObjectMeta{Name: name, Labels: map[string]string{tenant.LabelManagedBy: tenant.ManagedBy}}
	fail, equivalent := admissionv1.Fail, admissionv1.Equivalent
	spec.FailurePolicy = &fail
	spec.MatchConstraints = &admissionv1.MatchResources{
		NamespaceSelector: &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{
			{Key: tenant.LabelHome, Operator: metav1.LabelSelectorOpExists}}},
		ObjectSelector: &metav1.LabelSelector{},
		MatchPolicy:    &equivalent,
		ResourceRules:  []admissionv1.NamedRuleWithOperations{rule},
	}
	version := admissionv1.SchemeGroupVersion.String()
	return []runtime.Object{
		&admissionv1.ValidatingAdmissionPolicy{
			TypeMeta:   metav1.TypeMeta{APIVersion: version, Kind: "ValidatingAdmissionPolicy"},
			ObjectMeta: meta,
			Spec:       spec,
		},
		&admissionv1.ValidatingAdmissionPolicyBinding{
			TypeMeta:   metav1.TypeMeta{APIVersion: version, Kind: "ValidatingAdmissionPolicyBinding"},
			ObjectMeta: *meta.DeepCopy(),
			Spec: admissionv1.ValidatingAdmissionPolicyBindingSpec{
				PolicyName:        name,
				ValidationActions: []admissionv1.ValidationAction{admissionv1.Deny},
			},
		},
	}
}
