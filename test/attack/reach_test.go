package attack

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
)

// reaching are attacks that try to talk to a Tiller that is not the attacker's.
// Whoever can, can use all of its power.
var reaching = []attack{
	{name: "helm --tiller-namespace: list its releases", as: onOther, run: listByFlag},
	{name: "TILLER_NAMESPACE: list its releases", as: onOther, run: listByVariable},
	{name: "helm --tiller-namespace: read a release's values", as: onOther, run: readValues},
	{name: "helm --tiller-namespace: upgrade its release", as: onOther, run: upgradeRelease},
	{name: "helm --tiller-namespace: delete its release", as: onOther, run: deleteRelease},
	{name: "HELM_HOST to the pod's address, from the node", as: onOther, run: listByHost},
	{name: "port 44134 from a pod of one's own", as: onOther, run: listFromPod},
	{name: "kubectl port-forward", as: onOther, run: portForward},
	{name: "port-forward by POST", as: onOther, run: upgradesBy(http.MethodPost, "portforward", spdyForward)},
	{name: "port-forward by GET over WebSocket", as: onOther, run: upgradesBy(http.MethodGet, "portforward?ports=44134", webSocket)},
	{name: "pods/proxy to 44134", as: onOther, run: podProxy},
	{name: "services/proxy to 44134", as: onOther, run: serviceProxy},
	{name: "nodes/proxy to the kubelet", as: onOther, run: nodeProxy},
	{name: "Endpoints of one's own Service at its Tiller", as: onOther, run: endpointsAtTiller},
	{name: "helm-tenant --tenant", as: onOther, run: listByTenant},
	{name: "HELM_TENANT", as: onOther, run: listByTenantVariable},
	{name: "helm-tenant --tiller-namespace", as: onOther, run: listByTenantFlag},
	{name: "kubeconfig extension that names its home", as: onOther, run: listByExtension},
	{name: "helm-tenant use, then list", as: onOther, run: useThenList},
	{name: "helm-tenant whoami", as: onOther, run: whoami},
	{name: "metrics port 44135 from a pod of one's own", as: onOther, run: metricsFromPod},
	{name: "port-forward opened before, used after", as: ofTheGone, run: heldTunnel, knownAs: ofTheGone,
		known: "Kubernetes asks once, when the stream is opened; restarting Tiller ends it"},
	{name: "the same, after Tiller was restarted", as: ofTheGone, alone: true, run: heldTunnelAfterRestart},
}

// lists says what a list of releases shows of the victim.
func (s *attackRun) lists(text string, err error, more ...refusal) outcome {
	effect := ""
	if err == nil && strings.Contains(text, s.victim.release) {
		effect = "the release " + s.victim.release + " was listed"
	}
	return s.settle(err, effect, nil, more...)
}

func listByFlag(ctx context.Context, s *attackRun) outcome {
	return s.lists(s.through(ctx, s.actor, s.victim, s.at(s.victim, "list")...))
}

func listByVariable(ctx context.Context, s *attackRun) outcome {
	return s.lists(s.run(ctx, call{actor: s.actor, env: []string{"TILLER_NAMESPACE=" + s.victim.home}, program: s.helm, args: []string{"list"}}))
}

func readValues(ctx context.Context, s *attackRun) outcome {
	out, err := s.through(ctx, s.actor, s.victim, s.at(s.victim, "get", "values", s.victim.release)...)
	effect := ""
	if strings.Contains(out, password) {
		effect = "it told the password among its values"
	}
	return s.settle(err, effect, nil)
}

// fresh installs a release for the attack to spoil, as a member of the victim.
func (s *attackRun) fresh(ctx context.Context) (string, error) {
	by := s.bob
	if s.victim == s.a {
		by = s.alice
	}
	if s.world.attacker != nil {
		by = s.world.attacker
	}
	name := "fresh-" + s.id
	return name, s.installRelease(ctx, by, s.victim, name, settings)
}

// purge removes what fresh installed, as root and by the same Tiller.
func (s *attackRun) purge(ctx context.Context, release string) error {
	_, err := s.through(ctx, s.root, s.victim, s.removal(s.victim, release)...)
	return err
}

func upgradeRelease(ctx context.Context, s *attackRun) outcome {
	release, err := s.fresh(ctx)
	if err != nil {
		return failure("%v", err)
	}
	dir, err := s.writeChart(settings)
	if err != nil {
		return failure("%v", err)
	}
	_, answer := s.through(ctx, s.actor, s.victim, s.at(s.victim, "upgrade", release, dir, "--set", "owner=taken")...)
	effect, err := s.seesField(ctx, "ConfigMap", s.victim.namespaces[0], release, "taken", "data", "owner")
	return s.after(ctx, release, answer, effect, err)
}

// after judges an attack on a new release, and removes the release if it exists.
func (s *attackRun) after(ctx context.Context, release string, answer error, effect string, looking error) outcome {
	o := s.settle(answer, effect, looking)
	if o.verdict == refused {
		if err := s.purge(ctx, release); err != nil {
			return failure("cleaning up: %v", err)
		}
	}
	return o
}

func deleteRelease(ctx context.Context, s *attackRun) outcome {
	release, err := s.fresh(ctx)
	if err != nil {
		return failure("%v", err)
	}
	_, answer := s.through(ctx, s.actor, s.victim, s.removal(s.victim, release)...)
	effect, err := s.seesNone(ctx, "ConfigMap", s.victim.namespaces[0], release)
	return s.after(ctx, release, answer, effect, err)
}

// closed is a refusal by a port on which nothing listens; the test checks each time that the
// pod runs.
var closed = refusal{"port closed", regexp.MustCompile(`connect: connection refused`)}

// fromNode runs a program in the cluster's network.
func (s *attackRun) fromNode(ctx context.Context, program string, env []string, args ...string) (string, error) {
	return s.run(ctx, call{actor: s.actor, inNetwork: true, env: env, program: program, args: args})
}

func listByHost(ctx context.Context, s *attackRun) outcome {
	return s.listAt(ctx, func(target string) (string, error) {
		return s.fromNode(ctx, s.cluster.Bin("pause"), nil, "dial", target)
	}, func(target string) (string, error) {
		return s.fromNode(ctx, s.helm, []string{"HELM_HOST=" + target}, "--tiller-connection-timeout=60", "list")
	})
}

func listFromPod(ctx context.Context, s *attackRun) outcome {
	return s.listAt(ctx, func(target string) (string, error) {
		out, err := s.ownPod(ctx, "-dial", pauseImage, "dial", target)
		if err == nil && out != "connected" {
			err = errors.New(out)
		}
		return out, err
	}, func(target string) (string, error) {
		return s.ownPod(ctx, "-list", helmImage, "--tiller-connection-timeout=60", "--host", target, "list")
	})
}

// listAt tries the address of a Tiller pod: by a connection first, since helm
// says of a port that is closed no more than that its time ran out.
func (s *attackRun) listAt(ctx context.Context, dial, list func(target string) (string, error)) outcome {
	pod, err := s.pod(ctx, s.victim)
	if err != nil {
		return failure("%v", err)
	}
	if _, err := dial(pod.Status.PodIP + ":44134"); err != nil {
		if alive, deadErr := s.fromNode(ctx, s.cluster.Bin("pause"), nil, "dial", pod.Status.PodIP+":44135"); deadErr != nil {
			return failure("the pod itself is not reached: %s %v", alive, deadErr)
		}
		return s.settle(err, "", nil, closed)
	}
	return s.lists(list(pod.Status.PodIP + ":44134"))
}

func portForward(ctx context.Context, s *attackRun) outcome {
	pod, err := s.pod(ctx, s.victim)
	if err != nil {
		return failure("%v", err)
	}
	// It runs until it is stopped; its output until then is judged.
	ctx, cancel := context.WithTimeout(ctx, commandTime)
	defer cancel()
	var effect string
	var answer error
	done := make(chan struct{})
	out := newWatched("Forwarding from")
	go func() {
		answer = s.stream(ctx, out, s.actor, s.kubectl, "--namespace", s.victim.home, "port-forward", "pod/"+pod.Name, ":44134")
		close(done)
	}()
	select {
	case <-out.seen:
		effect = "kubectl is " + strings.TrimSpace(out.String())
		cancel()
		<-done
	case <-done:
	}
	return s.settle(answer, effect, nil)
}

// Headers with which a client asks the API server for a stream.
var (
	spdyForward = http.Header{"Connection": {"Upgrade"}, "Upgrade": {"SPDY/3.1"}, "X-Stream-Protocol-Version": {"portforward.k8s.io"}}
	spdyStreams = http.Header{"Connection": {"Upgrade"}, "Upgrade": {"SPDY/3.1"}, "X-Stream-Protocol-Version": {"v4.channel.k8s.io"}}
	webSocket   = http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"},
		"Sec-Websocket-Key": {"c29tZSByYW5kb20ga2V5IQ=="}, "Sec-Websocket-Protocol": {"v4.channel.k8s.io", "SPDY/3.1+portforward.k8s.io"}}
)

// upgradesBy asks for a stream to a Tiller pod without any of the questions that
// kubectl asks before: so it is the right to the stream itself that counts.
func upgradesBy(method, subresource string, headers http.Header) func(context.Context, *attackRun) outcome {
	return func(ctx context.Context, s *attackRun) outcome {
		pod, err := s.pod(ctx, s.victim)
		if err != nil {
			return failure("%v", err)
		}
		url := fmt.Sprintf("%s/api/v1/namespaces/%s/pods/%s/%s", s.actor.config.Host, s.victim.home, pod.Name, subresource)
		status, body, err := s.ask(ctx, method, url, headers)
		if err != nil {
			return failure("%v", err)
		}
		if status == http.StatusSwitchingProtocols {
			return success("the API server opened the stream")
		}
		var output metav1.Status
		if err := json.Unmarshal([]byte(body), &output); err != nil {
			return failure("HTTP %d: %s", status, body)
		}
		return s.settle(fmt.Errorf("HTTP %d: %s", status, output.Message), "", nil)
	}
}

// ask makes one plain request as the actor.
func (s *attackRun) ask(ctx context.Context, method, url string, headers http.Header) (int, string, error) {
	config := rest.CopyConfig(s.actor.config)
	config.NextProtos = []string{"http/1.1"} // HTTP/2 knows no upgrade
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return 0, "", err
	}
	request, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		return 0, "", err
	}
	for name, values := range headers {
		request.Header[name] = values
	}
	response, err := client.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	if response.StatusCode == http.StatusSwitchingProtocols {
		return response.StatusCode, "", nil
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	return response.StatusCode, string(body), err
}

// getRaw has kubectl get a path of the API; any of the texts in the answer shows the effect.
func (s *attackRun) getRaw(ctx context.Context, path, effect string, shows ...string) outcome {
	out, err := s.runKubectl(ctx, s.actor, "get", "--raw", path)
	if !slices.ContainsFunc(shows, func(text string) bool { return strings.Contains(out, text) }) || byRBAC.MatchString(out) {
		effect = ""
	}
	return s.settle(err, effect, nil)
}

// fromTiller has what Go's HTTP client makes of Tiller's answer, which is HTTP/2 and comes
// unasked: bytes that only Tiller sends, or, where they come before the request was sent,
// the second one, whose cause is nil because a byte was read (readLoop in
// net/http/transport.go).
var fromTiller = []string{`malformed HTTP response "\x00\x00`, "readLoopPeekFailLocked: %!w(<nil>)"}

func podProxy(ctx context.Context, s *attackRun) outcome {
	pod, err := s.pod(ctx, s.victim)
	if err != nil {
		return failure("%v", err)
	}
	return s.getRaw(ctx, fmt.Sprintf("/api/v1/namespaces/%s/pods/%s:44134/proxy/", s.victim.home, pod.Name), "Tiller's port answered", fromTiller...)
}

func serviceProxy(ctx context.Context, s *attackRun) outcome {
	return s.getRaw(ctx, fmt.Sprintf("/api/v1/namespaces/%s/services/tiller-deploy:44134/proxy/", s.victim.home), "Tiller's port answered", fromTiller...)
}

func nodeProxy(ctx context.Context, s *attackRun) outcome {
	return s.getRaw(ctx, "/api/v1/nodes/"+s.node+"/proxy/pods", "the kubelet listed Tiller's pod", `"tiller-deploy-`)
}

func endpointsAtTiller(ctx context.Context, s *attackRun) outcome {
	pod, err := s.pod(ctx, s.victim)
	if err != nil {
		return failure("%v", err)
	}
	return s.planted(ctx, `
apiVersion: v1
kind: Endpoints
metadata: {name: $ID, namespace: $OWN}
subsets: [{addresses: [{ip: `+pod.Status.PodIP+`}], ports: [{port: 44134}]}]
`)
}

func (s *attackRun) tenantWith(ctx context.Context, env []string, args ...string) (string, error) {
	out, err := s.run(ctx, call{actor: s.actor, env: env, program: s.tenantTool, args: args})
	return out, s.unmasked(ctx, s.actor, s.victim, err)
}

func listByTenant(ctx context.Context, s *attackRun) outcome {
	return s.lists(s.tenantWith(ctx, nil, s.at(s.victim, "--tenant", s.victim.name, "list")...))
}

func listByTenantVariable(ctx context.Context, s *attackRun) outcome {
	return s.lists(s.tenantWith(ctx, []string{"HELM_TENANT=" + s.victim.name}, s.at(s.victim, "list")...))
}

func listByTenantFlag(ctx context.Context, s *attackRun) outcome {
	return s.lists(s.tenantWith(ctx, nil, "list", "--tiller-namespace", s.victim.home))
}

// ownKubeconfig returns a copy of the actor's kubeconfig, to be changed.
func (s *attackRun) ownKubeconfig() (string, error) {
	text, err := os.ReadFile(s.actor.kubeconfig)
	if err != nil {
		return "", err
	}
	file := filepath.Join(s.dir, "kubeconfig-"+s.id)
	return file, os.WriteFile(file, text, 0o600)
}

func listByExtension(ctx context.Context, s *attackRun) outcome {
	file, err := s.ownKubeconfig()
	if err != nil {
		return failure("%v", err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return failure("%v", err)
	}
	lie := s.fill(`
    extensions:
    - name: helm-tenant
      extension: {apiVersion: helm-tenant/v1, current: mine, tenants: [{name: mine, homeNamespace: $HOME, engine: $ENGINE, namespaces: [$NS]}]}
    user:`)
	changed := strings.Replace(string(text), "\n    user:", strings.TrimSuffix(lie, "\n"), 1)
	if changed == string(text) {
		return failure("the kubeconfig has no place for an extension:\n%s", text)
	}
	if err := os.WriteFile(file, []byte(changed), 0o600); err != nil {
		return failure("%v", err)
	}
	return s.lists(s.tenantWith(ctx, []string{"KUBECONFIG=" + file}, "list"))
}

func useThenList(ctx context.Context, s *attackRun) outcome {
	file, err := s.ownKubeconfig()
	if err != nil {
		return failure("%v", err)
	}
	env := []string{"KUBECONFIG=" + file}
	if _, err := s.tenantWith(ctx, env, "use", s.victim.name); err != nil {
		return s.settle(err, "", nil)
	}
	return s.lists(s.tenantWith(ctx, env, "list"))
}

func whoami(ctx context.Context, s *attackRun) outcome {
	out, err := s.tenantWith(ctx, nil, "--tenant", s.victim.name, "whoami")
	effect := ""
	if strings.Contains(out, "answers as v2") {
		effect = "its Tiller answered"
	}
	return s.settle(err, effect, nil)
}

// heldByPolicy is how a connection ends that a NetworkPolicy forbids; that
// something listens there is seen from the node each time.
var heldByPolicy = refusal{"NetworkPolicy", regexp.MustCompile(`connect: connection refused`)}

func metricsFromPod(ctx context.Context, s *attackRun) outcome {
	pod, err := s.pod(ctx, s.victim)
	if err != nil {
		return failure("%v", err)
	}
	target := pod.Status.PodIP + ":44135"
	if out, err := s.fromNode(ctx, s.cluster.Bin("pause"), nil, "dial", target); err != nil {
		return failure("nothing listens there: %s %v", out, err)
	}
	if out, err := s.ownPod(ctx, "-dial", pauseImage, "dial", target); err != nil || out != "connected" {
		return s.settle(errors.Join(err, errors.New(out)), "", nil, heldByPolicy)
	}
	out, err := s.ownPod(ctx, "", kubectlImage, "--server=http://"+pod.Status.PodIP+":44135", "get", "--raw", "/metrics")
	effect := ""
	if strings.Contains(out, "\ngo_goroutines ") {
		effect = "it told its metrics"
	}
	return s.settle(err, effect, nil)
}

// nodeName returns the cluster's node.
func (st *environment) nodeName(ctx context.Context) (string, error) {
	nodes, err := st.root.client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil || len(nodes.Items) == 0 {
		return "", fmt.Errorf("the cluster has no node: %w", err)
	}
	return nodes.Items[0].Name, nil
}
