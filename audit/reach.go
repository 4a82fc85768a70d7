// Package audit tells from roles and bindings who can reach a tenant's deployer,
// and how. It reads no cluster.
package audit

import (
	"fmt"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/component-helpers/auth/rbac/validation"

	"helm-tenant/tenant"
)

// Path is one way to reach a deployer: a right in its home namespace that leads
// there.
type Path struct {
	Name string
	// Needs are rules of which any one is enough.
	Needs []rbacv1.PolicyRule
	// InCluster says that the right is one over the whole cluster: a RoleBinding
	// gives it to nobody.
	InCluster bool
}

// Roles are what bindings in one namespace can refer to: rules by
// "Role/NAME" and "ClusterRole/NAME".
type Roles map[string][]rbacv1.PolicyRule

func need(group, resource string, verbs ...string) []rbacv1.PolicyRule {
	var rules []rbacv1.PolicyRule
	for _, verb := range verbs {
		rules = append(rules, rbacv1.PolicyRule{APIGroups: []string{group}, Resources: []string{resource}, Verbs: []string{verb}})
	}
	return rules
}

// forEach are the rules for each of the named objects.
func forEach(names []string, rules []rbacv1.PolicyRule) []rbacv1.PolicyRule {
	var each []rbacv1.PolicyRule
	for _, name := range names {
		for _, rule := range rules {
			rule.ResourceNames = []string{name}
			each = append(each, rule)
		}
	}
	return each
}

// Paths are the ways to a deployer, as rights in its home namespace. Up to
// Kubernetes 1.34 `get` on pods/portforward, exec and attach was enough over a
// WebSocket; since that costs nothing to report, it is reported for every
// server.
func Paths(engine tenant.Engine) []Path {
	const rbacGroup = rbacv1.GroupName
	accounts := engine.DeployerAccounts()
	paths := []Path{
		{Name: "create pods", Needs: need("", "pods", "create")},
		// A running pod's image can be replaced, and keeps the pod's token.
		{Name: "replace a pod's image", Needs: need("", "pods", "update", "patch")},
		{Name: "exec into pods", Needs: need("", "pods/exec", "create", "get")},
		{Name: "attach to pods", Needs: need("", "pods/attach", "create", "get")},
		{Name: "add ephemeral containers", Needs: need("", "pods/ephemeralcontainers", "update", "patch")},
		{Name: "read or write Secrets", Needs: need("", "secrets", "get", "list", "watch", "create", "update", "patch")},
		{Name: "mint the deployer's token", Needs: forEach(accounts, need("", "serviceaccounts/token", "create"))},
		{Name: "impersonate the deployer", Needs: forEach(accounts, need("", "serviceaccounts", "impersonate"))},
		{Name: "write role bindings", Needs: append(need(rbacGroup, "rolebindings", "create", "update", "patch"), need(rbacGroup, "roles", "escalate")...)},
		{Name: "loosen the home namespace's policies", Needs: need("", "namespaces", "update", "patch")},
		{Name: "reach pods through their node", Needs: need("", "nodes/proxy", "get", "create"), InCluster: true},
		{Name: "impersonate users and groups", Needs: append(need("", "users", "impersonate"), need("", "groups", "impersonate")...), InCluster: true},
	}
	for _, workload := range []struct{ group, resource string }{
		{"apps", "deployments"}, {"apps", "replicasets"}, {"apps", "statefulsets"}, {"apps", "daemonsets"},
		{"batch", "jobs"}, {"batch", "cronjobs"}, {"", "replicationcontrollers"},
	} {
		paths = append(paths, Path{Name: "make pods by " + workload.resource, Needs: need(workload.group, workload.resource, "create", "update", "patch")})
	}
	if engine.Has(tenant.EngineTiller) {
		paths = append([]Path{
			{Name: "port-forward to Tiller", Needs: need("", "pods/portforward", "create", "get")},
			{Name: "reach Tiller through the API server's proxy", Needs: append(need("", "pods/proxy", "get", "create"), need("", "services/proxy", "get", "create")...)},
		}, paths...)
	}
	return paths
}

// Way is how a subject reaches a deployer: a binding, and the paths that its
// role opens.
type Way struct {
	// Binding is "RoleBinding NAME" or "ClusterRoleBinding NAME".
	Binding string
	Role    string
	// Through is the subject of the binding: the one that was asked for, or a
	// group that it is in.
	Through string
	Paths   []string
}

func (w Way) String() string {
	return fmt.Sprintf("%s -> %s -> %s: %s", w.Through, w.Binding, w.Role, strings.Join(w.Paths, ", "))
}

// Ways finds the bindings through which a subject can reach the deployer of a
// home namespace. Which groups a user is in nobody knows before they log in: only
// those that the API server adds by itself count
// (k8s.io/apiserver/pkg/authentication/serviceaccount, MakeGroupNames).
func Ways(subject rbacv1.Subject, paths []Path, bindings []rbacv1.RoleBinding, clusterBindings []rbacv1.ClusterRoleBinding, roles Roles) []Way {
	var ways []Way
	try := func(kind, name string, ref rbacv1.RoleRef, subjects []rbacv1.Subject, namespace string) {
		through := matches(subject, subjects, namespace)
		if through == "" {
			return
		}
		way := Way{Binding: kind + " " + name, Role: ref.Kind + " " + ref.Name, Through: through}
		for _, path := range paths {
			if (!path.InCluster || kind == "ClusterRoleBinding") && opens(roles[ref.Kind+"/"+ref.Name], path) {
				way.Paths = append(way.Paths, path.Name)
			}
		}
		if len(way.Paths) > 0 {
			ways = append(ways, way)
		}
	}
	for _, b := range bindings {
		try("RoleBinding", b.Name, b.RoleRef, b.Subjects, b.Namespace)
	}
	for _, b := range clusterBindings {
		try("ClusterRoleBinding", b.Name, b.RoleRef, b.Subjects, "")
	}
	return ways
}

// opens says whether the rules allow any one thing of the path. A rule that is
// held to certain names of pods or Secrets counts: which names there will be is
// not known.
func opens(rules []rbacv1.PolicyRule, path Path) bool {
	for _, needed := range path.Needs {
		for _, rule := range rules {
			if len(needed.ResourceNames) == 0 {
				rule.ResourceNames = nil
			}
			if covers, _ := validation.Covers([]rbacv1.PolicyRule{rule}, []rbacv1.PolicyRule{needed}); covers {
				return true
			}
		}
	}
	return false
}

// matches returns the binding's subject that the asked one is or belongs to,
// as text; empty where there is none.
func matches(asked rbacv1.Subject, subjects []rbacv1.Subject, namespace string) string {
	groups := []string{"system:authenticated"}
	user := asked.Name
	switch asked.Kind {
	case rbacv1.ServiceAccountKind:
		groups = append(groups, "system:serviceaccounts", "system:serviceaccounts:"+asked.Namespace)
		user = "system:serviceaccount:" + asked.Namespace + ":" + asked.Name
	case rbacv1.GroupKind:
		groups = append(groups, asked.Name)
		user = ""
	}
	for _, s := range subjects {
		switch s.Kind {
		case rbacv1.UserKind:
			if user != "" && s.Name == user {
				return "user " + s.Name
			}
		case rbacv1.GroupKind:
			for _, group := range groups {
				if s.Name == group {
					return "group " + s.Name
				}
			}
		case rbacv1.ServiceAccountKind:
			in := s.Namespace
			if in == "" {
				in = namespace
			}
			if asked.Kind == rbacv1.ServiceAccountKind && s.Name == asked.Name && in == asked.Namespace {
				return "service account " + in + ":" + s.Name
			}
		}
	}
	return ""
}
