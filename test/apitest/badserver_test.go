package apitest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"helm-tenant/test/harness"
)

// answer ends a request with an error as the API server words it.
func answer(w http.ResponseWriter, code int, reason metav1.StatusReason, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(metav1.Status{ // a client that is gone gets no answer
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"},
		Status:   metav1.StatusFailure, Code: int32(code), Reason: reason, Message: message,
	})
}

// faults are what can come instead of an answer.
var faults = map[string]hook{
	"403": func(w http.ResponseWriter, _ *http.Request) bool {
		answer(w, 403, metav1.StatusReasonForbidden, "a webhook says no")
		return true
	},
	"409": func(w http.ResponseWriter, _ *http.Request) bool {
		answer(w, 409, metav1.StatusReasonConflict, "the object has been modified")
		return true
	},
	"500": func(w http.ResponseWriter, _ *http.Request) bool {
		answer(w, 500, metav1.StatusReasonInternalError, "etcdserver: request timed out")
		return true
	},
	"503": func(w http.ResponseWriter, _ *http.Request) bool {
		w.WriteHeader(503) // of a load balancer: no Status
		_, _ = w.Write([]byte("<html><body>no server is available</body></html>"))
		return true
	},
	"429": func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("Retry-After", "1")
		answer(w, 429, metav1.StatusReasonTooManyRequests, "too many requests, please try again later")
		return true
	},
	"cut": func(_ http.ResponseWriter, _ *http.Request) bool {
		panic(http.ErrAbortHandler) // closes the connection
	},
	"login page": func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte("<html><body>log in first</body></html>"))
		return true
	},
}

// on returns a hook that applies fault to matching requests.
func on(matches func(*http.Request) bool, fault hook) hook {
	return func(w http.ResponseWriter, r *http.Request) bool {
		return matches(r) && fault(w, r)
	}
}

func TestNobodyListens(t *testing.T) {
	t.Parallel()
	w, team := start(t), newTeam()
	address := closedPort(t)
	u := w.admin(t).at(t, "https://"+address)
	for _, command := range [][]string{
		initArgs(team),
		initArgs(team, "--dry-run"),
		{"grant", team.name, "--user", "alice"},
		{"revoke", team.name, "--user", "alice"},
		{"use", team.name},
		{"whoami"},
	} {
		r := u.fails(t, 1, []string{`context "test"`, address, "refused"}, command...)
		if r.Took > time.Minute {
			t.Errorf("it took %v: %v", r.Took, r)
		}
	}
	// whoami knows the tenant without a server, but not whether its Tiller is ready.
	u.env = []string{"HELM_TENANT=" + team.name}
	r := u.run(t, "whoami")
	if r.Code != 1 || !strings.Contains(r.Stdout, team.home) || !strings.Contains(r.Stderr, "refused") {
		t.Errorf("whoami without a server: %v", r)
	}
}

func TestNoKubernetes(t *testing.T) {
	t.Parallel()
	w, team := start(t), newTeam()
	u := w.admin(t).through(t, faults["login page"])
	for _, command := range [][]string{
		initArgs(team),
		{"grant", team.name, "--user", "alice"},
		{"revoke", team.name, "--user", "alice"},
		{"use", team.name},
	} {
		u.fails(t, 1, []string{`context "test"`}, command...)
	}
	nobody := w.admin(t).through(t, func(rw http.ResponseWriter, _ *http.Request) bool {
		answer(rw, 401, metav1.StatusReasonUnauthorized, "Unauthorized")
		return true
	})
	for _, command := range [][]string{initArgs(team), {"grant", team.name, "--user", "alice"}, {"use", team.name}} {
		nobody.fails(t, 1, []string{"credentials", "not accepted", `context "test"`}, command...)
	}
}

// TestNetworkFaults has init meet one fault, at its first request, its third
// and so on: of each kind in turn.
func TestNetworkFaults(t *testing.T) {
	t.Parallel()
	w, reference := start(t), newTeam()
	admin := w.admin(t)
	var total atomic.Int64
	counting := admin.through(t, func(http.ResponseWriter, *http.Request) bool {
		total.Add(1)
		return false
	})
	counting.must(t, initArgs(reference)...)
	want := w.dump(t, reference)
	kinds := []string{"403", "500", "cut", "409", "503"}
	for n := int64(0); n < total.Load(); n += 2 {
		team, fault := newTeam(), kinds[n/2%int64(len(kinds))]
		var seen atomic.Int64
		var hit string
		u := admin.through(t, on(func(r *http.Request) bool {
			if seen.Add(1) != n+1 {
				return false
			}
			hit = r.Method + " " + strings.ReplaceAll(r.URL.Path, team.name, "TEAM")
			return true
		}, faults[fault]))
		r := u.run(t, initArgs(team)...)
		if seen.Load() <= n {
			continue // this time it needed fewer
		}
		what := fmt.Sprintf("%s at request %d, %s", fault, n+1, hit)
		if r.Code != 0 {
			t.Run(what, func(t *testing.T) { complains(t, r, 1, team.name, `context "test"`) })
			admin.must(t, initArgs(team)...)
		}
		same(t, what+": the tenant", want, w.dump(t, team))
	}
}

// TestWriteThatAlwaysConflicts is not tried for ever, and says how far it got.
func TestWriteThatAlwaysConflicts(t *testing.T) {
	t.Parallel()
	w, reference := start(t), newTeam()
	w.admin(t).must(t, initArgs(reference)...)
	want := w.dump(t, reference)
	for fault, words := range map[string][]string{
		"403":        {"a webhook says no"},
		"500":        {"etcdserver: request timed out"},
		"429":        {"429", "overloaded", "later"},
		"cut":        {"can't be reached"},
		"login page": {},
	} {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			team := newTeam()
			admin := w.admin(t)
			u := admin.through(t, on(func(r *http.Request) bool {
				return isWriteRequest(r) && strings.HasSuffix(r.URL.Path, "/deployments")
			}, faults[fault]))
			u.fails(t, 1, append(words, team.name, `context "test"`, "Deployment tiller-deploy", "12 of 13 writes were made", "same command again"), initArgs(team)...)
			admin.must(t, initArgs(team)...)
			same(t, "the tenant", want, w.dump(t, team))
		})
	}
}

// TestMembersAndABadServer holds grant and revoke to the same.
func TestMembersAndABadServer(t *testing.T) {
	t.Parallel()
	w := start(t)
	for fault, words := range map[string][]string{
		"403": {"a webhook says no"},
		"409": {"others kept changing"},
		"500": {"etcdserver: request timed out"},
		"cut": {"can't be reached"},
	} {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			team := newTeam()
			admin := w.makeTenant(t, team, "--user", "stays,leaves")
			u := admin.through(t, on(func(r *http.Request) bool { return isWriteRequest(r) }, faults[fault]))
			grant := u.launch(t, "grant", team.name, "--user", "comes")
			revoke := u.launch(t, "revoke", team.name, "--user", "leaves")
			for _, p := range []*running{grant, revoke} {
				r := <-p.ended
				complains(t, r, 1, append(words, team.name, `context "test"`)...)
				if r.Took > 3*time.Minute {
					t.Errorf("it took %v", r.Took)
				}
			}
			same(t, "members", []string{"User leaves", "User stays"}, w.members(t, team))
			// If the command prints "can no longer use", it must be true.
			admin.must(t, "grant", team.name, "--user", "comes")
			admin.must(t, "revoke", team.name, "--user", "leaves")
			same(t, "members", []string{"User comes", "User stays"}, w.members(t, team))
		})
	}
}

// TestOverloadedServer asks to come back later, once for each request.
func TestOverloadedServer(t *testing.T) {
	t.Parallel()
	w, team := start(t), newTeam()
	var first atomic.Bool
	u := w.admin(t).through(t, on(func(r *http.Request) bool { return isWriteRequest(r) && first.CompareAndSwap(false, true) }, faults["429"]))
	r := u.must(t, initArgs(team)...)
	if r.Took < time.Second {
		t.Errorf("it came back after %v, and was asked to wait a second", r.Took)
	}
	always := w.admin(t).through(t, faults["429"])
	r = always.fails(t, 1, []string{"429", "overloaded", `context "test"`, "later"}, initArgs(team)...)
	if r.Took > 3*time.Minute {
		t.Errorf("it took %v: %v", r.Took, r)
	}
}

// TestSlowServer answers a request later than --request-timeout allows.
func TestSlowServer(t *testing.T) {
	t.Parallel()
	w, team := start(t), newTeam()
	admin := w.makeTenant(t, team, "--user", "alice")
	for what, c := range map[string]struct {
		slow    func(*http.Request) bool
		command []string
	}{
		"reading":  {func(r *http.Request) bool { return r.Method == http.MethodGet }, initArgs(team, "--request-timeout", "300ms")},
		"writing":  {isWriteRequest, []string{"init", team.name, "--replicas", "2", "--wait=false", "--request-timeout", "300ms"}},
		"granting": {isWriteRequest, []string{"grant", team.name, "--user", "bob", "--request-timeout", "300ms"}},
		"using":    {func(*http.Request) bool { return true }, []string{"use", team.name, "--request-timeout", "300ms"}},
	} {
		u := admin.through(t, on(c.slow, func(_ http.ResponseWriter, r *http.Request) bool {
			hang(r)
			return true
		}))
		r := u.fails(t, 1, []string{`context "test"`, "request-timeout"}, c.command...)
		if r.Took > time.Minute {
			t.Errorf("%s: it took %v: %v", what, r.Took, r)
		}
	}
	// Slow, but not too slow.
	slow := admin.through(t, func(http.ResponseWriter, *http.Request) bool {
		time.Sleep(30 * time.Millisecond)
		return false
	})
	slow.must(t, initArgs(team, "--request-timeout", "10s")...)
}

// interrupt sends the signal and checks that the command ends at once.
func (p *running) interrupt(t *testing.T, signal os.Signal) harness.Result {
	t.Helper()
	sent := time.Now()
	must(t, p.cmd.Process.Signal(signal))
	select {
	case r := <-p.ended:
		if took := time.Since(sent); took > 25*time.Second { // a watch or a request would last longer
			t.Errorf("after the signal it took %v to end: %v", took, r)
		}
		return r
	case <-time.After(harness.Patience):
		must(t, p.cmd.Process.Kill())
		t.Fatalf("it does not end: %v", <-p.ended)
	}
	return harness.Result{}
}

func TestInterruptedWhileItWaits(t *testing.T) {
	t.Parallel()
	w := start(t)
	for _, signal := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
		team := newTeam()
		admin := w.admin(t)
		p := admin.launch(t, "init", team.name, "--namespaces", team.a, "--create-namespaces")
		p.says(t, "Tiller: ")
		w.tillerPod(t, team)
		p.says(t, "waits for scheduler")
		r := p.interrupt(t, signal)
		complains(t, r, 1, team.home, "not ready", "interrupted", "tenant is written", "same command again")
	}
}

func TestNotReadyInTime(t *testing.T) {
	t.Parallel()
	w, team := start(t), newTeam()
	r := w.admin(t).fails(t, 1, []string{team.home, "not ready in time: ", "tenant is written"},
		"init", team.name, "--namespaces", team.a, "--create-namespaces", "--timeout", "1500ms")
	if r.Took > time.Minute {
		t.Errorf("it took %v: %v", r.Took, r)
	}
}

// TestTheWaitEndsWhenTillerIsReady: when the Deployment says that it is rolled out.
func TestTheWaitEndsWhenTillerIsReady(t *testing.T) {
	t.Parallel()
	w, team := start(t), newTeam()
	p := w.admin(t).launch(t, "init", team.name, "--namespaces", team.a, "--create-namespaces")
	p.says(t, "Tiller: ")
	w.makeReady(t, team)
	select {
	case r := <-p.ended:
		if r.Code != 0 || !strings.Contains(r.Stdout, "tenant "+team.name+" is ready") {
			t.Errorf("it is ready: %v", r)
		}
	case <-time.After(harness.Patience):
		must(t, p.cmd.Process.Kill())
		t.Fatalf("it does not see that Tiller is ready: %v", <-p.ended)
	}
}

// TestTheServerGoesWhileItWaits cuts every watch and answers no other request.
func TestTheServerGoesWhileItWaits(t *testing.T) {
	t.Parallel()
	w, team := start(t), newTeam()
	var removed atomic.Bool
	var cuts atomic.Int64
	u := w.admin(t).through(t, func(_ http.ResponseWriter, r *http.Request) bool {
		if removed.Load() || r.URL.Query().Get("watch") != "" && cuts.Add(-1) >= 0 {
			panic(http.ErrAbortHandler)
		}
		return false
	})
	p := u.launch(t, "init", team.name, "--namespaces", team.a, "--create-namespaces", "--timeout", "5s")
	p.says(t, "Tiller: ")
	removed.Store(true)
	r := <-p.ended
	complains(t, r, 1, team.home, "not ready in time")
	if r.Took > 2*time.Minute {
		t.Errorf("it took %v: %v", r.Took, r)
	}
	// A server that is back is seen.
	removed.Store(false)
	cuts.Store(4)
	second := u.launch(t, "init", team.name)
	second.says(t, "Tiller: ")
	eventually(t, "watches that were cut are tried again", func() error {
		if cuts.Load() > 0 {
			return fmt.Errorf("%d cuts are left", cuts.Load())
		}
		return nil
	})
	w.makeReady(t, team)
	if r := <-second.ended; r.Code != 0 {
		t.Errorf("after its watches were cut it does not see that Tiller is ready: %v", r)
	}
}

// TestInterruptedWhileTheServerHangs is about requests without a limit.
func TestInterruptedWhileTheServerHangs(t *testing.T) {
	t.Parallel()
	w, team := start(t), newTeam()
	admin := w.makeTenant(t, team)
	for _, c := range []struct {
		matches func(*http.Request) bool
		command []string
	}{
		{func(*http.Request) bool { return true }, initArgs(team)},
		{isWriteRequest, []string{"init", team.name, "--replicas", "2", "--wait=false"}},
		{isWriteRequest, []string{"grant", team.name, "--user", "bob"}},
		{func(*http.Request) bool { return true }, []string{"use", team.name}},
	} {
		reached := make(chan struct{}, 100)
		u := admin.through(t, on(c.matches, func(_ http.ResponseWriter, r *http.Request) bool {
			reached <- struct{}{}
			hang(r)
			return true
		}))
		p := u.launch(t, append(slices.Clone(c.command), "--request-timeout", "0")...)
		select {
		case <-reached:
		case r := <-p.ended:
			t.Fatalf("it ended: %v", r)
		}
		r := p.interrupt(t, os.Interrupt)
		complains(t, r, 1, `context "test"`, "interrupted")
	}
}

// TestLostAnswer lets every write reach the API server once, and cuts
// the connection instead of answering.
func TestLostAnswer(t *testing.T) {
	t.Parallel()
	w, reference, team := start(t), newTeam(), newTeam()
	admin := w.admin(t)
	admin.must(t, initArgs(reference)...)
	var mutex sync.Mutex
	lost := map[string]bool{}
	u := admin.through(t, func(_ http.ResponseWriter, r *http.Request) bool {
		if !isWriteRequest(r) {
			return false
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		mutex.Lock()
		second := lost[r.Method+r.URL.Path+string(body)]
		lost[r.Method+r.URL.Path+string(body)] = true
		mutex.Unlock()
		if second {
			return false
		}
		err = w.root.CoreV1().RESTClient().Verb(r.Method).AbsPath(r.URL.Path).SetHeader("Content-Type", r.Header.Get("Content-Type")).Body(body).Do(r.Context()).Error()
		if err != nil {
			t.Errorf("%s %s: %v", r.Method, r.URL.Path, err)
		}
		panic(http.ErrAbortHandler)
	})
	r := u.must(t, initArgs(team)...)
	if !strings.Contains(r.Stdout, "tenant "+team.name+" is written") {
		t.Errorf("it does not say that the tenant is written: %v", r)
	}
	same(t, "the tenant", w.dump(t, reference), w.dump(t, team))
	// Grants and revokes, too.
	if r := u.must(t, "grant", team.name, "--user", "bob"); !strings.Contains(r.Stdout, "user bob can now use") {
		t.Errorf("a grant that was made: %v", r)
	}
	if r := u.must(t, "revoke", team.name, "--user", "alice"); !strings.Contains(r.Stdout, "user alice can no longer use") {
		t.Errorf("a revoke that was made: %v", r)
	}
	same(t, "members", []string{"User bob"}, w.members(t, team))
}
