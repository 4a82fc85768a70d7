package preflight

import (
	"fmt"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"helm-tenant/visible"
)

// ForAdmin is an object of a chart that an admin would have to create.
type ForAdmin struct {
	// Comments describe the object and what it grants.
	Comments []string
	// Object is made from the parsed form; nil if Refused says why no admin should create it.
	Object  map[string]any
	Refused string
}

// ForAdmins returns the objects that only an admin can create: cluster-scoped ones, and roles
// that grant more than the deployer holds.
func (q Question) ForAdmins(findings []Finding, objects []Object) []ForAdmin {
	var all []ForAdmin
	for _, o := range objects {
		leaves := slices.ContainsFunc(findings, func(f Finding) bool {
			return f.Result == Refused && (f.ID == ClusterScoped || f.ID == Escalation) &&
				f.Kind == o.GetKind() && f.Name == o.GetName() && f.Namespace == o.GetNamespace() && f.APIVersion == o.GetAPIVersion()
		})
		if !leaves {
			continue
		}
		one := ForAdmin{Comments: []string{fmt.Sprintf("%s %s, of the template %s", o.GetKind(), o.GetName(), o.File)}}
		comments, refused := q.gives(o)
		one.Comments = append(one.Comments, comments...)
		if one.Refused = refused; refused == "" {
			one.Object = anew(o)
		}
		all = append(all, one)
	}
	return all
}

// anew returns the object without parts that other tools would act on: helm-tenant's own
// labels, and annotations.
func anew(o Object) map[string]any {
	body := o.DeepCopy()
	labels := body.GetLabels()
	for name, value := range labels {
		if strings.Contains(name, "helm-tenant/") || name == labelManagedBy && value != "Helm" {
			delete(labels, name)
		}
	}
	metadata := map[string]any{"name": body.GetName()}
	if namespace := body.GetNamespace(); namespace != "" {
		metadata["namespace"] = namespace
	}
	if len(labels) > 0 {
		typed := map[string]any{}
		for name, value := range labels {
			typed[name] = value
		}
		metadata["labels"] = typed
	}
	body.Object["metadata"] = metadata
	delete(body.Object, "status")
	return body.Object
}

// gives describes what an object grants, or why it is refused.
func (q Question) gives(o Object) (comments []string, refused string) {
	switch o.GetKind() {
	case "ClusterRole", "Role":
		return givesRules(o)
	case "ClusterRoleBinding", "RoleBinding":
		return q.givesBinding(o)
	case "CustomResourceDefinition":
		group, _, _ := unstructured.NestedString(o.Object, "spec", "group")
		kind, _, _ := unstructured.NestedString(o.Object, "spec", "names", "kind")
		comments = []string{fmt.Sprintf("Defines the kind %s of the group %s for the whole cluster, all tenants included.", kind, group)}
		if strategy, _, _ := unstructured.NestedString(o.Object, "spec", "conversion", "strategy"); strategy == "Webhook" {
			return comments, "its objects would be converted by a service of the chart's, which would see and could change those of all tenants"
		}
		return comments, ""
	case "MutatingWebhookConfiguration", "ValidatingWebhookConfiguration":
		return nil, "a service of the chart's would see, and could change or refuse, requests of the whole cluster"
	case "MutatingAdmissionPolicy", "MutatingAdmissionPolicyBinding", "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding":
		return nil, "its rules would change or refuse requests of the whole cluster"
	case "PersistentVolume":
		for _, source := range []string{"hostPath", "local"} {
			if _, found, _ := unstructured.NestedFieldNoCopy(o.Object, "spec", source); found {
				return nil, "a claim of it would get a part of a node's disk, which holds the tokens of all its pods"
			}
		}
	case "APIService":
		return nil, "a service of the chart's would answer for an API of the whole cluster"
	case "PriorityClass":
		value, _, _ := unstructured.NestedInt64(o.Object, "value")
		global, _, _ := unstructured.NestedBool(o.Object, "globalDefault")
		if global {
			return nil, "it would become the priority of all pods of the cluster that name none"
		}
		return []string{fmt.Sprintf("Makes a priority of %d that pods can name; those of a higher one push others from their nodes.", value)}, ""
	case "Namespace":
		return []string{"Makes a namespace, which would belong to no tenant: have it created by helm tenant init instead."}, ""
	}
	return []string{"Is in no namespace; what it does is to be judged by its text."}, ""
}

// ownRoles are ClusterRoles that exist in each cluster.
var ownRoles = []string{"cluster-admin", "admin", "edit", "view"}

// harmlessRoles are those of Kubernetes' own roles that charts commonly bind, for example for a
// server that asks the API server who its caller is.
var harmlessRoles = []string{"system:auth-delegator", "system:basic-user", "system:discovery", "system:public-info-viewer"}

func givesRules(o Object) (comments []string, refused string) {
	for label := range o.GetLabels() {
		if strings.HasPrefix(label, "rbac.authorization.k8s.io/") {
			return nil, "its label " + visible.Excerpt(label) + " would add its rules to a role of everybody"
		}
	}
	if name := o.GetName(); o.GetKind() == "ClusterRole" && (strings.HasPrefix(name, "system:") || slices.Contains(ownRoles, name) || strings.HasPrefix(name, "helm-tenant")) {
		return nil, "it would overwrite a role of the cluster's own"
	}
	var role rbacv1.ClusterRole
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, &role); err != nil {
		return nil, "its rules can't be read"
	}
	if role.AggregationRule != nil {
		return nil, "it would take in the rules of other roles by their labels"
	}
	where := "in the whole cluster"
	if o.GetKind() == "Role" {
		where = "in namespace " + o.GetNamespace()
	}
	comments = append(comments, "Gives whoever it is bound to, "+where+":")
	for _, rule := range role.Rules {
		for _, list := range [][]string{rule.Verbs, rule.Resources, rule.APIGroups, rule.NonResourceURLs} {
			if slices.ContainsFunc(list, func(s string) bool { return strings.Contains(s, "*") }) {
				return nil, "a rule of it has a wildcard: " + ruleText(rule)
			}
		}
		for _, verb := range rule.Verbs {
			if verb == "escalate" || verb == "bind" || strings.HasPrefix(verb, "impersonate") {
				return nil, fmt.Sprintf("a rule of it has the verb %s, by which one gets all rights of others: %s", verb, ruleText(rule))
			}
		}
		comments = append(comments, "  "+ruleText(rule))
	}
	return comments, ""
}

func ruleText(rule rbacv1.PolicyRule) string {
	text := strings.Join(rule.Verbs, ", ")
	if len(rule.NonResourceURLs) > 0 {
		return visible.Excerpt(text + " the paths " + strings.Join(rule.NonResourceURLs, ", "))
	}
	text += " " + strings.Join(rule.Resources, ", ")
	if groups := strings.Join(rule.APIGroups, ", "); strings.Trim(groups, ", ") != "" {
		text += " of " + groups
	}
	if len(rule.ResourceNames) > 0 {
		text += " called " + strings.Join(rule.ResourceNames, ", ")
	}
	return visible.Excerpt(text)
}

// givesBinding describes what a binding grants, and to whom.
func (q Question) givesBinding(o Object) (comments []string, refused string) {
	var binding rbacv1.ClusterRoleBinding // its relevant fields are those of a RoleBinding
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(o.Object, &binding); err != nil {
		return nil, "its subjects can't be read"
	}
	where := "in the whole cluster"
	if o.GetKind() == "RoleBinding" {
		where = "in namespace " + o.GetNamespace()
	}
	comments = append(comments, visible.Excerpt(fmt.Sprintf("Gives what %s %s allows, %s, to:", binding.RoleRef.Kind, binding.RoleRef.Name, where)))
	if slices.Contains(ownRoles[:3], binding.RoleRef.Name) && o.GetKind() == "ClusterRoleBinding" {
		return nil, fmt.Sprintf("it binds %s in the whole cluster", binding.RoleRef.Name)
	}
	if name := binding.RoleRef.Name; strings.HasPrefix(name, "system:") && !slices.Contains(harmlessRoles, name) {
		return nil, "it binds " + visible.Excerpt(name) + ", a role of Kubernetes' own components"
	}
	for _, s := range binding.Subjects {
		name := s.Kind + " " + s.Name
		user := s.Name
		if s.Kind == rbacv1.ServiceAccountKind {
			name = fmt.Sprintf("%s %s in namespace %s", s.Kind, s.Name, s.Namespace)
			user = "system:serviceaccount:" + s.Namespace + ":" + s.Name
		}
		home, _, _ := strings.Cut(strings.TrimPrefix(q.Deployer, "system:serviceaccount:"), ":")
		switch {
		case user == q.Deployer || s.Namespace != "" && s.Namespace == home || s.Name == "system:serviceaccounts:"+home:
			return nil, "it binds the tenant's deployer, by which all members would hold it"
		case s.Kind == rbacv1.GroupKind && strings.HasPrefix(s.Name, "system:"):
			return nil, "it binds the group " + s.Name + ", which is not the tenant's alone"
		case s.Kind != rbacv1.ServiceAccountKind || !q.Has(s.Namespace):
			return nil, "it binds somebody who is not of the tenant: " + visible.Excerpt(name)
		}
		comments = append(comments, "  "+visible.Excerpt(name))
	}
	return comments, ""
}
