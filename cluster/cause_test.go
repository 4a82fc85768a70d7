package cluster

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/rest"
)

// goWords are words of Go's own errors.
var goWords = []string{"net/http", "Client.Timeout", "context deadline", "context canceled", "EOF", "i/o timeout", "x509", "http: ", "tls: ", "unexpected end of JSON", "invalid character", "0-length"}

// serverErrors are what requests to servers that fail in some way end with, by that way.
func serverErrors(t *testing.T) map[string]error {
	t.Helper()
	silent := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	closing := func(w http.ResponseWriter, _ *http.Request) {
		connection, _, err := w.(http.Hijacker).Hijack()
		if err == nil {
			_ = connection.Close()
		}
	}
	cut := func(text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, text)
		}
	}
	short := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", "1000")
		_, _ = io.WriteString(w, `{"kind":`)
	}
	found := map[string]error{}
	ask := func(name string, handler http.HandlerFunc, serve func(*httptest.Server), config func(*rest.Config)) {
		server := httptest.NewUnstartedServer(handler)
		server.Config.ErrorLog = log.New(io.Discard, "", 0)
		serve(server)
		defer server.Close()
		c := &rest.Config{Host: server.URL, Timeout: 200 * time.Millisecond}
		config(c)
		client, err := newClient(c, `context "prod"`)
		if err != nil {
			t.Fatal(err)
		}
		_, found[name] = client.Record(t.Context(), "team-a-tiller")
		server.CloseClientConnections()
	}
	plain, withTLS, nothing := (*httptest.Server).Start, (*httptest.Server).StartTLS, func(*rest.Config) {}
	insecure := func(c *rest.Config) { c.Insecure = true }
	ask("silent", silent, plain, nothing)
	ask("closing", closing, plain, nothing)
	ask("cut off", cut(`{"kind":"ConfigMap",`), plain, nothing)
	ask("no JSON", cut(`{"kind"}`), plain, nothing)
	ask("empty", cut(``), plain, nothing)
	ask("shorter than it says", short, plain, nothing)
	ask("an unknown authority", silent, withTLS, nothing)
	ask("another name", silent, withTLS, func(c *rest.Config) { c.ServerName = "api.example" })
	ask("HTTP", silent, plain, func(c *rest.Config) { c.Host = strings.Replace(c.Host, "http:", "https:", 1); insecure(c) })
	ask("TLS", silent, withTLS, func(c *rest.Config) { c.Host = strings.Replace(c.Host, "https:", "http:", 1) })
	ask("no client certificate", silent, func(s *httptest.Server) {
		s.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
		s.StartTLS()
	}, insecure)
	return found
}

func TestNoAnswerInWords(t *testing.T) {
	for name, err := range serverErrors(t) {
		if err == nil {
			t.Errorf("%s: no error", name)
			continue
		}
		text := err.Error()
		t.Logf("%s: %s", name, text)
		if _, unreachable := errors.AsType[*UnreachableError](err); !unreachable {
			t.Errorf("%s: %T", name, err)
		}
		for _, word := range goWords {
			if strings.Contains(text, word) {
				t.Errorf("%s: %q in %q", name, word, text)
			}
		}
		if !strings.Contains(text, `context "prod"`) || strings.Contains(text, "\n") {
			t.Errorf("%s: %q", name, text)
		}
	}
}

func TestReason(t *testing.T) {
	address := &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 6443}
	asked := request{operation: `reading namespace "a"`, timeout: 30 * time.Second, settings: ofKubeconfig}
	for _, test := range []struct {
		err  error
		want string
	}{
		{&net.OpError{Op: "dial", Net: "tcp", Addr: address, Err: timedOut{}}, "no connection to 10.0.0.1:6443 within 30s; look at the server's address in the kubeconfig, and at the network's way there"},
		{errors.New("net/http: TLS handshake timeout"), "it accepts connections, and does not answer the TLS handshake"},
		{fmt.Errorf("%w (Client.Timeout exceeded while awaiting headers)", context.DeadlineExceeded), `reading namespace "a" took longer than 30s`},
		{context.DeadlineExceeded, `reading namespace "a" took longer than 30s`},
		{context.Canceled, `reading namespace "a" was not finished`},
		{io.EOF, `the connection was closed before the answer was complete (reading namespace "a"); try again`},
		{fmt.Errorf("reading the body: %w", io.ErrUnexpectedEOF), `the connection was closed before the answer was complete (reading namespace "a"); try again`},
		{errors.New("http2: client connection lost"), `the connection was closed before the answer was complete (reading namespace "a"); try again`},
		{errors.New("tls: first record does not look like a TLS handshake"), "it does not answer with TLS, and the kubeconfig's server is an https address"},
		{errors.New("remote error: tls: expired certificate"), "it refused the TLS connection (expired certificate): look at the client certificate in the kubeconfig"},
		{errors.New("tls: failed to verify certificate: x509: certificate has no names"), "its certificate is not accepted: certificate has no names"},
		{json.Unmarshal([]byte(`{"a":`), new(any)), "it ends too early; try again"},
		{errors.New("exec: executable aws not found"), "exec: executable aws not found"},
	} {
		if got := asked.reason(test.err); got != test.want {
			t.Errorf("%v: %q, want %q", test.err, got, test.want)
		}
	}
}

// TestReasonInPod: a pod without a kubeconfig is not told to look into one.
func TestReasonInPod(t *testing.T) {
	asked := request{operation: `reading namespace "a"`, timeout: 30 * time.Second, settings: settingsOf(true, "/ca.crt")}
	for _, err := range []error{
		&net.OpError{Op: "dial", Net: "tcp", Addr: &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 443}, Err: timedOut{}},
		x509.UnknownAuthorityError{}, x509.HostnameError{Host: "10.0.0.1", Certificate: &x509.Certificate{}},
		http.ErrSchemeMismatch, errors.New("tls: first record does not look like a TLS handshake"), errors.New("malformed HTTP response"),
	} {
		got := asked.reason(err)
		if strings.Contains(got, "kubeconfig") || !strings.Contains(got, "pod") && !strings.Contains(got, "KUBERNETES_SERVICE_HOST") {
			t.Errorf("%v: %q", err, got)
		}
	}
	asked.settings = settingsOf(true, "")
	if got, want := asked.reason(x509.UnknownAuthorityError{}), "ca.crt beside the token of the pod's service account is missing"; !strings.HasSuffix(got, want) {
		t.Errorf("%q does not end in %q", got, want)
	}
}

type timedOut struct{}

func (timedOut) Error() string   { return "i/o timeout" }
func (timedOut) Timeout() bool   { return true }
func (timedOut) Temporary() bool { return true }
