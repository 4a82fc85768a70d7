package apitest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// makeTenant makes a team's tenant and returns an admin of whom nothing was
// counted yet. The users that it names as members can use the tenant at once.
func (w *world) makeTenant(t *testing.T, team team, more ...string) *user {
	t.Helper()
	w.admin(t).must(t, append([]string{"init", team.name, "--namespaces", team.a + "," + team.b, "--create-namespaces", "--wait=false"}, more...)...)
	home := team.home
	if slices.Contains(more, "impersonation") {
		home = team.name + "-helm"
	}
	if i := slices.Index(more, "--home-namespace"); i >= 0 {
		home = more[i+1]
	}
	if slices.Contains(more, "impersonation") {
		for _, ns := range []string{team.a, team.b} {
			w.authorized(t, "system:serviceaccount:"+home+":helm", access("get", "", "pods", "", ns))
		}
	}
	for i, word := range more {
		if word == "--user" {
			first, _, _ := strings.Cut(more[i+1], ",")
			w.authorized(t, first, access("get", "", "configmaps", "", home, "helm-tenant"))
		}
	}
	return w.admin(t)
}

// authorized waits until the API server allows it to the user. What RBAC objects grant is in
// force a moment after they are written: the API server's authorizer watches them.
func (w *world) authorized(t *testing.T, user string, question authorizationv1.ResourceAttributes) {
	t.Helper()
	eventually(t, "a right of "+user, func() error {
		review, err := w.root.AuthorizationV1().SubjectAccessReviews().Create(t.Context(), &authorizationv1.SubjectAccessReview{
			Spec: authorizationv1.SubjectAccessReviewSpec{User: user, ResourceAttributes: &question}}, metav1.CreateOptions{})
		if err == nil && !review.Status.Allowed {
			err = fmt.Errorf("%s %s is not allowed", question.Verb, question.Resource)
		}
		return err
	})
}

func TestGrantAndRevoke(t *testing.T) {
	t.Parallel()
	w, team := start(t), newTeam()
	admin := w.makeTenant(t, team)
	update := []string{"update rolebindings " + team.home + "/helm-tenant-member"}
	for _, step := range []struct {
		command string
		stdout  []string
		members []string
		writes  []string
	}{
		{"grant TEAM --user alice --group devs --service-account ci:bot",
			[]string{"user alice can now use tenant TEAM", "group devs can now use tenant TEAM", "service account ci:bot can now use tenant TEAM"},
			[]string{"Group devs", "ServiceAccount ci:bot", "User alice"}, update},
		{"grant TEAM --user alice --group devs --service-account ci:bot",
			[]string{"user alice could already use tenant TEAM", "group devs could already use tenant TEAM", "service account ci:bot could already use tenant TEAM"},
			[]string{"Group devs", "ServiceAccount ci:bot", "User alice"}, nil},
		// Lists, repeated flags, both together, and an existing member among new ones. A user
		// and a group of the same name are two members.
		{"grant TEAM --user bob,carol --user dave --user alice --group bob,ops --service-account ci:a,ci:b --service-account x:y",
			nil,
			[]string{"Group bob", "Group devs", "Group ops", "ServiceAccount ci:a", "ServiceAccount ci:b", "ServiceAccount ci:bot", "ServiceAccount x:y", "User alice", "User bob", "User carol", "User dave"}, update},
		{`grant TEAM --user "CN=erin,O=devs" --user frank@example.com --user https://issuer.example.com#7`,
			[]string{"user CN=erin,O=devs can now use tenant TEAM", "user frank@example.com can now use tenant TEAM", "user https://issuer.example.com#7 can now use tenant TEAM"},
			[]string{"Group bob", "Group devs", "Group ops", "ServiceAccount ci:a", "ServiceAccount ci:b", "ServiceAccount ci:bot", "ServiceAccount x:y", "User CN=erin,O=devs", "User alice", "User bob", "User carol", "User dave", "User frank@example.com", "User https://issuer.example.com#7"}, update},
		{`revoke TEAM --user bob,carol --user "CN=erin,O=devs" --user frank@example.com,https://issuer.example.com#7 --group ops --service-account ci:a,x:y --service-account ci:b`,
			nil,
			[]string{"Group bob", "Group devs", "ServiceAccount ci:bot", "User alice", "User dave"}, update},
		{"revoke TEAM --user bob --user alice",
			[]string{"user alice can no longer use tenant TEAM", "user bob was no member of tenant TEAM"},
			[]string{"Group bob", "Group devs", "ServiceAccount ci:bot", "User dave"}, update},
		{"revoke TEAM --user bob --user alice",
			[]string{"user alice was no member of tenant TEAM", "user bob was no member of tenant TEAM"},
			[]string{"Group bob", "Group devs", "ServiceAccount ci:bot", "User dave"}, nil},
		{"revoke TEAM --user dave --group devs --group bob --service-account ci:bot",
			nil, []string{}, update},
		{"grant TEAM --user alice", nil, []string{"User alice"}, update},
	} {
		r := admin.must(t, words(step.command, team)...)
		same(t, step.command+": members", step.members, w.members(t, team))
		wrote := writes(admin.requests(t))
		if !slices.Equal(wrote, step.writes) {
			t.Errorf("%s: it wrote %q, not %q", step.command, wrote, step.writes)
		}
		if step.stdout != nil {
			want := []string{}
			for _, line := range step.stdout {
				want = append(want, strings.ReplaceAll(line, "TEAM", team.name))
			}
			slices.Sort(want)
			same(t, step.command+": stdout", want, lines(r.Stdout))
		}
	}
	// init keeps members whom it does not name, and adds those whom it does.
	admin.must(t, "init", team.name, "--group", "devs", "--wait=false")
	same(t, "members after init", []string{"Group devs", "User alice"}, w.members(t, team))
}

// words splits a command, with the team's name for TEAM. Double quotes stay: they are for
// helm-tenant, not for a shell.
func words(command string, team team) []string {
	return strings.Fields(strings.ReplaceAll(command, "TEAM", team.name))
}

func TestMembersAsJSON(t *testing.T) {
	t.Parallel()
	w, team := start(t), newTeam()
	admin := w.makeTenant(t, team, "--user", "alice")
	r := admin.must(t, "grant", team.name, "--user", "alice,bob", "--service-account", "ci:bot", "-o", "json")
	var membership map[string]any
	if err := json.Unmarshal([]byte(r.Stdout), &membership); err != nil {
		t.Fatalf("%v: %v", err, r)
	}
	nobody := map[string]any{"users": []any{}, "groups": []any{}, "serviceAccounts": []any{}}
	same(t, "membership", map[string]any{
		"apiVersion": "helm-tenant/v1", "kind": "Membership", "tenant": team.name,
		"changed":        map[string]any{"users": []any{"bob"}, "groups": []any{}, "serviceAccounts": []any{"ci:bot"}},
		"members":        map[string]any{"users": []any{"alice", "bob"}, "groups": []any{}, "serviceAccounts": []any{"ci:bot"}},
		"changedReaders": nobody, "changedOwners": nobody, "readers": nil, "owners": nil, // not read, and so not known
		"temporary": []any{}, "stillIn": []any{}, "notes": []any{}, "unseen": []any{},
	}, membership)
}

func TestMembersThatCanNotBe(t *testing.T) {
	t.Parallel()
	w, team := start(t), newTeam()
	admin := w.makeTenant(t, team)
	for _, c := range []struct {
		code  int
		args  string
		words []string
	}{
		{2, "grant TEAM", []string{"--user, --group or --service-account", "Usage:"}},
		{2, "grant TEAM --service-account bot", []string{"bot", "NAMESPACE:NAME"}},
		{2, "grant TEAM --service-account :bot", []string{":bot", "NAMESPACE:NAME"}},
		{2, "grant TEAM --service-account CI:bot", []string{"CI:bot", "NAMESPACE:NAME"}},
		{2, "grant TEAM --user system:serviceaccount:ci:bot", []string{"--service-account ci:bot"}},
		{2, "grant TEAM --user=", []string{"--user"}},
		{2, "grant --user alice", []string{"name is missing"}},
		{2, "grant TEAM other --user alice", []string{"other"}},
		{2, "grant No_Name --user alice", []string{"No_Name"}},
		{1, "grant TEAM-none --user alice", []string{"no tenant", team.name + "-none", `context "test"`, "helm tenant init " + team.name + "-none"}},
		{1, "revoke TEAM-none --user alice", []string{"no tenant", team.name + "-none", `context "test"`}},
		{1, "grant TEAM --user alice --home-namespace default", []string{team.name, "default"}},
	} {
		admin.fails(t, c.code, c.words, words(c.args, team)...)
	}
	// Who opens the tenant to everybody must be accepted by name.
	for _, open := range []string{
		"--group system:authenticated", "--group system:unauthenticated", "--group system:serviceaccounts",
		"--group system:serviceaccounts:kube-system", "--user system:anonymous", "--group system:nodes",
		"--group system:bootstrappers:workers", "--user system:bootstrap:abcdef",
	} {
		name := strings.Fields(open)[1]
		admin.fails(t, 1, []string{name, "--accept-risk=everyone"}, words("grant TEAM --user alice "+open, team)...)
		admin.fails(t, 1, []string{name, "--accept-risk=everyone"}, words("grant TEAM --accept-risk=cluster-wide "+open, team)...)
		admin.fails(t, 1, []string{name, "--accept-risk=everyone"}, words("init TEAM --wait=false "+open, team)...)
		admin.fails(t, 1, []string{name + " as a reader opens", "--accept-risk=everyone"}, words("grant TEAM --reader --accept-risk=reads-secrets "+open, team)...)
		admin.fails(t, 1, []string{name + " as an owner opens", "--accept-risk=everyone"}, words("grant TEAM --owner --accept-risk=owner-of-cluster "+open, team)...)
	}
	// Who can do everything already is nothing to a tenant, whatever risk is accepted.
	for _, as := range []string{"", "--reader", "--owner"} {
		admin.fails(t, 1, []string{"group system:masters: everybody in it can do everything"}, words("grant TEAM --group system:masters --accept-risk=everyone "+as, team)...)
		admin.fails(t, 1, []string{"system:serviceaccounts:NAMESPACE"}, words("grant TEAM --group system:serviceaccounts: --accept-risk=everyone "+as, team)...)
	}
	admin.fails(t, 2, []string{"group system:masters: everybody in it can do everything"}, words("init TEAM --wait=false --group system:masters --accept-risk=everyone", team)...)
	// Nor do Kubernetes' own programs and nodes run helm.
	for _, name := range []string{"system:kube-controller-manager", "system:kube-scheduler", "system:apiserver", "system:node:worker-1"} {
		for _, as := range []string{"", "--reader", "--owner"} {
			admin.fails(t, 1, []string{"user " + name + ": ", "Kubernetes' own"}, words("grant TEAM --accept-risk=everyone --user "+name+" "+as, team)...)
		}
		admin.fails(t, 2, []string{"user " + name + ": "}, words("init TEAM --wait=false --accept-risk=everyone --user "+name, team)...)
		file := filepath.Join(t.TempDir(), "tenants.yaml")
		for _, people := range []string{"members: {users: [" + name + "]}", "owners: {users: [" + name + "]}", "temporary: [{user: " + name + ", until: 2099-01-01T00:00:00Z, reason: x}]"} {
			must(t, os.WriteFile(file, []byte("apiVersion: helm-tenant/v1\ntenants:\n- name: "+team.name+"\n  namespaces: ["+team.a+"]\n  "+people+"\n"), 0o600))
			admin.fails(t, 1, []string{"user " + name + ": "}, "apply", "-f", file, "--accept-risk=everyone", "--wait=false")
		}
	}
	admin.fails(t, 2, []string{"anything", "everyone"}, words("grant TEAM --user alice --accept-risk=anything", team)...)
	admin.wroteNothing(t)
	admin.must(t, words("grant TEAM --group system:authenticated --accept-risk=everyone", team)...)
	admin.must(t, words("init TEAM --group system:serviceaccounts:ci --accept-risk=everyone --wait=false", team)...)
	same(t, "members", []string{"Group system:authenticated", "Group system:serviceaccounts:ci"}, w.members(t, team))
	// To take them away again needs no risk.
	admin.must(t, words("revoke TEAM --group system:authenticated,system:serviceaccounts:ci", team)...)
	same(t, "members", []string{}, w.members(t, team))
}

// TestConflictingGrants has somebody else change the binding before each of
// the first writes of a grant.
func TestConflictingGrants(t *testing.T) {
	t.Parallel()
	w, team := start(t), newTeam()
	admin := w.makeTenant(t, team)
	var outrun atomic.Int64
	const often = 15
	slow := admin.through(t, func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodPut && outrun.Add(1) <= often {
			w.patch(t, "rolebindings", team.home, "helm-tenant-member", fmt.Sprintf(`{"metadata":{"annotations":{"touched":"%d"}}}`, outrun.Load()))
		}
		return false
	})
	slow.must(t, "grant", team.name, "--user", "alice")
	same(t, "members", []string{"User alice"}, w.members(t, team))
	if outrun.Load() != often+1 {
		t.Errorf("it wrote %d times, not %d", outrun.Load(), often+1)
	}
}

// TestRevokeIsOneWrite reads in the audit log what a revoke writes, and asks as
// the revoked user right after it whether the way to Tiller is shut.
func TestRevokeIsOneWriteThatTakesEffectAtOnce(t *testing.T) {
	t.Parallel()
	w, team := start(t), newTeam()
	alice := w.newUser(t, "alice", "devs"+team.name)
	bob := w.newUser(t, "bob", "devs"+team.name)
	admin := w.makeTenant(t, team, "--user", alice.name, "--group", "devs"+team.name)
	mayForward := access("create", "", "pods", "portforward", team.home)
	eventually(t, "alice may forward", func() error { return alice.may(t, true, mayForward) })
	// As herself, too, once the group is gone.
	admin.must(t, "revoke", team.name, "--group", "devs"+team.name)
	same(t, "writes", []string{"update rolebindings " + team.home + "/helm-tenant-member"}, writes(admin.requests(t)))
	eventually(t, "the group's member is out", func() error { return bob.may(t, false, mayForward) })
	if err := alice.may(t, true, mayForward); err != nil {
		t.Error(err)
	}
	admin.must(t, "revoke", team.name, "--user", alice.name)
	same(t, "writes", []string{"update rolebindings " + team.home + "/helm-tenant-member"}, writes(admin.requests(t)))
	eventually(t, "alice is out", func() error { return alice.may(t, false, mayForward) })
	for _, question := range []authorizationv1.ResourceAttributes{
		access("list", "", "pods", "", team.home), access("get", "", "configmaps", "", team.home, "helm-tenant"),
	} {
		if err := alice.may(t, false, question); err != nil {
			t.Error(err)
		}
	}
}

func access(verb, group, resource, subresource, namespace string, name ...string) authorizationv1.ResourceAttributes {
	return authorizationv1.ResourceAttributes{Verb: verb, Group: group, Resource: resource, Subresource: subresource, Namespace: namespace, Name: strings.Join(name, "")}
}

// may asks the API server as the user.
func (u *user) may(t *testing.T, want bool, question authorizationv1.ResourceAttributes) error {
	t.Helper()
	review, err := u.AuthorizationV1().SelfSubjectAccessReviews().Create(t.Context(), &authorizationv1.SelfSubjectAccessReview{
		Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &question}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if review.Status.Allowed != want {
		return fmt.Errorf("%s: %s %s/%s %s in namespace %q is allowed: %v", u.name, question.Verb, question.Resource, question.Subresource, question.Name, question.Namespace, review.Status.Allowed)
	}
	return nil
}

// TestMemberRights compares the rules that count for a member with those for
// a user who is no member of anything, namespace by namespace.
func TestMemberRights(t *testing.T) {
	t.Parallel()
	w, team := start(t), newTeam()
	admin := w.admin(t)
	other := newTeam()
	w.makeTenant(t, other)
	nobody := w.newUser(t, "nobody")
	alice := w.newUser(t, "alice")
	bob := w.newUser(t, "bob", "group-"+team.name)
	admin.must(t, initArgs(team, "--user", alice.name, "--group", "group-"+team.name)...)

	given := []rbacv1.PolicyRule{
		{Verbs: []string{"list"}, APIGroups: []string{""}, Resources: []string{"pods"}},
		{Verbs: []string{"create"}, APIGroups: []string{""}, Resources: []string{"pods/portforward"}},
		{Verbs: []string{"get"}, APIGroups: []string{""}, Resources: []string{"configmaps"}, ResourceNames: []string{"helm-tenant"}},
	}
	for _, member := range []*user{alice, bob} {
		eventually(t, "the rules in the home namespace", func() error {
			got := more(member.rules(t, team.home), nobody.rules(t, team.home))
			if len(got) != len(given) {
				return fmt.Errorf("%s has there: %v", member.name, got)
			}
			return nil
		})
		same(t, "in the home namespace "+member.name+" may", texts(given), more(member.rules(t, team.home), nobody.rules(t, team.home)))
		for _, elsewhere := range []string{team.a, team.b, other.home, other.a, "default", "kube-system"} {
			if got := more(member.rules(t, elsewhere), nobody.rules(t, elsewhere)); len(got) > 0 {
				t.Errorf("in namespace %s %s may: %v", elsewhere, member.name, got)
			}
		}
		// By single questions as well, since rules can leave things out.
		for _, question := range []struct {
			yes bool
			authorizationv1.ResourceAttributes
		}{
			{true, access("list", "", "pods", "", team.home)},
			{true, access("create", "", "pods", "portforward", team.home)},
			{true, access("get", "", "configmaps", "", team.home, "helm-tenant")},
			{false, access("get", "", "configmaps", "", team.home, "kube-root-ca.crt")},
			{false, access("list", "", "configmaps", "", team.home)},
			{false, access("update", "", "configmaps", "", team.home, "helm-tenant")},
			{false, access("get", "", "pods", "", team.home)},
			{false, access("get", "", "pods", "portforward", team.home)},
			{false, access("create", "", "pods", "", team.home)},
			{false, access("create", "", "pods", "exec", team.home)},
			{false, access("get", "", "pods", "exec", team.home)},
			{false, access("create", "", "pods", "attach", team.home)},
			{false, access("update", "", "pods", "ephemeralcontainers", team.home)},
			{false, access("get", "", "pods", "proxy", team.home)},
			{false, access("get", "", "pods", "log", team.home)},
			{false, access("delete", "", "pods", "", team.home)},
			{false, access("get", "", "secrets", "", team.home)},
			{false, access("list", "", "secrets", "", team.home)},
			{false, access("create", "", "secrets", "", team.home)},
			{false, access("create", "", "serviceaccounts", "token", team.home, "tiller")},
			{false, access("impersonate", "", "serviceaccounts", "", team.home, "tiller")},
			{false, access("create", "rbac.authorization.k8s.io", "rolebindings", "", team.home)},
			{false, access("update", "apps", "deployments", "", team.home, "tiller-deploy")},
			{false, access("delete", "networking.k8s.io", "networkpolicies", "", team.home, "helm-tenant")},
			{false, access("update", "", "namespaces", "", team.home, team.home)},
			{false, access("create", "", "pods", "portforward", other.home)},
			{false, access("create", "", "pods", "portforward", "")},
			{false, access("list", "", "pods", "", team.a)},
			{false, access("get", "", "namespaces", "", team.a, team.a)},
		} {
			if err := member.may(t, question.yes, question.ResourceAttributes); err != nil {
				t.Error(err)
			}
		}
	}
}

// rules returns those that count for the user in a namespace, as text.
func (u *user) rules(t *testing.T, namespace string) []string {
	t.Helper()
	review, err := u.AuthorizationV1().SelfSubjectRulesReviews().Create(t.Context(), &authorizationv1.SelfSubjectRulesReview{
		Spec: authorizationv1.SelfSubjectRulesReviewSpec{Namespace: namespace}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if review.Status.Incomplete {
		t.Fatalf("the rules are incomplete: %v", review.Status)
	}
	var rules []rbacv1.PolicyRule
	for _, r := range review.Status.ResourceRules {
		rules = append(rules, rbacv1.PolicyRule{Verbs: r.Verbs, APIGroups: r.APIGroups, Resources: r.Resources, ResourceNames: r.ResourceNames})
	}
	for _, r := range review.Status.NonResourceRules {
		rules = append(rules, rbacv1.PolicyRule{Verbs: r.Verbs, NonResourceURLs: r.NonResourceURLs})
	}
	return texts(rules)
}

func texts(rules []rbacv1.PolicyRule) []string {
	out := []string{}
	for _, r := range rules {
		out = append(out, r.String())
	}
	slices.Sort(out)
	return out
}

// more returns the texts that are not among the others.
func more(a, b []string) []string {
	out := slices.DeleteFunc(slices.Clone(a), func(s string) bool { return slices.Contains(b, s) })
	return slices.Compact(out)
}

// TestRevokeNamesTheOtherWays makes ways to a Tiller that a revoke does not
// close, and some that look like one and are none.
func TestRevokeNamesTheOtherWays(t *testing.T) {
	t.Parallel()
	w, team, other := start(t), newTeam(), newTeam()
	w.makeTenant(t, other)
	admin := w.makeTenant(t, team)
	suffix := team.name
	alice, bob, carol := "alice-"+suffix, "bob-"+suffix, "carol-"+suffix
	sa := "ci-" + suffix + ":bot"
	admin.must(t, "grant", team.name, "--user", alice+","+bob+","+carol, "--service-account", sa)

	user := func(name string) rbacv1.Subject {
		return rbacv1.Subject{Kind: "User", APIGroup: rbacv1.GroupName, Name: name}
	}
	group := func(name string) rbacv1.Subject {
		return rbacv1.Subject{Kind: "Group", APIGroup: rbacv1.GroupName, Name: name}
	}
	// Ways.
	w.role(t, team.home, "debug", rule("", "pods/exec", "create"))
	w.bind(t, team.home, "debuggers", "Role", "debug", user(alice), user("someone"))
	w.role(t, "", "forward-"+suffix, rule("", "pods/portforward", "create"))
	w.bind(t, "", "forwarders-"+suffix, "ClusterRole", "forward-"+suffix, user(alice), group("system:serviceaccounts:ci-"+suffix))
	w.bind(t, team.home, "all-edit", "ClusterRole", "edit", group("system:serviceaccounts"))
	w.role(t, team.home, "everyone", rule("", "secrets", "list"))
	w.bind(t, team.home, "everyone", "Role", "everyone", group("system:authenticated"))
	w.bind(t, team.home, "account", "ClusterRole", "admin", rbacv1.Subject{Kind: "ServiceAccount", Namespace: "ci-" + suffix, Name: "bot"})
	w.role(t, team.home, "wildcard", rule("*", "*", "get"))
	w.bind(t, team.home, "wildcard", "Role", "wildcard", user(bob))
	// No way to the deployer: other rights, other namespaces, other people, no such role.
	w.role(t, team.home, "harmless", rule("", "configmaps", "get"), rule("", "pods", "get", "list"), rule("", "pods/log", "get"))
	w.bind(t, team.home, "harmless", "Role", "harmless", user(alice), user(carol))
	w.bind(t, other.home, "other-home", "ClusterRole", "admin", user(alice), user(carol))
	w.bind(t, team.a, "workloads", "ClusterRole", "admin", user(alice), user(carol))
	w.bind(t, team.home, "namesake", "ClusterRole", "admin", group(alice), rbacv1.Subject{Kind: "ServiceAccount", Namespace: team.home, Name: "bot"}, user("bot"))
	w.bind(t, team.home, "no-role", "ClusterRole", "none-"+suffix, user(alice), user(carol))

	r := admin.must(t, "revoke", team.name, "--user", alice+","+bob+","+carol, "--service-account", sa, "-o", "json")
	var membership struct {
		StillIn []struct {
			Subject      string
			Ways, Rights []string
		}
	}
	if err := json.Unmarshal([]byte(r.Stdout), &membership); err != nil {
		t.Fatalf("%v: %v", err, r)
	}
	found, through, rights := map[string][]string{}, map[string]string{}, map[string][]string{}
	for _, s := range membership.StillIn {
		if len(s.Rights) > 0 {
			rights[s.Subject] = s.Rights
		}
		for _, way := range s.Ways {
			binding, _, _ := strings.Cut(way, ":  ")
			parts := strings.Split(binding, " -> ")
			// The way leads through another account, possibly of another test.
			if account := strings.HasPrefix(parts[0], "service account ") && parts[0] != s.Subject; account || len(parts) != 3 {
				through[s.Subject] += way
				continue
			}
			found[s.Subject] = append(found[s.Subject], parts[0]+" -> "+parts[1])
		}
		slices.Sort(found[s.Subject])
	}
	everyone := "group system:authenticated -> RoleBinding everyone"
	same(t, "ways that stay", map[string][]string{
		"user " + alice: {everyone, "user " + alice + " -> ClusterRoleBinding forwarders-" + suffix, "user " + alice + " -> RoleBinding debuggers"},
		"user " + bob:   {everyone, "user " + bob + " -> RoleBinding wildcard"},
		"user " + carol: {everyone},
		"service account " + sa: {
			everyone,
			"group system:serviceaccounts -> RoleBinding all-edit",
			"group system:serviceaccounts:ci-" + suffix + " -> ClusterRoleBinding forwarders-" + suffix,
			"service account " + sa + " -> RoleBinding account",
		},
	}, found)
	direct := func(name string) []string {
		return []string{"user " + name + " -> RoleBinding workloads in namespace " + team.a + " -> ClusterRole admin"}
	}
	same(t, "rights in the tenant's namespaces", map[string][]string{"user " + alice: direct(alice), "user " + carol: direct(carol)}, rights)
	// The other Tiller, which she reaches, may do what every service account may.
	if through["user "+carol] == "" {
		t.Errorf("the way of %s by another Tiller is missing", carol)
	}
	if through["user "+alice] != "" {
		t.Errorf("%s has ways of her own: %q", alice, through["user "+alice])
	}
	// The text says the same.
	text := admin.must(t, "revoke", team.name, "--user", alice)
	for _, word := range []string{"was no member", alice + " can still reach it", alice + " keeps rights in the tenant's namespaces", "debuggers", "forwarders-" + suffix, "everyone", "exec into pods", "port-forward"} {
		if !strings.Contains(text.Stdout+text.Stderr, word) {
			t.Errorf("%q is not said: %v", word, text)
		}
	}
	// The report is true: the API server allows it to them, and not to carol.
	a := w.userNamed(t, alice)
	eventually(t, "alice's way", func() error { return a.may(t, true, access("create", "", "pods", "exec", team.home)) })
	c := w.userNamed(t, carol)
	if err := c.may(t, false, access("create", "", "pods", "portforward", team.home)); err != nil {
		t.Error(err)
	}
}

func (w *world) role(t *testing.T, namespace, name string, rules ...rbacv1.PolicyRule) {
	t.Helper()
	meta := metav1.ObjectMeta{Name: name, Namespace: namespace}
	var err error
	if namespace == "" {
		_, err = w.root.RbacV1().ClusterRoles().Create(t.Context(), &rbacv1.ClusterRole{ObjectMeta: meta, Rules: rules}, metav1.CreateOptions{})
	} else {
		_, err = w.root.RbacV1().Roles(namespace).Create(t.Context(), &rbacv1.Role{ObjectMeta: meta, Rules: rules}, metav1.CreateOptions{})
	}
	if err != nil {
		t.Fatal(err)
	}
}

func (w *world) bind(t *testing.T, namespace, name, kind, role string, subjects ...rbacv1.Subject) {
	t.Helper()
	meta := metav1.ObjectMeta{Name: name, Namespace: namespace}
	ref := rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: kind, Name: role}
	var err error
	if namespace == "" {
		_, err = w.root.RbacV1().ClusterRoleBindings().Create(t.Context(), &rbacv1.ClusterRoleBinding{ObjectMeta: meta, Subjects: subjects, RoleRef: ref}, metav1.CreateOptions{})
	} else {
		_, err = w.root.RbacV1().RoleBindings(namespace).Create(t.Context(), &rbacv1.RoleBinding{ObjectMeta: meta, Subjects: subjects, RoleRef: ref}, metav1.CreateOptions{})
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestOutputOfNames runs the verbs that change one tenant with -o name: standard output has the
// tenant alone, whatever is said beside it.
func TestOutputOfNames(t *testing.T) {
	t.Parallel()
	w, team := start(t), newTeam()
	admin := w.makeTenant(t, team, "--user", "alice")
	for _, args := range [][]string{
		{"grant", team.name, "--user", "bob"},
		{"grant", team.name, "--user", "bob"},
		{"revoke", team.name, "--user", "bob", "--dry-run"},
		{"revoke", team.name, "--user", "bob"},
		{"revoke", team.name, "--expired"},
		{"freeze", team.name, "--reason", "test"},
		{"thaw", team.name},
		{"destroy", team.name, "--dry-run"},
		{"destroy", team.name, "--yes", "--wait=false"},
	} {
		r := admin.must(t, append(args, "-o", "name")...)
		if want := "tenant/" + team.name + "\n"; r.Stdout != want {
			t.Errorf("not %q: %v", want, r)
		}
	}
}

// TestWaysAreNamedBesideNames revokes somebody who keeps another way to the tenant: with -o name
// the warning is on standard error.
func TestWaysAreNamedBesideNames(t *testing.T) {
	t.Parallel()
	w, team := start(t), newTeam()
	admin := w.makeTenant(t, team, "--user", "mallory")
	_, err := w.root.RbacV1().RoleBindings(team.home).Create(t.Context(), &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "own"}, Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: "mallory"}},
		RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "admin"}}, metav1.CreateOptions{})
	must(t, err)
	r := admin.must(t, "revoke", team.name, "--user", "mallory", "-o", "name")
	if r.Stdout != "tenant/"+team.name+"\n" || !strings.Contains(r.Stderr, "user mallory can still reach it") {
		t.Errorf("it says %v", r)
	}
}
