package apitest

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// once calls do before it passes on the first matching request, and only that one.
func once(matches func(*http.Request) bool, do func()) hook {
	var first sync.Once
	return func(_ http.ResponseWriter, r *http.Request) bool {
		if matches(r) {
			first.Do(do)
		}
		return false
	}
}

// TestTenantCreatedDuringRead has another admin make the tenant after the
// first one saw that there was none, and before that one looks at single objects.
func TestTenantCreatedDuringRead(t *testing.T) {
	t.Parallel()
	w, team := start(t), newTeam()
	admin := w.admin(t)
	late := admin.through(t, once(func(r *http.Request) bool {
		return r.Method == http.MethodGet && r.URL.Path == "/api/v1/namespaces/"+team.home
	}, func() {
		admin.must(t, "init", team.name, "--namespaces", team.b, "--create-namespaces", "--user", "bob", "--wait=false")
	}))
	late.must(t, "init", team.name, "--namespaces", team.a, "--create-namespaces", "--user", "alice", "--wait=false")
	same(t, "members", []string{"User alice", "User bob"}, w.members(t, team))
	same(t, "namespaces", fmt.Sprint([]string{team.b, team.a}), fmt.Sprint(w.record(t, team)["namespaces"]))
	w.bound(t, team.a, team, "admin")
	w.bound(t, team.b, team, "admin")
}

// TestNamespaceAddedDuringRead: another admin adds a namespace after the first
// one has read the tenant's record and before the bindings are read: the new binding must not
// look obsolete.
func TestNamespaceAddedDuringRead(t *testing.T) {
	t.Parallel()
	w, team := start(t), newTeam()
	admin := w.admin(t)
	admin.must(t, initArgs(team)...)
	var recordsRead sync.Once
	read := make(chan struct{})
	list := func(r *http.Request, resource string) bool {
		return r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "/"+resource) && strings.Contains(r.URL.RawQuery, "labelSelector")
	}
	late := admin.through(t, func(_ http.ResponseWriter, r *http.Request) bool {
		switch {
		case list(r, "configmaps"):
			// The answer is on its way when the next request comes.
			recordsRead.Do(func() { time.AfterFunc(300*time.Millisecond, func() { close(read) }) })
		case list(r, "rolebindings"):
			select {
			case <-read:
			case <-time.After(time.Second): // read in the other order
			}
			admin.must(t, "init", team.name, "--namespaces", team.c, "--create-namespaces", "--wait=false")
		}
		return false
	})
	late.must(t, "init", team.name, "--wait=false")
	w.bound(t, team.c, team, "admin")
	same(t, "namespaces", fmt.Sprint([]string{team.a, team.b, team.c}), fmt.Sprint(w.record(t, team)["namespaces"]))
}

// TestNamespacePrunedDuringWrites: another admin repairs the tenant in the middle of
// the first one's removal of a namespace: the removed objects must not come back.
func TestNamespacePrunedDuringWrites(t *testing.T) {
	t.Parallel()
	w := start(t)
	for _, place := range []string{"rolebindings", "configmaps", "namespaces"} {
		team := newTeam()
		admin := w.makeTenant(t, team)
		slow := admin.through(t, once(func(r *http.Request) bool {
			return isWriteRequest(r) && strings.Contains(r.URL.Path, "/"+place+"/")
		}, func() {
			admin.must(t, "init", team.name, "--wait=false")
		}))
		slow.must(t, "init", team.name, "--namespaces", team.a, "--prune", "--wait=false")
		t.Run("before the write of "+place, func(t *testing.T) {
			w.bound(t, team.a, team, "admin")
			w.bound(t, team.b, team)
			if owner := w.label(t, team.b, "helm-tenant/tenant"); owner != "" {
				t.Errorf("the namespace that was taken away is %q's", owner)
			}
			same(t, "namespaces", fmt.Sprint([]string{team.a}), fmt.Sprint(w.record(t, team)["namespaces"]))
		})
	}
}
