package admin

import (
	"maps"
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"

	"helm-tenant/cluster"
)

// ApplyRules are the rights that apply needs for any tenants file, as a ClusterRole has
// them. Who has them is as good as an administrator of the cluster: they give away rights
// that they do not hold (bind, escalate).
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

// readByApply are the kinds that apply reads and does not write: releases, what runs in
// namespaces that get guard rails, and what the guard refers to.
var readByApply = []string{"CronJob", "DaemonSet", "Job", "Pod", "PodTemplate", "PriorityClass", "ReplicaSet", "ReplicationController", "Secret", "StatefulSet"}
