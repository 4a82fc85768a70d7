package apitest

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// once lets exactly one request that matches wait for do, and passes it on then.
func once(matches func(*http.Request) bool, do func()) hook {
	var first sync.Once
	return func(_ http.ResponseWriter, r *http.Request) bool {
		if matches(r) {
			first.Do(do)
		}
		return false
	}
}

// TestATenantThatIsMadeWhileItIsRead has another admin make the tenant after the
// first one saw that there was none, and before that one looks at single objects.
func TestATenantThatIsMadeWhileItIsRead(t *testing.T) {
	t.Parallel()
	w, of := start(t), newTeam()
	admin := w.admin(t)
	late := admin.through(t, once(func(r *http.Request) bool {
		return r.Method == http.MethodGet && r.URL.Path == "/api/v1/namespaces/"+of.home
	}, func() {
		admin.must(t, "init", of.name, "--namespaces", of.b, "--create-namespaces", "--user", "bob", "--wait=false")
	}))
	late.must(t, "init", of.name, "--namespaces", of.a, "--create-namespaces", "--user", "alice", "--wait=false")
	same(t, "members", []string{"User alice", "User bob"}, w.members(t, of))
	same(t, "namespaces", fmt.Sprint([]string{of.b, of.a}), fmt.Sprint(w.record(t, of)["namespaces"]))
	w.bound(t, of.a, of, "admin")
	w.bound(t, of.b, of, "admin")
}

// TestANamespaceThatIsAddedWhileTheTenantIsRead has another admin add a namespace
// after the first one read the tenant's record, and before that one reads the
// bindings: the new binding must not look like one that nobody wants any more.
func TestANamespaceThatIsAddedWhileTheTenantIsRead(t *testing.T) {
	t.Parallel()
	w, of := start(t), newTeam()
	admin := w.admin(t)
	admin.must(t, initArgs(of)...)
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
			admin.must(t, "init", of.name, "--namespaces", of.c, "--create-namespaces", "--wait=false")
		}
		return false
	})
	late.must(t, "init", of.name, "--wait=false")
	w.bound(t, of.c, of, "admin")
	same(t, "namespaces", fmt.Sprint([]string{of.a, of.b, of.c}), fmt.Sprint(w.record(t, of)["namespaces"]))
}

// TestANamespaceThatIsPrunedWhileOthersWrite has another admin repair the tenant
// before one of the writes of one who takes a namespace away: what is taken away
// must not come back.
func TestANamespaceThatIsPrunedWhileOthersWrite(t *testing.T) {
	t.Parallel()
	w := start(t)
	for _, at := range []string{"rolebindings", "configmaps", "namespaces"} {
		of := newTeam()
		admin := w.makeTenant(t, of)
		slow := admin.through(t, once(func(r *http.Request) bool {
			return isWriteRequest(r) && strings.Contains(r.URL.Path, "/"+at+"/")
		}, func() {
			admin.must(t, "init", of.name, "--wait=false")
		}))
		slow.must(t, "init", of.name, "--namespaces", of.a, "--prune", "--wait=false")
		t.Run("before the write of "+at, func(t *testing.T) {
			w.bound(t, of.a, of, "admin")
			w.bound(t, of.b, of)
			if owner := w.label(t, of.b, "helm-tenant/tenant"); owner != "" {
				t.Errorf("the namespace that was taken away is %q's", owner)
			}
			same(t, "namespaces", fmt.Sprint([]string{of.a}), fmt.Sprint(w.record(t, of)["namespaces"]))
		})
	}
}
