package cluster

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"syscall"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/client-go/rest"

	"helm-tenant/visible"
)

// request is what an error that no API server answered with is about.
type request struct {
	// operation is a phrase such as `reading namespace "a"`.
	operation string
	// timeout bounds it; 0 if nothing does.
	timeout time.Duration
	// plugin is the program of the kubeconfig that obtains the credentials; empty if there is none.
	plugin string
	// settings are where the address of the API server comes from.
	settings *settings
}

// settings has the words for what sets the address of an API server and whose certificates are
// accepted.
type settings struct {
	address, https, host, authority string
}

var (
	ofKubeconfig = &settings{
		address: "the server's address in the kubeconfig", https: "the kubeconfig's server is an https address",
		host:      "server or tls-server-name of the kubeconfig's cluster",
		authority: "certificate-authority or certificate-authority-data of the kubeconfig's cluster",
	}
	ofPod = &settings{
		address: "KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT", https: "a pod uses https",
		host:      "KUBERNETES_SERVICE_HOST",
		authority: "ca.crt beside the token of the pod's service account",
	}
)

// settingsOf returns the words for a kubeconfig, or for a pod's service account without one.
func settingsOf(inPod bool, authorities string) *settings {
	switch {
	case !inPod:
		return ofKubeconfig
	case authorities == "":
		without := *ofPod
		without.authority = "the system's authorities, and " + ofPod.authority + " is missing"
		return &without
	}
	return ofPod
}

// reason describes why there is no answer that can be read, with what to do where that is known.
// Go's own texts name its functions and types ("net/http: request canceled", "EOF"), and leave out
// what was asked, and for how long.
func (r request) reason(err error) string {
	if text := r.settings.certificateReason(err); text != "" {
		return text
	}
	text := withoutManual(strings.TrimPrefix(visible.OneLine(err.Error()), pluginFails))
	dial, isNetwork := errors.AsType[*net.OpError](err)
	timeout, limited := errors.AsType[interface {
		error
		Timeout() bool
	}](err)
	switch {
	case errors.Is(err, context.Canceled):
		return r.operation + " was not finished"
	case strings.Contains(text, "TLS handshake timeout"):
		return "it accepts connections, and does not answer the TLS handshake"
	case isNetwork && dial.Op == "dial" && dial.Timeout() && dial.Addr != nil:
		return fmt.Sprintf("no connection to %s%s; look at %s, and at the network's way there", dial.Addr, r.within(), r.settings.address)
	case limited && timeout.Timeout():
		if r.timeout == 0 { // the limit is the whole run's
			return r.operation + " was not finished"
		}
		if r.plugin != "" { // client-go runs it before the first request, and does not limit its time
			return fmt.Sprintf("%s took longer than %s; the time that the program %q of the kubeconfig took for the credentials counts", r.operation, r.timeout, r.plugin)
		}
		return fmt.Sprintf("%s took longer than %s", r.operation, r.timeout)
	case errors.Is(err, syscall.ECONNREFUSED), isNetwork && dial.Op == "dial":
		return text
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), utilnet.IsProbableEOF(err), utilnet.IsConnectionReset(err), utilnet.IsHTTP2ConnectionLost(err):
		return fmt.Sprintf("the connection was closed before the answer was complete (%s); try again", r.operation)
	case errors.Is(err, http.ErrSchemeMismatch), strings.Contains(text, "server gave HTTP response to HTTPS client"):
		return "it answers with HTTP, and " + r.settings.https
	case strings.Contains(text, "first record does not look like a TLS handshake"):
		return "it does not answer with TLS, and " + r.settings.https
	case strings.Contains(text, "remote error: tls: "):
		return "it refused the TLS connection (" + text[strings.Index(text, "remote error: tls: ")+len("remote error: tls: "):] + "): look at the client certificate in the kubeconfig"
	case strings.Contains(text, "malformed HTTP response"):
		return "it does not answer with HTTP: look at " + r.settings.address
	case strings.HasPrefix(text, "decoding stdout: "):
		return "what the credential plugin of the kubeconfig prints is no ExecCredential; run it by hand"
	}
	return unreadableReason(err, text)
}

// pluginFails begins the errors of credential plugins (k8s.io/client-go/plugin/pkg/client/auth/exec).
const pluginFails = "getting credentials: "

// withoutManual shortens client-go's error about a credential plugin that is not installed: five
// lines about such plugins in general (k8s.io/client-go/plugin/pkg/client/auth/exec) come before
// the kubeconfig's own hint on how to install this one.
func withoutManual(text string) string {
	name, manual, missing := strings.Cut(strings.TrimPrefix(text, "exec: executable "), " not found It looks like you are trying to use a client-go credential plugin")
	if !missing {
		return text
	}
	text = fmt.Sprintf("the program %q, which the kubeconfig names, is not installed", name)
	if _, hint, _ := strings.Cut(manual, "#client-go-credential-plugins"); strings.TrimSpace(hint) != "" {
		text += ": " + strings.TrimSpace(hint)
	}
	return text
}

// credentialsFail are the beginnings of what client-go says where it gets no credentials for a
// request: from a plugin, from a token file (k8s.io/client-go/transport/token_source.go), or from
// an OpenID Connect provider (k8s.io/client-go/plugin/pkg/client/auth/oidc). It has no types for them.
var credentialsFail = []string{
	pluginFails, "failed to read token file ", "read empty token from file ",
	"oidc: ", "No valid id-token, ", "ID Token is not ", "failed to refresh token: ", "token response did not contain ", "could not persist new tokens: ", "parsing claims: ",
}

// isWithoutCredentials reports whether a request was not sent because there are no credentials
// for it: the API server was not asked.
func isWithoutCredentials(err error) bool {
	text := err.Error()
	return slices.ContainsFunc(credentialsFail, func(begin string) bool { return strings.HasPrefix(text, begin) })
}

// isNobody reports whether the API server refused a request because it takes the caller for nobody,
// as it does if a context's user is missing in the kubeconfig: no grant would help.
func (c *Client) isNobody(err error) bool {
	return c.config != nil && c.config.Impersonate.UserName == "" && apierrors.IsForbidden(err) && strings.Contains(err.Error(), `is forbidden: User "system:anonymous" cannot `)
}

// certificateReason describes why the server's certificate is not accepted, empty if it is.
func (s *settings) certificateReason(err error) string {
	if unknown, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		issuer := "an authority"
		if unknown.Cert != nil && unknown.Cert.Issuer.CommonName != "" {
			issuer = fmt.Sprintf("%q", unknown.Cert.Issuer.CommonName)
		}
		return fmt.Sprintf("its certificate is signed by %s, which is not in %s", issuer, s.authority)
	}
	if host, ok := errors.AsType[x509.HostnameError](err); ok {
		names := append([]string{}, host.Certificate.DNSNames...)
		for _, address := range host.Certificate.IPAddresses {
			names = append(names, address.String())
		}
		valid := "for no name"
		if len(names) > 0 {
			valid = "for " + strings.Join(names[:min(len(names), 5)], ", ")
		}
		return fmt.Sprintf("its certificate is %s, and not for %s: correct %s", valid, host.Host, s.host)
	}
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok {
		if invalid.Reason != x509.Expired || invalid.Cert == nil {
			return "its certificate is not valid: " + strings.TrimPrefix(visible.OneLine(invalid.Error()), "x509: ")
		}
		return fmt.Sprintf("its certificate is valid from %s to %s, and this machine's clock says %s", invalid.Cert.NotBefore.UTC().Format(time.RFC3339),
			invalid.Cert.NotAfter.UTC().Format(time.RFC3339), time.Now().UTC().Format(time.RFC3339))
	}
	if text := visible.OneLine(err.Error()); strings.Contains(text, "x509: ") {
		return "its certificate is not accepted: " + text[strings.LastIndex(text, "x509: ")+len("x509: "):]
	}
	return ""
}

// unreadableReason describes an answer that can't be decoded; another error is text.
func unreadableReason(err error, text string) string {
	_, broken := errors.AsType[*json.SyntaxError](err)
	switch {
	case strings.Contains(text, "unexpected end of JSON input"):
		return "it ends too early; try again"
	case broken, strings.Contains(text, "json parse error"):
		return "it is no JSON; is something else between here and the API server?"
	case strings.Contains(text, "0-length response"):
		return "it is empty; try again"
	}
	return text
}

func (r request) within() string {
	if r.timeout == 0 {
		return ""
	}
	return " within " + r.timeout.String()
}

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
