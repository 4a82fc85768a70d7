package rails

import (
	"maps"
	"slices"
	"strings"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"helm-tenant/lists"
	"helm-tenant/tenant"
)

// freeze is the claim of a frozen tenant on a namespace.
type freeze struct {
	// Text is the freeze with its reason, for refusals.
	Text string `json:"text"`
	// Accounts have the form of annotationFrozenAccounts.
	Accounts []string `json:"accounts"`
}

// freezeOf returns nil unless the tenant is frozen by the admission policy.
func freezeOf(t tenant.Tenant) *freeze {
	if !t.FrozenBy(tenant.FreezeByPolicy) {
		return nil
	}
	accounts := slices.Clone(t.Namespaces)
	for _, name := range append(t.Engine.DeployerAccounts(), tenant.ReaderAccount) {
		accounts = append(accounts, t.Home()+":"+name)
	}
	slices.Sort(accounts)
	return &freeze{Text: "tenant " + t.Name + " is frozen: " + t.Frozen.Reason, Accounts: accounts}
}

// freezeAnnotations returns the annotations for the policy, from all frozen tenants of a
// namespace; Absent if there are none.
func freezeAnnotations(claims map[string]*claim) map[string]string {
	var texts, accounts []string
	for _, name := range slices.Sorted(maps.Keys(claims)) {
		if frozen := claims[name].Frozen; frozen != nil {
			texts, accounts = append(texts, frozen.Text), append(accounts, frozen.Accounts...)
		}
	}
	if texts == nil {
		return map[string]string{annotationFrozen: Absent, annotationFrozenAccounts: Absent}
	}
	slices.Sort(accounts)
	return map[string]string{annotationFrozen: strings.Join(texts, "; "), annotationFrozenAccounts: strings.Join(slices.Compact(accounts), ",")}
}

// FreezeHome adds to a wanted home namespace what a freeze needs there, since a Tiller
// writes its records at home. The live labels and annotations are empty if the namespace
// does not exist.
func FreezeHome(t tenant.Tenant, home metav1.Object, liveLabels, liveAnnotations map[string]string) {
	claims := map[string]*claim{t.Name: {Frozen: freezeOf(t)}}
	labels, annotations := map[string]string{LabelFrozen: Absent}, freezeAnnotations(claims)
	if annotations[annotationFrozen] != Absent {
		labels[LabelFrozen] = "true"
	}
	wantedLabels, wantedAnnotations := maps.Clone(home.GetLabels()), map[string]string{}
	maps.Copy(wantedLabels, dropAbsent(labels, liveLabels))
	maps.Copy(wantedAnnotations, home.GetAnnotations())
	maps.Copy(wantedAnnotations, dropAbsent(annotations, liveAnnotations))
	home.SetLabels(wantedLabels)
	if len(wantedAnnotations) > 0 {
		home.SetAnnotations(wantedAnnotations)
	}
}

// Freezes reports whether a field of a namespace, by its path, changes when the named
// tenant is frozen or thawed.
func Freezes(name, path string) bool {
	return slices.ContainsFunc([]string{LabelFrozen, annotationFrozen, annotationFrozenAccounts, claimPrefix + name}, func(key string) bool {
		return strings.HasSuffix(path, "["+key+"]")
	})
}

// FreezeIn reports whether the admission policy enforces the tenant's freeze in a
// namespace with these labels and annotations. It is true for a tenant that is not frozen
// by the policy.
func FreezeIn(t tenant.Tenant, labels, annotations map[string]string) bool {
	want := freezeOf(t)
	if want == nil {
		return true
	}
	held := strings.Split(annotations[annotationFrozenAccounts], ",")
	return labels[LabelFrozen] == "true" && !slices.ContainsFunc(want.Accounts, func(account string) bool { return !slices.Contains(held, account) })
}

// Freezing returns the admission policy of frozen tenants and its bindings. They belong
// to no tenant: a cluster has them once.
//
// The policy denies writes of the tenant's accounts in its namespaces, and writes of its
// Tiller at home, except events and leases. Recording the end of a pending release is
// allowed, since helm can't go on with one that stays pending.
func Freezing() []runtime.Object {
	one := frozen()
	object, binding := one.object(), one.binding(tenant.GuardEnforce)
	selector := &metav1.LabelSelector{MatchLabels: map[string]string{LabelFrozen: "true"}}
	object.Spec.MatchConstraints.NamespaceSelector = selector
	object.Spec.MatchConditions = []admissionv1.MatchCondition{{
		Name: "a-service-account", Expression: `request.userInfo.username.startsWith("` + tenant.AccountPrefix + `")`}}
	// CONNECT requests, such as exec, count as changes.
	all := object.Spec.MatchConstraints.ResourceRules[0]
	enter := *all.DeepCopy()
	enter.Operations = []admissionv1.OperationType{admissionv1.Connect}
	enter.APIGroups, enter.Resources = []string{""}, []string{"pods/exec", "pods/attach", "pods/portforward", "pods/proxy", "services/proxy"}
	object.Spec.MatchConstraints.ResourceRules = append(object.Spec.MatchConstraints.ResourceRules, enter)
	binding.Spec.MatchResources.NamespaceSelector = selector
	return []runtime.Object{object, binding, frozenWarning(one, selector)}
}

// frozenWarning returns a binding that denies nothing, and has the API server warn of
// what the other binding denies. An uninstall of Helm 3 and 4 begins with an update of
// the release's record, and does not print why that and the following requests were
// denied ("failed to delete release"); it does print warnings.
func frozenWarning(one policy, selector *metav1.LabelSelector) *admissionv1.ValidatingAdmissionPolicyBinding {
	warning := one.binding(tenant.GuardWarn)
	warning.Spec.MatchResources.NamespaceSelector = selector
	warning.Spec.MatchResources.ResourceRules = []admissionv1.NamedRuleWithOperations{{RuleWithOperations: admissionv1.RuleWithOperations{
		Operations: []admissionv1.OperationType{admissionv1.Update},
		Rule:       admissionv1.Rule{APIGroups: []string{""}, APIVersions: []string{"*"}, Resources: []string{"secrets", "configmaps"}, Scope: new(admissionv1.NamespacedScope)},
	}}}
	return warning
}

// FrozenName is the name of the policy that Freezing returns.
const FrozenName = PolicyPrefix + frozenKind

const frozenKind = "frozen"

func frozen() policy {
	return policy{
		kind: frozenKind, groups: []string{"*"}, resources: []string{"*/*"}, operations: onAny,
		exclude: []admissionv1.Rule{
			{APIGroups: []string{"", "events.k8s.io"}, APIVersions: []string{"*"}, Resources: []string{"events"}},
			{APIGroups: []string{"coordination.k8s.io"}, APIVersions: []string{"*"}, Resources: []string{"leases"}},
			// A question, not a write.
			{APIGroups: []string{"authorization.k8s.io"}, APIVersions: []string{"*"}, Resources: []string{"localsubjectaccessreviews"}},
		},
		variables: []admissionv1.Variable{
			{Name: "accounts", Expression: noteList(annotationFrozenAccounts, `[]`)},
			{Name: "account", Expression: `request.userInfo.username.split(":")`},
			{Name: "held", Expression: `variables.account.size() == 4 && (variables.account[2] in variables.accounts || variables.account[2] + ":" + variables.account[3] in variables.accounts)`},
			{Name: "before", Expression: `oldObject != null && has(oldObject.metadata) && has(oldObject.metadata.labels) ? oldObject.metadata.labels : {}`},
			{Name: "after", Expression: `object != null && has(object.metadata) && has(object.metadata.labels) ? object.metadata.labels : {}`},
			{Name: "ends", Expression: `request.operation == "UPDATE" && request.resource.group == "" && request.resource.resource in ["secrets", "configmaps"] && (` +
				helm3Records.ends() + ` || ` + helm2Records.ends() + `)`},
		},
		rules: []admissionv1.Validation{rule(
			`!variables.held || variables.ends`,
			"the tenant is frozen: nothing can be changed in it through helm",
			`(`+note(annotationFrozen, `"the tenant is frozen"`)+`)`,
		)},
	}
}

// records describes the release records of one of helm's storage drivers: their labels,
// names and Secret types.
type records struct {
	owner, ownerValue, name, version, status string
	// prefix comes before NAME.vVERSION in the record's name.
	prefix, secretType string
	// pending is the prefix of a status before the end; ended are the statuses at the
	// end.
	pending string
	ended   []string
}

var (
	// helm.sh/helm/v3/pkg/storage/driver, secrets.go.
	helm3Records = records{"owner", "helm", "name", "version", "status", "sh.helm.release.v1.", "helm.sh/release.v1", "pending-", []string{"failed", "deployed"}}
	// k8s.io/helm/pkg/storage/driver, secrets.go.
	helm2Records = records{"OWNER", "TILLER", "NAME", "VERSION", "STATUS", "", "Opaque", "PENDING_", []string{"FAILED", "DEPLOYED"}}
)

// ends returns the CEL expression that reports whether a write to a Secret or ConfigMap
// records the end of a pending release.
func (r records) ends() string {
	label := func(object, key string) string { return `variables.` + object + `[` + quoted(key) + `]` }
	present := lists.Map([]string{r.owner, r.name, r.version, r.status}, func(key string) string {
		return quoted(key) + ` in variables.before && ` + quoted(key) + ` in variables.after`
	})
	ended := lists.Map(r.ended, quoted)
	return `(` + strings.Join(present, ` && `) +
		` && ` + label("before", r.owner) + ` == ` + quoted(r.ownerValue) + ` && ` + label("after", r.owner) + ` == ` + quoted(r.ownerValue) +
		` && ` + label("before", r.status) + `.startsWith(` + quoted(r.pending) + `) && ` + label("after", r.status) + ` in [` + strings.Join(ended, `, `) + `]` +
		` && object.metadata.name == ` + quoted(r.prefix) + ` + ` + label("after", r.name) + ` + ".v" + ` + label("after", r.version) +
		` && (request.resource.resource == "configmaps" || (has(object.type) && object.type == ` + quoted(r.secretType) + `))` +
		` && has(object.data) && object.data.all(k, k == "release") && !has(object.metadata.ownerReferences) && !has(object.metadata.finalizers))`
}
