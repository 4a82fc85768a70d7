package rails

import (
	"strconv"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"helm-tenant/refusal"
	"helm-tenant/tenant"
)

// Whoever may create namespaces, as users of self-service platforms may, could label one as
// a tenant's home, or as a tenant's namespace that leads to another home. So labels and
// annotations of helm-tenant's on namespaces, and tenants' records outside homes, are written
// only by those who may create RoleBindings in the whole cluster, which self-service users
// may not and administrators of tenants must; or who have the verb VerbClaim on the
// namespace, in a ClusterRoleBinding. The right to update the namespace does not count:
// self-service users have it on the namespaces that they created.
const (
	// VerbClaim, GroupClaim and ResourceClaim are the right to write the reserved labels and
	// annotations of a namespace, for administrators without cluster-wide rights. No API
	// has this resource; only the authorizer knows it.
	VerbClaim     = "claim"
	GroupClaim    = "helm-tenant"
	ResourceClaim = "namespaces"
)

// mayClaim returns the CEL expression that reports whether the caller may write what is
// reserved on the namespace whose name the expression name has.
func mayClaim(name string) string {
	return `authorizer.group("rbac.authorization.k8s.io").resource("rolebindings").check("create").allowed()` +
		` || authorizer.group(` + quoted(GroupClaim) + `).resource(` + quoted(ResourceClaim) + `).name(` + name + `).check(` + quoted(VerbClaim) + `).allowed()`
}

// IsReservation reports whether the message of a refused request is from the policy that
// reserves labels and annotations of namespaces.
func IsReservation(message string) bool {
	by, _ := refusal.Read(message)
	return by.Policy == reservedNamespaces().name()
}

// reservedPrefix begins the reserved labels and annotations, after an optional subdomain.
const reservedPrefix = "helm-tenant/"

// mostKeys is the number of labels, and of annotations, of a namespace up to which each of them
// is looked at. The cost of an expression is limited, and an expression that exceeds the limit
// refuses every request: also an administrator's, and that of the controller which deletes the
// namespace.
const mostKeys = 1000

// reserved is the CEL expression that reports whether only administrators write the label or
// annotation k.
const reserved = `(k.startsWith("` + reservedPrefix + `") || k.contains(".` + reservedPrefix + `"))`

// Reserving returns the admission policies that reserve helm-tenant's labels and annotations
// on namespaces, and tenants' records, with their bindings. They belong to no tenant, and do
// not depend on the mode of any tenant's guard.
func Reserving() []runtime.Object {
	namespaces, records := reservedNamespaces(), reservedRecords()
	var objects []runtime.Object
	for _, one := range []policy{namespaces, records} {
		object, binding := one.object(), one.binding(tenant.GuardEnforce)
		object.Spec.MatchConditions = one.conditions
		selector := &metav1.LabelSelector{}
		if one.kind == records.kind {
			// Homes are labelled by administrators; RBAC decides who writes a record there.
			selector.MatchExpressions = []metav1.LabelSelectorRequirement{{Key: tenant.LabelHome, Operator: metav1.LabelSelectorOpDoesNotExist}}
			object.Spec.MatchConstraints.ResourceRules[0].ResourceNames = []string{tenant.RecordName}
		} else {
			object.Spec.MatchConstraints.ResourceRules[0].Scope = new(admissionv1.ClusterScope)
		}
		object.Spec.MatchConstraints.NamespaceSelector = selector
		binding.Spec.MatchResources.NamespaceSelector = &metav1.LabelSelector{}
		objects = append(objects, object, binding)
	}
	return objects
}

// reservedNamespaces returns the policy for namespaces. Neither of their subresources keeps
// the metadata of the stored object (k8s.io/kubernetes/pkg/registry/core/namespace,
// strategy.go). A home is also not deleted: the tenant's namespaces would still lead to one
// that a stranger creates in its place. Kubernetes deletes again what is being deleted.
func reservedNamespaces() policy {
	const managed = `"` + tenant.LabelManagedBy + `"`
	limit := strconv.Itoa(mostKeys)
	either := func(test func(object string) string) string {
		return `(object != null && ` + test("object") + ` || oldObject != null && ` + test("oldObject") + `)`
	}
	carries := either(func(object string) string {
		labels, notes := object+`.metadata.labels`, object+`.metadata.annotations`
		return `(has(` + labels + `) && (size(` + labels + `) > ` + limit + ` || ` + labels + `.exists(k, ` + reserved + `) || ` + managed + ` in ` + labels + ` && ` + labels + `[` + managed + `] == "` + tenant.ManagedBy + `")` +
			` || has(` + notes + `) && (size(` + notes + `) > ` + limit + ` || ` + notes + `.exists(k, ` + reserved + `)))`
	})
	content := func(object, field string) string {
		return object + ` != null && ` + ifHas(object+`.metadata.`+field, `{}`)
	}
	changed := func(kind string) string {
		before, after := `variables.`+kind+`Before`, `variables.`+kind+`After`
		return `(size(` + after + `) > ` + limit + ` ? (` + before + ` == ` + after + ` ? [] : ["more than ` + limit + ` labels or annotations"])` +
			` : ` + after + `.filter(k, ` + reserved + ` && !(k in ` + before + ` && ` + before + `[k] == ` + after + `[k])) + ` +
			`(size(` + before + `) > ` + limit + ` ? [] : ` + before + `.filter(k, ` + reserved + ` && !(k in ` + after + `))))`
	}
	isManaged := func(labels string) string {
		return `(` + managed + ` in ` + labels + ` && ` + labels + `[` + managed + `] == "` + tenant.ManagedBy + `")`
	}
	return policy{
		kind: "namespaces", groups: []string{""}, resources: []string{"namespaces", "namespaces/*"}, operations: onAny,
		conditions: []admissionv1.MatchCondition{{Name: "carries-what-is-reserved", Expression: carries}},
		variables: []admissionv1.Variable{
			{Name: "name", Expression: `object != null ? object.metadata.name : oldObject.metadata.name`},
			{Name: "labelsBefore", Expression: content("oldObject", "labels")},
			{Name: "labelsAfter", Expression: content("object", "labels")},
			{Name: "notesBefore", Expression: content("oldObject", "annotations")},
			{Name: "notesAfter", Expression: content("object", "annotations")},
			{Name: "changed", Expression: `request.operation == "DELETE" ? [] : ` + changed("labels") + ` + ` + changed("notes") +
				` + (` + isManaged("variables.labelsBefore") + ` == ` + isManaged("variables.labelsAfter") + ` ? [] : [` + managed + `])`},
			{Name: "mayClaim", Expression: mayClaim("variables.name")},
		},
		rules: []admissionv1.Validation{
			{
				Expression: `variables.changed.size() == 0 || variables.mayClaim`,
				Message:    "only an administrator of tenants sets the labels and annotations of helm-tenant on a namespace",
				MessageExpression: `"only an administrator of tenants sets " + variables.changed.join(", ") + " on a namespace: who may create RoleBindings in the whole cluster, or has the verb ` + VerbClaim +
					` on ` + ResourceClaim + `.` + GroupClaim + ` " + variables.name + "; ask an admin of this cluster"`,
			},
			{
				Expression: `request.operation != "DELETE" || !("` + tenant.LabelHome + `" in variables.labelsBefore) || has(oldObject.metadata.deletionTimestamp) || variables.mayClaim`,
				Message:    "only an administrator of tenants deletes the home of one",
				MessageExpression: `"only an administrator of tenants deletes the home of one: who may create RoleBindings in the whole cluster, or has the verb ` + VerbClaim +
					` on ` + ResourceClaim + `.` + GroupClaim + ` " + variables.name + "; ask an admin of this cluster"`,
			},
		},
	}
}

// reservedRecords returns the policy for records outside homes, which members would believe:
// they can't read the labels of the namespace.
func reservedRecords() policy {
	return policy{
		kind: "configmaps", groups: []string{""}, resources: []string{"configmaps"}, operations: onWrite,
		conditions: []admissionv1.MatchCondition{{Name: "looks-like-a-record", Expression: `object.metadata.name == "` + tenant.RecordName + `" && has(object.data) && "` + tenant.RecordKey + `" in object.data`}},
		rules: []admissionv1.Validation{rule(
			`oldObject != null && `+same("oldObject.data", "object.data")+` && `+same("oldObject.metadata.labels", "object.metadata.labels")+
				` && `+same("oldObject.metadata.annotations", "object.metadata.annotations")+` || `+mayClaim("request.namespace"),
			"only an administrator of tenants makes the record of one",
			`"ConfigMap `+tenant.RecordName+` with the key `+tenant.RecordKey+` is the record of a tenant, which only an administrator of tenants makes"`,
		)},
	}
}

// same returns the CEL expression that reports whether two maps are equal, or both missing.
func same(a, b string) string {
	return `(` + ifHas(a, `{}`) + `) == (` + ifHas(b, `{}`) + `)`
}
