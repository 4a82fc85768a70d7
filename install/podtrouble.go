package install

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"helm-tenant/lists"
)

// trouble returns the reason why a pod is not ready, empty if it is only starting.
func trouble(pod corev1.Pod) string {
	if pod.Status.Phase == corev1.PodFailed {
		return fmt.Sprintf("pod %s has failed%s", pod.Name, because(pod.Status.Reason, pod.Status.Message))
	}
	scheduled := condition(pod, corev1.PodScheduled)
	switch {
	case scheduled != nil && scheduled.Status == corev1.ConditionFalse && scheduled.Reason == corev1.PodReasonSchedulingGated:
		return fmt.Sprintf("pod %s is held back from the scheduler by its scheduling gates: %s", pod.Name, gates(pod))
	case scheduled != nil && scheduled.Status == corev1.ConditionFalse:
		return fmt.Sprintf("pod %s finds no node%s", pod.Name, because(reasonUnlessUsual(scheduled.Reason), scheduled.Message))
	}
	// Containers in ContainerStatuses wait for those in InitContainerStatuses.
	for _, status := range slices.Concat(pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses) {
		if why := containerTrouble(pod.Name, status); why != "" {
			return why
		}
	}
	// The node's controller sets only the pod's own condition when a kubelet is silent
	// (k8s.io/kubernetes/pkg/controller/util/node, MarkPodsNotReady).
	ready, containers := condition(pod, corev1.PodReady), condition(pod, corev1.ContainersReady)
	if pod.Status.Reason == "NodeLost" || ready != nil && ready.Status != corev1.ConditionTrue &&
		containers != nil && containers.Status == corev1.ConditionTrue && len(pod.Spec.ReadinessGates) == 0 {
		return fmt.Sprintf("pod %s is not ready although its containers were: node %s is gone, or does not report", pod.Name, pod.Spec.NodeName)
	}
	return ""
}

// starting describes a pod without trouble that does not run yet.
func starting(pod corev1.Pod) string {
	scheduled := condition(pod, corev1.PodScheduled)
	switch {
	case len(pod.Status.ContainerStatuses) > 0: // a kubelet has written them
	case pod.Spec.NodeName == "" && (scheduled == nil || scheduled.Status != corev1.ConditionTrue):
		scheduler := pod.Spec.SchedulerName
		if scheduler == "" {
			scheduler = corev1.DefaultSchedulerName
		}
		return fmt.Sprintf("pod %s waits for scheduler %s", pod.Name, scheduler)
	case pod.Spec.NodeName != "" && pod.Status.StartTime == nil:
		return fmt.Sprintf("pod %s waits for the kubelet of node %s", pod.Name, pod.Spec.NodeName)
	}
	return fmt.Sprintf("pod %s is starting", pod.Name)
}

// containerTrouble returns the reason why a container does not run or keeps ending, empty if it
// is only starting, or has ended as an init container should.
func containerTrouble(pod string, status corev1.ContainerStatus) string {
	waiting, last := status.State.Waiting, status.LastTerminationState.Terminated
	switch {
	case waiting == nil:
		if ended := status.State.Terminated; ended != nil && (ended.ExitCode != 0 || ended.Reason == "OOMKilled") {
			return fmt.Sprintf("pod %s ended: %s", pod, ending(ended))
		}
		if status.State.Running != nil && !status.Ready && last != nil && status.RestartCount > 0 {
			return fmt.Sprintf("pod %s runs again, and is not ready yet; it ended before: %s", pod, ending(last))
		}
	case waiting.Reason == "ContainerCreating" || waiting.Reason == "PodInitializing" || waiting.Reason == "":
	case strings.Contains(waiting.Reason, "Image") || waiting.Reason == "RegistryUnavailable" || waiting.Reason == "SignatureValidationFailed":
		return fmt.Sprintf("pod %s can't get the image %s%s", pod, status.Image, because(waiting.Reason, waiting.Message))
	case waiting.Reason == "CrashLoopBackOff" && last != nil:
		return fmt.Sprintf("pod %s keeps ending: %s", pod, ending(last))
	default:
		return fmt.Sprintf("pod %s does not start%s", pod, because(waiting.Reason, waiting.Message))
	}
	return ""
}

// ending describes how a container ended. A kubelet may leave the reason out.
func ending(t *corev1.ContainerStateTerminated) string {
	text := fmt.Sprintf("exit code %d", t.ExitCode)
	if t.Reason != "" {
		text = t.Reason + ", " + text
	}
	return text
}

// because returns the parts that are not empty, each after a colon.
func because(parts ...string) string {
	text := ""
	for _, part := range parts {
		if part != "" {
			text += ": " + part
		}
	}
	return text
}

// reasonUnlessUsual leaves out the reason that every pod without a node has.
func reasonUnlessUsual(reason string) string {
	if reason == corev1.PodReasonUnschedulable {
		return ""
	}
	return reason
}

func gates(pod corev1.Pod) string {
	names := lists.Map(pod.Spec.SchedulingGates, func(gate corev1.PodSchedulingGate) string { return gate.Name })
	return strings.Join(names, ", ")
}

func condition(pod corev1.Pod, kind corev1.PodConditionType) *corev1.PodCondition {
	for i := range pod.Status.Conditions {
		if pod.Status.Conditions[i].Type == kind {
			return &pod.Status.Conditions[i]
		}
	}
	return nil
}

// PodReady reports whether a pod's Ready condition is true.
func PodReady(pod corev1.Pod) bool {
	ready := condition(pod, corev1.PodReady)
	return ready != nil && ready.Status == corev1.ConditionTrue
}

// Trouble returns the reason why none of these pods of a Tiller is ready, empty if one is, or
// there is none. Pods that are being deleted do not count.
func Trouble(pods []corev1.Pod) string {
	if slices.ContainsFunc(pods, PodReady) {
		return ""
	}
	sentence, _ := unready(slices.DeleteFunc(slices.Clone(pods), func(pod corev1.Pod) bool { return pod.DeletionTimestamp != nil }))
	return sentence
}

// unready describes the one of these pods that says most; found is false if there are none. Pods
// that have failed count only without others, which replace them.
func unready(pods []corev1.Pod) (sentence string, found bool) {
	hasFailed := func(pod corev1.Pod) bool { return pod.Status.Phase == corev1.PodFailed }
	if !slices.ContainsFunc(pods, func(pod corev1.Pod) bool { return !hasFailed(pod) }) {
		hasFailed = func(corev1.Pod) bool { return false }
	}
	pods = slices.DeleteFunc(slices.Clone(pods), hasFailed)
	for _, pod := range pods {
		if why := trouble(pod); why != "" {
			return why, true
		}
	}
	for _, pod := range pods {
		if pod.Status.Phase == corev1.PodRunning {
			return fmt.Sprintf("pod %s runs, and is not ready yet", pod.Name), true
		}
	}
	if len(pods) == 0 {
		return "", false
	}
	return starting(pods[0]), true
}
