package attack

import (
	"bytes"
	"context"
	"errors"
	"net/http"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/client-go/transport/spdy"
	"k8s.io/client-go/util/exec"
)

// execs returns an attack that runs a command in a container. It worked if the command started,
// whatever its exit code: its output may arrive too late.
func (s *attackRun) execs(ctx context.Context, pod *corev1.Pod, container, effect string, command ...string) outcome {
	url := s.actor.client.CoreV1().RESTClient().Post().Namespace(pod.Namespace).Resource("pods").Name(pod.Name).SubResource("exec").
		VersionedParams(&corev1.PodExecOptions{Container: container, Command: command, Stdout: true, Stderr: true}, scheme.ParameterCodec).URL()
	executor, err := remotecommand.NewSPDYExecutor(s.actor.config, http.MethodPost, url)
	if err != nil {
		return failure("%v", err)
	}
	ctx, cancel := context.WithTimeout(ctx, commandTime)
	defer cancel()
	var out bytes.Buffer
	answer := executor.StreamWithContext(ctx, remotecommand.StreamOptions{Stdout: &out, Stderr: &out})
	if _, ended := errors.AsType[exec.CodeExitError](answer); answer != nil && !ended {
		effect = ""
	}
	return s.settle(answer, effect, nil)
}

// execTiller runs Tiller's own program, the only one in its image, once more.
func execTiller(ctx context.Context, s *attackRun) outcome {
	pod, err := s.pod(ctx, s.victim)
	if err != nil {
		return failure("%v", err)
	}
	return s.execs(ctx, pod, "tiller", "a program ran in Tiller's container", "/tiller", "--help")
}

// goodsPod returns a running pod of the victim's release.
func (s *attackRun) goodsPod(ctx context.Context) (*corev1.Pod, error) {
	pods, err := s.root.client.CoreV1().Pods(s.victim.namespaces[0]).List(ctx, metav1.ListOptions{LabelSelector: "app=" + s.victim.release, FieldSelector: "status.phase=Running"})
	if err == nil && len(pods.Items) == 0 {
		err = errors.New("no pod of the victim's runs")
	}
	if err != nil {
		return nil, err
	}
	return &pods.Items[0], nil
}

func execGoods(ctx context.Context, s *attackRun) outcome {
	pod, err := s.goodsPod(ctx)
	if err != nil {
		return failure("%v", err)
	}
	return s.execs(ctx, pod, "main", "a program ran in the other's container", "/pause", "cat", "/etc/hostname")
}

func forwardGoods(ctx context.Context, s *attackRun) outcome {
	pod, err := s.goodsPod(ctx)
	if err != nil {
		return failure("%v", err)
	}
	transport, upgrader, err := spdy.RoundTripperFor(s.actor.config)
	if err != nil {
		return failure("%v", err)
	}
	url := s.actor.client.CoreV1().RESTClient().Post().Namespace(pod.Namespace).Resource("pods").Name(pod.Name).SubResource("portforward").URL()
	stream, _, answer := spdy.NewDialer(upgrader, &http.Client{Transport: transport}, http.MethodPost, url).Dial(portforward.PortForwardProtocolV1Name)
	effect := ""
	if answer == nil {
		effect = "the API server opened a port-forward"
		stream.Close()
	}
	return s.settle(answer, effect, nil)
}
