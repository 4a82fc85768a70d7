package admin

import (
	"maps"
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"

	"helm-tenant/cluster"
	"helm-tenant/install"
)

// guardPolicies describes the guard's objects of all guardKinds in Unseen.
const guardPolicies = "policies of the guard"

// AuditRules returns the RBAC rules that an audit needs to see everything: to list what
// TakeSnapshot lists, to get the admission policies of home namespaces, and to get the
// API server's flags.
func AuditRules() []rbacv1.PolicyRule {
	groups := map[string]string{}
	for resource := range cluster.Resources() {
		groups[resource.Resource] = resource.Group
	}
	listed := map[string][]string{} // resources by their API group
	t := &snapshotReader{}
	for _, r := range slices.Concat(t.reaching(), t.reachingLater(), []reading{t.slicesReading(nil)}, t.readings(), t.boundReadings(), t.madeReadings(), t.railReadings()) {
		resources := []string{r.resource()}
		if r.what == guardPolicies {
			resources = slices.Collect(maps.Values(guardKinds))
		}
		for _, resource := range resources {
			group := groups[resource]
			listed[group] = append(listed[group], resource)
		}
	}
	var rules []rbacv1.PolicyRule
	for _, group := range slices.Sorted(maps.Keys(listed)) {
		slices.Sort(listed[group])
		rules = append(rules, rbacv1.PolicyRule{APIGroups: []string{group}, Resources: slices.Compact(listed[group]), Verbs: []string{"list"}})
	}
	// The audit lists the metadata of release records, and reads the newest record of each
	// release.
	rules = append(rules, rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"configmaps", "secrets"}, Verbs: []string{"get"}})
	for _, object := range slices.Concat(install.Admission(), install.Owners()) {
		key := cluster.KeyOf(object)
		resource := guardKinds[key.Kind]
		rules = append(rules, rbacv1.PolicyRule{APIGroups: []string{groups[resource]}, Resources: []string{resource}, ResourceNames: []string{key.Name}, Verbs: []string{"get"}})
	}
	return append(rules, rbacv1.PolicyRule{NonResourceURLs: []string{"/flagz"}, Verbs: []string{"get"}})
}
