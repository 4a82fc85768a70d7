package audit

import (
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/labels"

	"helm-tenant/rbac"
)

// seesSystem describes the objects of kube-system that the webhook gets, if an account there
// can be had by them; empty for none.
func (a *auditor) seesSystem(w Webhook) string {
	if !a.choosesNamespace(w, systemNamespace) {
		return ""
	}
	plain := labels.Set{}
	pods := []labels.Set{plain}
	for _, pod := range a.pods[systemNamespace] {
		pods = append(pods, labels.Set(pod.Labels))
	}
	changes := w.Kind == "MutatingWebhookConfiguration" || w.Kind == MutatingPolicy
	switch {
	case w.Kind != MutatingPolicy && w.writes("", "secrets", "create", "update", "delete") && w.chooses(plain):
		return "the Secrets"
	case !changes:
		return ""
	case w.chooses(pods...) && w.writesPods():
		return "the pods, to change them,"
	case w.chooses(plain) && w.writes(rbacv1.GroupName, "rolebindings", "create", "update"):
		return "the RoleBindings, to change them,"
	case w.chooses(plain) && w.writes(rbacv1.GroupName, "roles", "create", "update"):
		return "the Roles, to change them,"
	}
	return ""
}

// changesRights describes the roles and bindings of tenants' namespaces that the webhook changes,
// with these namespaces: an administrator writes them, and the webhook can add a subject. A
// webhook that a tenant runs for its own namespaces is left out.
func (a *auditor) changesRights(w Webhook) (rights string, spaces []string) {
	if w.Kind != "MutatingWebhookConfiguration" && w.Kind != MutatingPolicy {
		return "", nil
	}
	objects := []labels.Set{{}}
	for i := range a.snapshot.Records {
		t := &a.snapshot.Records[i].Tenant
		if w.Service.Namespace != "" && slices.Contains(t.Namespaces, w.Service.Namespace) {
			continue
		}
		for _, namespace := range t.Namespaces {
			if !slices.Contains(spaces, namespace) && a.choosesNamespace(w, namespace) {
				spaces = append(spaces, namespace)
			}
		}
		objects = append(objects, rbac.Labels(t.Name))
	}
	switch {
	case len(spaces) == 0 || !w.chooses(objects...):
	case w.writes(rbacv1.GroupName, "rolebindings", "create", "update"):
		return "the RoleBindings, to change them,", spaces
	case w.writes(rbacv1.GroupName, "roles", "create", "update"):
		return "the Roles, to change them,", spaces
	}
	return "", nil
}

// choosesNamespace reports whether the webhook's namespaceSelector matches that namespace.
func (a *auditor) choosesNamespace(w Webhook, name string) bool {
	ns := a.namespaces[name]
	return ns != nil && (w.NamespaceSelector == nil || selects(*w.NamespaceSelector, ns.Labels))
}

// writes reports whether one of the webhook's rules has one of the verbs on the resource.
func (w Webhook) writes(group, resource string, verbs ...string) bool {
	return slices.ContainsFunc(verbs, func(verb string) bool { return w.takes(verb, group, resource) })
}
