package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
)

// Pods expect names and enforced policies of their network in addition to addresses. Both
// programs run beside the kubelet, as kube-proxy does, and write only to the cluster's own
// network namespace.

const (
	policiesHealth   = "127.0.0.1:20244"
	nameServerHealth = "127.0.0.1:8181"
)

// filterBridge has the kernel show packets between two pods of the node to
// iptables. They cross a bridge, and without it a NetworkPolicy between them
// would hold nothing.
func (p *plan) filterBridge() error {
	err := os.WriteFile("/proc/sys/net/bridge/bridge-nf-call-iptables", []byte("1"), 0o644)
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("the kernel does not filter bridges: %w; load its module: modprobe br_netfilter", err)
	}
	return err
}

// startPolicies starts what enforces NetworkPolicies.
func (p *plan) startPolicies(c *crew) error {
	return c.start("kube-router", exec.Command(p.Bins["kube-router"],
		"--kubeconfig="+p.kubeconfig("kube-router"),
		"--node="+nodeName,
		"--service-cidr="+serviceCIDR,
		"--health="+policiesHealth,
	))
}

// startNameServer starts the cluster's DNS. It knows the cluster's own names;
// all others are refused at once, since no other name server is reached.
func (p *plan) startNameServer(c *crew) error {
	corefile := fmt.Sprintf(`.:53 {
    bind %s
    errors
    ready %s
    kubernetes cluster.local in-addr.arpa ip6.arpa {
        kubeconfig %s
        pods insecure
        ttl 0
    }
}
`, p.Network.Node, nameServerHealth, p.kubeconfig("coredns"))
	path := p.path("config", "Corefile")
	if err := os.WriteFile(path, []byte(corefile), 0o644); err != nil {
		return err
	}
	return c.start("coredns", exec.Command(p.Bins["coredns"], "-conf", path))
}

func (p *plan) awaitNetwork(ctx context.Context, c *crew) error {
	if err := c.await(ctx, "the name server", "coredns", func(ctx context.Context) error {
		return get(ctx, http.DefaultClient, "http://"+nameServerHealth+"/ready", nil)
	}); err != nil {
		return err
	}
	return c.await(ctx, "network policies", "kube-router", func(ctx context.Context) error {
		return get(ctx, http.DefaultClient, "http://"+policiesHealth, nil)
	})
}

// publishNameServer makes the Service by which pods reach the name server. It
// has no selector: the name server is no pod, and listens at the node's address.
func (p *plan) publishNameServer(ctx context.Context, admin *http.Client) error {
	type object = map[string]any
	var servicePorts, slicePorts []object
	for name, protocol := range map[string]string{"dns": "UDP", "dns-tcp": "TCP"} {
		servicePorts = append(servicePorts, object{"name": name, "protocol": protocol, "port": 53, "targetPort": 53})
		slicePorts = append(slicePorts, object{"name": name, "protocol": protocol, "port": 53})
	}
	if err := post(ctx, admin, p.server()+"/api/v1/namespaces/kube-system/services", object{
		"apiVersion": "v1", "kind": "Service",
		"metadata": object{"name": "kube-dns", "labels": object{"k8s-app": "kube-dns", "kubernetes.io/name": "CoreDNS"}},
		"spec":     object{"clusterIP": dnsIP, "ports": servicePorts},
	}); err != nil {
		return err
	}
	return post(ctx, admin, p.server()+"/apis/discovery.k8s.io/v1/namespaces/kube-system/endpointslices", object{
		"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
		"metadata":    object{"name": "kube-dns-node", "labels": object{"kubernetes.io/service-name": "kube-dns"}},
		"addressType": "IPv4",
		"ports":       slicePorts,
		"endpoints":   []object{{"addresses": []string{p.Network.Node}, "conditions": object{"ready": true}}},
	})
}

// post creates an object and fails unless the API server says that it has.
func post(ctx context.Context, client *http.Client, url string, body any) error {
	data, err := json.Marshal(body)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(data))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusCreated {
		answer, _ := io.ReadAll(io.LimitReader(resp.Body, 1000))
		return fmt.Errorf("creating an object by %s: %s: %s", url, resp.Status, answer)
	}
	return nil
}
