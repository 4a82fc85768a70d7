package apitest

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"helm-tenant/test/records"
)

// rancherPath is the path under which a proxy such as Rancher serves a cluster's API.
const rancherPath = "/k8s/clusters/c-1"

// route is a way to the API server that counts what goes along it.
type route struct {
	mu       sync.Mutex
	requests []string
	problems []string
}

// take returns the requests since the last call, sorted.
func (r *route) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	taken := r.requests
	r.requests = nil
	slices.Sort(taken)
	return taken
}

// nextPage marks the request of a list's further page.
const nextPage = ", next page"

// withoutOthers returns the requests that do not depend on what other tests create meanwhile:
// without those about other tenants' namespaces, and without those of further pages.
func withoutOthers(requests []string, team team) []string {
	return slices.DeleteFunc(requests, func(request string) bool {
		_, after, inNamespace := strings.Cut(request, "/namespaces/")
		namespace, _, _ := strings.Cut(after, "/")
		return strings.HasSuffix(request, nextPage) || inNamespace && !strings.HasPrefix(namespace, team.name+"-")
	})
}

// behind returns the user with a kubeconfig for a proxy that serves the API under a path, as
// Rancher does, and the proxy. Requests outside the path are answered with 404, as Rancher
// does. hold is called before a request is passed on; it may answer the request itself.
func (u *user) behind(t *testing.T, hold hook) (*user, *route) {
	t.Helper()
	way := &route{}
	through := u.through(t, func(w http.ResponseWriter, r *http.Request) bool {
		path, inside := strings.CutPrefix(r.URL.Path, rancherPath)
		if !inside {
			way.mu.Lock()
			way.problems = append(way.problems, r.Method+" "+r.URL.Path)
			way.mu.Unlock()
			http.NotFound(w, r)
			return true
		}
		r.URL.Path, r.URL.RawPath = path, ""
		if hold != nil && hold(w, r) {
			return true
		}
		way.mu.Lock()
		defer way.mu.Unlock()
		request := r.Method + " " + path
		if r.URL.Query().Has("continue") {
			request += nextPage
		}
		way.requests = append(way.requests, request)
		return false
	})
	t.Cleanup(func() {
		for _, problem := range way.problems {
			t.Errorf("a request beside the cluster's path: %s", problem)
		}
	})
	text, err := os.ReadFile(through.kubeconfig)
	must(t, err)
	before, after, found := strings.Cut(string(text), "server: http://")
	address, rest, _ := strings.Cut(after, "\n")
	if !found {
		t.Fatalf("the kubeconfig has no server:\n%s", text)
	}
	must(t, os.WriteFile(through.kubeconfig, []byte(before+"server: http://"+address+rancherPath+"\n"+rest), 0o600))
	return through, way
}

// counted is a verb, how many requests it makes at most for a tenant of two namespaces,
// and how many more for each further one.
type counted struct {
	command    string
	most, each int
}

// verbsCounted are typed in this order. TEAM is the tenant, ENGINE its engine, NAMESPACES
// its namespaces and FILE what export wrote.
var verbsCounted = []counted{
	// A namespace and a binding are created, and looked for before.
	{"init TEAM --engine ENGINE --namespaces NAMESPACES --create-namespaces --user alice --wait=false", 55, 4},
	{"init TEAM --wait=false", 21, 0},
	{"init TEAM --user alice,bob --wait=false --dry-run", 20, 0},
	{"describe TEAM", 39, 0}, // members may read neither lists nor namespaces: the home is asked for by name
	{"tenants", 17, 0},
	{"releases TEAM", 8, 0},
	{"audit TEAM", 54, 0}, // the records of Tillers come in small pages,
	{"audit", 54, 0},      // and quotas and limits, if a tenant has them
	{"export TEAM", 17, 0},
	{"export", 17, 0},
	{"apply -f FILE", 21, 0},
	{"apply -f FILE --dry-run", 20, 0},
	{"grant TEAM --user carol", 12, 0},
	{"revoke TEAM --user carol", 41, 0},
	{"prove TEAM", 73, 11},            // each attempt is a request
	{"freeze TEAM --reason x", 90, 1}, // it tries until the policy is enforced: some 65 requests on idle processors
	{"thaw TEAM", 60, 1},
	{"use TEAM", 6, 0},
	{"migrate TEAM --dry-run", 36, 2}, // the records and quotas of each namespace
	{"destroy TEAM --yes --keep-releases --wait=false", 175, 8},
}

// TestRequests counts the requests of each verb on a cluster behind a proxy: nothing is
// asked for one by one that a list answers. It runs alone, so that nothing is read again
// because of others.
func TestRequests(t *testing.T) {
	w := start(t)
	for _, engine := range []string{"tiller", "impersonation"} {
		for _, size := range []int{2, 12} {
			t.Run(fmt.Sprintf("%s/%d", engine, size), func(t *testing.T) { w.countRequests(t, engine, size) })
		}
	}
}

func (w *world) countRequests(t *testing.T, engine string, size int) {
	t.Helper()
	team := newTeam()
	admin, way := w.withHelm3(t).behind(t, nil)
	var namespaces []string
	for i := range size {
		namespaces = append(namespaces, fmt.Sprintf("%s-n%d", team.name, i))
	}
	folder := t.TempDir()
	file := filepath.Join(folder, "tenants.yaml")
	for _, c := range verbsCounted {
		args := strings.Fields(strings.NewReplacer("TEAM", team.name, "ENGINE", engine, "NAMESPACES", strings.Join(namespaces, ","), "FILE", file).Replace(c.command))
		if args[0] == "migrate" {
			if engine != "tiller" {
				continue
			}
			for i := range 20 * size {
				w.stored(t, team, records.Release{Name: fmt.Sprintf("r%d", i), Namespace: namespaces[i%size], Revision: 1, Status: "DEPLOYED"})
			}
		}
		if args[0] == "destroy" {
			args = append(args, "--backup", filepath.Join(folder, "backup.yaml"))
		}
		r := admin.run(t, args...)
		if r.Code != 0 && (args[0] != "audit" || r.Code != 4) {
			t.Fatalf("it failed: %v", r)
		}
		if c.command == "export TEAM" {
			must(t, os.WriteFile(file, []byte(r.Stdout), 0o644))
		}
		created := slices.CompactFunc(way.take(), func(a, b string) bool { // asked again until a right, the guard and the policy of records are in force
			return a == b && (strings.HasSuffix(a, "/subjectaccessreviews") || args[0] == "init" && strings.HasPrefix(a, "POST ") && (strings.HasSuffix(a, "/services") || strings.HasSuffix(a, "/secrets")))
		})
		t.Logf("%s: %d requests", c.command, len(created))
		limit := c.most + (size-2)*c.each
		if engine == "impersonation" && (args[0] == "describe" || args[0] == "releases") {
			limit += 2 * (size - 2) // a namespace's records are listed in it, in Secrets and ConfigMaps
		}
		if len(created) > limit {
			t.Errorf("%s makes %d requests for %d namespaces, and %d are enough:\n%s", c.command, len(created), size, limit, strings.Join(created, "\n"))
		}
	}
}

// TestTheWrapperMakesNoRequest is about what runs before helm does.
func TestTheWrapperMakesNoRequest(t *testing.T) {
	t.Parallel()
	w, team := start(t), newTeam()
	w.makeTenant(t, team, "--engine", "impersonation")
	u, way := w.admin(t).behind(t, nil)
	helm := filepath.Join(t.TempDir(), "helm")
	must(t, os.WriteFile(helm, []byte("#!/bin/sh\necho v3.22.0 \"$@\"\n"), 0o755))
	u.env = append(u.env, "HELM_BIN="+helm)
	u.must(t, "use", team.name)
	if len(way.take()) == 0 {
		t.Fatal("no request went through the proxy")
	}
	for _, args := range [][]string{{"list"}, {"upgrade", "--install", "web", "chart", "--namespace", team.b}, {"--tenant", team.name, "status", "web"}, {"help"}} {
		u.must(t, args...)
		if created := way.take(); len(created) > 0 {
			t.Errorf("%v: requests before helm: %v", args, created)
		}
	}
}

// distant are verbs for a tenant that exists, and change nothing that the next reads.
func distant(team team) [][]string {
	return [][]string{
		{"tenants"}, {"describe", team.name}, {"releases", team.name}, {"export", team.name}, {"audit", team.name}, {"init", team.name, "--wait=false", "--dry-run"},
		{"grant", team.name, "--user", "dave", "--dry-run"}, {"freeze", team.name, "--reason", "x", "--dry-run"}, {"prove", team.name},
	}
}

// TestSlowAPIServer: each request takes half a second, so that a run takes longer than
// --request-timeout, which limits one request.
func TestSlowAPIServer(t *testing.T) {
	t.Parallel()
	w, team := start(t), newTeam()
	u, _ := w.withHelm3(t).behind(t, func(http.ResponseWriter, *http.Request) bool {
		time.Sleep(time.Second)
		return false
	})
	timeout := []string{"--request-timeout", "30s"}
	created := u.must(t, "init", team.name, "--engine", "impersonation", "--namespaces", team.a+","+team.b, "--create-namespaces", "--user", "alice", "--request-timeout", "12s")
	if created.Took < 12*time.Second {
		t.Errorf("it took %v, which shows nothing: %v", created.Took, created)
	}
	for _, args := range [][]string{{"tenants"}, {"describe", team.name}, {"audit", team.name}, {"grant", team.name, "--user", "dave"}} {
		r := u.run(t, append(args, timeout...)...)
		if r.Code != 0 && r.Code != 4 {
			t.Errorf("it failed: %v", r)
		}
	}
}

// TestSlowPage is longer in coming than a request may take, where it has many objects.
func TestSlowPage(t *testing.T) {
	t.Parallel()
	w, team := start(t), newTeam()
	w.makeTenant(t, team, "--engine", "impersonation")
	var mu sync.Mutex
	slow := 0
	u, _ := w.withHelm3(t).behind(t, func(_ http.ResponseWriter, r *http.Request) bool {
		limit, _ := strconv.Atoi(r.URL.Query().Get("limit"))
		if limit < 1000 || r.URL.Path != "/api/v1/namespaces" && r.URL.Path != "/apis/rbac.authorization.k8s.io/v1/rolebindings" {
			return false
		}
		mu.Lock()
		slow++
		mu.Unlock()
		select {
		case <-r.Context().Done():
		case <-time.After(25 * time.Second):
		}
		return false
	})
	for _, args := range [][]string{{"tenants"}, {"describe", team.name}} {
		r := u.run(t, append(args, "--request-timeout", "20s")...)
		if r.Code != 0 && r.Code != 4 {
			t.Errorf("a slow page ends it: %v", r)
		}
	}
	if slow == 0 {
		t.Error("no page was slow")
	}
}

// TestThrottledAPIServer: the server lets few requests a second pass, and answers the others
// with 429 and Retry-After. The number of requests that pass is the same as without throttling,
// except for those about other tests' tenants.
func TestThrottledAPIServer(t *testing.T) {
	t.Parallel()
	w, team := start(t), newTeam()
	w.makeTenant(t, team, "--engine", "impersonation")
	direct, free := w.withHelm3(t).behind(t, nil)
	var mu sync.Mutex
	second, passed, refused := int64(0), 0, 0
	throttled, way := w.withHelm3(t).behind(t, func(response http.ResponseWriter, r *http.Request) bool {
		mu.Lock()
		defer mu.Unlock()
		if now := time.Now().Unix(); now != second {
			second, passed = now, 0
		}
		if passed++; passed > 8 {
			refused++
			return faults["429"](response, r)
		}
		return false
	})
	for _, args := range distant(team) {
		plain := direct.run(t, args...)
		r := throttled.run(t, args...)
		if r.Code != plain.Code {
			t.Errorf("it ends with %d where nothing is refused, and else: %v", plain.Code, r)
		}
		if a, b := withoutOthers(free.take(), team), withoutOthers(way.take(), team); len(b) > len(a)+len(a)/8+3 || len(b) == 0 {
			t.Errorf("%v: %d requests, and %d where some are refused first, -without +with:\n%s", args, len(a), len(b), cmp.Diff(a, b))
		}
	}
	if refused == 0 {
		t.Error("nothing was refused")
	}
}
