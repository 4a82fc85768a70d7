package faults

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"helm-tenant/test/harness"
)

// admins returns how many work on the same tenant at once. Each is refused about as often as
// there are others, and tries again: the requests are the square of it.
func admins() int {
	if harness.Soak() {
		return 20
	}
	return 8
}

// at runs a command of each admin, all at once; each has to succeed.
func (w *world) at(t *testing.T, what string, command func(admin int) (args, input string)) {
	t.Helper()
	began := time.Now()
	var group sync.WaitGroup
	for i := range admins() {
		group.Go(func() {
			args, input := command(i)
			if err := w.must(w.run(w.direct, w.folder(), input, strings.Fields(args)...)); err != nil {
				t.Errorf("admin %d: %v", i, err)
			}
		})
	}
	group.Wait()
	if t.Failed() {
		t.FailNow()
	}
	t.Logf("%s: %.1fs", what, time.Since(began).Seconds())
}

// hasMembers checks who the users of a tenant are.
func (w *world) hasMembers(t *testing.T, name string, want []string) {
	t.Helper()
	binding, err := w.root.RbacV1().RoleBindings(name+"-tiller").Get(context.Background(), "helm-tenant-member", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var current []string
	for _, s := range binding.Subjects {
		current = append(current, s.Name)
	}
	slices.Sort(current)
	slices.Sort(want)
	if !slices.Equal(current, want) {
		t.Errorf("members of %s:\n%q\nwant:\n%q", name, current, want)
	}
}

// TestManyAdmins has several admins work on the same tenant at once, each on
// members of their own.
func TestManyAdmins(t *testing.T) {
	w := start(t)
	const name, calm = "crowd", "calm0"
	members := map[string]bool{}
	check := func() {
		t.Helper()
		var want []string
		for user, in := range members {
			if in {
				want = append(want, user)
			}
		}
		w.hasMembers(t, name, want)
	}
	own := func(letter string, i int) string { return fmt.Sprintf("%s%02d", letter, i) }
	const second = "init crowd --namespaces crowd-a --create-namespaces --wait=false --user "

	for i := range admins() {
		members[own("u", i)] = true
	}
	w.at(t, "init of a tenant that is not there", func(i int) (string, string) { return second + own("u", i), "" })
	check()

	for i := range admins() {
		members[own("v", i)] = i%2 == 0
		members[own("u", i)] = i%2 == 0
	}
	w.at(t, "grant and revoke", func(i int) (string, string) {
		if i%2 == 0 {
			return "grant crowd --user " + own("v", i), ""
		}
		return "revoke crowd --user " + own("u", i), ""
	})
	check()

	for i := range admins() {
		switch i % 4 {
		case 0, 2:
			members[own("u", i)] = false
		default:
			members[own("x", i)] = true
		}
	}
	w.at(t, "revoke, grant and init again", func(i int) (string, string) {
		switch i % 4 {
		case 0, 2:
			return "revoke crowd --user " + own("u", i), ""
		case 1:
			return "grant crowd --user " + own("x", i), ""
		}
		return second + own("x", i), ""
	})
	check()

	// The result differs only in the members from that of a single admin.
	args := strings.Fields(strings.ReplaceAll(second, name, calm))
	args = args[:len(args)-1]
	for user, in := range members {
		if in {
			args = append(args, "--user", user)
		}
	}
	if err := w.must(w.run(w.direct, w.folder(), "", args...)); err != nil {
		t.Fatal(err)
	}
	w.isLike(t, name, calm)
}

// TestManyAdminsApply: several admins apply tenants files at once. All files have one tenant
// in common, and one of its own each.
func TestManyAdminsApply(t *testing.T) {
	w := start(t)
	const name, calm = "files", "calm1"
	item := func(tenant, role string, users ...string) string {
		return fmt.Sprintf("- name: %s\n  namespaces: [%s-a, %s-b]\n  role: %s\n  members: {users: [%s]}\n", tenant, tenant, tenant, role, strings.Join(users, ", "))
	}
	file := func(items ...string) string {
		return "apiVersion: helm-tenant/v1\ntenants:\n" + strings.Join(items, "")
	}
	mine := func(i int) string { return fmt.Sprintf("own%02d", i) }
	const command = "apply -f - --create-namespaces"

	w.at(t, "apply of tenants that are not there", func(i int) (string, string) {
		return command, file(item(name, "admin", "alice", "bob"), item(mine(i), "admin", "alice"))
	})
	w.hasMembers(t, name, []string{"alice", "bob"})
	w.at(t, "apply of changed tenants", func(i int) (string, string) {
		return command, file(item(name, "edit", "bob", "carol"), item(mine(i), "view", "bob"))
	})
	w.hasMembers(t, name, []string{"bob", "carol"})
	for i := range admins() {
		w.hasMembers(t, mine(i), []string{"bob"})
	}
	if err := w.must(w.run(w.direct, w.folder(), file(item(calm, "edit", "bob", "carol"), item("calm2", "view", "bob")), strings.Fields(command)...)); err != nil {
		t.Fatal(err)
	}
	w.isLike(t, name, calm)
	for i := range admins() {
		w.isLike(t, mine(i), "calm2")
	}
}

// isLike checks that two names have the same objects.
func (w *world) isLike(t *testing.T, name, other string) {
	t.Helper()
	current, err := w.states(context.Background(), name, len(name))
	if err != nil {
		t.Fatal(err)
	}
	want, err := w.states(context.Background(), other, len(other))
	if err != nil {
		t.Fatal(err)
	}
	if err := current[name].differs(want[other]); err != nil {
		t.Errorf("%s: %v", name, err)
	}
}
