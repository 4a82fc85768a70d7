package apitest

import (
	"context"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestCompletedNames asks as completion scripts do for values that are names in the cluster.
// Other tests' objects are there as well: each word begins with a name of this test's.
func TestCompletedNames(t *testing.T) {
	t.Parallel()
	w, team := start(t), newTeam()
	team.home = team.name + "-helm"
	member, owner := w.newUser(t, "member"), w.newUser(t, "owner")
	member.env = []string{"HELM_BIN=" + w.Bin("helm3")}
	w.makeTenant(t, team, "--engine", "impersonation", "--user", member.name+",zoe;id", "--group", team.name+"-devs")
	admin := w.admin(t)
	admin.must(t, "grant", team.name, "--owner", "--user", owner.name)
	admin.must(t, "grant", team.name, "--reader", "--user", "pam-"+team.name, "--service-account", team.b+":reads", "--accept-risk=reads-secrets")
	w.authorized(t, owner.name, access("get", "rbac.authorization.k8s.io", "rolebindings", "", team.home, "helm-tenant-member"))
	_, err := w.root.CoreV1().ServiceAccounts(team.a).Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "ci"}}, metav1.CreateOptions{})
	must(t, err)
	role := team.name + "-installer"
	_, err = w.root.RbacV1().ClusterRoles().Create(t.Context(), &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: role}}, metav1.CreateOptions{})
	must(t, err)
	t.Cleanup(func() { _ = w.root.RbacV1().ClusterRoles().Delete(context.Background(), role, metav1.DeleteOptions{}) })
	member.must(t, "use", team.name)

	for _, c := range []struct {
		who   *user
		typed string
		want  []string
	}{
		{admin, "init new --namespaces TEAM-", []string{"TEAM-a", "TEAM-b", "TEAM-helm"}},
		{admin, "init new --namespaces TEAM-a,TEAM-", []string{"TEAM-a,TEAM-b", "TEAM-a,TEAM-helm"}},
		{admin, "init new --namespaces=TEAM-b", []string{"TEAM-b"}},
		{admin, "init new --home-namespace TEAM-h", []string{"TEAM-helm"}},
		{admin, "init new --namespaces x,y --default-namespace ", []string{"x", "y"}},
		{admin, "init new --role TEAM", []string{role}},
		{admin, "init new --role system:a", nil},
		{admin, "init new --priority-classes system-n", []string{"system-node-critical"}},
		{admin, "split --from TEAM-h", []string{"TEAM-helm"}},
		{admin, "grant TEAM --service-account TEAM-", []string{"TEAM-a:", "TEAM-b:", "TEAM-helm:"}},
		{admin, "grant TEAM --service-account TEAM-a:c", []string{"TEAM-a:ci"}},
		// A name that a shell would run is left out.
		{admin, "revoke TEAM --user ", []string{member.name, owner.name, "pam-TEAM"}},
		{admin, "revoke TEAM --home-namespace TEAM-helm --user pam", []string{"pam-TEAM"}},
		{admin, "revoke TEAM --group ", []string{"TEAM-devs"}},
		{admin, "revoke TEAM --service-account ", []string{"TEAM-b:reads"}},
		{admin, "revoke nobody-TEAM --user ", nil},
		// An owner may not read who else is one.
		{owner, "revoke TEAM --group ", []string{"TEAM-devs"}},
		{owner, "revoke TEAM --user pam", []string{"pam-TEAM"}},
		{owner, "init new --namespaces TEAM-", nil},
		{member, "revoke TEAM --user ", nil},
		{member, "releases -n ", []string{"TEAM-a", "TEAM-b"}},
		{member, "releases TEAM -n TEAM-b", []string{"TEAM-b"}},
		{member, "releases other -n ", nil},
		{member, "kubeconfig --for-service-account ", []string{"TEAM-a:", "TEAM-b:"}},
		{member, "kubeconfig TEAM --for-service-account TEAM-a:c", []string{"TEAM-a:ci"}},
		{member, "kubeconfig --for-service-account kube-system:", nil},
	} {
		t.Run(c.typed, func(t *testing.T) {
			words := strings.Split(strings.ReplaceAll(c.typed, "TEAM", team.name), " ")
			r := c.who.must(t, append([]string{"__completeNoDesc"}, words...)...)
			var want []string
			for _, word := range c.want {
				want = append(want, strings.ReplaceAll(word, "TEAM", team.name))
			}
			slices.Sort(want)
			directive := ":4" // cobra.ShellCompDirectiveNoFileComp
			if len(want) > 0 && strings.HasSuffix(want[0], ":") {
				directive = ":6" // and no space after it
			}
			if got := strings.Fields(r.Stdout); !slices.Equal(got, append(want, directive)) {
				t.Errorf("got %q, want %q and %s", got, want, directive)
			}
			if r.Stderr != "" {
				t.Errorf("on the screen between the words: %q", r.Stderr)
			}
		})
	}
}
