package attack

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"regexp"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/transport/spdy"
)

// openTunnel port-forwards to a Tiller, as helm does, and holds on to it. It
// returns the local port.
func (w *world) openTunnel(ctx context.Context, actor *person, t *tenant) (int, error) {
	s := &attackRun{world: w, actor: actor, entry: t, victim: t}
	pod, err := s.pod(ctx, t)
	if err != nil {
		return 0, err
	}
	transport, upgrader, err := spdy.RoundTripperFor(actor.config)
	if err != nil {
		return 0, err
	}
	url := actor.client.CoreV1().RESTClient().Post().Namespace(t.home).Resource("pods").Name(pod.Name).SubResource("portforward").URL()
	dialer := spdy.NewDialer(upgrader, &http.Client{Transport: transport}, http.MethodPost, url)
	ready := make(chan struct{})
	var output strings.Builder
	// It stays until the cluster ends, which is after the last test.
	forwarder, err := portforward.NewOnAddresses(dialer, []string{"127.0.0.1"}, []string{"0:44134"}, make(chan struct{}), ready, &output, &output)
	if err != nil {
		return 0, err
	}
	ended := make(chan error, 1)
	go func() { ended <- forwarder.ForwardPorts() }()
	select {
	case <-ready:
	case err := <-ended:
		return 0, fmt.Errorf("%s opens a port-forward: %w", actor.name, err)
	}
	ports, err := forwarder.GetPorts()
	if err != nil {
		return 0, err
	}
	local := int(ports[0].Local)
	_, err = w.runHelm(ctx, actor, fmt.Sprintf("--host=127.0.0.1:%d", local), "list")
	return local, err
}

func heldTunnel(ctx context.Context, s *attackRun) outcome {
	// That the member is out is seen on a new connection first.
	if s.world.attacker == nil {
		if o := listByFlag(ctx, s); o.verdict != refused {
			return failure("the revoked member is not out: %s", o.detail)
		}
	}
	_, err := s.runHelm(ctx, s.actor, fmt.Sprintf("--host=127.0.0.1:%d", s.tunnel), "list")
	if err == nil {
		return success("Tiller still answered on it")
	}
	return s.settle(err, "", nil)
}

// ended is a port-forward whose Tiller is gone: its local port may still be
// there, but nobody speaks.
var ended = refusal{"stream ended", regexp.MustCompile(`connection refused|connection reset|EOF`)}

func heldTunnelAfterRestart(ctx context.Context, s *attackRun) outcome {
	if s.world.attacker == nil { // this world defends nothing
		restart := s.rollOut
		if !s.bare {
			restart = func(ctx context.Context) error {
				_, err := s.runTenant(ctx, s.root, "revoke", s.victim.name, "--user", s.actor.name, "--disconnect")
				return err
			}
		}
		if err := restart(ctx); err != nil {
			return failure("%v", err)
		}
	}
	conn, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", s.tunnel), time.Minute)
	if err != nil {
		return s.settle(err, "", nil, ended)
	}
	defer conn.Close()
	// A gRPC server speaks first; helm would wait for it until its time ran out.
	if err := conn.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		return failure("%v", err)
	}
	if _, err := conn.Read(make([]byte, 1)); err != nil {
		return s.settle(err, "", nil, ended)
	}
	return success("Tiller still speaks on it")
}

// rollOut restarts a Tiller as an administrator without helm-tenant does, and waits
// until the old pod is gone.
func (s *attackRun) rollOut(ctx context.Context) error {
	for _, args := range [][]string{{"restart"}, {"status", "--timeout=4m"}} {
		args = append([]string{"--namespace", s.victim.home, "rollout", args[0], "deployment/tiller-deploy"}, args[1:]...)
		if _, err := s.runKubectl(ctx, s.root, args...); err != nil {
			return err
		}
	}
	old, err := eventually(ctx, func(ctx context.Context) (string, error) {
		pods, err := s.root.client.CoreV1().Pods(s.victim.home).List(ctx, metav1.ListOptions{LabelSelector: "app=helm,name=tiller"})
		if err != nil {
			return "", err
		}
		running := 0
		for _, pod := range pods.Items {
			if strings.HasPrefix(pod.Name, "tiller-deploy-") {
				running++
			}
		}
		if running > 1 {
			return "", nil
		}
		return "gone", nil
	})
	if err == nil && old == "" {
		err = fmt.Errorf("the old Tiller of %s did not go", s.victim.home)
	}
	return err
}
