package install

import (
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestReadiness(t *testing.T) {
	two := int32(2)
	// rollout is a Deployment of which so many pods are new, ready and there.
	rollout := func(updated, available, replicas int32) *appsv1.Deployment {
		return &appsv1.Deployment{Status: appsv1.DeploymentStatus{UpdatedReplicas: updated, AvailableReplicas: available, Replicas: replicas}}
	}
	refused := func(message string) *appsv1.Deployment {
		d := rollout(0, 0, 0)
		d.Status.Conditions = []appsv1.DeploymentCondition{
			{Type: appsv1.DeploymentProgressing, Status: corev1.ConditionTrue, Message: "it goes on"},
			{Type: appsv1.DeploymentReplicaFailure, Status: corev1.ConditionTrue, Message: message},
		}
		return d
	}
	pod := func(change func(*corev1.Pod)) []corev1.Pod {
		p := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "tiller-deploy-x"}, Status: corev1.PodStatus{Phase: corev1.PodPending}}
		change(&p)
		return []corev1.Pod{p}
	}
	waiting := func(reason, message string) func(*corev1.Pod) {
		return func(p *corev1.Pod) {
			p.Status.ContainerStatuses = []corev1.ContainerStatus{{Image: "ghcr.io/helm/tiller:v9", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}}}
		}
	}
	ready := func(p *corev1.Pod) {
		p.Status.Phase = corev1.PodRunning
		p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}
	}
	const quota = `pods "tiller-deploy-x" is forbidden: exceeded quota: q, requested: pods=1, used: pods=5, limited: pods=5`
	const security = `pods "tiller-deploy-x" is forbidden: violates PodSecurity "restricted:latest": allowPrivilegeEscalation != false`
	for _, test := range []struct {
		name       string
		deployment *appsv1.Deployment
		pods       []corev1.Pod
		want       string
		done       bool
	}{
		{"not seen yet", &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Generation: 2}, Status: appsv1.DeploymentStatus{ObservedGeneration: 1, UpdatedReplicas: 1, AvailableReplicas: 1, Replicas: 1}}, nil,
			"waiting for the Deployment to be seen by its controller", false},
		{"ready", rollout(1, 1, 1), nil, "1 of 1 ready", true},
		{"two ready", &appsv1.Deployment{Spec: appsv1.DeploymentSpec{Replicas: &two}, Status: appsv1.DeploymentStatus{UpdatedReplicas: 2, AvailableReplicas: 2, Replicas: 2}}, nil, "2 of 2 ready", true},
		{"one of two ready", &appsv1.Deployment{Spec: appsv1.DeploymentSpec{Replicas: &two}, Status: appsv1.DeploymentStatus{UpdatedReplicas: 2, AvailableReplicas: 1, Replicas: 2}}, nil, "waiting for the pod to be made", false},
		{"ready, and the Deployment does not know yet", rollout(1, 0, 1), pod(ready), "waiting for the pod to count as available", false},
		{"the old pod is ready, the new one is not there", rollout(0, 1, 1), pod(ready), "waiting for the pod to be made", false},
		{"the new pod is ready, the old one is there", rollout(1, 1, 2), pod(ready), "waiting for the old pod to end", false},
		{"scaled down, and not one has ended", rollout(2, 2, 2), pod(ready), "waiting for the old pod to end", false},
		{"the old pod is being ended", rollout(1, 1, 1), pod(func(p *corev1.Pod) {
			ready(p)
			p.DeletionTimestamp = &metav1.Time{Time: time.Unix(1, 0)}
		}), "waiting for the old pod to end", false},
		{"it runs", rollout(1, 0, 1), pod(func(p *corev1.Pod) { p.Status.Phase = corev1.PodRunning }), "pod tiller-deploy-x runs, and is not ready yet", false},
		{"no pod", rollout(0, 0, 0), nil, "waiting for the pod to be made", false},
		{"quota", refused(quota), nil, "the pod is refused: " + quota, false},
		{"PodSecurity", refused(security), nil, "the pod is refused: " + security, false},
		{"a refusal that is over", func() *appsv1.Deployment {
			d := refused(quota)
			d.Status.Conditions[1].Status = corev1.ConditionFalse
			return d
		}(), nil, "waiting for the pod to be made", false},
		{"no node", rollout(1, 0, 1), pod(func(p *corev1.Pod) {
			p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Message: "0/3 nodes are available: 3 Insufficient memory."}}
		}), "pod tiller-deploy-x finds no node: 0/3 nodes are available: 3 Insufficient memory.", false},
		{"a scheduler's reason of its own", rollout(1, 0, 1), pod(func(p *corev1.Pod) {
			p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: "SchedulerError", Message: "no quorum"}}
		}), "pod tiller-deploy-x finds no node: SchedulerError: no quorum", false},
		{"scheduling gates", rollout(1, 0, 1), pod(func(p *corev1.Pod) {
			p.Spec.SchedulingGates = []corev1.PodSchedulingGate{{Name: "example.com/quota"}}
			p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: corev1.PodReasonSchedulingGated, Message: "gated"}}
		}), "pod tiller-deploy-x is held back from the scheduler by its scheduling gates: example.com/quota", false},
		{"no scheduler", rollout(1, 0, 1), pod(func(*corev1.Pod) {}), "pod tiller-deploy-x waits for scheduler default-scheduler", false},
		{"no scheduler of that name", rollout(1, 0, 1), pod(func(p *corev1.Pod) { p.Spec.SchedulerName = "batch" }), "pod tiller-deploy-x waits for scheduler batch", false},
		{"a kubelet that is silent from the start", rollout(1, 0, 1), pod(func(p *corev1.Pod) {
			p.Spec.NodeName = "n1"
			p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionTrue}}
		}), "pod tiller-deploy-x waits for the kubelet of node n1", false},
		{"started by its kubelet", rollout(1, 0, 1), pod(func(p *corev1.Pod) {
			p.Spec.NodeName, p.Status.StartTime = "n1", &metav1.Time{Time: time.Unix(1, 0)}
		}), "pod tiller-deploy-x is starting", false},
		{"a node that is gone", rollout(1, 0, 1), pod(func(p *corev1.Pod) {
			p.Spec.NodeName, p.Status.Phase = "n1", corev1.PodRunning
			p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionFalse}, {Type: corev1.ContainersReady, Status: corev1.ConditionTrue}}
		}), "pod tiller-deploy-x is not ready although its containers were: node n1 is gone, or does not report", false},
		{"readiness gates of others", rollout(1, 0, 1), pod(func(p *corev1.Pod) {
			p.Spec.ReadinessGates, p.Status.Phase = []corev1.PodReadinessGate{{ConditionType: "x"}}, corev1.PodRunning
			p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionFalse}, {Type: corev1.ContainersReady, Status: corev1.ConditionTrue}}
		}), "pod tiller-deploy-x runs, and is not ready yet", false},
		{"evicted", rollout(1, 0, 1), pod(func(p *corev1.Pod) {
			p.Status.Phase, p.Status.Reason, p.Status.Message = corev1.PodFailed, "Evicted", "The node was low on resource: memory."
		}), "pod tiller-deploy-x has failed: Evicted: The node was low on resource: memory.", false},
		{"an evicted pod and the next one", rollout(1, 0, 2), append(pod(func(p *corev1.Pod) { p.Status.Phase, p.Status.Reason = corev1.PodFailed, "Evicted" }),
			pod(func(p *corev1.Pod) { p.Name, p.Status.Phase = "tiller-deploy-y", corev1.PodRunning })...), "pod tiller-deploy-y runs, and is not ready yet", false},
		{"killed a moment ago", rollout(1, 0, 1), pod(func(p *corev1.Pod) {
			p.Status.Phase = corev1.PodRunning
			p.Status.ContainerStatuses = []corev1.ContainerStatus{{State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Reason: "OOMKilled", ExitCode: 137}}}}
		}), "pod tiller-deploy-x ended: OOMKilled, exit code 137", false},
		{"started again", rollout(1, 0, 1), pod(func(p *corev1.Pod) {
			p.Status.Phase = corev1.PodRunning
			p.Status.ContainerStatuses = []corev1.ContainerStatus{{RestartCount: 2, State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}},
				LastTerminationState: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 1}}}}
		}), "pod tiller-deploy-x runs again, and is not ready yet; it ended before: exit code 1", false},
		{"an init container of a webhook", rollout(1, 0, 1), pod(func(p *corev1.Pod) {
			waiting("PodInitializing", "")(p)
			p.Status.InitContainerStatuses = []corev1.ContainerStatus{{Image: "mesh:1", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ImagePullBackOff", Message: "Back-off"}}}}
		}), "pod tiller-deploy-x can't get the image mesh:1: ImagePullBackOff: Back-off", false},
		{"an init container that is done", rollout(1, 0, 1), pod(func(p *corev1.Pod) {
			waiting("PodInitializing", "")(p)
			p.Status.InitContainerStatuses = []corev1.ContainerStatus{{State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Reason: "Completed"}}}}
		}), "pod tiller-deploy-x is starting", false},
		{"a message that is empty", rollout(1, 0, 1), pod(waiting("RunContainerError", "")), "pod tiller-deploy-x does not start: RunContainerError", false},
		{"being pulled", rollout(1, 0, 1), pod(waiting("ContainerCreating", "")), "pod tiller-deploy-x is starting", false},
		{"no such image", rollout(1, 0, 1), pod(waiting("ErrImagePull", "not found")), "pod tiller-deploy-x can't get the image ghcr.io/helm/tiller:v9: ErrImagePull: not found", false},
		{"no such image, again", rollout(1, 0, 1), pod(waiting("ImagePullBackOff", "Back-off")), "pod tiller-deploy-x can't get the image ghcr.io/helm/tiller:v9: ImagePullBackOff: Back-off", false},
		{"a name that is no image", rollout(1, 0, 1), pod(waiting("InvalidImageName", "bad")), "pod tiller-deploy-x can't get the image ghcr.io/helm/tiller:v9: InvalidImageName: bad", false},
		{"a crash", rollout(1, 0, 1), pod(func(p *corev1.Pod) {
			waiting("CrashLoopBackOff", "back-off 10s")(p)
			p.Status.Phase = corev1.PodRunning
			p.Status.ContainerStatuses[0].LastTerminationState.Terminated = &corev1.ContainerStateTerminated{Reason: "OOMKilled", ExitCode: 137}
		}), "pod tiller-deploy-x keeps ending: OOMKilled, exit code 137", false},
		{"a configuration that can't be", rollout(1, 0, 1), pod(waiting("CreateContainerConfigError", "secret not found")), "pod tiller-deploy-x does not start: CreateContainerConfigError: secret not found", false},
		{"a pod that is going does not count", rollout(1, 0, 1), pod(func(p *corev1.Pod) {
			waiting("CrashLoopBackOff", "")(p)
			p.DeletionTimestamp = &metav1.Time{Time: time.Unix(1, 0)}
		}), "waiting for the pod to be made", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, done := Readiness(test.deployment, test.pods)
			if got != test.want || done != test.done {
				t.Errorf("got %q, %t\nwant %q, %t", got, done, test.want, test.done)
			}
		})
	}
}

func TestPodReady(t *testing.T) {
	for _, test := range []struct {
		conditions []corev1.PodCondition
		want       bool
	}{
		{nil, false},
		{[]corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionTrue}}, false},
		{[]corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionFalse}}, false},
		{[]corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionTrue}, {Type: corev1.PodReady, Status: corev1.ConditionTrue}}, true},
	} {
		if got := PodReady(corev1.Pod{Status: corev1.PodStatus{Conditions: test.conditions}}); got != test.want {
			t.Errorf("%+v: got %t", test.conditions, got)
		}
	}
}

// TestReadinessOfCurrentSet: the trouble of an older ReplicaSet's pod is none of the
// rollout that is under way.
// TestReadinessAfterScaling: a Deployment that was scaled to two and at once back to one counts one
// replica, while both pods are there.
func TestReadinessAfterScaling(t *testing.T) {
	d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: "tiller-deploy"}, Status: appsv1.DeploymentStatus{UpdatedReplicas: 1, AvailableReplicas: 1, Replicas: 1}}
	pod := func(kind, owner string, phase corev1.PodPhase, going bool) corev1.Pod {
		p := corev1.Pod{ObjectMeta: metav1.ObjectMeta{OwnerReferences: []metav1.OwnerReference{{Kind: kind, Name: owner, Controller: new(true)}}}, Status: corev1.PodStatus{Phase: phase}}
		if going {
			p.DeletionTimestamp = &metav1.Time{Time: time.Unix(1, 0)}
		}
		return p
	}
	one := pod("ReplicaSet", "tiller-deploy-1", corev1.PodRunning, false)
	for _, test := range []struct {
		name  string
		other corev1.Pod
		done  bool
	}{
		{"another of the same set", one, false},
		{"one that has not started", pod("ReplicaSet", "tiller-deploy-1", corev1.PodPending, false), false},
		{"of an earlier set", pod("ReplicaSet", "tiller-deploy-0", corev1.PodRunning, false), false},
		{"one that ends, and is not ready", pod("ReplicaSet", "tiller-deploy-1", corev1.PodRunning, true), true},
		{"evicted", pod("ReplicaSet", "tiller-deploy-1", corev1.PodFailed, false), true},
		{"somebody else's with the same labels", pod("ReplicaSet", "other-1", corev1.PodRunning, false), true},
		{"a StatefulSet's", pod("StatefulSet", "tiller-deploy-1", corev1.PodRunning, false), true},
		{"nobody's", corev1.Pod{Status: corev1.PodStatus{Phase: corev1.PodRunning}}, true},
	} {
		if sentence, done := Readiness(d, []corev1.Pod{one, test.other}); done != test.done || !done && sentence != "waiting for the old pod to end" {
			t.Errorf("%s: %q, %t", test.name, sentence, done)
		}
	}
}

func TestReadinessOfCurrentSet(t *testing.T) {
	pod := func(name, hash string, second int64, reason string) corev1.Pod {
		return corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"pod-template-hash": hash}, CreationTimestamp: metav1.Unix(second, 0)},
			Status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{Image: "i", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason}}}}}}
	}
	d := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{UID: "d", Annotations: map[string]string{"deployment.kubernetes.io/revision": "2"}},
		Status: appsv1.DeploymentStatus{Replicas: 2, UpdatedReplicas: 1}}
	set := func(hash, revision string) metav1.PartialObjectMetadata {
		return metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"pod-template-hash": hash}, Annotations: map[string]string{"deployment.kubernetes.io/revision": revision},
			OwnerReferences: []metav1.OwnerReference{{UID: "d", Controller: new(true)}}}}
	}
	old, now := pod("a-old", "1", 2, "ErrImagePull"), pod("b-new", "2", 1, "CreateContainerConfigError")
	sets := []metav1.PartialObjectMetadata{set("1", "1"), set("2", "2")}
	if got, done := Readiness(d, []corev1.Pod{old, now}, sets...); done || got != "pod b-new does not start: CreateContainerConfigError" {
		t.Errorf("got %q", got)
	}
	now.CreationTimestamp = metav1.Unix(3, 0)
	if got, _ := Readiness(d, []corev1.Pod{old, now}); got != "pod b-new does not start: CreateContainerConfigError" {
		t.Errorf("without ReplicaSets: got %q", got)
	}
	d.Status.UpdatedReplicas = 0
	if got, _ := Readiness(d, []corev1.Pod{old}); got != "waiting for the pod to be made" {
		t.Errorf("before there is a new pod: got %q", got)
	}
	for _, test := range []struct{ replicas, updated, ready, want int32 }{{1, 1, 1, 1}, {2, 1, 1, 0}, {2, 1, 2, 1}, {1, 0, 1, 0}, {3, 3, 2, 2}, {2, 1, 0, 0}} {
		d.Status = appsv1.DeploymentStatus{Replicas: test.replicas, UpdatedReplicas: test.updated, ReadyReplicas: test.ready}
		if got := Updated(d); got != test.want {
			t.Errorf("%+v: got %d", test, got)
		}
	}
}

// Trouble is what a member can see, who may read the pods and not the Deployment.
func TestTrouble(t *testing.T) {
	ready := corev1.Pod{Status: corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}}}
	unscheduled := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "p"}, Status: corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Message: "0/1 nodes are available."}}}}
	going := *unscheduled.DeepCopy()
	going.DeletionTimestamp = &metav1.Time{}
	for _, test := range []struct {
		pods []corev1.Pod
		want string
	}{
		{nil, ""},
		{[]corev1.Pod{unscheduled, ready}, ""},
		{[]corev1.Pod{going}, ""},
		{[]corev1.Pod{unscheduled}, "pod p finds no node: 0/1 nodes are available."},
	} {
		if got := Trouble(test.pods); got != test.want {
			t.Errorf("%d pods: %q, want %q", len(test.pods), got, test.want)
		}
	}
}
