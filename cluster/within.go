package cluster

import (
	"context"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
)

// Within returns a client that lists nothing over the whole cluster, for administrators
// of single namespaces: a list of all namespaces becomes one list for each of these,
// namespaces are read by name, and a list of another cluster-scoped kind fails as
// forbidden. The namespaces need not exist.
func (c *Client) Within(namespaces []string) *Client {
	scoped := *c
	scoped.within = append([]string{}, namespaces...)
	return &scoped
}

// Scoped reports whether the client was made by Within.
func (c *Client) Scoped() bool { return c.within != nil }

// Scope returns the namespaces to which the client is restricted; nil for the whole
// cluster.
func (c *Client) Scope() []string { return c.within }

// beyond returns the error for a list of a cluster-scoped kind, which a scoped client
// does not make.
func beyond(k kind) error {
	return apierrors.NewForbidden(k.resource.GroupResource(), "", errors.New("no list of the cluster was asked for"))
}

// namespacesWithin calls do for those of the client's namespaces that exist and match the
// label selector of the options.
func (c *Client) namespacesWithin(ctx context.Context, options metav1.ListOptions, do func(*unstructured.Unstructured)) error {
	selector, err := labels.Parse(options.LabelSelector)
	if err != nil {
		return fmt.Errorf("label selector %q: %w", options.LabelSelector, err)
	}
	for _, name := range c.within {
		namespace, err := c.resource(kinds["Namespace"], "").Get(ctx, name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			continue
		}
		if err != nil {
			return c.explain("reading namespace "+name, err)
		}
		if selector.Matches(labels.Set(namespace.GetLabels())) {
			do(namespace)
		}
	}
	return nil
}
