package admin

import (
	"maps"
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"

	"helm-tenant/cluster"
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
