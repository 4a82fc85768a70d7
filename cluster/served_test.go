package cluster

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/client-go/rest"
)

// TestServed: each API version is read once, and only those that the API server lists.
func TestServed(t *testing.T) {
	var mutex sync.Mutex
	var asked []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mutex.Lock()
		defer mutex.Unlock()
		asked = append(asked, r.URL.Path)
		w.Header().Set("Content-Type", "application/json")
		answer := `{"kind":"APIResourceList","resources":[{"name":"deployments","kind":"Deployment","namespaced":true},{"name":"deployments/scale","kind":"Scale","namespaced":true}]}`
		switch {
		case !strings.HasPrefix(r.Header.Get("Accept"), "application/json"):
			answer = "\x00" // protobuf
		case r.URL.Path == "/apis":
			answer = `{"kind":"APIGroupList","groups":[{"name":"apps","versions":[{"groupVersion":"apps/v1","version":"v1"}]}]}`
		case r.URL.Path == "/api/v1":
			answer = `{"kind":"APIResourceList","resources":[{"name":"nodes","kind":"Node","namespaced":false}]}`
		}
		_, _ = w.Write([]byte(answer))
	}))
	defer server.Close()
	c, err := newClient(&rest.Config{Host: server.URL, QPS: -1}, "context test")
	if err != nil {
		t.Fatal(err)
	}
	served := c.Served()
	var group sync.WaitGroup
	for range 8 {
		for _, test := range []struct {
			apiVersion, kind  string
			found, namespaced bool
		}{
			{"apps/v1", "Deployment", true, true}, {"v1", "Node", true, false}, {"apps/v1", "Scale", false, false},
			{"apps/v1beta1", "Deployment", false, false}, {"../version", "x", false, false}, {"", "", false, false},
		} {
			group.Go(func() {
				kind, found, err := served.Kind(t.Context(), test.apiVersion, test.kind)
				if err != nil || found != test.found || kind.Namespaced() != test.namespaced {
					t.Errorf("%s of %s: %v, %v, %v", test.kind, test.apiVersion, kind, found, err)
				}
			})
		}
	}
	group.Wait()
	slices.Sort(asked)
	if diff := cmp.Diff([]string{"/api/v1", "/apis", "/apis/apps/v1"}, asked); diff != "" {
		t.Errorf("requests: -want +got:\n%s", diff)
	}
}

// TestDiscoveryIsBounded: an answer to discovery is no longer than any is, and an API server
// that asks to come back in an hour is not waited for.
func TestDiscoveryIsBounded(t *testing.T) {
	t.Run("an hour", func(t *testing.T) {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "3600")
			w.WriteHeader(http.StatusTooManyRequests)
		}))
		defer server.Close()
		c, err := newClient(&rest.Config{Host: server.URL, Timeout: 2 * time.Minute, QPS: -1}, "context test")
		if err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		if _, err := c.APIGroups(t.Context()); err == nil || !strings.Contains(err.Error(), "is overloaded (429)") {
			t.Errorf("got %v", err)
		}
		if took := time.Since(begin); took > time.Minute {
			t.Errorf("it took %v", took)
		}
	})
	t.Run("an endless answer", func(t *testing.T) {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			for spaces := make([]byte, 1<<20); ; {
				if _, err := w.Write(spaces); err != nil {
					return
				}
			}
		}))
		defer server.Close()
		c, err := newClient(&rest.Config{Host: server.URL, Timeout: time.Minute, QPS: -1}, "context test")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.APIGroups(t.Context()); err == nil || !strings.Contains(err.Error(), errTooLarge.Error()) {
			t.Errorf("got %v", err)
		}
	})
}
