package apitest

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"

	"helm-tenant/test/harness"
)

const rbacGroup = rbacv1.GroupName

// readsAll are the rights to see what init looks at; they change nothing.
var readsAll = []rbacv1.PolicyRule{
	rule("", "namespaces", "get", "list"),
	rule("", "serviceaccounts", "get", "list"),
	rule("", "configmaps", "get", "list"),
	rule(rbacGroup, "roles", "get", "list"),
	rule(rbacGroup, "rolebindings", "get", "list"),
	rule(rbacGroup, "clusterrolebindings", "get", "list"),
	rule(rbacGroup, "clusterroles", "get", "list"),
	rule("networking.k8s.io", "networkpolicies", "get", "list"),
	rule("apps", "deployments", "get", "list"),
	rule("admissionregistration.k8s.io", "validatingadmissionpolicies", "get"),
	rule("admissionregistration.k8s.io", "validatingadmissionpolicybindings", "get"),
	rule("", "pods", "list"),
	rule("", "services", "list"),
	rule("", "secrets", "list"),
}

// allowed waits until the API server's authorizer has seen what was granted
// last.
func (u *user) allowed(t *testing.T, namespace string) {
	t.Helper()
	eventually(t, "the rights of "+u.name, func() error {
		return u.may(t, true, access("list", "last-grant", namespace, "", ""))
	})
}

// lastGrant is a right to nothing, granted after all others: who has it has them.
func (w *world) lastGrant(t *testing.T, u *user, namespace string) {
	t.Helper()
	marker := *u
	marker.name += "-last"
	w.role(t, "", marker.name, rule("last-grant", namespace, "list"))
	w.bind(t, "", marker.name, "ClusterRole", marker.name, rbacv1.Subject{Kind: "User", APIGroup: rbacGroup, Name: u.name})
	u.allowed(t, namespace)
}

// grants returns the rights that a namespace admin needs to make a tenant of existing namespaces,
// with the line of init for each missing right.
func grants(team team) []struct {
	namespace string
	rule      rbacv1.PolicyRule
	lacking   []string
} {
	type grant = struct {
		namespace string
		rule      rbacv1.PolicyRule
		lacking   []string
	}
	in := func(ns, text string) string { return text + " in namespace " + ns }
	// The rights that a deployer gets must be held, or the role bound with the verb bind: each
	// right is missed for every role that grants it.
	records := []string{in(team.home, "bind roles.rbac.authorization.k8s.io/helm-tenant-records"), in(team.home, "escalate roles.rbac.authorization.k8s.io/helm-tenant-records")}
	member := []string{in(team.home, "bind roles.rbac.authorization.k8s.io/helm-tenant-member"), in(team.home, "escalate roles.rbac.authorization.k8s.io/helm-tenant-member")}
	all := []grant{
		{team.home, rule("", "namespaces", "update"), []string{in(team.home, "update namespaces/"+team.home)}},
		{team.home, rule("", "configmaps", "create"), []string{in(team.home, "create configmaps")}},
		{team.home, rule("", "serviceaccounts", "create"), []string{in(team.home, "create serviceaccounts")}},
		{team.home, rule(rbacGroup, "roles", "create"), []string{in(team.home, "create roles.rbac.authorization.k8s.io")}},
		{team.home, rule(rbacGroup, "rolebindings", "create"), []string{in(team.home, "create rolebindings.rbac.authorization.k8s.io")}},
		{team.home, rule("networking.k8s.io", "networkpolicies", "create"), []string{in(team.home, "create networkpolicies.networking.k8s.io")}},
		{team.home, rule("apps", "deployments", "create"), []string{in(team.home, "create deployments.apps")}},
		{team.home, rule("", "secrets", "get", "create", "update", "delete"), records},
		{team.home, rule("", "pods/portforward", "create"), member},
		{"", mayClaim(team.home), []string{"claim namespaces.helm-tenant/" + team.home + " in the cluster"}},
	}
	for _, ns := range []string{team.a, team.b} {
		all = append(all,
			grant{ns, rule("", "namespaces", "update"), []string{in(ns, "update namespaces/"+ns)}},
			grant{ns, rule(rbacGroup, "rolebindings", "create"), []string{in(ns, "create rolebindings.rbac.authorization.k8s.io")}},
			grant{ns, only(rule(rbacGroup, "clusterroles", "bind"), "admin"), []string{in(ns, "bind clusterroles.rbac.authorization.k8s.io/admin")}},
			grant{"", mayClaim(ns), []string{"claim namespaces.helm-tenant/" + ns + " in the cluster"}},
		)
	}
	return all
}

// TestMinimalRights: an admin of three namespaces has exactly the rights to make a tenant
// in them. Others lack one right each, and init must name that right before it writes anything.
func TestMinimalRights(t *testing.T) {
	t.Parallel()
	w, team := start(t), newTeam()
	w.namespace(t, team.home, team.a, team.b)
	w.reserved(t)
	all := grants(team)
	give := func(u *user, without int) {
		rules := map[string][]rbacv1.PolicyRule{}
		for i, g := range all {
			if i != without {
				rules[g.namespace] = append(rules[g.namespace], g.rule)
			}
		}
		rules[""] = append(slices.Clone(readsAll), rules[""]...)
		for ns, in := range rules {
			w.allow(t, u, ns, in...)
		}
		w.lastGrant(t, u, team.name)
	}
	command := []string{"init", team.name, "--namespaces", team.a + "," + team.b, "--home-namespace", team.home, "--wait=false"}
	for i, g := range all {
		u := w.newUser(t, "almost")
		give(u, i)
		r := u.run(t, command...)
		if r.Code != 1 || r.Stdout != "" {
			t.Errorf("without %v in %s: %v", g.rule, g.namespace, r)
		}
		same(t, fmt.Sprintf("without %v in %s it lacks", g.rule, g.namespace), g.lacking, lacks(r))
		if !strings.Contains(r.Stderr, "nothing was written") || !strings.Contains(r.Stderr, team.name) {
			t.Errorf("it does not say that nothing was written: %v", r)
		}
		u.wroteNothing(t)
	}
	enough := w.newUser(t, "enough")
	give(enough, -1)
	enough.must(t, command...)
	second := w.admin(t)
	second.must(t, command...)
	second.wroteNothing(t)
}

// lacks returns the permissions that the command said were missing.
func lacks(r harness.Result) []string {
	var missing []string
	if _, one, found := strings.Cut(r.Stderr, "nothing was written: "); found {
		missing = append(missing, strings.TrimSpace(one))
	}
	for line := range strings.Lines(r.Stderr) {
		if strings.HasPrefix(line, "  ") {
			missing = append(missing, strings.TrimSpace(line))
		}
	}
	slices.Sort(missing)
	return missing
}

// TestAdminWithReadsOnly: all missing rights are reported at once.
func TestAdminWithReadsOnly(t *testing.T) {
	t.Parallel()
	w, team := start(t), newTeam()
	u := w.newUser(t, "reader")
	w.allow(t, u, "", readsAll...)
	w.lastGrant(t, u, team.name)
	r := u.run(t, "init", team.name, "--namespaces", team.a+","+team.b, "--create-namespaces", "--wait=false", "--user", "alice")
	if r.Code != 1 {
		t.Fatalf("it did not fail: %v", r)
	}
	for _, want := range []string{
		"create namespaces in the cluster",
		"create configmaps in namespace " + team.home,
		"create serviceaccounts in namespace " + team.home,
		"create roles.rbac.authorization.k8s.io in namespace " + team.home,
		"create rolebindings.rbac.authorization.k8s.io in namespace " + team.home,
		"create networkpolicies.networking.k8s.io in namespace " + team.home,
		"create deployments.apps in namespace " + team.home,
		"create rolebindings.rbac.authorization.k8s.io in namespace " + team.a,
		"create rolebindings.rbac.authorization.k8s.io in namespace " + team.b,
		"bind clusterroles.rbac.authorization.k8s.io/admin in namespace " + team.a,
		"bind clusterroles.rbac.authorization.k8s.io/admin in namespace " + team.b,
		"escalate roles.rbac.authorization.k8s.io/helm-tenant-records in namespace " + team.home,
		"escalate roles.rbac.authorization.k8s.io/helm-tenant-member in namespace " + team.home,
	} {
		if !slices.Contains(lacks(r), want) {
			t.Errorf("%q is not said: %v", want, r)
		}
	}
	// To see what would be written takes no right to write.
	if r := u.must(t, initArgs(team, "--dry-run", "-o", "name")...); !slices.Contains(lines(r.Stdout), "deployment/tiller-deploy") {
		t.Errorf("the dry run does not tell: %v", r)
	}
	u.wroteNothing(t)
}

// TestAdminWithoutReads: the forbidden reads are reported, by init all at once.
func TestAdminWithoutReads(t *testing.T) {
	t.Parallel()
	w, team, existing := start(t), newTeam(), newTeam()
	w.makeTenant(t, existing)
	u := w.newUser(t, "nobody")
	complains(t, u.run(t, initArgs(team)...), 1, team.name, `context "test"`, "list namespaces in the cluster", "helm tenant init --print-role")
	for _, verb := range []string{"grant", "revoke"} {
		r := u.run(t, verb, existing.name, "--user", "alice")
		complains(t, r, 1, existing.name, `context "test"`, u.name, "forbidden")
	}
	u.wroteNothing(t)
}

// TestEscalation: a user may write roles and bindings, but holds neither their rights nor the
// verbs bind and escalate. Without a check the API server would refuse in the middle of the
// writes.
func TestEscalation(t *testing.T) {
	t.Parallel()
	w, team := start(t), newTeam()
	writer := w.newUser(t, "writer")
	writes := []rbacv1.PolicyRule{
		rule("", "namespaces", "create", "update"), rule("", "configmaps", "create", "update"), rule("", "serviceaccounts", "create", "update"),
		rule(rbacGroup, "roles", "create", "update"), rule(rbacGroup, "rolebindings", "create", "update", "delete"),
		rule("networking.k8s.io", "networkpolicies", "create"), rule("apps", "deployments", "create"),
	}
	w.allow(t, writer, "", append(slices.Clone(readsAll), writes...)...)
	w.lastGrant(t, writer, team.name)
	r := writer.run(t, initArgs(team)...)
	want := []string{
		"escalate roles.rbac.authorization.k8s.io/helm-tenant-member in namespace " + team.home,
		"escalate roles.rbac.authorization.k8s.io/helm-tenant-records in namespace " + team.home,
		"bind clusterroles.rbac.authorization.k8s.io/admin in namespace " + team.a,
		"bind clusterroles.rbac.authorization.k8s.io/admin in namespace " + team.b,
		"bind roles.rbac.authorization.k8s.io/helm-tenant-member in namespace " + team.home,
		"bind roles.rbac.authorization.k8s.io/helm-tenant-records in namespace " + team.home,
	}
	slices.Sort(want)
	same(t, "what is lacking", want, lacks(r))
	if r.Code != 1 {
		t.Errorf("exit code %d: %v", r.Code, r)
	}
	writer.wroteNothing(t)

	// A user who holds the granted rights needs neither bind nor escalate: an admin of the
	// namespaces who is no admin of the cluster.
	holder := w.newUser(t, "holder")
	w.allow(t, holder, "", append(append(slices.Clone(readsAll), writes...),
		rule("", "secrets", "get", "list", "create", "update", "delete"), rule("", "pods/portforward", "create"))...)
	w.bind(t, "", holder.name+"-admin", "ClusterRole", "admin", rbacv1.Subject{Kind: "User", APIGroup: rbacGroup, Name: holder.name})
	w.lastGrant(t, holder, team.name)
	holder.must(t, initArgs(team)...)

	// A grant needs fewer rights, and is refused to a user who may write bindings and holds no
	// rights.
	writer.requests(t)
	r = writer.run(t, "grant", team.name, "--user", "mallory")
	complains(t, r, 1, "bind roles.rbac.authorization.k8s.io/helm-tenant-member in namespace "+team.home, team.name, "nothing was written")
	writer.wroteNothing(t)
	// All namespaces are the cluster's to give.
	other := newTeam()
	r = holder.run(t, "init", other.name, "--all-namespaces", "--accept-risk=cluster-wide", "--wait=false")
	if r.Code != 1 || !slices.Contains(lacks(r), "bind clusterroles.rbac.authorization.k8s.io/cluster-admin in the cluster") {
		t.Errorf("somebody who is no admin of the cluster makes one: %v", r)
	}
}

// TestHomeAdminGrantsAndRevokes needs no list of the cluster's ConfigMaps where the
// home namespace is the conventional one, or is named.
func TestHomeAdminGrantsAndRevokes(t *testing.T) {
	t.Parallel()
	w, team := start(t), newTeam()
	w.makeTenant(t, team)
	u := w.newUser(t, "homeadmin")
	w.allow(t, u, team.home,
		only(rule("", "configmaps", "get"), "helm-tenant"),
		only(rule(rbacGroup, "rolebindings", "get", "update"), "helm-tenant-member"),
		only(rule(rbacGroup, "rolebindings", "get"), "helm-tenant-reader"), // one who reads can't be a member, too
		only(rule(rbacGroup, "roles", "get", "bind"), "helm-tenant-member"),
	)
	w.allow(t, u, "", only(rule("", "namespaces", "get"), team.home))
	w.lastGrant(t, u, team.name)
	u.must(t, "grant", team.name, "--user", "alice")
	u.must(t, "grant", team.name, "--user", "bob", "--home-namespace", team.home)
	same(t, "members", []string{"User alice", "User bob"}, w.members(t, team))
	r := u.must(t, "revoke", team.name, "--user", "alice")
	if !strings.Contains(r.Stderr, "is not known") {
		t.Errorf("who may not read the other bindings is not told that there may be other ways: %v", r)
	}
	same(t, "members", []string{"User bob"}, w.members(t, team))
}
