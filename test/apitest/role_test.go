package apitest

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"

	"helm-tenant/test/harness"
)

// TestRoleChange watches the bindings of a tenant's namespaces
// while its role changes. The API server tells every change there is, in order:
// so the states between them are all that ever were.
func TestRoleChange(t *testing.T) {
	t.Parallel()
	w := start(t)
	custom := newTeam().name + "-deployer" // a name that no other test's role has
	w.role(t, "", custom, rule("apps", "deployments", "*"), rule("example.com", "widgets", "*"))
	for _, c := range []struct {
		from, to string
		// both reports whether both roles have to stand for a moment, so that there
		// is always one, or whether they never may at once.
		both bool
	}{
		{"admin", "edit", true},
		{"edit", "admin", true},
		{"admin", "view", true},
		{"edit", custom, false},
		{custom, "admin", false},
	} {
		t.Run(c.from+" to "+c.to, func(t *testing.T) {
			team := newTeam()
			admin := w.admin(t)
			admin.must(t, initArgs(team, "--role", c.from)...)
			namespaces := []string{team.a, team.b}
			histories := map[string]*history{}
			for _, ns := range namespaces {
				histories[ns] = w.watchBindings(t, ns)
			}
			admin.requests(t)
			admin.must(t, "init", team.name, "--role", c.to, "--wait=false")
			for _, ns := range namespaces {
				states := histories[ns].until(t, func(roles []string) bool { return slices.Equal(roles, []string{c.to}) }, team)
				want := [][]string{{c.from}, {}, {c.to}}
				if c.both {
					both := []string{c.from, c.to}
					slices.Sort(both)
					want = [][]string{{c.from}, both, {c.to}}
				}
				same(t, "roles in namespace "+ns+", one state after another", want, states)
				w.bound(t, ns, team, c.to)
			}
			same(t, "writes", lines(fmt.Sprintf(`
				create rolebindings %[1]s/helm-tenant.%[3]s.%[5]s
				create rolebindings %[2]s/helm-tenant.%[3]s.%[5]s
				delete rolebindings %[1]s/helm-tenant.%[3]s.%[4]s
				delete rolebindings %[2]s/helm-tenant.%[3]s.%[4]s
				update configmaps %[6]s/helm-tenant
			`, team.a, team.b, team.name, c.from, c.to, team.home)), writes(admin.requests(t)))
			if got := w.record(t, team)["role"]; got != c.to {
				t.Errorf("the record has the role %v", got)
			}
			second := w.admin(t)
			second.must(t, "init", team.name, "--role", c.to, "--wait=false")
			second.wroteNothing(t)
		})
	}
}

// history is what happens to the RoleBindings of a namespace.
type history struct {
	bindings map[string]rbacv1.RoleBinding
	events   watch.Interface
}

func (w *world) watchBindings(t *testing.T, namespace string) *history {
	t.Helper()
	list, err := w.root.RbacV1().RoleBindings(namespace).List(t.Context(), metav1.ListOptions{})
	must(t, err)
	h := &history{bindings: map[string]rbacv1.RoleBinding{}}
	for _, b := range list.Items {
		h.bindings[b.Name] = b
	}
	h.events, err = w.root.RbacV1().RoleBindings(namespace).Watch(t.Context(), metav1.ListOptions{ResourceVersion: list.ResourceVersion})
	must(t, err)
	t.Cleanup(h.events.Stop)
	return h
}

// until plays the events and returns the roles that were bound, state after
// state, up to the one that is final. Every binding must bind the team's
// deployer, and nobody else, in every state.
func (h *history) until(t *testing.T, final func(roles []string) bool, team team) [][]string {
	t.Helper()
	states := [][]string{h.roles(t, team)}
	timeout := time.After(harness.Patience)
	for !final(states[len(states)-1]) {
		select {
		case event := <-h.events.ResultChan():
			b, isBinding := event.Object.(*rbacv1.RoleBinding)
			if !isBinding {
				t.Fatalf("the watch broke: %v", event)
			}
			if event.Type == watch.Deleted {
				delete(h.bindings, b.Name)
			} else {
				h.bindings[b.Name] = *b
			}
			states = append(states, h.roles(t, team))
		case <-timeout:
			t.Fatalf("the states never come to their end: %v", states)
		}
	}
	return states
}

func (h *history) roles(t *testing.T, team team) []string {
	t.Helper()
	roles := []string{}
	for _, b := range h.bindings {
		if len(b.Subjects) != 1 || b.Subjects[0] != (rbacv1.Subject{Kind: "ServiceAccount", Namespace: team.home, Name: "tiller"}) {
			t.Errorf("binding %s lets in %v", b.Name, b.Subjects)
		}
		roles = append(roles, b.RoleRef.Name)
	}
	slices.Sort(roles)
	return roles
}

func TestMissingRole(t *testing.T) {
	t.Parallel()
	w, team := start(t), newTeam()
	admin := w.admin(t)
	admin.fails(t, 1, []string{`init of tenant "`, "ClusterRole", "no-such-role", "does not exist", "choose another --role"}, initArgs(team, "--role", "no-such-role")...)
	admin.fails(t, 2, []string{"a/b"}, initArgs(team, "--role", "a/b")...)
	admin.wroteNothing(t)
	// A role's name may be as long as it likes, and the binding's that holds it too.
	long := team.name + strings.Repeat("x", 253-len(team.name))
	w.role(t, "", long, rule("", "pods", "get"))
	admin.must(t, initArgs(team, "--role", long)...)
	w.bound(t, team.a, team, long)
}
