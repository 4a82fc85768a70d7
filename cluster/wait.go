package cluster

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	watchtools "k8s.io/client-go/tools/watch"

	"helm-tenant/install"
	"helm-tenant/recognise"
)

// NotReadyError reports that a Tiller did not become ready, or did not stop, in time,
// with its last status.
type NotReadyError struct {
	Home string
	// Stopping reports whether it was to stop.
	Stopping bool
	Sentence string
	Err      error
}

func (e *NotReadyError) Error() string {
	interrupted := errors.Is(e.Err, context.Canceled)
	problem := "was not ready in time"
	switch {
	case e.Stopping && interrupted:
		problem = "had not stopped yet when the wait was interrupted"
	case e.Stopping:
		problem = "did not stop in time"
	case interrupted:
		problem = "was not ready yet when the wait was interrupted"
	}
	return fmt.Sprintf("the Tiller in namespace %q %s: %s", e.Home, problem, e.Sentence)
}

func (e *NotReadyError) Unwrap() error { return e.Err }

// WaitForTiller watches the Tiller in a home namespace until its rollout is complete, and
// calls say with a sentence at each change. It returns a *NotReadyError when ctx ends.
func (c *Client) WaitForTiller(ctx context.Context, home string, say func(string)) error {
	return c.watchTiller(ctx, home, say, func(d *appsv1.Deployment, pods []corev1.Pod) (string, bool, error) {
		if d == nil {
			return "", false, fmt.Errorf("the Deployment %s is gone from namespace %q", install.DeploymentName, home)
		}
		sentence, done := install.Readiness(d, pods, c.setsOf(ctx, home, pods)...)
		if !done {
			return sentence, false, nil
		}
		// The watch of the Deployment may be ahead of the watch of the pods: an old pod that is
		// being deleted could count as one that stays.
		pods, err := c.TillerPods(ctx, home)
		if err != nil {
			return "", false, err
		}
		sentence, done = install.Readiness(d, pods)
		return sentence, done, nil
	})
}

// WaitUntilStopped watches the Tiller in a home namespace until it has no pods, and calls
// say with a sentence at each change. It returns a *NotReadyError when ctx ends.
func (c *Client) WaitUntilStopped(ctx context.Context, home string, say func(string)) error {
	err := c.watchTiller(ctx, home, say, func(d *appsv1.Deployment, pods []corev1.Pod) (string, bool, error) {
		switch {
		case len(pods) > 0:
			return fmt.Sprintf("waiting for pod %s to end", pods[0].Name), false, nil
		case d != nil && (d.Status.ObservedGeneration < d.Generation || d.Status.Replicas > 0):
			return "waiting for the Deployment to be scaled down", false, nil
		}
		return "stopped", true, nil
	})
	if late, ok := errors.AsType[*NotReadyError](err); ok {
		late.Stopping = true
	}
	return err
}

// statusFunc returns a sentence about the status of a Tiller, from its Deployment (nil if
// there is none) and its pods, and whether the wait is over.
type statusFunc func(*appsv1.Deployment, []corev1.Pod) (sentence string, done bool, err error)

// watchTiller watches a Tiller until status reports that the wait is over, and calls say
// with its sentence at each change. If ctx ends during a request, the error is that of
// the wait and does not blame the API server.
func (c *Client) watchTiller(ctx context.Context, home string, say func(string), status statusFunc) error {
	last := "its status is not known yet"
	err := c.watchStatus(ctx, home, func(sentence string) {
		last = sentence
		say(sentence)
	}, status)
	if err != nil && ctx.Err() != nil {
		return &NotReadyError{Home: home, Sentence: last, Err: ctx.Err()}
	}
	return err
}

// watchStatus watches a Tiller until status reports that the wait is over, and calls say
// with its sentence at each change. It returns the error of ctx when ctx ends.
func (c *Client) watchStatus(ctx context.Context, home string, say func(string), status statusFunc) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	events := make(chan watch.Event)
	deployments, err := c.follow(ctx, "Deployment", home, metav1.ListOptions{FieldSelector: "metadata.name=" + install.DeploymentName}, events)
	if err != nil {
		return err
	}
	pods, err := c.follow(ctx, "Pod", home, metav1.ListOptions{LabelSelector: recognise.Selector()}, events)
	if err != nil {
		return err
	}
	seen := map[Key]*unstructured.Unstructured{}
	for _, object := range slices.Concat(deployments, pods) {
		seen[keyOf(object)] = object
	}
	last := ""
	for {
		sentence, done, err := status.evaluate(seen)
		if err != nil {
			return err
		}
		if sentence != last {
			say(sentence)
			last = sentence
		}
		if done {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case event := <-events:
			object, isObject := event.Object.(*unstructured.Unstructured)
			switch {
			case !isObject:
			case event.Type == watch.Deleted:
				delete(seen, keyOf(object))
			case event.Type == watch.Added || event.Type == watch.Modified:
				seen[keyOf(object)] = object
			}
		}
	}
}

// DeletingError reports that a namespace was not deleted in time.
type DeletingError struct{ Namespace string }

func (e *DeletingError) Error() string {
	return fmt.Sprintf("namespace %q is still being deleted; what it waits for is in the status of the namespace", e.Namespace)
}
func (e *DeletingError) Unwrap() error { return context.DeadlineExceeded }

// WaitForDeletion watches a namespace until it is deleted.
func (c *Client) WaitForDeletion(ctx context.Context, namespace string) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	events := make(chan watch.Event)
	found, err := c.follow(ctx, "Namespace", "", metav1.ListOptions{FieldSelector: "metadata.name=" + namespace}, events)
	if err != nil || len(found) == 0 {
		return err
	}
	for {
		select {
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.Canceled) {
				return fmt.Errorf("namespace %q was still being deleted when the wait was interrupted: %w", namespace, context.Cause(ctx))
			}
			return &DeletingError{namespace}
		case event := <-events:
			if event.Type == watch.Deleted {
				return nil
			}
		}
	}
}

// follow lists objects and sends their later changes to events.
func (c *Client) follow(ctx context.Context, kindName, namespace string, options metav1.ListOptions, events chan<- watch.Event) ([]*unstructured.Unstructured, error) {
	api := c.resource(kinds[kindName], namespace)
	found, err := api.List(ctx, options)
	if err != nil {
		return nil, c.explain(listing(kinds[kindName], namespace), err)
	}
	watcher, err := watchtools.NewRetryWatcherWithContext(ctx, found.GetResourceVersion(), &cache.ListWatch{
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			o.FieldSelector, o.LabelSelector = options.FieldSelector, options.LabelSelector
			return api.Watch(ctx, o)
		},
	})
	if err != nil {
		return nil, err
	}
	go func() {
		for event := range watcher.ResultChan() {
			select {
			case events <- event:
			case <-ctx.Done():
				return
			}
		}
	}()
	var objects []*unstructured.Unstructured
	for i := range found.Items {
		found.Items[i].SetKind(kindName)
		objects = append(objects, &found.Items[i])
	}
	return objects, nil
}

func (status statusFunc) evaluate(seen map[Key]*unstructured.Unstructured) (string, bool, error) {
	var deployment *appsv1.Deployment
	var pods []corev1.Pod
	for _, key := range slices.SortedFunc(maps.Keys(seen), compareKeys) {
		var into any = &corev1.Pod{}
		if key.Kind == "Deployment" {
			deployment = &appsv1.Deployment{}
			into = deployment
		}
		if err := Typed(seen[key], into); err != nil {
			return "", false, err
		}
		if pod, isPod := into.(*corev1.Pod); isPod {
			pods = append(pods, *pod)
		}
	}
	sentence, done, err := status(deployment, pods)
	return strings.Join(strings.Fields(sentence), " "), done, err
}

// setsOf reads the metadata of the ReplicaSets in a home namespace if its pods belong to
// several. It is empty if the caller may not read them.
func (c *Client) setsOf(ctx context.Context, home string, pods []corev1.Pod) []metav1.PartialObjectMetadata {
	hashes := map[string]bool{}
	for _, pod := range pods {
		hashes[pod.Labels[appsv1.DefaultDeploymentUniqueLabelKey]] = true
	}
	if len(hashes) < 2 {
		return nil
	}
	var sets []metav1.PartialObjectMetadata
	if err := c.EachMeta(ctx, "ReplicaSet", home, metav1.ListOptions{}, func(m *metav1.PartialObjectMetadata) { sets = append(sets, *m) }); err != nil {
		return nil
	}
	return sets
}

// Rollout describes the state of Tiller's rollout, as install.Readiness does.
func (c *Client) Rollout(ctx context.Context, d *appsv1.Deployment) (sentence string, done bool) {
	if sentence, done = install.Readiness(d, nil); done {
		return sentence, true
	}
	pods, err := c.TillerPods(ctx, d.Namespace)
	if err != nil {
		return sentence, false
	}
	return install.Readiness(d, pods, c.setsOf(ctx, d.Namespace, pods)...)
}

// TillerPods returns the pods that a Helm 2 client takes for the Tiller of a home
// namespace.
func (c *Client) TillerPods(ctx context.Context, home string) ([]corev1.Pod, error) {
	return List[corev1.Pod](ctx, c, "Pod", home, metav1.ListOptions{LabelSelector: recognise.Selector()})
}

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
