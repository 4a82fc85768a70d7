package faults

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"helm-tenant/test/harness"
)

// flaky passes on a number of matching requests, and lets fail answer the later ones.
func flaky(matches func(*http.Request) bool, after int64, fail http.HandlerFunc) handler {
	var seen atomic.Int64
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		if matches(r) && seen.Add(1) > after {
			fail(w, r)
			return
		}
		next.ServeHTTP(w, r)
	}
}

// answers returns a fault: an answer of an API server, or of a proxy in front of it.
func answers(code int, kind, text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", kind)
		w.WriteHeader(code)
		_, _ = w.Write([]byte(text)) // who asked may be gone
	}
}

const unavailable = `{"kind":"Status","apiVersion":"v1","status":"Failure","message":"etcdserver: leader changed","reason":"InternalError","code":500}`

// TestPreflightFaults: an API server that fails, hangs or breaks off during a preflight never
// makes the result "fits". Questions without an answer are reported as not tried, or in one
// line of their own; and nothing is written.
func TestPreflightFaults(t *testing.T) {
	t.Parallel()
	w := start(t)
	folder := w.folder()
	chart := filepath.Join(folder, "chart")
	if err := os.MkdirAll(filepath.Join(chart, "templates"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"Chart.yaml": "apiVersion: v2\nname: chart\nversion: 1.0.0\n",
		"templates/all.yaml": "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: one}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: two}\n---\n" +
			"apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: three}\nspec: {selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {containers: [{name: c, image: none.example.com/x}]}}}\n",
	} {
		if err := os.WriteFile(filepath.Join(chart, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.must(w.run(w.direct, folder, "", "init", "flight", "--namespaces", "flight-a", "--create-namespaces", "--engine", "impersonation")); err != nil {
		t.Fatal(err)
	}
	dryRun := func(r *http.Request) bool { return r.URL.Query().Get("dryRun") != "" }
	reads := func(part string) func(*http.Request) bool {
		return func(r *http.Request) bool { return r.Method == http.MethodGet && strings.Contains(r.URL.Path, part) }
	}
	breaks := func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
	try := func(helm string, h handler) (harness.Result, error) {
		folder := w.folder()
		p, err := w.through(folder, h)
		if err != nil {
			return harness.Result{}, err
		}
		defer p.close()
		return w.runWith(helm, p.kubeconfig, folder, "--tenant=flight", "preflight", "install", "web", chart, "--request-timeout=3s")
	}
	pass := func(w http.ResponseWriter, r *http.Request, next http.Handler) { next.ServeHTTP(w, r) }
	for _, helm := range []string{"helm3", "helm4"} {
		// The namespace's rights and policies take a moment to be known.
		if err := harness.Await(t.Context(), "the tenant", func(context.Context) (bool, error) {
			r, err := try(helm, pass)
			if err == nil && (r.Code != 0 || !strings.Contains(r.Stdout, "fits (3 objects")) {
				err = errors.New(r.String())
			}
			return err == nil, err
		}); err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			name    string
			matches func(*http.Request) bool
			after   int64
			fail    http.HandlerFunc
			code    int
			says    string
		}{
			{"all dry runs fail", dryRun, 0, answers(500, "application/json", unavailable), 5, "the API server gave no answer"},
			{"the second dry run fails", dryRun, 1, answers(500, "application/json", unavailable), 5, "the API server gave no answer"},
			{"dry runs break off", dryRun, 1, breaks, 5, "the API server gave no answer"},
			{"dry runs hang", dryRun, 2, func(_ http.ResponseWriter, r *http.Request) { hang(r) }, 5, "the API server gave no answer"},
			{"a proxy answers dry runs", dryRun, 0, answers(200, "text/html", "<html>log in</html>"), 5, "the API server gave no answer"},
			{"an empty answer", dryRun, 0, answers(200, "application/json", "{}"), 5, "the API server gave no answer"},
			{"too many requests", dryRun, 0, answers(429, "application/json", `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"TooManyRequests","code":429}`), 5, "the API server gave no answer"},
			{"credentials expire", dryRun, 1, answers(401, "application/json", `{"kind":"Status","apiVersion":"v1","status":"Failure","message":"Unauthorized","reason":"Unauthorized","code":401}`), 5, "the API server gave no answer"},
			{"quotas can't be read", reads("/resourcequotas"), 0, answers(500, "application/json", unavailable), 5, "ResourceQuotas of namespace flight-a can't be read"},
			{"reads of objects fail", reads("/namespaces/flight-a/configmaps/"), 0, answers(500, "application/json", unavailable), 5, "the API server gave no answer"},
			{"releases can't be read", reads("/namespaces/flight-a/secrets"), 0, answers(500, "application/json", unavailable), 5, "can't be read"},
			{"discovery fails", reads("/apis"), 0, answers(500, "application/json", unavailable), 1, "asking for /apis"},
			{"discovery is no discovery", reads("/apis"), 0, answers(200, "text/html", "<html>log in</html>"), 1, "is no Kubernetes API server"},
		} {
			r, err := try(helm, flaky(c.matches, c.after, c.fail))
			if err != nil {
				t.Errorf("%s, %s: %v", helm, c.name, err)
				continue
			}
			if r.Code != c.code || !strings.Contains(r.Stdout+r.Stderr, c.says) || strings.Contains(r.Stdout, ": fits") || strings.Contains(r.Stdout, "does not fit") {
				t.Errorf("%s, %s: wanted %d and %q: %v", helm, c.name, c.code, c.says, r)
			}
			if c.code == 1 && strings.Count(strings.TrimSpace(r.Stderr), "\n") > 1 {
				t.Errorf("%s, %s: more than one line and a hint: %v", helm, c.name, r)
			}
		}
	}
}
