package e2e

import (
	"fmt"
	"testing"
)

// TestPeople is the story of those who are let in for less than a member's rights, and of a
// freeze, under Helm 3 and 4: an owner lets a member in, a reader sees what the member
// installed and changes nothing, and a frozen tenant is as it was when it is thawed.
func TestPeople(t *testing.T) {
	t.Parallel()
	majors(t, func(t *testing.T, w *world, major int) {
		team := fmt.Sprintf("people%d", major)
		admin := w.personOf(major, w.cluster.Admin())
		of := func(name string) *person { return w.userOf(major, fmt.Sprint(name, major)) }
		dana, alice, pam := of("dana"), of("alice"), of("pam")
		admin.tenant("init", team, "--namespaces", team+"-1", "--create-namespaces")
		admin.tenant("grant", team, "--owner", "--user", fmt.Sprint("dana", major))
		dana.tenant("grant", team, "--user", fmt.Sprint("alice", major), "--for", "1h", "--reason", "INC-1")
		dana.tenant("grant", team, "--reader", "--user", fmt.Sprint("pam", major), "--accept-risk=reads-secrets")
		dana.fails(1, "helm-tenant-owner", "helm", "tenant", "grant", team, "--owner", "--user", "eve")

		alice.tenant("use", team)
		alice.run("helm", "tenant", "install", "web", chart(t))
		pam.tenant("use", team)
		contains(t, pam.tenant("whoami"), "read: list, get, history, status and dry runs")
		contains(t, pam.run("helm", "tenant", "list"), "web", "deployed")
		contains(t, pam.run("helm", "tenant", "status", "web"), "STATUS: deployed")
		for _, args := range [][]string{{"install", "mine", "/none"}, {"upgrade", "web", "/none"}, {"rollback", "none", "1"}, {"uninstall", "none"}} {
			// Helm would miss the chart, or the release.
			got := pam.fails(1, "you may read", append([]string{"helm", "tenant"}, args...)...)
			lacks(t, got.stdout+got.stderr, "not found", "no such")
		}

		admin.tenant("freeze", team, "--reason", "INC-2: shop is down")
		for _, args := range [][]string{{"install", "mine", chart(t)}, {"upgrade", "web", chart(t), "--set", "a=b"}, {"rollback", "web", "1"}} {
			alice.fails(1, "tenant "+team+" is frozen: INC-2: shop is down", append([]string{"helm", "tenant"}, args...)...)
		}
		contains(t, alice.run("helm", "tenant", "list"), "web", "deployed")
		contains(t, pam.run("helm", "tenant", "list"), "web", "deployed")
		contains(t, alice.tenant("whoami"), "FROZEN", "INC-2: shop is down")
		admin.tenant("thaw", team)
		contains(t, alice.run("helm", "tenant", "upgrade", "web", chart(t), "--set", "a=b"), "REVISION: 2")

		dana.tenant("revoke", team, "--user", fmt.Sprint("alice", major))
		alice.fails(1, "", "helm", "tenant", "list")
		alice.fails(1, "you may not impersonate service account", "helm", "tenant", "whoami")
	})
}

// TestFreezeOfTiller is a freeze of a tenant of Helm 2: everything can be seen, nothing be
// changed, and a thawed Tiller goes on. It has no readers.
func TestFreezeOfTiller(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	admin, alice := w.admin, w.user("ice-alice")
	admin.tenant("init", "ice2", "--namespaces", "ice2-1", "--create-namespaces", "--user", "ice-alice")
	admin.fails(1, "", "helm", "tenant", "grant", "ice2", "--reader", "--user", "pam", "--accept-risk=reads-secrets")
	alice.tenant("use", "ice2")
	alice.run("helm", "tenant", "install", chart(t), "--name", "web")
	admin.tenant("freeze", "ice2", "--reason", "INC-2: shop is down")
	for _, args := range [][]string{{"install", chart(t), "--name", "mine"}, {"upgrade", "web", chart(t), "--set", "a=b"}, {"rollback", "web", "1"}, {"delete", "web"}} {
		alice.fails(1, "tenant ice2 is frozen: INC-2: shop is down", append([]string{"helm", "tenant"}, args...)...)
	}
	contains(t, alice.run("helm", "tenant", "list"), "web", "DEPLOYED")
	contains(t, alice.run("helm", "tenant", "get", "manifest", "web"), "kind: ConfigMap")
	admin.tenant("thaw", "ice2")
	alice.run("helm", "tenant", "upgrade", "web", chart(t), "--set", "a=b")
	contains(t, alice.run("helm", "tenant", "history", "web"), "SUPERSEDED", "DEPLOYED")
	alice.run("helm", "tenant", "delete", "--purge", "web")
}
