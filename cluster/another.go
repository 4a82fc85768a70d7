package cluster

import (
	"context"
	"strings"

	authorizationv1 "k8s.io/api/authorization/v1"
)

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
