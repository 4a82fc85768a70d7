package cluster

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/rest"
)

// answering returns a client of a server that answers every request alike.
func answering(t *testing.T, code int, contentType, body string) *Client {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(code)
		_, _ = w.Write([]byte(body))
	}))
	t.Cleanup(server.Close)
	c, err := newClient(&rest.Config{Host: server.URL + "/k8s/clusters/c-1", QPS: -1}, `context "prod"`)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

const (
	forbiddenStatus = `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Forbidden","message":"configmaps is forbidden","code":403}`
	notFoundStatus  = `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"NotFound","message":"configmaps \"x\" not found","code":404}`
)

// A proxy's refusal is no statement about rights or objects.
func TestForeignAnswers(t *testing.T) {
	for _, test := range []struct {
		name, contentType string
		code              int
		body, want        string
	}{
		{"web page", "text/html; charset=utf-8", 200, "<!DOCTYPE html><title>Log in</title>", "no Kubernetes API server: http://ADDRESS answered 200 OK with a web page"},
		{"xhtml", "application/xhtml+xml", 404, "<html/>", "answered 404 Not Found with a web page"},
		{"403 of nginx", "text/html", 403, "<h1>403 Forbidden</h1>", "answered 403 Forbidden with a web page"},
		{"403 in plain text", "text/plain", 403, "Access denied\n", "answered 403 Forbidden with something else than the Kubernetes API"},
		{"403 of a gateway", "application/json", 403, `{"message":"no Route matched"}`, "answered 403 Forbidden with something else"},
		{"404 of traefik", "text/plain", 404, "404 page not found\n", "answered 404 Not Found with something else"},
		{"404 without a body", "", 404, "", "answered 404 Not Found with something else"},
	} {
		c := answering(t, test.code, test.contentType, test.body)
		_, recordErr := c.Record(t.Context(), "team-a-helm")
		_, _, namespaceErr := c.NamespaceLabels(t.Context(), "a")
		want := strings.ReplaceAll(test.want, "http://ADDRESS", strings.TrimSuffix(c.config.Host, "/k8s/clusters/c-1"))
		for _, err := range []error{recordErr, namespaceErr} {
			if err == nil || !strings.Contains(err.Error(), want) || apierrors.IsForbidden(err) || apierrors.IsNotFound(err) || strings.Contains(err.Error(), "<") {
				t.Errorf("%s: %v, want %q", test.name, err, want)
			}
		}
	}
}

// An API server's own refusals, and those of versions that lack a kind, stay what they are.
func TestOwnAnswers(t *testing.T) {
	if _, err := answering(t, 403, "application/json", forbiddenStatus).Record(t.Context(), "x"); !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "configmaps is forbidden") {
		t.Errorf("a Status: %v", err)
	}
	if _, err := answering(t, 404, "application/json", notFoundStatus).Record(t.Context(), "x"); !apierrors.IsNotFound(err) {
		t.Errorf("a Status: %v", err)
	}
	if err := answering(t, 404, "text/plain; charset=utf-8", "404 page not found\n").discover(t.Context(), "/apis/nothing.example/v1", &struct{}{}); !apierrors.IsNotFound(err) {
		t.Errorf("a group that is not served: %v", err)
	}
	if err := answering(t, 401, "text/html", "<html/>").discover(t.Context(), "/apis", &struct{}{}); !apierrors.IsUnauthorized(err) {
		t.Errorf("refused credentials: %v", err)
	}
}

// An answer that can't be read did arrive, and a web page is no text for a terminal.
func TestUnreadableAnswers(t *testing.T) {
	for _, body := range []string{"", `{"kind":"ConfigMap","apiVersion":"v1","metadata":{"na`, `{"hello":"world"}`} {
		c := answering(t, 200, "application/json", body)
		_, err := c.Record(t.Context(), "x")
		_, versionErr := c.ServerVersion(t.Context())
		for _, err := range []error{err, versionErr} {
			if err == nil && body == `{"hello":"world"}` {
				continue // a version without fields
			}
			if err == nil || !strings.Contains(err.Error(), `the answer of the API server of context "prod" can't be read: `) {
				t.Errorf("%q: %v", body, err)
			}
		}
	}
	_, err := answering(t, 502, "text/html", "<html>\n<h1>502 Bad Gateway</h1>\n"+strings.Repeat("x", 4000)).Record(t.Context(), "x")
	if want := `reading the tenant's record in namespace "x" in context "prod": a proxy or load balancer before it answered 502 Bad Gateway`; err == nil || err.Error() != want || !apierrors.IsInternalError(err) {
		t.Errorf("%v, want %s", err, want)
	}
	_, err = answering(t, 500, "text/plain", "boom").Record(t.Context(), "x")
	if err == nil || !strings.Contains(err.Error(), "boom") {
		t.Errorf("a server error in plain text: %v", err)
	}
}
