package cluster

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
)

// foreignError reports an answer that no API server gives: that of a proxy, a login page, or
// another server at the address in the kubeconfig. Without it a proxy's "403 Forbidden" would
// be read as "you are no member", and its "404 Not Found" as "there is no such tenant".
type foreignError struct{ status, content, address string }

func (e *foreignError) Error() string {
	return fmt.Sprintf("%s answered %s with %s", e.address, e.status, e.content)
}

// longestStatus is larger than a Status of any API server that refuses a request.
const longestStatus = 1 << 20

// checkAnswer returns a *foreignError for an answer that can't be an API server's: a web page,
// or a refusal without a Status. Server errors pass: they are tried again, and reported with
// their code. So does a path outside the core API that is not found: an API server of another
// version answers that in plain text.
func checkAnswer(r *http.Request, response *http.Response) error {
	content := "something else than the Kubernetes API"
	mediaType, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type"))
	isPage := mediaType == "text/html" || mediaType == "application/xhtml+xml"
	core := strings.Contains(r.URL.Path, "/api/v1/")
	if r.URL.Scheme == "http" && response.StatusCode == http.StatusBadRequest {
		return checkTLSWanted(response)
	}
	switch {
	case response.StatusCode >= http.StatusInternalServerError, response.StatusCode == http.StatusTooManyRequests, response.StatusCode == http.StatusUnauthorized:
		return nil
	case isPage:
		content = "a web page"
	case response.StatusCode != http.StatusForbidden && (response.StatusCode != http.StatusNotFound || !core):
		return nil
	default:
		body, err := io.ReadAll(io.LimitReader(response.Body, longestStatus))
		if err != nil {
			return err
		}
		if hasStatus(body) {
			response.Body = readCloser{io.MultiReader(bytes.NewReader(body), response.Body), response.Body}
			return nil
		}
	}
	_ = response.Body.Close()
	address := url.URL{Scheme: r.URL.Scheme, Host: r.URL.Host}
	return &foreignError{response.Status, content, address.String()}
}

// errWantsTLS reports an https server that was asked by http (net/http, Server).
var errWantsTLS = errors.New("it expects TLS, and the kubeconfig's server is an http address")

func checkTLSWanted(response *http.Response) error {
	const words = "Client sent an HTTP request to an HTTPS server"
	text, err := io.ReadAll(io.LimitReader(response.Body, int64(len(words))))
	switch {
	case err != nil:
		return err
	case string(text) == words:
		_ = response.Body.Close()
		return errWantsTLS
	}
	response.Body = readCloser{io.MultiReader(bytes.NewReader(text), response.Body), response.Body}
	return nil
}

// hasStatus reports whether the text is a Status, as JSON or as protobuf
// (k8s.io/apimachinery/pkg/runtime/serializer/protobuf).
func hasStatus(text []byte) bool {
	var status metav1.TypeMeta
	return bytes.HasPrefix(text, []byte("k8s\x00")) || json.Unmarshal(text, &status) == nil && status.Kind == "Status"
}

type readCloser struct {
	io.Reader
	io.Closer
}

func isForeign(err error) bool {
	_, foreign := errors.AsType[*foreignError](err)
	return foreign
}

// isUnreadable reports whether an answer arrived in full, or too large, and is no object that
// can be read. The errors of client-go's decoders have no types
// (k8s.io/client-go/rest, Result.Get; k8s.io/apimachinery/pkg/runtime/serializer/json, Interpret).
func isUnreadable(err error) bool {
	_, syntax := errors.AsType[*json.SyntaxError](err)
	_, mistyped := errors.AsType[*json.UnmarshalTypeError](err)
	if syntax || mistyped || errors.Is(err, errTooLarge) || runtime.IsMissingKind(err) || runtime.IsMissingVersion(err) || runtime.IsNotRegisteredError(err) {
		return true
	}
	return slices.ContainsFunc([]string{"json parse error", "0-length response", "serializer for "}, func(words string) bool { return strings.Contains(err.Error(), words) })
}

// pageError is a server error whose text would be a web page, such as a load balancer's 502.
type pageError struct {
	statusError
	code int32
}

func (e *pageError) Error() string {
	return fmt.Sprintf("a proxy or load balancer before it answered %d %s", e.code, http.StatusText(int(e.code)))
}

func (e *pageError) Unwrap() error { return e.statusError }

// withoutPage returns a server error, and a *pageError in place of one whose text is a web page.
func withoutPage(err error) error {
	status, answered := errors.AsType[statusError](err)
	if !answered || status.Status().Code < http.StatusInternalServerError {
		return err
	}
	cause, found := apierrors.StatusCause(err, metav1.CauseTypeUnexpectedServerResponse)
	if !found || !strings.HasPrefix(strings.TrimSpace(cause.Message), "<") {
		return err
	}
	return &pageError{status, status.Status().Code}
}

// rawAnswer returns the text of an answer. An error has the API server's own message, which
// DoRaw leaves out.
func rawAnswer(result rest.Result) ([]byte, error) {
	text, err := result.Raw()
	if err != nil {
		err = result.Error()
	}
	return text, err
}
