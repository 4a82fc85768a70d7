package cluster

import (
	"net/http"
	"net/url"
	"os"
	"strings"

	"k8s.io/client-go/rest"
)

// UnreachableError reports an API server that did not answer. Its text is one line,
// although credential plugins report in several.
type UnreachableError struct {
	// TimedOut reports whether the timeout of a request (Connect) passed.
	TimedOut bool
	before   string
	// where is the context, which before names.
	where   string
	request request
	err     error
}

func (e *UnreachableError) Error() string { return e.before + e.request.reason(e.err) }
func (e *UnreachableError) Unwrap() error { return e.err }

// Names implements failure.Namer.
func (e *UnreachableError) Names() []string { return []string{e.where} }

// throughProxy describes the proxy of requests to the API server and the setting that
// names it; empty if there is none. client-go reads the environment where the kubeconfig
// has no proxy-url (k8s.io/apimachinery/pkg/util/net, SetOldTransportDefaults).
func throughProxy(config *rest.Config) string {
	if config == nil {
		return ""
	}
	server, err := url.Parse(config.Host)
	if err != nil {
		return ""
	}
	request := &http.Request{URL: server}
	if config.Proxy != nil {
		proxy, err := config.Proxy(request)
		if err != nil || proxy == nil {
			return ""
		}
		return " through the proxy " + proxy.Redacted() + " (proxy-url in the kubeconfig)"
	}
	proxy, err := http.ProxyFromEnvironment(request)
	if err != nil || proxy == nil {
		return ""
	}
	// The order of golang.org/x/net/http/httpproxy, FromEnvironment.
	variable := strings.ToUpper(server.Scheme) + "_PROXY"
	if os.Getenv(variable) == "" {
		variable = strings.ToLower(variable)
	}
	return " through the proxy " + proxy.Redacted() + " (" + variable + ")"
}
