package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"

	"helm-tenant/failure"
)

// Impersonator sends single requests as other users and returns the API server's
// answers, refusals included, as they are.
type Impersonator struct {
	client *Client
	http   *http.Client
	base   *url.URL
}

// NewImpersonator returns an error if the context impersonates a user already, since
// impersonation can't be nested.
func (c *Client) NewImpersonator() (*Impersonator, error) {
	if user := c.config.Impersonate.UserName; user != "" {
		return nil, failure.Naming(fmt.Errorf("%s impersonates user %q and so can't impersonate others: use a context without impersonation", c.where, user), c.where)
	}
	client, err := rest.HTTPClientFor(c.config)
	if err != nil {
		return nil, failure.In("", c.where).Wrap(err)
	}
	// client-go's transport would send the credentials to any host that an answer names.
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	base, _, err := rest.DefaultServerUrlFor(c.config)
	if err != nil {
		return nil, failure.In("", c.where).Wrap(err)
	}
	return &Impersonator{c, client, base}, nil
}

const (
	// onlyMetadata requests lists of metadata.
	onlyMetadata = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"
	// longestAnswer is larger than a single object without its data.
	longestAnswer = 1 << 20
	// mostRetries is how often a request is sent again to an overloaded server;
	// longestWait is the longest Retry-After that is obeyed.
	mostRetries, longestWait = 10, 30 * time.Second
)

// Do sends one request as a user in groups and returns the status and the body of the
// answer. As client-go does, it sends the request again, up to ten times, where an
// overloaded API server answers 429 with a Retry-After (k8s.io/client-go/rest,
// withRetry). err is not nil if there is no answer.
func (i *Impersonator) Do(ctx context.Context, user string, groups []string, method, path string, query url.Values, contentType string, body []byte) (code int, answer []byte, err error) {
	for try := 0; ; try++ {
		var delay time.Duration
		code, answer, delay, err = i.send(ctx, user, groups, method, path, query, contentType, body)
		if err != nil || delay == 0 || try == mostRetries {
			return code, answer, err
		}
		select {
		case <-ctx.Done():
			return 0, nil, context.Cause(ctx)
		case <-time.After(delay):
		}
	}
}

// send sends one request. delay is the time after which an overloaded server wants it
// sent again, 0 if it does not.
func (i *Impersonator) send(ctx context.Context, user string, groups []string, method, path string, query url.Values, contentType string, body []byte) (code int, answer []byte, delay time.Duration, err error) {
	target := i.base.JoinPath(path)
	target.RawQuery = query.Encode()
	request, err := http.NewRequestWithContext(ctx, method, target.String(), bytes.NewReader(body))
	if err != nil {
		return 0, nil, 0, err
	}
	request.Header.Set(authenticationv1.ImpersonateUserHeader, user)
	for _, group := range groups {
		request.Header.Add(authenticationv1.ImpersonateGroupHeader, group)
	}
	request.Header.Set("Accept", "application/json")
	if method == http.MethodGet {
		request.Header.Set("Accept", onlyMetadata)
	}
	if body != nil {
		request.Header.Set("Content-Type", contentType)
	}
	response, err := i.http.Do(request)
	if err != nil {
		return 0, nil, 0, i.client.explain(method+" "+path, err)
	}
	defer response.Body.Close()
	answer, err = io.ReadAll(io.LimitReader(response.Body, longestAnswer))
	if err != nil {
		return 0, nil, 0, i.client.explain(method+" "+path, err)
	}
	return response.StatusCode, answer, retryAfter(response), nil
}

// retryAfter returns the time after which an overloaded server wants a request sent
// again, 0 if the answer is another one.
func retryAfter(response *http.Response) time.Duration {
	seconds, err := strconv.Atoi(response.Header.Get("Retry-After"))
	if response.StatusCode != http.StatusTooManyRequests || err != nil || seconds <= 0 {
		return 0
	}
	// The shorter one first: a product could overflow.
	return time.Duration(min(seconds, int(longestWait/time.Second))) * time.Second
}

func (p Permission) attributes() *authorizationv1.ResourceAttributes {
	resource, subresource, _ := strings.Cut(p.Resource, "/")
	return &authorizationv1.ResourceAttributes{
		Verb: p.Verb, Group: p.Group, Resource: resource, Subresource: subresource, Namespace: p.Namespace, Name: p.Name,
	}
}

// AnotherMay reports whether the API server allows it to a user in groups; without a user it
// asks about the groups alone. The error of a caller who may not ask about others is forbidden.
func (c *Client) AnotherMay(ctx context.Context, user string, groups []string, p Permission) (bool, error) {
	review := authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
		User: user, Groups: groups, ResourceAttributes: p.attributes(),
	}}
	review.APIVersion, review.Kind = authorizationv1.SchemeGroupVersion.String(), "SubjectAccessReview"
	err := c.ask(ctx, "subjectaccessreviews", &review)
	return review.Status.Allowed, err
}

// MinTokenLifetime is the shortest lifetime that the API server accepts
// (k8s.io/kubernetes/pkg/apis/authentication/validation).
const MinTokenLifetime = 10 * time.Minute

// RequestToken requests a token of a service account, and returns it with its expiry,
// which the API server may have set to another time than requested.
func (c *Client) RequestToken(ctx context.Context, namespace, name string, lifetime time.Duration) (token string, ends time.Time, err error) {
	request := &authenticationv1.TokenRequest{
		TypeMeta:   metav1.TypeMeta{APIVersion: authenticationv1.SchemeGroupVersion.String(), Kind: "TokenRequest"},
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace},
		Spec:       authenticationv1.TokenRequestSpec{ExpirationSeconds: new(int64(lifetime.Seconds()))},
	}
	object, err := toUnstructured(request)
	if err != nil {
		return "", time.Time{}, err
	}
	answer, err := c.resource(kinds["ServiceAccount"], namespace).Create(ctx, object, metav1.CreateOptions{}, "token")
	if err != nil {
		return "", time.Time{}, c.explain("requesting a token of service account "+namespace+":"+name, err)
	}
	var granted authenticationv1.TokenRequest
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(answer.Object, &granted); err != nil {
		return "", time.Time{}, err
	}
	if granted.Status.Token == "" {
		return "", time.Time{}, errors.New("the API server answered without a token")
	}
	return granted.Status.Token, granted.Status.ExpirationTimestamp.Time, nil
}

// WithToken returns a client of the same API server that has no other credentials than a token.
func (c *Client) WithToken(token string) (*Client, error) {
	config := rest.AnonymousClientConfig(c.config)
	config.BearerToken = token
	return c.with(config)
}
