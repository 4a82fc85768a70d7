package audit

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	rbacv1 "k8s.io/api/rbac/v1"

	"helm-tenant/rbac"
	"helm-tenant/tenant"
)

func rule(group, resource, verb string, names ...string) rbacv1.PolicyRule {
	return rbacv1.PolicyRule{APIGroups: []string{group}, Resources: []string{resource}, Verbs: []string{verb}, ResourceNames: names}
}

const rbacGroup = "rbac.authorization.k8s.io"

// opened names the paths that the rules open.
func opened(engine tenant.Engine, rules ...rbacv1.PolicyRule) []string {
	var names []string
	for _, path := range Paths(engine) {
		if opens(rules, path) {
			names = append(names, path.Name)
		}
	}
	return names
}

func TestPathsAreOpenedByTheirRule(t *testing.T) {
	const (
		forward = "port-forward to Tiller"
		proxy   = "reach Tiller through the API server's proxy"
		create  = "create pods"
		image   = "replace a pod's image"
		execute = "exec into pods"
		attach  = "attach to pods"
		debug   = "add ephemeral containers"
		secrets = "read or write Secrets"
		token   = "mint the deployer's token"
		become  = "impersonate the deployer"
		bind    = "write role bindings"
	)
	for _, test := range []struct {
		rule rbacv1.PolicyRule
		want string
	}{
		{rule("", "pods/portforward", "create"), forward},
		{rule("", "pods/portforward", "get"), forward},
		{rule("", "pods/portforward", "create", "tiller-deploy-x"), forward}, // which names there will be is not known
		{rule("", "pods/proxy", "get"), proxy},
		{rule("", "services/proxy", "create"), proxy},
		{rule("", "pods", "create"), create},
		{rule("", "pods", "update"), image},
		{rule("", "pods", "patch"), image},
		{rule("", "pods/exec", "create"), execute},
		{rule("", "pods/exec", "get"), execute},
		{rule("", "*/exec", "create"), execute},
		{rule("", "pods/attach", "create"), attach},
		{rule("", "pods/ephemeralcontainers", "patch"), debug},
		{rule("", "secrets", "get"), secrets},
		{rule("", "secrets", "list"), secrets},
		{rule("", "secrets", "watch"), secrets},
		{rule("", "secrets", "create"), secrets},
		{rule("", "secrets", "patch", "one"), secrets},
		{rule("", "serviceaccounts/token", "create"), token},
		{rule("", "serviceaccounts/token", "create", "default", "tiller"), token},
		{rule("", "serviceaccounts", "impersonate"), become},
		{rule("", "serviceaccounts", "impersonate", "tiller"), become},
		{rule("*", "serviceaccounts", "*"), become},
		{rule(rbacGroup, "rolebindings", "create"), bind},
		{rule(rbacGroup, "rolebindings", "patch"), bind},
		{rule(rbacGroup, "roles", "escalate"), bind},
		{rule("", "namespaces", "patch"), "loosen the home namespace's policies"},
		{rule("", "nodes/proxy", "get"), "reach pods through their node"},
		{rule("", "users", "impersonate"), "impersonate users and groups"},
		{rule("", "groups", "impersonate", "team-a-devs"), "impersonate users and groups"},
		{rule("apps", "deployments", "create"), "make pods by deployments"},
		{rule("apps", "deployments", "patch", "tiller-deploy"), "make pods by deployments"},
		{rule("apps", "statefulsets", "update"), "make pods by statefulsets"},
		{rule("apps", "daemonsets", "create"), "make pods by daemonsets"},
		{rule("apps", "replicasets", "create"), "make pods by replicasets"},
		{rule("batch", "jobs", "create"), "make pods by jobs"},
		{rule("batch", "cronjobs", "create"), "make pods by cronjobs"},
		{rule("", "replicationcontrollers", "create"), "make pods by replicationcontrollers"},
	} {
		if diff := cmp.Diff([]string{test.want}, opened(tenant.EngineTiller, test.rule)); diff != "" {
			t.Errorf("%+v, -want +got:\n%s", test.rule, diff)
		}
	}
}

func TestPathsAreNotOpenedByNearMisses(t *testing.T) {
	for _, miss := range []rbacv1.PolicyRule{
		rule("", "pods", "list"),
		rule("", "pods", "get"),
		rule("", "pods", "delete"), // an outage, but no way in
		rule("", "pods/log", "get"),
		rule("", "pods/portforward", "list"),
		rule("apps", "pods", "create"), // another API group
		rule("", "deployments", "create"),
		rule("apps", "deployments", "get"),
		rule("apps", "deployments/scale", "update"),
		rule("", "secrets", "delete"),
		rule("", "configmaps", "get"),
		rule("", "serviceaccounts/token", "create", "default"), // another account's
		rule("", "serviceaccounts/token", "get"),
		rule("", "serviceaccounts", "impersonate", "default"),
		rule("", "serviceaccounts", "get"),
		rule("", "serviceaccounts", "create"),
		rule(rbacGroup, "rolebindings", "get"),
		rule(rbacGroup, "roles", "update"), // without escalate it gives what one has
		rule("", "rolebindings", "create"),
		{NonResourceURLs: []string{"*"}, Verbs: []string{"*"}},
		{},
	} {
		if got := opened(tenant.EngineTiller, miss); got != nil {
			t.Errorf("%+v opens %q", miss, got)
		}
	}
}

func TestWildcardsOpenEverything(t *testing.T) {
	for _, engine := range []tenant.Engine{tenant.EngineTiller, tenant.EngineImpersonation} {
		var all []string
		for _, path := range Paths(engine) {
			all = append(all, path.Name)
		}
		if diff := cmp.Diff(all, opened(engine, rule("*", "*", "*"))); diff != "" {
			t.Errorf("%s, -want +got:\n%s", engine, diff)
		}
	}
	got := opened(tenant.EngineTiller, rule("", "*", "get"))
	want := []string{"port-forward to Tiller", "reach Tiller through the API server's proxy", "exec into pods", "attach to pods", "read or write Secrets", "reach pods through their node"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("get on everything, -want +got:\n%s", diff)
	}
}

func TestPathsOfEngines(t *testing.T) {
	// There is no Tiller to reach, and the account has another name.
	if got := opened(tenant.EngineImpersonation, rule("", "pods/portforward", "create"), rule("", "serviceaccounts", "impersonate", "tiller")); got != nil {
		t.Errorf("a member of a Tiller's tenant can: %q", got)
	}
	if diff := cmp.Diff([]string{"impersonate the deployer"}, opened(tenant.EngineImpersonation, rule("", "serviceaccounts", "impersonate", "helm"))); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// What members are given must open the one way that is meant for them.
func TestMembersOpenOnlyTheirPath(t *testing.T) {
	for engine, want := range map[tenant.Engine]string{
		tenant.EngineTiller:        "port-forward to Tiller",
		tenant.EngineImpersonation: "impersonate the deployer",
	} {
		team := tenant.Tenant{Name: "team-a", Namespaces: []string{"a"}, Engine: engine}.WithDefaults()
		for _, object := range rbac.Home(team) {
			if role, isRole := object.(*rbacv1.Role); isRole && role.Name == rbac.MemberName {
				if diff := cmp.Diff([]string{want}, opened(engine, role.Rules...)); diff != "" {
					t.Errorf("%s, -want +got:\n%s", engine, diff)
				}
			}
		}
	}
}

func TestWays(t *testing.T) {
	user := func(name string) rbacv1.Subject { return rbacv1.Subject{Kind: "User", Name: name} }
	group := func(name string) rbacv1.Subject { return rbacv1.Subject{Kind: "Group", Name: name} }
	account := func(namespace, name string) rbacv1.Subject {
		return rbacv1.Subject{Kind: "ServiceAccount", Namespace: namespace, Name: name}
	}
	roles := Roles{
		"Role/member":        {rule("", "pods", "list"), rule("", "pods/portforward", "create")},
		"ClusterRole/admin":  {rule("", "pods/exec", "create"), rule("", "secrets", "get")},
		"ClusterRole/member": {rule("", "pods", "list")}, // another than the Role of that name
	}
	const home = "team-a-tiller"
	bind := func(role string, subjects ...rbacv1.Subject) []rbacv1.RoleBinding {
		kind, name := "ClusterRole", role
		if role == "member" {
			kind = "Role"
		}
		b := rbacv1.RoleBinding{RoleRef: rbacv1.RoleRef{Kind: kind, Name: name}, Subjects: subjects}
		b.Name, b.Namespace = "b", home
		return []rbacv1.RoleBinding{b}
	}
	way := func(through string) []string {
		return []string{through + " -> RoleBinding b -> Role member: port-forward to Tiller"}
	}
	for _, test := range []struct {
		name     string
		asked    rbacv1.Subject
		bindings []rbacv1.RoleBinding
		want     []string
	}{
		{"a user", user("alice"), bind("member", user("bob"), user("alice")), way("user alice")},
		{"another user", user("alice"), bind("member", user("alice2"), user("Alice")), nil},
		{"a group that is called like the user", user("devs"), bind("member", group("devs")), nil},
		{"everybody who is logged in", user("alice"), bind("member", group("system:authenticated")), way("group system:authenticated")},
		{"nobody who is logged in", user("alice"), bind("member", group("system:unauthenticated"), user("system:anonymous")), nil},
		{"every account is no user", user("alice"), bind("member", group("system:serviceaccounts")), nil},
		{"a group", group("devs"), bind("member", group("devs")), way("group devs")},
		{"a group's members are logged in", group("devs"), bind("member", group("system:authenticated")), way("group system:authenticated")},
		{"a user that is called like the group", group("devs"), bind("member", user("devs")), nil},
		{"an account", account("ci", "deployer"), bind("member", account("ci", "deployer")), way("service account ci:deployer")},
		{"an account of another namespace", account("ci", "deployer"), bind("member", account("cd", "deployer")), nil},
		{"an account by its user name", account("ci", "deployer"), bind("member", user("system:serviceaccount:ci:deployer")), way("user system:serviceaccount:ci:deployer")},
		{"an account without namespace is the binding's", account(home, "default"), bind("member", account("", "default")), way("service account " + home + ":default")},
		{"an account without namespace is no other's", account("ci", "default"), bind("member", account("", "default")), nil},
		{"every account", account("ci", "deployer"), bind("member", group("system:serviceaccounts")), way("group system:serviceaccounts")},
		{"every account of the namespace", account("ci", "deployer"), bind("member", group("system:serviceaccounts:ci")), way("group system:serviceaccounts:ci")},
		{"every account of another namespace", account("ci", "deployer"), bind("member", group("system:serviceaccounts:cd")), nil},
		{"every account is logged in", account("ci", "deployer"), bind("member", group("system:authenticated")), way("group system:authenticated")},
		{"a ClusterRole in the namespace", user("alice"), bind("admin", user("alice")), []string{"user alice -> RoleBinding b -> ClusterRole admin: exec into pods, read or write Secrets"}},
		{"a role that is gone", user("alice"), bind("gone", user("alice")), nil},
		{"a role that leads nowhere", user("alice"), []rbacv1.RoleBinding{{RoleRef: rbacv1.RoleRef{Kind: "ClusterRole", Name: "member"}, Subjects: []rbacv1.Subject{user("alice")}}}, nil},
		{"no subject", user("alice"), bind("member"), nil},
		{"an empty name is nobody", user(""), bind("member", user("")), nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			var got []string
			for _, way := range Ways(test.asked, Paths(tenant.EngineTiller), test.bindings, nil, roles) {
				got = append(got, way.String())
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestWaysThroughTheCluster(t *testing.T) {
	cluster := rbacv1.ClusterRoleBinding{RoleRef: rbacv1.RoleRef{Kind: "ClusterRole", Name: "all"}, Subjects: []rbacv1.Subject{
		{Kind: "ServiceAccount", Name: "deployer"}, // without a namespace it is nobody's
		{Kind: "Group", Name: "system:serviceaccounts"},
	}}
	cluster.Name = "c"
	roles := Roles{"ClusterRole/all": {rule("", "pods", "create")}}
	asked := rbacv1.Subject{Kind: "ServiceAccount", Namespace: "ci", Name: "deployer"}
	got := Ways(asked, Paths(tenant.EngineTiller), nil, []rbacv1.ClusterRoleBinding{cluster}, roles)
	want := []Way{{Binding: "ClusterRoleBinding c", Role: "ClusterRole all", Through: "group system:serviceaccounts", Paths: []string{"create pods"}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// What is a right over the cluster, a RoleBinding gives to nobody.
func TestClusterPathsNeedClusterBindings(t *testing.T) {
	subject := rbacv1.Subject{Kind: rbacv1.UserKind, Name: "eve"}
	ref := rbacv1.RoleRef{Kind: "ClusterRole", Name: "wide"}
	roles := Roles{"ClusterRole/wide": {rule("", "nodes/proxy", "get"), rule("", "users", "impersonate")}}
	if got := Ways(subject, Paths(tenant.EngineTiller), []rbacv1.RoleBinding{{RoleRef: ref, Subjects: []rbacv1.Subject{subject}}}, nil, roles); len(got) > 0 {
		t.Errorf("by a RoleBinding: %v", got)
	}
	got := Ways(subject, Paths(tenant.EngineTiller), nil, []rbacv1.ClusterRoleBinding{{RoleRef: ref, Subjects: []rbacv1.Subject{subject}}}, roles)
	if len(got) != 1 || len(got[0].Paths) != 2 {
		t.Errorf("by a ClusterRoleBinding: %v", got)
	}
}
