package cluster

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// strangerKinds are the kinds by which somebody can act as an account of a namespace, or
// may get to do so.
var strangerKinds = []string{"RoleBinding", "Secret", "Pod", "Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "ReplicationController", "Job", "CronJob"}

// Strangers names what a namespace holds by which others can act as its service accounts:
// RoleBindings, token Secrets, pods, and workloads that make pods. Whose they are is not
// looked at, since anybody can set a label. What belongs to another object is left out,
// since that is named. Kinds that the caller may not list are named as such. Only metadata
// is read.
func (c *Client) Strangers(ctx context.Context, namespace string) ([]string, error) {
	var found []string
	for _, kindName := range strangerKinds {
		var options metav1.ListOptions
		what := kindName
		if kindName == "Secret" {
			options.FieldSelector = "type=" + string(corev1.SecretTypeServiceAccountToken)
			what = "token Secret"
		}
		err := c.EachMeta(ctx, kindName, namespace, options, func(m *metav1.PartialObjectMetadata) {
			if metav1.GetControllerOf(m) == nil {
				found = append(found, what+" "+m.Name)
			}
		})
		switch {
		case apierrors.IsForbidden(err):
			found = append(found, what+"s that you may not list")
		case isUnserved(err): // an API server of before
		case err != nil:
			return nil, err
		}
	}
	return found, nil
}
