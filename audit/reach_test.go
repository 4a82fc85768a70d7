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

// targetsOf returns the deployers of a tenant of that engine, of which only the home is known,
// and the subjects that can act as something that reaches them.
func targetsOf(home string, engine tenant.Engine, members ...Subject) []Target {
	var targets []Target
	for _, actor := range actorsOf(engine) {
		targets = append(targets, Target{Home: home, Account: actor.account, Engine: actor.engine, Open: true, Members: append(members, Group(tenant.GroupMasters))})
	}
	return targets
}

// waysTo finds the bindings through which a subject reaches any of the targets.
func waysTo(subject Subject, targets []Target, roles []Role, bindings []Binding) []Way {
	x := newRights(roles, bindings)
	var paths []Path
	for _, target := range targets {
		paths = append(paths, x.paths(target)...)
	}
	return x.ways(subject, paths, bindings, targets[0].Home)
}

// A way that leaves somebody short of the deployer hides none that goes further.
func TestWaysBehindAWeakOne(t *testing.T) {
	s := sceneOf(team("a", tenant.EngineTiller))
	s.give("a-tiller", "look", User("eve"), rule("", "secrets", "list"))
	s.give("a-tiller", "enter", Account("outside", "bot"), rule("", "pods/exec", "create"))
	ids := func() (all []string) {
		for _, way := range NewReach(s).Ways("a-tiller", User("eve")) {
			all = append(all, way.IDs...)
		}
		return all
	}
	if diff := cmp.Diff([]string{"read-secrets"}, ids()); diff != "" {
		t.Errorf("alone, -want +got:\n%s", diff)
	}
	s.give("outside", "run", User("eve"), rule("", "pods", "create"))
	if diff := cmp.Diff([]string{"read-secrets", "exec"}, ids()); diff != "" {
		t.Errorf("with a pod of the account's, -want +got:\n%s", diff)
	}
	s.give("a-tiller", "too", User("eve"), rule("", "pods/attach", "create"))
	if diff := cmp.Diff([]string{"read-secrets", "attach"}, ids()); diff != "" {
		t.Errorf("with a way of their own, -want +got:\n%s", diff)
	}
}

// opensOf names the paths that the rules open.
func opensOf(engine tenant.Engine, rules ...rbacv1.PolicyRule) []string {
	var names []string
	who := Subject{Kind: "User", Name: "eve"}
	// A RoleBinding at home and, for what is asked of the whole cluster, one there.
	for _, way := range waysTo(who, targetsOf("home", engine), []Role{{Name: "r", Rules: rules}}, []Binding{{Name: "b", RoleKind: "ClusterRole", RoleName: "r", Subjects: []Subject{who}}}) {
		names = append(names, way.Paths...)
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
		read    = "read Secrets"
		write   = "write Secrets"
		token   = "mint the deployer's token"
		become  = "impersonate the deployer"
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
		{rule("", "secrets", "get"), read},
		{rule("", "secrets", "list"), read},
		{rule("", "secrets", "watch"), read},
		{rule("", "secrets", "create"), write},
		{rule("", "secrets", "patch", "one"), write},
		{rule("", "serviceaccounts/token", "create"), token},
		{rule("", "serviceaccounts/token", "create", "default", "tiller"), token},
		{rule("", "serviceaccounts", "impersonate"), become},
		{rule("", "serviceaccounts", "impersonate", "tiller"), become},
		{rule("*", "serviceaccounts", "*"), become},
		{rule("", "namespaces", "patch"), "loosen the home namespace's policies"},
		{rule("", "configmaps", "patch", "helm-tenant"), "write the tenant's record"},
		{rule("", "nodes/proxy", "get"), "reach pods through their node"},
		{rule("apps", "deployments", "create"), "make pods by deployments"},
		{rule("apps", "deployments", "patch", "tiller-deploy"), "make pods by deployments"},
		{rule("apps", "statefulsets", "update"), "make pods by statefulsets"},
		{rule("apps", "daemonsets", "create"), "make pods by daemonsets"},
		{rule("apps", "replicasets", "create"), "make pods by replicasets"},
		{rule("batch", "jobs", "create"), "make pods by jobs"},
		{rule("batch", "cronjobs", "create"), "make pods by cronjobs"},
		{rule("", "replicationcontrollers", "create"), "make pods by replicationcontrollers"},
	} {
		if diff := cmp.Diff([]string{test.want}, opensOf(tenant.EngineTiller, test.rule)); diff != "" {
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
		rule(rbacGroup, "rolebindings", "create"), // without bind it gives what one has
		rule(rbacGroup, "rolebindings", "patch"),
		rule(rbacGroup, "roles", "update"),   // without escalate it gives what one has
		rule(rbacGroup, "roles", "escalate"), // and nothing to write
		rule(rbacGroup, "clusterroles", "bind"),
		rule("batch", "jobs", "patch"), // a Job's pods can't be changed
		rule("", "rolebindings", "create"),
		{NonResourceURLs: []string{"*"}, Verbs: []string{"*"}},
		{},
	} {
		if got := opensOf(tenant.EngineTiller, miss); got != nil {
			t.Errorf("%+v opens %q", miss, got)
		}
	}
}

func TestWildcardsOpenEverything(t *testing.T) {
	for _, engine := range []tenant.Engine{tenant.EngineTiller, tenant.EngineImpersonation} {
		var all []string
		for _, path := range newRights(nil, nil).paths(targetsOf("home", engine)[0]) {
			if len(path.needs) > 0 { // no controller exists
				all = append(all, path.Name)
			}
		}
		if diff := cmp.Diff(all, opensOf(engine, rule("*", "*", "*"))); diff != "" {
			t.Errorf("%s, -want +got:\n%s", engine, diff)
		}
	}
	got := opensOf(tenant.EngineTiller, rule("", "*", "get"))
	want := []string{"port-forward to Tiller", "reach Tiller through the API server's proxy", "exec into pods", "attach to pods", "read Secrets", "reach pods through their node"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("get on everything, -want +got:\n%s", diff)
	}
}

func TestPathsOfEngines(t *testing.T) {
	// There is no Tiller to reach, and the account has another name.
	if got := opensOf(tenant.EngineImpersonation, rule("", "pods/portforward", "create"), rule("", "serviceaccounts", "impersonate", "tiller")); got != nil {
		t.Errorf("a member of a Tiller's tenant can: %q", got)
	}
	if diff := cmp.Diff([]string{"impersonate the deployer"}, opensOf(tenant.EngineImpersonation, rule("", "serviceaccounts", "impersonate", "helm"))); diff != "" {
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
				if diff := cmp.Diff([]string{want}, opensOf(engine, role.Rules...)); diff != "" {
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
	const home = "team-a-tiller"
	roles := []Role{
		{Namespace: home, Name: "member", Rules: []rbacv1.PolicyRule{rule("", "pods", "list"), rule("", "pods/portforward", "create")}},
		{Name: "admin", Rules: []rbacv1.PolicyRule{rule("", "pods/exec", "create"), rule("", "secrets", "get")}},
		{Name: "member", Rules: []rbacv1.PolicyRule{rule("", "pods", "list")}}, // another than the Role of that name
	}
	bind := func(role string, subjects ...rbacv1.Subject) []Binding {
		kind, name := "ClusterRole", role
		if role == "member" {
			kind = "Role"
		}
		return []Binding{{Namespace: home, Name: "b", RoleKind: kind, RoleName: name, Subjects: tenant.SubjectsOf(subjects, home)}}
	}
	way := func(through string) []string {
		return []string{through + " -> RoleBinding b -> Role member: port-forward to Tiller"}
	}
	for _, test := range []struct {
		name     string
		asked    rbacv1.Subject
		bindings []Binding
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
		{"an account by its user name", account("ci", "deployer"), bind("member", user("system:serviceaccount:ci:deployer")), way("service account ci:deployer")},
		{"an account without namespace is the binding's", account(home, "default"), bind("member", account("", "default")), way("service account " + home + ":default")},
		{"an account without namespace is no other's", account("ci", "default"), bind("member", account("", "default")), nil},
		{"every account", account("ci", "deployer"), bind("member", group("system:serviceaccounts")), way("group system:serviceaccounts")},
		{"every account of the namespace", account("ci", "deployer"), bind("member", group("system:serviceaccounts:ci")), way("group system:serviceaccounts:ci")},
		{"every account of another namespace", account("ci", "deployer"), bind("member", group("system:serviceaccounts:cd")), nil},
		{"every account is logged in", account("ci", "deployer"), bind("member", group("system:authenticated")), way("group system:authenticated")},
		{"a ClusterRole in the namespace", user("alice"), bind("admin", user("alice")), []string{"user alice -> RoleBinding b -> ClusterRole admin: exec into pods, read Secrets"}},
		{"a role that is gone", user("alice"), bind("gone", user("alice")), nil},
		{"a role that leads nowhere", user("alice"), []Binding{{Namespace: home, RoleKind: "ClusterRole", RoleName: "member", Subjects: []Subject{User("alice")}}}, nil},
		{"no subject", user("alice"), bind("member"), nil},
		{"an empty name is nobody", user(""), bind("member", user("")), nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			var got []string
			for _, way := range waysTo(tenant.SubjectOf(test.asked, ""), targetsOf(home, tenant.EngineTiller), roles, test.bindings) {
				got = append(got, way.String())
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestWaysThroughTheCluster(t *testing.T) {
	bindings := []Binding{{Name: "c", RoleKind: "ClusterRole", RoleName: "all", Subjects: tenant.SubjectsOf([]rbacv1.Subject{
		{Kind: "ServiceAccount", Name: "deployer"}, // without a namespace it is nobody's
		{Kind: "Group", Name: "system:serviceaccounts"},
	}, "")}}
	roles := []Role{{Name: "all", Rules: []rbacv1.PolicyRule{rule("", "pods", "create")}}}
	got := waysTo(Account("ci", "deployer"), targetsOf("home", tenant.EngineTiller), roles, bindings)
	want := []Way{{Binding: "ClusterRoleBinding c", Role: "ClusterRole all", Through: "group system:serviceaccounts", Paths: []string{"create pods"}, IDs: []string{"create-pods"}}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// What is a right over the cluster, a RoleBinding gives to nobody.
func TestClusterPathsNeedClusterBindings(t *testing.T) {
	roles := []Role{{Name: "wide", Rules: []rbacv1.PolicyRule{rule("", "nodes/proxy", "get"), rule("", "users", "impersonate")}}}
	target := targetsOf("home", tenant.EngineTiller, User("alice"))
	for namespace, want := range map[string]int{"": 2, "home": 0, "kube-system": 0} {
		binding := Binding{Namespace: namespace, Name: "b", RoleKind: "ClusterRole", RoleName: "wide", Subjects: []Subject{User("eve")}}
		paths := 0
		for _, way := range waysTo(User("eve"), target, roles, []Binding{binding}) {
			paths += len(way.Paths)
		}
		if paths != want {
			t.Errorf("by a binding in namespace %q: %d paths, want %d", namespace, paths, want)
		}
	}
}

// What one right does not open, two may: in one role, or in several.
func TestWaysOfSeveralRights(t *testing.T) {
	const home = "home"
	create, bind := rule(rbacGroup, "rolebindings", "create"), rule(rbacGroup, "clusterroles", "bind", "edit")
	useless := rule(rbacGroup, "clusterroles", "bind", "view")
	edit := Role{Name: "edit", Rules: []rbacv1.PolicyRule{rule("", "pods", "create")}}
	view := Role{Name: "view", Rules: []rbacv1.PolicyRule{rule("", "pods", "get")}}
	binder := Role{Name: "binder", Rules: []rbacv1.PolicyRule{rule(rbacGroup, "clusterroles", "bind")}}
	imp := Role{Name: "imp", Rules: []rbacv1.PolicyRule{rule("", "users", "impersonate")}}
	impersonate := rule("", "groups", "impersonate", "devs")
	anybody := rule("", "users", "impersonate", "nobody")
	for _, test := range []struct {
		name  string
		rules [][]rbacv1.PolicyRule // by binding
		want  []string
	}{
		{"bind in one role", [][]rbacv1.PolicyRule{{create, bind}}, []string{"user eve -> RoleBinding b0 -> Role r0: bind a role"}},
		{"bind in two roles", [][]rbacv1.PolicyRule{{create}, {bind}}, []string{"user eve -> RoleBinding b0 and RoleBinding b1 -> Role r0 and Role r1: bind a role"}},
		{"bind of a role that leads nowhere", [][]rbacv1.PolicyRule{{create, useless}}, nil},
		{"bind of a role that binds", [][]rbacv1.PolicyRule{{create, rule(rbacGroup, "clusterroles", "bind", "binder")}}, []string{"user eve -> RoleBinding b0 -> Role r0: bind a role"}},
		{"bind of a role that impersonates, in a namespace", [][]rbacv1.PolicyRule{{create, rule(rbacGroup, "clusterroles", "bind", "imp")}}, nil},
		{"bind of any role", [][]rbacv1.PolicyRule{{create, rule(rbacGroup, "clusterroles", "bind")}}, []string{"user eve -> RoleBinding b0 -> Role r0: bind a role"}},
		{"escalate", [][]rbacv1.PolicyRule{{rule(rbacGroup, "roles", "escalate", "patch")}}, nil}, // named patch, not the verb
		{"write a role", [][]rbacv1.PolicyRule{{rule(rbacGroup, "roles", "escalate"), rule(rbacGroup, "roles", "update")}}, []string{"user eve -> RoleBinding b0 -> Role r0: write a role"}},
		{"write one role", [][]rbacv1.PolicyRule{{rule(rbacGroup, "roles", "escalate", "r0"), rule(rbacGroup, "roles", "update", "r0")}}, []string{"user eve -> RoleBinding b0 -> Role r0: write a role"}},
		{"write one role that is not there", [][]rbacv1.PolicyRule{{rule(rbacGroup, "roles", "escalate", "x"), rule(rbacGroup, "roles", "update", "x")}}, nil},
		{"write one role and escalate another", [][]rbacv1.PolicyRule{{rule(rbacGroup, "roles", "escalate", "x"), rule(rbacGroup, "roles", "update", "y")}}, nil},
		{"impersonation by a RoleBinding", [][]rbacv1.PolicyRule{{impersonate, anybody}}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			roles := []Role{edit, view, binder, imp}
			var bindings []Binding
			for i, rules := range test.rules {
				name := string(rune('0' + i))
				roles = append(roles, Role{Namespace: home, Name: "r" + name, Rules: rules})
				bindings = append(bindings, Binding{Namespace: home, Name: "b" + name, RoleKind: "Role", RoleName: "r" + name, Subjects: []Subject{User("eve")}})
			}
			target := targetsOf(home, tenant.EngineTiller, Group("devs"))
			var got []string
			for _, way := range waysTo(User("eve"), target, roles, bindings) {
				got = append(got, way.String())
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// Who may bind a role of any right that a path asks for, may have that path.
func TestRolesThatLead(t *testing.T) {
	for _, test := range []struct {
		rule            rbacv1.PolicyRule
		minor           int
		inside, cluster bool
	}{
		{rule(rbacGroup, "rolebindings", "create"), 37, true, true},
		{rule(rbacGroup, "rolebindings", "patch", "one"), 37, true, true},
		{rule(rbacGroup, "roles", "escalate"), 37, true, true},
		{rule(rbacGroup, "roles", "update"), 37, true, true},
		{rule(rbacGroup, "clusterroles", "bind"), 37, true, true},
		{rule(rbacGroup, "clusterroles", "update"), 37, false, true},
		{rule(rbacGroup, "clusterrolebindings", "create"), 37, false, true},
		{rule(rbacGroup, "clusterrolebindings", "patch"), 37, false, true},
		{rule("", "users", "impersonate"), 37, false, true},
		{rule("", "groups", "impersonate", "devs"), 37, false, true},
		{rule("", "serviceaccounts", "impersonate"), 37, true, true},
		{rule(authenticationGroup, "users", "impersonate:user-info"), 37, false, true},
		{rule(authenticationGroup, "users", "impersonate:user-info"), 35, false, false},
		{rule(authenticationGroup, "serviceaccounts", "impersonate:serviceaccount"), 37, true, true},
		{rule("", "configmaps", "patch", "helm-tenant"), 37, true, true},
		{rule("apps", "deployments", "patch"), 37, true, true},
		{rule("", "pods/exec", "get"), 34, true, true},
		{rule("", "pods/exec", "get"), 37, false, false},
		{rule("", "nodes/proxy", "get"), 37, false, true},
		{rule("", "pods", "list"), 37, false, false},
		{rule(rbacGroup, "rolebindings", "list"), 37, false, false},
		{rule("authorization.k8s.io", "selfsubjectaccessreviews", "create"), 37, false, false},
	} {
		x := newRights([]Role{{Name: "r", Rules: []rbacv1.PolicyRule{test.rule}}}, nil)
		p := pather{Target{Home: "home", Server: serverOfMinor(test.minor)}, x}
		for namespace, want := range map[string]bool{"home": test.inside, "": test.cluster} {
			if got := p.leads(x.roles[roleKey{"", "r"}], namespace); got != want {
				t.Errorf("with Kubernetes 1.%d, bound in namespace %q, %v leads: %t", test.minor, namespace, test.rule, got)
			}
		}
	}
}

// TestKept: a binding of the subject's own in the tenant's namespaces is named, and none that
// gives nothing, that is somebody else's, or of an account that the tenant's charts can make.
func TestKept(t *testing.T) {
	one := team("a", tenant.EngineImpersonation)
	s := sceneOf(one, team("b", tenant.EngineImpersonation))
	s.give("a-1", "direct", User("eve"), rule("", "pods", "create"))
	s.give("a-1", "nothing", User("eve"))
	s.give("a-1", "others", Group("eve"), rule("", "pods", "create"))
	s.give("b-1", "elsewhere", User("eve"), rule("", "pods", "create"))
	s.give("a-1", "own", Account("a-1", "bot"), rule("", "pods", "create"))
	s.give("a-1", "outside", Account("ci", "bot"), rule("", "pods", "create"))
	s.Bindings = append(s.Bindings, Binding{Namespace: "a-1", Name: "absent", RoleKind: "Role", RoleName: "absent", Subjects: []Subject{User("eve")}})
	reach := NewReach(s)
	for subject, want := range map[Subject][]string{
		User("eve"):           {"user eve -> RoleBinding direct in namespace a-1 -> Role direct"},
		Account("a-1", "bot"): nil,
		Account("ci", "bot"):  {"service account ci:bot -> RoleBinding outside in namespace a-1 -> Role outside"},
		User("alice"):         nil,
	} {
		if diff := cmp.Diff(want, reach.Kept(one, subject)); diff != "" {
			t.Errorf("%s, -want +got:\n%s", subject, diff)
		}
	}
	one.AllNamespaces = true
	if kept := reach.Kept(one, User("eve")); kept != nil {
		t.Errorf("of a tenant of all namespaces: %q", kept)
	}
}
