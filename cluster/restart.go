package cluster

import (
	"context"
	"fmt"
	"slices"
	"sync"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"helm-tenant/install"
)

// RestartTiller deletes the pods of the Tiller in a home namespace, which ends every
// port-forward to them. It waits until they are deleted and the Deployment's new pods are
// ready, calls say with a sentence at each change, and ended once when the old pods are
// deleted. It returns the names of the deleted pods; none if no Tiller runs. It ends with a
// *NotReadyError when ctx ends, and with the error of ended.
func (c *Client) RestartTiller(ctx context.Context, home string, say func(string), ended func() error) ([]string, error) {
	pods, err := c.TillerPods(ctx, home)
	if err != nil {
		return nil, err
	}
	if len(pods) == 0 {
		return nil, ended()
	}
	var names []string
	old := map[types.UID]bool{}
	for _, pod := range pods {
		// By UID, since the next pod of a StatefulSet has the same name.
		err := c.resource(kinds["Pod"], home).Delete(ctx, pod.Name, metav1.DeleteOptions{Preconditions: metav1.NewUIDPreconditions(string(pod.UID))})
		if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
			return names, c.explain("deleting "+Key{"Pod", home, pod.Name}.String(), err)
		}
		names, old[pod.UID] = append(names, pod.Name), true
	}
	ending := sync.OnceValue(ended)
	return names, c.watchTiller(ctx, home, say, func(d *appsv1.Deployment, pods []corev1.Pod) (string, bool, error) {
		if i := slices.IndexFunc(pods, func(pod corev1.Pod) bool { return old[pod.UID] }); i >= 0 {
			return fmt.Sprintf("waiting for pod %s to end", pods[i].Name), false, nil
		}
		if err := ending(); err != nil {
			return "the old pods have ended", false, err
		}
		if d == nil { // made by hand, and not a Deployment
			return "the old pods have ended", true, nil
		}
		sentence, done := install.Readiness(d, pods)
		return sentence, done, nil
	})
}
