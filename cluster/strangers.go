package cluster

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// strangerKinds are the kinds through which somebody can act as a service account of the
// namespace, or become able to.
var strangerKinds = []string{"RoleBinding", "Secret", "Pod", "Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "ReplicationController", "Job", "CronJob"}

// stranger is an object through which somebody may act as a service account of its
// namespace.
type stranger struct {
	kind, shown string
	object      metav1.Object // nil if it represents a whole kind
}

// Strangers returns the names of the objects in a namespace through which others can act
// as its service accounts: RoleBindings, token Secrets, pods, and workloads that create
// pods. It does not matter to whom they belong, since anybody can set a label. Pods,
// ReplicaSets and Jobs of a workload that is named are left out. Kinds that the caller
// may not list are named as kinds. Only metadata is read.
func (c *Client) Strangers(ctx context.Context, namespace string) ([]string, error) {
	var all []stranger
	for _, kindName := range strangerKinds {
		var options metav1.ListOptions
		description := kindName
		if kindName == "Secret" {
			options.FieldSelector = "type=" + string(corev1.SecretTypeServiceAccountToken)
			description = "token Secret"
		}
		err := c.EachMeta(ctx, kindName, namespace, options, func(m *metav1.PartialObjectMetadata) {
			all = append(all, stranger{kindName, description + " " + m.Name, m})
		})
		switch {
		case apierrors.IsForbidden(err):
			all = append(all, stranger{shown: description + "s that you may not list"})
		case isUnserved(err): // an older API server
		case err != nil:
			return nil, err
		}
	}
	return nameStrangers(all), nil
}

// nameStrangers returns the names, without the objects whose maker is named. The maker of
// a maker may be named in its place.
func nameStrangers(all []stranger) []string {
	var owners Owners
	for _, one := range all {
		if one.object != nil {
			owners.Add(one.kind, one.object)
		}
	}
	var found []string
	for _, one := range all {
		if one.object != nil {
			if _, hasMaker := owners.Maker(one.kind, one.object); hasMaker {
				continue
			}
		}
		found = append(found, one.shown)
	}
	return found
}
