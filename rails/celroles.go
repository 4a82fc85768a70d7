package rails

import admissionv1 "k8s.io/api/admissionregistration/v1"

// ownSubject is a CEL expression that reports whether the subject s of a binding is a
// service account of the tenant's own namespaces.
const ownSubject = `(s.kind == "ServiceAccount" && (!has(s.namespace) || s.namespace == "" || s.namespace in variables.own))`

// ownNamespaces returns the namespaces of the tenants that have the request's namespace.
func ownNamespaces() admissionv1.Variable {
	return admissionv1.Variable{Name: "own", Expression: noteList(annotationNamespaces, `[request.namespace]`)}
}

// roleBindings refuses subjects that do not belong to the tenant: such a binding would
// outlive the revoke of the member who made it.
func roleBindings() policy {
	const kept = `(oldObject != null && has(oldObject.subjects) && oldObject.subjects.exists(o, o.kind == s.kind && o.name == s.name` +
		` && (has(o.namespace) ? o.namespace : "") == (has(s.namespace) ? s.namespace : "")))`
	return policy{
		kind: "rolebindings", groups: []string{"rbac.authorization.k8s.io"}, resources: []string{"rolebindings"}, operations: onWrite,
		variables: []admissionv1.Variable{
			ownNamespaces(),
			{Name: "outsiders", Expression: `!has(object.subjects) ? [] : object.subjects.filter(s, !` + ownSubject + ` && !` + kept + `).map(s, s.kind + " " + (has(s.namespace) && s.namespace != "" ? s.namespace + ":" : "") + s.name)`},
		},
		rules: []admissionv1.Validation{rule(
			`variables.outsiders.size() == 0`,
			"a RoleBinding in a tenant's namespace can only have service accounts of the tenant's own namespaces for subjects",
			`"a RoleBinding here can only have service accounts of the namespaces " + variables.own.join(", ") + " for subjects, not " + variables.outsiders.join(", ")`,
		)},
	}
}

// roles keeps a Role that an admin bound to outsiders as the admin left it: whoever may
// write Roles could otherwise give them more, permanently. CEL can't read bindings, so
// each binding of the namespace is a parameter.
func roles() policy {
	return policy{
		kind: "roles", groups: []string{"rbac.authorization.k8s.io"}, resources: []string{"roles"}, operations: onWrite,
		params: &admissionv1.ParamKind{APIVersion: "rbac.authorization.k8s.io/v1", Kind: "RoleBinding"},
		variables: []admissionv1.Variable{
			ownNamespaces(),
			{Name: "bound", Expression: `params.roleRef.kind == "Role" && params.roleRef.name == object.metadata.name`},
			{Name: "outsiders", Expression: `!variables.bound || !has(params.subjects) ? [] : params.subjects.filter(s, !` + ownSubject + `).map(s, s.kind + " " + s.name)`},
			{Name: "rules", Expression: `!has(object.rules) ? [] : object.rules`},
			{Name: "had", Expression: `oldObject == null || !has(oldObject.rules) ? [] : oldObject.rules`},
		},
		rules: []admissionv1.Validation{rule(
			`variables.outsiders.size() == 0 || variables.rules.all(r, r in variables.had)`,
			"a Role that a RoleBinding gives to outsiders can't get more rules here",
			`"Role " + object.metadata.name + " can't get more rules here: RoleBinding " + params.metadata.name + " gives it to " + variables.outsiders.join(", ")`,
		)},
	}
}
