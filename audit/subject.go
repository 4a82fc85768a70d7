package audit

import (
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"

	"helm-tenant/tenant"
)

// Subject is somebody whom a binding names.
type Subject = tenant.Subject

// User is tenant.User.
func User(name string) Subject { return tenant.User(name) }

// Group is tenant.Group.
func Group(name string) Subject { return tenant.Group(name) }

// Account is tenant.Account.
func Account(namespace, name string) Subject { return tenant.Account(namespace, name) }

func compareSubjects(a, b Subject) int { return tenant.CompareSubjects(a, b) }

// identity is a subject with its groups; the subject is first.
type identity []Subject

func identityOf(s Subject, groups ...string) identity {
	all := identity{s}
	for _, name := range append(groups, s.Groups()...) {
		all = append(all, Group(name))
	}
	return all
}

// isNode reports whether it is a node, one of the named nodes if there are any. The group of
// all nodes counts as each of them.
func (holder identity) isNode(nodes []string) bool {
	if !slices.Contains(holder, Group(tenant.GroupNodes)) {
		return false
	}
	node, named := strings.CutPrefix(holder[0].Name, tenant.NodePrefix)
	return !named || holder[0].Kind != rbacv1.UserKind || len(nodes) == 0 || slices.Contains(nodes, node)
}

// isAccount reports whether it is a service account, or a group of them.
func (holder identity) isAccount() bool {
	return holder[0].Kind == rbacv1.ServiceAccountKind || holder[0] == Group(tenant.GroupAccounts) || holder[0].AccountsOf() != ""
}

const systemNamespace = "kube-system"

// isComponent reports whether a binding grants its subject what Kubernetes itself grants to its
// administrators and components. It compares the names of the binding, the role and the subject
// together: whoever may write bindings can set the label kubernetes.io/bootstrapping. Of the
// bindings that every cluster has (k8s.io/kubernetes/plugin/pkg/auth/authorizer/
// rbac/bootstrappolicy) only those that reach a deployer are listed.
func isComponent(b *Binding, s Subject) bool {
	if b.Namespace == systemNamespace && b.RoleKind == "Role" && b.RoleName == b.Name {
		name, isController := strings.CutPrefix(b.Name, "system:controller:")
		switch {
		case isController:
			return s == Account(systemNamespace, name) && controllers[name]
		case b.Name == "system::leader-locking-kube-controller-manager", b.Name == "system::leader-locking-kube-scheduler":
			name := strings.TrimPrefix(b.Name, "system::leader-locking-")
			return s == User("system:"+name) || s == Account(systemNamespace, name) || s == Account(systemNamespace, "leader-election-controller")
		}
		return false
	}
	if b.RoleKind != "ClusterRole" || b.Namespace != "" {
		return false
	}
	switch b.Name {
	case "cluster-admin":
		return b.RoleName == b.Name && s == Group(tenant.GroupMasters)
	case tenant.GroupClusterAdmins:
		return b.RoleName == "cluster-admin" && s == Group(b.Name)
	case "system:kube-controller-manager", "system:kube-scheduler":
		return b.RoleName == b.Name && s == User(b.Name)
	}
	name, found := strings.CutPrefix(b.Name, "system:controller:")
	return found && b.RoleName == b.Name && s == Account(systemNamespace, name) && controllers[name]
}

// isAdministrator reports whether somebody is one by name, whatever the roles say.
func isAdministrator(s Subject) bool {
	return s.Kind == rbacv1.GroupKind && s.Name == tenant.GroupMasters
}

// controllers are those of the controller manager, of Kubernetes 1.16 to 1.37.
var controllers = func() map[string]bool {
	names := map[string]bool{}
	for _, name := range strings.Fields(`
		attachdetach-controller bootstrap-signer certificate-controller cloud-provider clusterrole-aggregation-controller
		cronjob-controller daemon-set-controller deployment-controller device-taint-eviction-controller disruption-controller
		endpoint-controller endpointslice-controller endpointslicemirroring-controller ephemeral-volume-controller
		expand-controller generic-garbage-collector horizontal-pod-autoscaler job-controller
		kube-apiserver-serving-clustertrustbundle-publisher legacy-service-account-token-cleaner namespace-controller
		node-controller persistent-volume-binder pod-garbage-collector podcertificaterequestcleaner podgroup-protection-controller
		pv-protection-controller pvc-protection-controller replicaset-controller replication-controller
		resource-claim-controller resourcepoolstatusrequest-controller resourcequota-controller root-ca-cert-publisher
		route-controller selinux-warning-controller service-account-controller service-cidrs-controller service-controller
		statefulset-controller storage-version-garbage-collector storage-version-migrator-controller token-cleaner
		ttl-after-finished-controller ttl-controller validatingadmissionpolicy-status-controller
		volumeattributesclass-protection-controller`) {
		names[name] = true
	}
	return names
}()
