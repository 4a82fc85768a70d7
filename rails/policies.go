package rails

import (
	"strconv"
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"helm-tenant/lists"
	"helm-tenant/tenant"
)

const (
	// PolicyPrefix begins the names of the guard's policies and bindings; the kind of
	// objects that a policy judges follows.
	PolicyPrefix = "helm-tenant-guard-"
	// annotationVersion is on each of them. An older helm-tenant does not change a newer
	// one's.
	annotationVersion = "helm-tenant/guard-version"
	// version is incremented with every change of the policies.
	version = 10
)

// Newer reports whether a newer helm-tenant wrote a policy or binding of the guard.
func Newer(object metav1.Object) bool {
	current, err := strconv.Atoi(object.GetAnnotations()[annotationVersion])
	return err == nil && current > version
}

// Unserved describes the guard on an API server without such policies.
const Unserved = "this API server has no ValidatingAdmissionPolicy (Kubernetes 1.30): the guard does not hold; a quota (services.nodeports, pods of a scope PriorityClass) and the admission plugin DenyServiceExternalIPs hold part of it"

// Priorities are the PriorityClasses of the cluster that everybody may use: the default
// one, and those with a lower priority.
type Priorities struct {
	// Unknown reports that the classes could not be read: then the policies are the
	// strictest ones, those for a cluster with the default priority 0 and no classes.
	Unknown bool
	// Default is the priority of a pod that names no class.
	Default int32
	// Harmless are the names of the classes whose priority is not above Default.
	Harmless []string
}

// policy is one of the guard's policies, in CEL that Kubernetes 1.30 compiles
// (k8s.io/apiserver/pkg/cel/environment: new expressions there may use what 1.29 had,
// which has no functions for addresses).
type policy struct {
	// kind is the last part of its name.
	kind       string
	groups     []string
	resources  []string
	operations []admissionv1.OperationType
	exclude    []admissionv1.Rule
	conditions []admissionv1.MatchCondition
	variables  []admissionv1.Variable
	rules      []admissionv1.Validation
	// params is a kind of which every object in the namespace is a parameter: the policy
	// is evaluated for each of them.
	params *admissionv1.ParamKind
}

var (
	onWrite  = []admissionv1.OperationType{admissionv1.Create, admissionv1.Update}
	onCreate = []admissionv1.OperationType{admissionv1.Create}
	onAny    = []admissionv1.OperationType{admissionv1.Create, admissionv1.Update, admissionv1.Delete}
)

// exceptions exclude the subjects that no policy restricts: Kubernetes' own controllers
// and nodes, and whoever may update the namespace, since they could turn the guard off. The
// deployer of a tenant whose home is kube-system is none of Kubernetes' controllers.
func exceptions() []admissionv1.MatchCondition {
	const own = tenant.AccountPrefix + "kube-system:"
	return []admissionv1.MatchCondition{
		{Name: "not-kubernetes-itself", Expression: `!(request.userInfo.username in ["system:kube-controller-manager", "system:kube-scheduler", "system:apiserver"])` +
			` && (!request.userInfo.username.startsWith("` + own + `") || request.userInfo.username in ` + celList([]string{own + tenant.TillerAccount, own + tenant.HelmAccount}) + `)` +
			` && !(has(request.userInfo.groups) && "system:nodes" in request.userInfo.groups)`},
		{Name: "not-an-admin-of-the-namespace", Expression: `!authorizer.group("").resource("namespaces").namespace(request.namespace).name(request.namespace).check("update").allowed()`},
	}
}

func commonVariables() []admissionv1.Variable {
	return []admissionv1.Variable{
		{Name: "notes", Expression: ifHas(`namespaceObject.metadata.annotations`, `{}`)},
		{Name: "ask", Expression: `"; ask " + (` + note(annotationContact, `"an admin of this cluster"`) + `)`},
	}
}

func quoted(s string) string { return strconv.Quote(s) }

// ifHas returns the CEL expression for an optional field, with a value in its place if it is
// missing.
func ifHas(field, otherwise string) string {
	return `has(` + field + `) ? ` + field + ` : ` + otherwise
}

// note returns the CEL expression for an annotation of the namespace, with a value in its place
// if it is missing; noteList for one with commas between its items.
func note(annotation, otherwise string) string {
	return quoted(annotation) + ` in variables.notes ? variables.notes[` + quoted(annotation) + `] : ` + otherwise
}

func noteList(annotation, otherwise string) string {
	return quoted(annotation) + ` in variables.notes ? variables.notes[` + quoted(annotation) + `].split(",") : ` + otherwise
}

func celList(values []string) string {
	items := lists.Map(values, quoted)
	return "[" + strings.Join(items, ", ") + "]"
}

// rule returns a validation whose message comes from an expression, with a plain message
// for the case that this fails.
func rule(expression, message, messageExpression string) admissionv1.Validation {
	return admissionv1.Validation{Expression: expression, Message: message, MessageExpression: messageExpression + " + variables.ask"}
}

// Policies returns the admission policies of the guard, and a binding of each for every
// wanted mode. They belong to no tenant: a cluster has them once.
func Policies(p Priorities, modes ...tenant.Guard) []runtime.Object {
	var objects []runtime.Object
	for _, one := range policies(p) {
		objects = append(objects, one.object())
		for _, mode := range modes {
			objects = append(objects, one.binding(mode))
		}
	}
	return objects
}

func policies(p Priorities) []policy {
	all := []policy{roleBindings(), roles(), services(), claims(), ingresses(), networkPolicies(), protected(), controllerRevisions(), podAddresses()}
	all = append(all, gateways()...)
	all = append(all, routes()...)
	return append(all, workloads(p)...)
}

func objectMeta(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{
		Name: name, Labels: map[string]string{tenant.LabelManagedBy: tenant.ManagedBy},
		Annotations: map[string]string{annotationVersion: strconv.Itoa(version)},
	}
}

func (p policy) name() string { return PolicyPrefix + p.kind }

// object returns the policy, with the fields that the API server defaults.
func (p policy) object() *admissionv1.ValidatingAdmissionPolicy {
	fail, equivalent, namespaced := admissionv1.Fail, admissionv1.Equivalent, admissionv1.NamespacedScope
	var excluded []admissionv1.NamedRuleWithOperations
	for _, r := range p.exclude {
		r.Scope = &namespaced
		excluded = append(excluded, admissionv1.NamedRuleWithOperations{RuleWithOperations: admissionv1.RuleWithOperations{Operations: p.operations, Rule: r}})
	}
	return &admissionv1.ValidatingAdmissionPolicy{
		TypeMeta:   metav1.TypeMeta{APIVersion: admissionv1.SchemeGroupVersion.String(), Kind: "ValidatingAdmissionPolicy"},
		ObjectMeta: objectMeta(p.name()),
		Spec: admissionv1.ValidatingAdmissionPolicySpec{
			FailurePolicy: &fail,
			ParamKind:     p.params,
			MatchConstraints: &admissionv1.MatchResources{
				NamespaceSelector: &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{
					{Key: LabelGuard, Operator: metav1.LabelSelectorOpExists}}},
				ObjectSelector: &metav1.LabelSelector{},
				MatchPolicy:    &equivalent,
				ResourceRules: []admissionv1.NamedRuleWithOperations{{RuleWithOperations: admissionv1.RuleWithOperations{
					Operations: p.operations,
					Rule:       admissionv1.Rule{APIGroups: p.groups, APIVersions: []string{"*"}, Resources: p.resources, Scope: &namespaced},
				}}},
				ExcludeResourceRules: excluded,
			},
			MatchConditions: append(exceptions(), p.conditions...),
			Variables:       append(commonVariables(), p.variables...),
			Validations:     p.rules,
		},
	}
}

var actions = map[tenant.Guard]admissionv1.ValidationAction{
	tenant.GuardEnforce: admissionv1.Deny, tenant.GuardWarn: admissionv1.Warn, tenant.GuardAudit: admissionv1.Audit,
}

// ModeOf returns the mode of one of the guard's bindings, from its name.
func ModeOf(b *admissionv1.ValidatingAdmissionPolicyBinding) tenant.Guard {
	for _, mode := range tenant.Guards {
		if strings.HasSuffix(b.Name, "-"+string(mode)) {
			return mode
		}
	}
	return tenant.GuardEnforce
}

func (p policy) binding(mode tenant.Guard) *admissionv1.ValidatingAdmissionPolicyBinding {
	name := p.name()
	if mode != tenant.GuardEnforce {
		name += "-" + string(mode)
	}
	equivalent := admissionv1.Equivalent
	var params *admissionv1.ParamRef
	if p.params != nil {
		// Without a namespace, the parameters are in the request's namespace.
		params = &admissionv1.ParamRef{Selector: &metav1.LabelSelector{}, ParameterNotFoundAction: new(admissionv1.AllowAction)}
	}
	return &admissionv1.ValidatingAdmissionPolicyBinding{
		TypeMeta:   metav1.TypeMeta{APIVersion: admissionv1.SchemeGroupVersion.String(), Kind: "ValidatingAdmissionPolicyBinding"},
		ObjectMeta: objectMeta(name),
		Spec: admissionv1.ValidatingAdmissionPolicyBindingSpec{
			PolicyName:        p.name(),
			ParamRef:          params,
			ValidationActions: []admissionv1.ValidationAction{actions[mode]},
			MatchResources: &admissionv1.MatchResources{
				NamespaceSelector: &metav1.LabelSelector{MatchLabels: map[string]string{LabelGuard: string(mode)}},
				ObjectSelector:    &metav1.LabelSelector{},
				MatchPolicy:       &equivalent,
			},
		},
	}
}

// services keeps a Service from taking over others' addresses.
func services() policy {
	const kept = `oldObject != null && has(oldObject.spec.externalIPs)`
	return policy{
		kind: "services", groups: []string{""}, resources: []string{"services", "services/status"}, operations: onWrite,
		variables: append(hostVariables(),
			admissionv1.Variable{Name: "external", Expression: ifHas(`object.spec.externalIPs`, `[]`)},
			admissionv1.Variable{Name: "added", Expression: `variables.external.filter(ip, !(` + kept + ` && ip in oldObject.spec.externalIPs))`},
			// A new port takes over an address as a new address does.
			admissionv1.Variable{Name: "ports", Expression: `!has(object.spec.ports) || variables.external.size() == 0 ? [] : object.spec.ports.filter(p, !(` + kept +
				` && has(oldObject.spec.ports) && oldObject.spec.ports.exists(o, o.port == p.port && (has(o.protocol) ? o.protocol : "TCP") == (has(p.protocol) ? p.protocol : "TCP")))).map(p, string(p.port))`},
			admissionv1.Variable{Name: "balanced", Expression: `!has(request.subResource) || request.subResource != "status" || !has(object.status) || !has(object.status.loadBalancer) || !has(object.status.loadBalancer.ingress) ? [] : object.status.loadBalancer.ingress.map(i, (has(i.ip) ? i.ip : "") + (has(i.hostname) ? i.hostname : ""))`},
			admissionv1.Variable{Name: "wasBalanced", Expression: `oldObject == null || !has(oldObject.status) || !has(oldObject.status.loadBalancer) || !has(oldObject.status.loadBalancer.ingress) ? [] : oldObject.status.loadBalancer.ingress.map(i, (has(i.ip) ? i.ip : "") + (has(i.hostname) ? i.hostname : ""))`},
		),
		rules: append([]admissionv1.Validation{
			rule(`variables.added.size() == 0`, "a Service in a tenant's namespace can't have external IPs",
				`"a Service here can't have external IPs, as " + variables.added.join(", ") + ": use type LoadBalancer or an Ingress"`),
			rule(`variables.ports.size() == 0 || variables.added.size() > 0`, "a Service in a tenant's namespace can't get more ports on its external IPs",
				`"a Service here can't get more ports on its external IPs, as " + variables.ports.join(", ")`),
			// A load balancer sets addresses for all Services of the cluster.
			rule(`variables.balanced.all(i, i in variables.wasBalanced) || `+byController("", "services", "status", "update"),
				"only a load balancer's controller sets the addresses in a Service's status", `"only a load balancer's controller sets the addresses in a Service's status"`),
		}, hostAnnotationRules(false)...),
	}
}

// claims keeps volumes of others from being bound by name.
func claims() policy {
	return policy{
		kind: "persistentvolumeclaims", groups: []string{""}, resources: []string{"persistentvolumeclaims"}, operations: onWrite,
		rules: []admissionv1.Validation{rule(
			`!has(object.spec.volumeName) || object.spec.volumeName == "" || (oldObject != null && has(oldObject.spec.volumeName) && oldObject.spec.volumeName == object.spec.volumeName)`,
			"a claim in a tenant's namespace can't name its volume",
			`"a claim here can't name its volume, as " + object.spec.volumeName + ": leave volumeName out"`,
		)},
	}
}

// protected keeps objects of helm-tenant and of admins in the namespace unchanged. For
// deletecollection request.name is empty, and the objects' own names count.
func protected() policy {
	const isOurs = `(has(o.metadata) && (has(o.metadata.labels) && ("` + tenant.LabelTenant + `" in o.metadata.labels || "` + LabelProtected + `" in o.metadata.labels && o.metadata.labels["` + LabelProtected + `"] == "true")` +
		` || has(o.metadata.name) && (request.resource.resource in ["networkpolicies", "resourcequotas", "limitranges"] && (o.metadata.name == "` + ObjectName + `" || o.metadata.name.startsWith("` + ObjectName + `-"))` +
		` || request.resource.resource == "rolebindings" && o.metadata.name.startsWith("helm-tenant."))))`
	return policy{
		kind: "protected", groups: []string{"*"}, resources: []string{"*/*"}, operations: onAny,
		// Written all the time, without any effect on the tenant.
		exclude: []admissionv1.Rule{
			{APIGroups: []string{"", "events.k8s.io"}, APIVersions: []string{"*"}, Resources: []string{"events"}},
			{APIGroups: []string{"coordination.k8s.io"}, APIVersions: []string{"*"}, Resources: []string{"leases"}},
		},
		variables: []admissionv1.Variable{
			{Name: "objects", Expression: `(object == null ? [] : [object]) + (oldObject == null ? [] : [oldObject])`},
			{Name: "name", Expression: `has(request.name) && request.name != "" ? request.name : variables.objects.exists(o, has(o.metadata) && has(o.metadata.name)) ? variables.objects.filter(o, has(o.metadata) && has(o.metadata.name))[0].metadata.name : ""`},
		},
		rules: []admissionv1.Validation{rule(
			`!variables.objects.exists(o, `+isOurs+`)`,
			"what an admin put into a tenant's namespace can't be created, changed or deleted here",
			`request.resource.resource + " " + variables.name + " is protected, by its name or its label, and can only be changed by who may update the namespace"`,
		)},
	}
}
