package audit

import (
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"helm-tenant/rbac"
)

// places returns the Services and pods that answer for the webhook.
func (w Webhook) places() []ObjectRef {
	if w.Service == (ObjectRef{}) {
		return w.Leads
	}
	return append([]ObjectRef{w.Service}, w.Leads...)
}

// places of a listener are those outside kube-system: who can run pods there reaches every
// deployer anyway.
func (w listener) places() []ObjectRef {
	return slices.DeleteFunc(w.Webhook.places(), func(place ObjectRef) bool { return place.Namespace == systemNamespace })
}

func (w Webhook) isAnsweredIn(namespaces ...string) bool {
	return slices.ContainsFunc(w.places(), func(place ObjectRef) bool { return slices.Contains(namespaces, place.Namespace) })
}

func (w Webhook) isAnsweredBy(namespaces ...string) bool {
	places := w.places()
	return len(places) > 0 && !slices.ContainsFunc(places, func(place ObjectRef) bool { return !slices.Contains(namespaces, place.Namespace) })
}

// leading returns what is called, and where that leads.
func (w Webhook) leading() []string {
	chain := []string{w.Server}
	if len(w.Leads) > 0 {
		var leads []string
		for _, place := range w.Leads {
			leads = append(leads, place.String())
		}
		chain = append(chain, shortened(leads))
	}
	return chain
}

// changesLent describes the objects that a webhook changes and a well-known controller carries out
// with its own rights, which reach every deployer; empty for none. What answers in the
// controller's own namespace is the controller's.
func (a *auditor) changesLent(w Webhook) string {
	if w.isAdmission() && !w.changes() {
		return ""
	}
	for _, lender := range lenders {
		if lender.span == aside || w.isAnsweredBy(lender.homes...) || !slices.Contains(a.snapshot.APIGroups, lender.group) {
			continue
		}
		for _, resource := range lender.resources {
			if a.changesObjects(w, lender, resource) {
				return "the " + resource + "." + lender.group + ", to change them, which " + lender.name + " carries out with its own rights"
			}
		}
	}
	return ""
}

func (a *auditor) changesObjects(w Webhook, lender lender, resource string) bool {
	switch w.Kind {
	case Definition:
		return w.Configuration == resource+"."+lender.group
	case AggregatedAPI: // it is called VERSION.GROUP
		_, group, _ := strings.Cut(w.Configuration, ".")
		return group == lender.group
	}
	inNone := lender.span == unscoped
	if !w.chooses(labels.Set{}) || !w.takesIn("create", lender.group, resource, inNone) && !w.takesIn("update", lender.group, resource, inNone) {
		return false
	}
	switch lender.span {
	case unscoped:
		return true
	case everywhere:
		return slices.ContainsFunc(a.snapshot.Namespaces, func(ns Namespace) bool { return a.choosesNamespace(w, ns.Name) })
	}
	return slices.ContainsFunc(lender.homes, func(home string) bool { return a.choosesNamespace(w, home) })
}

// powerfulNamespaces returns kube-system and the namespaces with accounts that reach every
// deployer by cluster-wide rights.
func (a *auditor) powerfulNamespaces() []string {
	namespaces := []string{systemNamespace}
	for _, w := range a.wide {
		if w.who.Kind != rbacv1.ServiceAccountKind || len(w.reached) < len(a.deployers) || slices.Contains(namespaces, w.who.Namespace) {
			continue
		}
		if slices.ContainsFunc(w.paths, func(o opened) bool { return o.path.finding != idHome }) {
			namespaces = append(namespaces, w.who.Namespace)
		}
	}
	return namespaces
}

// seesSystems describes the objects of the powerful namespaces that the webhook gets and through
// which it can take an account there, with these namespaces; empty for none. The webhook's own
// namespace is left out, since its server runs there. For homes see sees.
func (a *auditor) seesSystems(w Webhook, powerful []string) (seen string, namespaces []string) {
	homes := a.homesOf(nil)
	for _, namespace := range powerful {
		if w.isAnsweredBy(namespace) || namespace != systemNamespace && slices.Contains(homes, namespace) {
			continue
		}
		objects := a.seesSystem(w, namespace)
		if seen == "" {
			seen = objects
		}
		if objects != "" && objects == seen { // others are found when these are left out
			namespaces = append(namespaces, namespace)
		}
	}
	return seen, namespaces
}

// seesSystem is seesSystems for one namespace.
func (a *auditor) seesSystem(w Webhook, namespace string) string {
	if !a.choosesNamespace(w, namespace) {
		return ""
	}
	plain := labels.Set{}
	pods := []labels.Set{plain}
	for _, pod := range a.pods[namespace] {
		pods = append(pods, labels.Set(pod.Labels))
	}
	switch {
	case w.Kind != MutatingPolicy && w.writes("", "secrets", "create", "update", "delete") && w.chooses(plain):
		return "the Secrets"
	case !w.changes():
		return ""
	case w.chooses(pods...) && w.writesPods():
		return "the pods, to change them,"
	case w.chooses(plain) && w.writes(rbacv1.GroupName, "rolebindings", "create", "update"):
		return "the RoleBindings, to change them,"
	case w.chooses(plain) && w.writes(rbacv1.GroupName, "roles", "create", "update"):
		return "the Roles, to change them,"
	case namespace == IdentityMapNamespace && a.snapshot.Identities.Used && w.chooses(plain) && w.writes("", "configmaps", "create", "update"):
		return "the ConfigMap " + IdentityMapName + ", to change it,"
	}
	return ""
}

// changesRights describes the roles and bindings of tenants' namespaces to which the webhook can
// add subjects or rights when an administrator writes them, or else the labels and annotations
// that hold the namespaces' guard rails, with these namespaces. A webhook that a tenant runs for
// its own namespaces is left out.
func (a *auditor) changesRights(w Webhook) (rights string, spaces []string) {
	if !w.changes() {
		return "", nil
	}
	objects, marks := []labels.Set{{}}, []labels.Set(nil)
	for i := range a.snapshot.Records {
		t := &a.snapshot.Records[i].Tenant
		if w.isAnsweredIn(t.Namespaces...) {
			continue
		}
		for _, namespace := range t.Namespaces {
			if !slices.Contains(spaces, namespace) && a.choosesNamespace(w, namespace) {
				spaces, marks = append(spaces, namespace), append(marks, a.namespaces[namespace].Labels)
			}
		}
		objects = append(objects, rbac.Labels(t.Name))
	}
	writesMarks := slices.ContainsFunc(namespaceWrites, func(resource string) bool { return w.writes("", resource, "create", "update") })
	switch {
	case len(spaces) == 0:
	case w.chooses(objects...) && w.writes(rbacv1.GroupName, "rolebindings", "create", "update"):
		return "the RoleBindings, to change them,", spaces
	case w.chooses(objects...) && w.writes(rbacv1.GroupName, "roles", "create", "update"):
		return "the Roles, to change them,", spaces
	case w.chooses(marks...) && writesMarks:
		return "the labels and annotations, to change them,", spaces
	}
	return "", nil
}

func (a *auditor) choosesNamespace(w Webhook, name string) bool {
	ns := a.namespaces[name]
	return ns != nil && (w.NamespaceSelector == nil || selects(*w.NamespaceSelector, ns.Labels))
}

func (w Webhook) writes(group, resource string, verbs ...string) bool {
	return slices.ContainsFunc(verbs, func(verb string) bool { return w.takes(verb, group, resource) })
}

// helmRecordLabels are those of a release record of Helm 3 and 4
// (helm.sh/helm/v3/pkg/storage/driver, newSecretsObject).
var helmRecordLabels = labels.Set{"owner": "helm", "name": "x", "status": "deployed", "version": "1"}

// releaseLabels returns the labels of a release record, with the selector's values for labels
// whose values differ between records (k8s.io/helm/pkg/storage/driver).
func releaseLabels(selector *metav1.LabelSelector) map[string]string {
	record := map[string]string{"OWNER": "TILLER", "NAME": "x", "STATUS": "DEPLOYED", "VERSION": "1", "CREATED_AT": "1", "MODIFIED_AT": "1"}
	requested := func(key, value string) {
		if _, differs := record[key]; differs && key != "OWNER" {
			record[key] = value
		}
	}
	if selector == nil {
		return record
	}
	for key, value := range selector.MatchLabels {
		requested(key, value)
	}
	for _, requirement := range selector.MatchExpressions {
		switch {
		case requirement.Operator == metav1.LabelSelectorOpIn && len(requirement.Values) > 0:
			requested(requirement.Key, requirement.Values[0])
		case requirement.Operator == metav1.LabelSelectorOpNotIn && slices.Contains(requirement.Values, record[requirement.Key]):
			requested(requirement.Key, strings.Join(requirement.Values, "-")+"-") // another value
		}
	}
	return record
}
