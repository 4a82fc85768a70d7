package install

import (
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Readiness describes a Tiller's rollout in a sentence, and reports whether it is
// complete. It judges as `kubectl rollout status` does
// (k8s.io/kubectl/pkg/polymorphichelpers), but also waits for surplus pods, and gives the
// reason why a pod does not start. The pods must be at least as new as the Deployment,
// whose status counts them. sets are the metadata of ReplicaSets in its namespace, as far
// as they are known: problems of an older one's pod do not count.
func Readiness(d *appsv1.Deployment, pods []corev1.Pod, sets ...metav1.PartialObjectMetadata) (sentence string, done bool) {
	want := int32(1)
	if d.Spec.Replicas != nil {
		want = *d.Spec.Replicas
	}
	switch {
	case d.Status.ObservedGeneration < d.Generation:
		return "waiting for the Deployment to be seen by its controller", false
	case d.Status.UpdatedReplicas < want || d.Status.AvailableReplicas < want || d.Status.Replicas > d.Status.UpdatedReplicas:
	case d.Status.Replicas > want || living(d, pods) > want || slices.ContainsFunc(pods, func(pod corev1.Pod) bool { return pod.DeletionTimestamp != nil && PodReady(pod) }):
		// Helm 2 takes the first Ready pod, and a pod that is being deleted stays Ready
		// for a while.
		return "waiting for the old pod to end", false
	default:
		return fmt.Sprintf("%d of %d ready", d.Status.AvailableReplicas, want), true
	}
	for _, condition := range d.Status.Conditions {
		// This is the only sign of a refusal of the pod itself, by a quota or
		// PodSecurity.
		if condition.Type == appsv1.DeploymentReplicaFailure && condition.Status == corev1.ConditionTrue {
			return "the pod is refused: " + condition.Message, false
		}
	}
	pods = slices.DeleteFunc(current(d, pods, sets), func(pod corev1.Pod) bool { return pod.DeletionTimestamp != nil })
	staying := int32(len(pods))
	pods = slices.DeleteFunc(pods, PodReady)
	if sentence, found := unready(pods); found {
		return sentence, false
	}
	switch {
	case staying >= want && d.Status.UpdatedReplicas >= want && d.Status.AvailableReplicas < want:
		return "waiting for the pod to count as available", false
	case d.Status.UpdatedReplicas >= want && d.Status.AvailableReplicas >= want:
		return "waiting for the old pod to end", false
	}
	return "waiting for the pod to be made", false
}

// living returns the number of the Deployment's pods that are not ending. The Deployment's own
// number comes from its ReplicaSet's status: right after it was scaled down, that can be of before
// it was scaled up, and the pod that is deleted next may be the one that Helm 2 takes.
func living(d *appsv1.Deployment, pods []corev1.Pod) int32 {
	number := int32(0)
	for _, pod := range pods {
		owner := metav1.GetControllerOf(&pod)
		ended := pod.DeletionTimestamp != nil || pod.Status.Phase == corev1.PodFailed || pod.Status.Phase == corev1.PodSucceeded
		if owner != nil && owner.Kind == "ReplicaSet" && strings.HasPrefix(owner.Name, d.Name+"-") && !ended {
			number++
		}
	}
	return number
}

// revision is the annotation with the number of a rollout on a Deployment and its
// ReplicaSets (k8s.io/kubernetes/pkg/controller/deployment/util, RevisionAnnotation).
const revision = "deployment.kubernetes.io/revision"

// current returns the pods of the Deployment's current ReplicaSet. If that is not known,
// it is the one of the newest pod.
func current(d *appsv1.Deployment, pods []corev1.Pod, sets []metav1.PartialObjectMetadata) []corev1.Pod {
	if len(pods) == 0 || d.Status.ObservedGeneration >= d.Generation && d.Status.UpdatedReplicas == 0 {
		return nil
	}
	newest := slices.MaxFunc(pods, func(a, b corev1.Pod) int { return a.CreationTimestamp.Compare(b.CreationTimestamp.Time) })
	hash := newest.Labels[appsv1.DefaultDeploymentUniqueLabelKey]
	for _, set := range sets {
		owner := metav1.GetControllerOf(&set)
		if owner != nil && owner.UID == d.UID && d.Annotations[revision] != "" && set.Annotations[revision] == d.Annotations[revision] {
			hash = set.Labels[appsv1.DefaultDeploymentUniqueLabelKey]
		}
	}
	return slices.DeleteFunc(slices.Clone(pods), func(pod corev1.Pod) bool { return pod.Labels[appsv1.DefaultDeploymentUniqueLabelKey] != hash })
}

// Updated returns the number of ready pods of the Deployment's current ReplicaSet. All
// older pods are assumed to be ready, as they are while a rollout is stuck.
func Updated(d *appsv1.Deployment) int32 {
	return max(0, d.Status.ReadyReplicas-(d.Status.Replicas-d.Status.UpdatedReplicas))
}
