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

// Stranger is an object through which somebody may act as a service account of its namespace.
type Stranger struct {
	Kind string
	// Name is empty if it represents all objects of the kind, which the caller may not list.
	Name string
}

func (s Stranger) String() string {
	kind := s.Kind
	if kind == "Secret" {
		kind = "token Secret" // no other Secret is listed
	}
	if s.Name == "" {
		return kind + "s that you may not list"
	}
	return kind + " " + s.Name
}

// Strangers returns the objects in a namespace through which others can act as its service
// accounts: RoleBindings, token Secrets, pods, and workloads that create pods. It does not
// matter to whom they belong, since anybody can set a label. Pods, ReplicaSets and Jobs of a
// workload that is named are left out. Only metadata is read.
func (c *Client) Strangers(ctx context.Context, namespace string) ([]Stranger, error) {
	var found []Stranger
	var objects []*metav1.PartialObjectMetadata // of those found; nil for a whole kind
	for _, kind := range strangerKinds {
		var options metav1.ListOptions
		if kind == "Secret" {
			options.FieldSelector = "type=" + string(corev1.SecretTypeServiceAccountToken)
		}
		err := c.EachMeta(ctx, kind, namespace, options, func(m *metav1.PartialObjectMetadata) {
			found, objects = append(found, Stranger{kind, m.Name}), append(objects, m)
		})
		switch {
		case apierrors.IsForbidden(err):
			found, objects = append(found, Stranger{Kind: kind}), append(objects, nil)
		case isUnserved(err): // an older API server
		case err != nil:
			return nil, err
		}
	}
	return withoutMade(found, objects), nil
}

// withoutMade returns the strangers without those whose maker is among them. The maker of a maker
// may be in its place.
func withoutMade(found []Stranger, objects []*metav1.PartialObjectMetadata) []Stranger {
	var owners Owners
	for i, object := range objects {
		if object != nil {
			owners.Add(found[i].Kind, object)
		}
	}
	var kept []Stranger
	for i, object := range objects {
		if object != nil {
			if _, hasMaker := owners.Maker(found[i].Kind, object); hasMaker {
				continue
			}
		}
		kept = append(kept, found[i])
	}
	return kept
}
