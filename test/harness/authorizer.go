package harness

import (
	"context"
	"errors"
	"fmt"

	authorizationv1 "k8s.io/api/authorization/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/rand"
	"k8s.io/client-go/kubernetes"
)

// Settle waits until the API server's authorizer knows all roles and bindings that were written
// before the call. The authorizer gets them by four watches, one for each kind, and a watch
// delivers in order: so it is enough to wait for one new object of each kind. The markers, in
// that namespace and in the cluster, are removed again.
func Settle(ctx context.Context, client kubernetes.Interface, namespace string) error {
	api, name := client.RbacV1(), "marker-"+rand.String(10)
	meta := metav1.ObjectMeta{Name: name}
	rules := func(resource string) []rbacv1.PolicyRule {
		return []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{resource}, Verbs: []string{"get"}}}
	}
	ref := func(kind string) rbacv1.RoleRef {
		return rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: kind, Name: name}
	}
	subjects := []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: name}}
	defer func() {
		ctx, now := context.WithoutCancel(ctx), metav1.DeleteOptions{}
		_ = errors.Join( // left behind, they do no harm
			api.RoleBindings(namespace).Delete(ctx, name, now), api.Roles(namespace).Delete(ctx, name, now),
			api.ClusterRoleBindings().Delete(ctx, name, now), api.ClusterRoles().Delete(ctx, name, now))
	}()
	_, one := api.Roles(namespace).Create(ctx, &rbacv1.Role{ObjectMeta: meta, Rules: rules("pods")}, metav1.CreateOptions{})
	_, two := api.RoleBindings(namespace).Create(ctx, &rbacv1.RoleBinding{ObjectMeta: meta, RoleRef: ref("Role"), Subjects: subjects}, metav1.CreateOptions{})
	_, three := api.ClusterRoles().Create(ctx, &rbacv1.ClusterRole{ObjectMeta: meta, Rules: rules("nodes")}, metav1.CreateOptions{})
	_, four := api.ClusterRoleBindings().Create(ctx, &rbacv1.ClusterRoleBinding{ObjectMeta: meta, RoleRef: ref("ClusterRole"), Subjects: subjects}, metav1.CreateOptions{})
	if err := errors.Join(one, two, three, four); err != nil {
		return fmt.Errorf("writing the markers for the authorizer: %w", err)
	}
	for _, about := range []authorizationv1.ResourceAttributes{
		{Namespace: namespace, Verb: "get", Resource: "pods"},
		{Verb: "get", Resource: "nodes"},
	} {
		err := Await(ctx, "the authorizer to know new bindings", func(ctx context.Context) (bool, error) {
			review, err := client.AuthorizationV1().SubjectAccessReviews().Create(ctx, &authorizationv1.SubjectAccessReview{
				Spec: authorizationv1.SubjectAccessReviewSpec{User: name, ResourceAttributes: &about}}, metav1.CreateOptions{})
			return err == nil && review.Status.Allowed, err
		})
		if err != nil {
			return err
		}
	}
	return nil
}
