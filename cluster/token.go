package cluster

import (
	"context"
	"errors"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
)

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
