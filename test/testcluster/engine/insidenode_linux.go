package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

func (p *plan) startContainerd(c *crew) error {
	return c.start("containerd", exec.Command(p.Bins["containerd"], "--config", p.path("config", "containerd.toml")))
}

// importImages waits for containerd and for the archive that the keeper makes
// meanwhile.
func (p *plan) importImages(ctx context.Context, c *crew) error {
	archive := p.path("images", "start.tar")
	if err := c.await(ctx, "containerd", "containerd", func(ctx context.Context) error {
		if _, err := os.Stat(archive); err != nil {
			return err
		}
		return exec.CommandContext(ctx, p.Bins["ctr"], "--address", containerdSocket, "version").Run()
	}); err != nil {
		return err
	}
	if err := c.run(ctx, "image-import", p.Bins["ctr"], importArgs(containerdSocket, archive)...); err != nil {
		return err
	}
	return os.Remove(archive)
}

func (p *plan) startKubelet(c *crew) error {
	return c.start("kubelet", exec.Command(p.Bins["kubelet"],
		"--config="+p.path("config", "kubelet.json"),
		"--kubeconfig="+p.kubeconfig("kubelet"),
		"--hostname-override="+nodeName,
		// Otherwise it asks a name server for it, which it cannot reach here, and
		// takes two minutes to be Ready.
		"--node-ip="+p.Network.Node,
		"--housekeeping-interval=1m", // nobody asks for the containers' numbers, which it reads every 10 s
	))
}

func (p *plan) startScheduler(c *crew) error {
	return c.start("kube-scheduler", exec.Command(p.Bins["kube-scheduler"],
		"--kubeconfig="+p.kubeconfig("kube-scheduler"),
		"--authentication-kubeconfig="+p.kubeconfig("kube-scheduler"),
		"--authorization-kubeconfig="+p.kubeconfig("kube-scheduler"),
		"--leader-elect=false",
		"--secure-port=0",
	))
}

const proxyHealth = "127.0.0.1:10256"

func (p *plan) startProxy(c *crew) error {
	return c.start("kube-proxy", exec.Command(p.Bins["kube-proxy"],
		"--kubeconfig="+p.kubeconfig("kube-proxy"),
		"--hostname-override="+nodeName,
		"--proxy-mode=iptables",
		"--cluster-cidr="+podCIDR,
		"--healthz-bind-address="+proxyHealth,
		"--iptables-sync-period=10s", // it is the pause after a failure, too: see awaitServices
		// The size of the connection table is the whole machine's, and writing it
		// is refused in a network namespace.
		"--conntrack-max-per-core=0",
		"--conntrack-min=0",
	))
}

// awaitServices waits until the node reaches the API server's Service. kube-proxy is healthy
// before that: kube-router writes the whole filter table back as it read it, and what kube-proxy
// wrote meanwhile is gone. Its first round then fails, and no Service has an address until the
// next one. So kube-router starts after this.
func (p *plan) awaitServices(ctx context.Context, c *crew, admin *http.Client) error {
	return c.await(ctx, "kube-proxy", "kube-proxy", func(ctx context.Context) error {
		if err := get(ctx, http.DefaultClient, "http://"+proxyHealth+"/healthz", nil); err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		return get(ctx, admin, "https://"+serviceIP+"/readyz", nil)
	})
}

func (p *plan) awaitNode(ctx context.Context, c *crew, admin *http.Client) error {
	return c.await(ctx, "the node to be Ready", "kubelet", func(ctx context.Context) error {
		var node struct {
			Spec struct {
				Taints []struct{ Key string }
			}
			Status struct {
				Conditions []struct{ Type, Status, Message string }
			}
		}
		if err := get(ctx, admin, p.server()+"/api/v1/nodes/"+nodeName, &node); err != nil {
			return err
		}
		for _, condition := range node.Status.Conditions {
			if condition.Type != "Ready" {
				continue
			}
			if condition.Status != "True" {
				return fmt.Errorf("it is not: %s", condition.Message)
			}
			if len(node.Spec.Taints) > 0 { // as long as the controller manager has not seen it
				return fmt.Errorf("it is tainted: %s", node.Spec.Taints[0].Key)
			}
			return nil
		}
		return errors.New("it has not said yet")
	})
}

// writeNodeConfig writes the files that containerd, the CNI plugins and the
// kubelet are configured by.
func (p *plan) writeNodeConfig() error {
	cni := p.path("config", "cni")
	if err := os.Mkdir(cni, 0o755); err != nil {
		return err
	}
	var plugins []string
	for _, name := range []string{"bridge", "host-local", "loopback", "portmap"} {
		plugins = append(plugins, fmt.Sprintf("%q", filepath.Dir(p.Bins[name])))
	}
	containerd := fmt.Sprintf(`version = 3
root = %q
state = "/run/containerd"

[grpc]
  address = %q

# Made at every start, below /opt unless told otherwise.
[plugins."io.containerd.internal.v1.opt"]
  path = "/run/containerd/opt"

[plugins."io.containerd.cri.v1.images".pinned_images]
  sandbox = %q

[plugins."io.containerd.cri.v1.runtime"]
  # Lowering a process's oom_score_adj needs CAP_SYS_RESOURCE, which root in a
  # container or sandbox may lack; runc then ends with "can't get final child's
  # PID from pipe: EOF".
  restrict_oom_score_adj = true
  # By default a second: twenty files of each container's cgroups, which nobody here asks for,
  # were a fifth of a core with fifty pods.
  stats_collect_period = "1h"
  stats_retention_period = "1h"

  [plugins."io.containerd.cri.v1.runtime".cni]
    bin_dirs = [%s]
    conf_dir = %q

  [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
      BinaryName = %q
      SystemdCgroup = false
`, p.path("containerd"), containerdSocket, PauseImage, strings.Join(plugins, ", "), cni, p.Bins["runc"])
	if err := os.WriteFile(p.path("config", "containerd.toml"), []byte(containerd), 0o644); err != nil {
		return err
	}

	type object = map[string]any
	if err := writeJSON(filepath.Join(cni, "10-test.conflist"), object{
		"cniVersion": "1.0.0",
		"name":       "test",
		"plugins": []object{
			{
				"type":        "bridge",
				"bridge":      "cni0",
				"isGateway":   true,
				"hairpinMode": true,
				"ipam": object{
					"type":    "host-local",
					"dataDir": "/run/cni",
					"ranges":  [][]object{{{"subnet": podCIDR}}},
					"routes":  []object{{"dst": "0.0.0.0/0"}},
				},
			},
			{"type": "portmap", "capabilities": object{"portMappings": true}},
		},
	}); err != nil {
		return err
	}
	return writeJSON(p.path("config", "kubelet.json"), object{
		"apiVersion":     "kubelet.config.k8s.io/v1beta1",
		"kind":           "KubeletConfiguration",
		"authentication": object{"anonymous": object{"enabled": false}, "webhook": object{"enabled": true}, "x509": object{"clientCAFile": p.path("pki", "ca.crt")}},
		"authorization":  object{"mode": "Webhook"},

		"tlsCertFile":              p.path("pki", "kubelet.crt"),
		"tlsPrivateKeyFile":        p.path("pki", "kubelet.key"),
		"containerRuntimeEndpoint": "unix://" + containerdSocket,
		"healthzPort":              0,
		"volumePluginDir":          "/run/volumeplugins", // its default is a folder below /usr, which it makes
		"resolvConf":               "",                   // the host's name servers are not reached from pods
		"clusterDomain":            "cluster.local",
		"clusterDNS":               []string{dnsIP},

		// It must run where we are not alone: in a container, in a sandbox, with
		// either cgroup version, and without its own hierarchy of cgroups.
		"failCgroupV1":                  false,
		"failSwapOn":                    false,
		"cgroupDriver":                  "cgroupfs",
		"cgroupsPerQOS":                 false,
		"enforceNodeAllocatable":        []string{},
		"localStorageCapacityIsolation": false,
		"oomScoreAdj":                   0,

		// A full disk is the host's affair, and images that were imported could
		// not be pulled again.
		"evictionHard":                object{},
		"imageGCHighThresholdPercent": 100,

		// An image whose registry does not answer is tried for minutes: other pods' images need not
		// wait for it.
		"serializeImagePulls": false,

		"nodeStatusUpdateFrequency": (10 * time.Second).String(), // Ready is seen at once all the same
		"nodeStatusReportFrequency": time.Minute.String(),        // while nothing changes
		"kubeAPIQPS":                200,
		"kubeAPIBurst":              400,
	})
}

func writeJSON(path string, value any) error {
	data, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, data, 0o644)
}
