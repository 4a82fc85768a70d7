package admin

import (
	"maps"
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"

	"helm-tenant/cluster"
	"helm-tenant/install"
	"helm-tenant/rails"
	"helm-tenant/rbac"
	"helm-tenant/tenant"
)

// ApplyRules returns the RBAC rules that apply needs for any tenants file. Their holder
// is as good as a cluster administrator, since the verbs bind and escalate let it give
// away rights that it does not hold.
func ApplyRules() []rbacv1.PolicyRule {
	written, read := map[string][]string{}, map[string][]string{}
	for resource, r := range cluster.Resources() {
		switch {
		case r.Written:
			written[resource.Group] = append(written[resource.Group], resource.Resource)
		case slices.Contains(readByApply, r.Kind):
			read[resource.Group] = append(read[resource.Group], resource.Resource)
		}
	}
	var rules []rbacv1.PolicyRule
	add := func(resources map[string][]string, verbs ...string) {
		for _, group := range slices.Sorted(maps.Keys(resources)) {
			slices.Sort(resources[group])
			rules = append(rules, rbacv1.PolicyRule{APIGroups: []string{group}, Resources: resources[group], Verbs: verbs})
		}
	}
	add(written, "get", "list", "create", "update", "delete")
	add(map[string][]string{rbacv1.GroupName: {"clusterroles", "roles"}}, "bind", "escalate")
	add(map[string][]string{"apps": {"deployments"}}, "watch")
	add(read, "get", "list")
	return rules
}

// readByApply are the kinds that apply reads and does not write: releases, workloads and what
// else the guard judges in namespaces that get guard rails, and objects to which the guard refers.
var readByApply = []string{"CronJob", "DaemonSet", "Ingress", "Job", "PersistentVolumeClaim", "Pod", "PodTemplate", "PriorityClass",
	"ReplicaSet", "ReplicationController", "Secret", "Service", "StatefulSet"}

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

// RevokeRules returns the RBAC rules that `revoke --expired --all` needs. Their holder
// can make anybody a member or reader of any tenant: for a change of a binding's
// subjects, RBAC requires the verb bind, or all rights of the role.
func RevokeRules() []rbacv1.PolicyRule {
	var names []string // of the bindings and of their roles
	for _, as := range tenant.Relations {
		names = append(names, rbac.BindingName(as))
	}
	return []rbacv1.PolicyRule{
		{APIGroups: []string{""}, Resources: []string{"configmaps", "namespaces"}, Verbs: []string{"list"}},
		{APIGroups: []string{""}, Resources: []string{"namespaces"}, Verbs: []string{"get"}},
		{APIGroups: []string{rbacv1.GroupName}, Resources: []string{"clusterrolebindings", "rolebindings"}, Verbs: []string{"list"}},
		{APIGroups: []string{rbacv1.GroupName}, Resources: []string{"rolebindings"}, ResourceNames: names, Verbs: []string{"get", "update"}},
		{APIGroups: []string{rbacv1.GroupName}, Resources: []string{"roles"}, ResourceNames: names, Verbs: []string{"get", "bind"}},
	}
}

// AdministratorRole returns the ClusterRole for somebody who is not cluster-admin and
// runs init, apply, grant, revoke and destroy for tenants with that engine whose
// deployers have that role.
func AdministratorRole(engine tenant.Engine, role string) *rbacv1.ClusterRole {
	policies := rails.Policies(rails.Priorities{}, tenant.GuardEnforce, tenant.GuardWarn, tenant.GuardAudit)
	var names []string
	for _, object := range slices.Concat(install.Admission(), install.Owners(), rails.Freezing(), rails.Reserving(), policies) {
		names = append(names, cluster.KeyOf(object).Name)
	}
	slices.Sort(names)
	return rbac.Administrator(engine, role, slices.Compact(names))
}
