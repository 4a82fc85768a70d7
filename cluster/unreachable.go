package cluster

import (
	"net/http"
	"net/url"
	"os"
	"strings"

	"k8s.io/client-go/rest"
)

// UnreachableError is an API server that did not answer. Its text is one line:
// credential plugins report in several.
type UnreachableError struct {
	// TimedOut says that the time was up that Connect was given for one request.
	TimedOut bool
	before   string
	err      error
}

func (e *UnreachableError) Error() string {
	return e.before + strings.Join(strings.Fields(e.err.Error()), " ")
}
func (e *UnreachableError) Unwrap() error { return e.err }

// throughProxy says through which proxy requests to the API server go, and which setting
// says so; empty where they go to the server itself. client-go asks the environment where
// the kubeconfig has no proxy-url (k8s.io/apimachinery/pkg/util/net, SetOldTransportDefaults).
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
	// The order in which golang.org/x/net/http/httpproxy, FromEnvironment, looks.
	variable := strings.ToUpper(server.Scheme) + "_PROXY"
	if os.Getenv(variable) == "" {
		variable = strings.ToLower(variable)
	}
	return " through the proxy " + proxy.Redacted() + " (" + variable + ")"
}
