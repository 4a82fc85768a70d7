package cluster

import (
	"errors"
	"net/http"
	"net/url"
	"testing"

	"k8s.io/client-go/rest"
)

// The error names the proxy through which the request went, without its password, and the
// setting that says so.
func TestThroughProxy(t *testing.T) {
	proxy, err := url.Parse("http://me:secret@proxy.example:3128")
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name   string
		config *rest.Config
		want   string
	}{
		{"no proxy", &rest.Config{Host: "https://127.0.0.1:6443"}, ""},
		{"of the kubeconfig", &rest.Config{Host: "https://10.0.0.1:6443", Proxy: http.ProxyURL(proxy)}, " through the proxy http://me:xxxxx@proxy.example:3128 (proxy-url in the kubeconfig)"},
		{"a server that is no address", &rest.Config{Host: ":x"}, ""},
		{"nothing known", nil, ""},
	} {
		if got := throughProxy(test.config); got != test.want {
			t.Errorf("%s: %q, want %q", test.name, got, test.want)
		}
		c := &Client{where: "context \"prod\"", config: test.config}
		got := c.explain("reading it", &url.Error{Op: "Get", URL: "https://x", Err: errors.New("refused")}).Error()
		if want := `the API server of context "prod" can't be reached` + test.want + ": refused"; got != want {
			t.Errorf("%s: %q", test.name, got)
		}
	}
}
