package engine

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// What the cluster's processes see. The paths are short and the same in every
// cluster, because they are in mount namespaces of their own.
const (
	insideRoot  = "/run/cluster" // the cluster's folder
	insideBin   = "/run/bin"     // a folder for each binary
	insideAudit = "/run/audit"
)

// insideAnswer is what the inside says to the keeper: nothing but this, once.
type insideAnswer struct {
	Error string `json:"error,omitempty"`
}

// Inside is run twice in a cluster's namespaces. The first process there only
// reaps: orphans of the whole namespace become its children. The second one, its
// child, starts the components and holds them until its standard input closes.
// When the first one ends, the kernel kills all the others. Cgroup is the name
// of the cgroups to be in.
func Inside(cgroup string) error {
	if os.Getpid() == 1 {
		return insideInit(cgroup)
	}
	return insideRun()
}

func insideInit(cgroup string) error {
	runtime.LockOSThread()                                         // see enterCgroups
	signal.Ignore(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP) // the keeper kills
	// Mounts made here must not spread to the host, whatever its root is.
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("making mounts private: %w", err)
	}
	if err := syscall.Mount("proc", "/proc", "proc", syscall.MS_NOSUID|syscall.MS_NODEV|syscall.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("mounting /proc: %w", err)
	}
	if err := enterCgroups(cgroup); err != nil {
		return err
	}
	child, err := os.StartProcess("/proc/self/exe", []string{"testcluster", InsideCommand, cgroup}, &os.ProcAttr{
		Env:   os.Environ(),
		Files: []*os.File{os.Stdin, os.Stdout, os.Stderr},
	})
	if err != nil {
		return err
	}
	for {
		var status syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &status, 0, nil)
		switch {
		case err == syscall.EINTR:
		case err != nil:
			return fmt.Errorf("waiting for children: %w", err)
		case pid == child.Pid && status.ExitStatus() == 0:
			return nil
		case pid == child.Pid:
			return fmt.Errorf("the process that holds the components ended: status %#x", status)
		}
	}
}

func insideRun() error {
	signal.Reset(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	stdin := bufio.NewReader(os.Stdin)
	line, err := stdin.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("reading the plan: %w", err)
	}
	var p plan
	if err := json.Unmarshal(line, &p); err != nil {
		return fmt.Errorf("reading the plan: %w", err)
	}
	ctx, cancel := context.WithCancelCause(context.Background())
	go func() {
		io.Copy(io.Discard, stdin)
		cancel(errors.New("the keeper ended"))
	}()

	c, err := p.startInside(ctx)
	var answer insideAnswer
	if err != nil {
		answer.Error = err.Error()
	}
	if err := json.NewEncoder(os.Stdout).Encode(answer); err != nil {
		return err
	}
	if err != nil {
		return err
	}
	select {
	case err := <-c.died:
		return err
	case <-ctx.Done():
		return nil // and the first process ends, and with it all
	}
}

func (p *plan) startInside(ctx context.Context) (*crew, error) {
	if err := p.mountInside(); err != nil {
		return nil, err
	}
	for _, args := range [][]string{
		{"link", "set", "lo", "up"},
		{"address", "add", p.Network.Node + "/30", "dev", insideInterface},
		{"link", "set", insideInterface, "up"},
		// Nothing answers there, and nothing is forwarded. Without it packets to
		// the service addresses have no route before kube-proxy rewrites them.
		{"route", "add", "default", "via", p.Network.Host},
	} {
		if err := ip(ctx, args...); err != nil {
			return nil, err
		}
	}
	// The bridge plugin turns this on too late for the first pod's first packet.
	if err := os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0o644); err != nil {
		return nil, err
	}
	if err := p.filterBridge(); err != nil {
		return nil, err
	}
	if err := p.writeNodeConfig(); err != nil {
		return nil, err
	}
	admin, err := p.admin()
	if err != nil {
		return nil, err
	}
	defer admin.CloseIdleConnections()

	c := newCrew(p.path(logDir), filepath.Join(p.Shown, logDir))
	if err := p.startContainerd(c); err != nil {
		return c, err
	}
	if err := p.startEtcd(ctx, c); err != nil {
		return c, err
	}
	if err := p.startAPIServer(c); err != nil {
		return c, err
	}
	if err := p.importImages(ctx, c); err != nil {
		return c, err
	}
	if err := p.awaitServer(ctx, c, admin); err != nil {
		return c, err
	}
	for _, start := range []func(*crew) error{
		p.startKubelet, p.startControllerManager, p.startScheduler, p.startProxy, p.startNameServer, p.startPolicies,
	} {
		if err := start(c); err != nil {
			return c, err
		}
	}
	if err := p.awaitControllers(ctx, c, admin); err != nil {
		return c, err
	}
	if err := p.publishNameServer(ctx, admin); err != nil {
		return c, err
	}
	if err := p.awaitNode(ctx, c, admin); err != nil {
		return c, err
	}
	return c, p.awaitNetwork(ctx, c)
}

// mountInside gives the cluster's processes a /run, /var/lib and /var/log of
// their own, where containerd, the CNI plugins, the kubelet and iptables keep
// things under names that cannot all be set. The rest of the host's files they
// see as they are.
func (p *plan) mountInside() error {
	// The new /run is put together in the cluster's folder first, because the
	// folder, or a binary, may lie below one of the folders that it hides.
	stage := filepath.Join(p.Shown, "run")
	if err := syscall.Mount("tmpfs", stage, "tmpfs", syscall.MS_NOSUID|syscall.MS_NODEV, "mode=755"); err != nil {
		return fmt.Errorf("mounting a tmpfs: %w", err)
	}
	bind := func(from, to string) error {
		if err := os.Mkdir(to, 0o755); err != nil {
			return err
		}
		return bindMount(from, to)
	}
	staged := func(inside string) string { return filepath.Join(stage, strings.TrimPrefix(inside, "/run")) }
	if err := bind(p.Shown, staged(insideRoot)); err != nil {
		return err
	}
	if p.AuditDir != "" {
		if err := bind(p.AuditDir, staged(insideAudit)); err != nil {
			return err
		}
	}
	for _, dir := range []string{insideBin, "/run/tmp", "/run/lock"} {
		if err := os.Mkdir(staged(dir), 0o755); err != nil {
			return err
		}
	}
	// The folder of each, not the file: to keep its own binary safe from the
	// container, runc lays an overlay over the folder that it lies in, and an
	// overlay does not see what is mounted inside.
	for name, binary := range p.Bins {
		dir := filepath.Join(insideBin, name)
		if err := bind(filepath.Dir(binary), staged(dir)); err != nil {
			return err
		}
		p.Bins[name] = filepath.Join(dir, filepath.Base(binary))
	}
	if err := syscall.Mount(stage, "/run", "", syscall.MS_MOVE, ""); err != nil {
		return fmt.Errorf("moving the new /run to its place: %w", err)
	}
	p.Root = insideRoot
	if err := bindMount(p.path("var-lib"), "/var/lib"); err != nil {
		return err
	}
	if err := bindMount(p.path("var-log"), "/var/log"); err != nil {
		return err
	}
	if err := os.Setenv("TMPDIR", "/run/tmp"); err != nil {
		return err
	}
	// containerd looks for its shim there, and the kubelet for mount and iptables.
	if err := os.Setenv("PATH", filepath.Dir(p.Bins["containerd-shim-runc-v2"])+":"+os.Getenv("PATH")+":/usr/sbin:/sbin"); err != nil {
		return err
	}
	return p.shieldSysctls()
}

// shieldSysctls hides those of the kernel's settings that the kubelet writes and
// that no namespace keeps apart (setupKernelTunables in its container manager):
// they are the host's. It finds files there with the values that it wants.
func (p *plan) shieldSysctls() error {
	dir := "/run/sysctl"
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	for name, value := range map[string]string{
		"vm/overcommit_memory":      "1",
		"vm/panic_on_oom":           "0",
		"kernel/panic":              "10",
		"kernel/panic_on_oops":      "1",
		"kernel/keys/root_maxkeys":  "1000000",
		"kernel/keys/root_maxbytes": "25000000",
	} {
		file := filepath.Join(dir, strings.ReplaceAll(name, "/", "."))
		if err := os.WriteFile(file, []byte(value+"\n"), 0o644); err != nil {
			return err
		}
		target := filepath.Join("/proc/sys", name)
		if _, err := os.Stat(target); errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err := bindMount(file, target); err != nil {
			return err
		}
	}
	return nil
}

func bindMount(from, to string) error {
	if err := syscall.Mount(from, to, "", syscall.MS_BIND, ""); err != nil {
		return fmt.Errorf("mounting %s at %s: %w", from, to, err)
	}
	return nil
}

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
		// The size of the connection table is the whole machine's, and writing it
		// is refused in a network namespace.
		"--conntrack-max-per-core=0",
		"--conntrack-min=0",
	))
}

func (p *plan) awaitNode(ctx context.Context, c *crew, admin *http.Client) error {
	if err := c.await(ctx, "kube-proxy", "kube-proxy", func(ctx context.Context) error {
		return get(ctx, http.DefaultClient, "http://"+proxyHealth+"/healthz", nil)
	}); err != nil {
		return err
	}
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

		"nodeStatusUpdateFrequency": (1 * time.Second).String(), // Ready is seen sooner
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
