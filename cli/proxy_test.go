package cli_test

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
)

// TestProxyOfKubeconfig: every verb goes through the proxy that the kubeconfig names, to an API
// server that has a path and can't be reached otherwise, and kubeconfigs that are written name
// the proxy, too.
func TestProxyOfKubeconfig(t *testing.T) {
	a := newAdministrator(t)
	text, err := os.ReadFile(a.kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	address := regexp.MustCompile(`http://127\.0\.0\.1:\d+`).FindString(string(text))
	target, err := url.Parse(address)
	if err != nil || address == "" {
		t.Fatalf("no address in %s: %v", text, err)
	}
	var asked, beside atomic.Int32
	proxy := httptest.NewServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
		asked.Add(1)
		path, inside := strings.CutPrefix(r.In.URL.Path, "/k8s/c-1")
		if r.In.URL.Host != "api.invalid:6443" || !inside {
			beside.Add(1)
		}
		r.Out.URL.Scheme, r.Out.URL.Host, r.Out.URL.Path, r.Out.URL.RawPath = "http", target.Host, path, ""
	}})
	defer proxy.Close()
	through := func(address string) string {
		file := filepath.Join(t.TempDir(), "kubeconfig")
		proxied := strings.Replace(string(text), "'"+target.String()+"'", "'http://api.invalid:6443/k8s/c-1', proxy-url: '"+address+"'", 1)
		if err := os.WriteFile(file, []byte(proxied), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	a.kubeconfig = through(proxy.URL)
	for _, command := range []string{
		"init t --namespaces=a --create-namespaces --engine=impersonation --user=eve", "tenants", "describe t", "releases t", "export t", "grant t --user=bob", "revoke t --user=bob",
		"freeze t --reason=x --dry-run", "use t", "kubeconfig t", "destroy t --yes --wait=false",
	} {
		asked.Store(0)
		got := a.runs(strings.Fields(command)...)
		if asked.Load() == 0 && command != "kubeconfig t" {
			t.Errorf("%s asks nothing through the proxy", command)
		}
		if strings.HasPrefix(command, "kubeconfig") && (!strings.Contains(got.stdout, "proxy-url: "+proxy.URL) || !strings.Contains(got.stdout, "api.invalid:6443/k8s/c-1")) {
			t.Errorf("%s prints:\n%s", command, got.stdout)
		}
	}
	if beside.Load() > 0 {
		t.Errorf("%d requests are beside the API server's address", beside.Load())
	}

	proxy.Close()
	broken, err := url.Parse(proxy.URL)
	if err != nil {
		t.Fatal(err)
	}
	broken.User = url.UserPassword("me", "secret")
	a.kubeconfig = through(broken.String())
	for _, command := range []string{"init t --namespaces=a", "tenants", "describe t", "grant t --user=bob", "audit", "prove t"} {
		got := a.tries("", strings.Fields(command)...)
		if got.code == 0 || strings.Contains(got.stderr, "secret") || !strings.Contains(got.stderr, "through the proxy http://me:xxxxx@127.0.0.1:") || !strings.Contains(got.stderr, "(proxy-url in the kubeconfig)") {
			t.Errorf("%s without a proxy that answers: exit code %d: %s", command, got.code, got.stderr)
		}
	}
}

// TestBadGateway: what a proxy answers in place of the API server is reported in one line.
func TestBadGateway(t *testing.T) {
	for _, test := range []struct {
		name, kind, body string
		code             int
		want             string
	}{
		{"a gateway's page", "text/html", "<html>\n<h1>502 Bad Gateway</h1>\n</html>", http.StatusBadGateway, "502"},
		{"a login page", "text/html", "<html>\nlog in first\n</html>", http.StatusOK, "Error: "},
		{"a proxy that asks for a password", "text/html", "<html>\nproxy\n</html>", http.StatusProxyAuthRequired, "Error: "},
		{"throttled for an hour", "text/plain", "slow down", http.StatusTooManyRequests, "overloaded (429), try again later"},
	} {
		t.Run(test.name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", test.kind)
				w.Header().Set("Retry-After", "3600")
				w.WriteHeader(test.code)
				_, _ = w.Write([]byte(test.body))
			}))
			defer server.Close()
			file := filepath.Join(t.TempDir(), "kubeconfig")
			text := "apiVersion: v1\nkind: Config\ncurrent-context: test\nclusters: [{name: c, cluster: {server: '" + server.URL + "'}}]\nusers: [{name: u, user: {token: t}}]\ncontexts: [{name: test, context: {cluster: c, user: u}}]\n"
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			a := administrator{t: t, kubeconfig: file}
			for _, command := range []string{"init t --namespaces=a", "tenants", "describe t", "grant t --user=bob", "revoke t --user=bob", "export", "audit", "destroy t --yes", "freeze t --reason=x", "releases t"} {
				got := a.tries("", strings.Fields(command)...)
				if got.code == 0 || !strings.Contains(got.stderr, test.want) || strings.Contains(got.stderr, "panic") || got.stdout != "" {
					t.Errorf("%s: exit code %d: %s%s", command, got.code, got.stdout, got.stderr)
				}
				for line := range strings.Lines(got.stderr) {
					if strings.HasPrefix(line, "<") || len(line) > 700 {
						t.Errorf("%s: a line of the page: %q", command, line)
					}
				}
			}
		})
	}
}
