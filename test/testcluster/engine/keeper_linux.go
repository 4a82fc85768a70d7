package engine

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// InsideCommand is the argument with which the testcluster command runs Inside.
const InsideCommand = "inside"

// upFull starts the first process of the namespaces, joins its network with the
// host's, and hands it the plan. It does the rest.
func (k *Keeper) upFull(ctx context.Context, p *plan, cfg Config) error {
	removeStaleCgroups()
	k.cgroup = cgroupName(k.Info.Keeper)
	for _, dir := range []string{"containerd", "var-lib", "var-log", "run", "images"} {
		if err := os.Mkdir(filepath.Join(cfg.Dir, dir), 0o711); err != nil {
			return err
		}
	}
	if p.AuditLog != "" {
		p.AuditDir = filepath.Dir(p.AuditLog)
		p.AuditLog = filepath.Join(insideAudit, filepath.Base(p.AuditLog))
	}

	logs := filepath.Join(cfg.Dir, logDir)
	k.crew = newCrew(logs, logs)
	cmd := exec.Command("/proc/self/exe", InsideCommand, k.cgroup)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS | syscall.CLONE_NEWNET | syscall.CLONE_NEWIPC,
	}
	control, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	k.control = control
	said, report, err := os.Pipe()
	if err != nil {
		return err
	}
	defer said.Close()
	cmd.Stdout = report
	err = k.crew.start("inside", cmd)
	report.Close()
	if err != nil {
		return fmt.Errorf("%w; making namespaces needs root with CAP_SYS_ADMIN", err)
	}
	k.Info.Inside = cmd.Process.Pid

	if k.Info.Network, err = joinNetwork(ctx, cmd.Process.Pid); err != nil {
		return err
	}
	p.Network = k.Info.Network
	p.Address, p.Port, p.EtcdPort, p.EtcdPeerPort = p.Network.Node, 6443, 2379, 2380
	if err := p.writeCredentials(cfg.Dir); err != nil {
		return err
	}
	if err := json.NewEncoder(control).Encode(p); err != nil {
		return fmt.Errorf("handing the plan to the cluster's first process: %w", errors.Join(err, k.crew.report("inside", "it does not read")))
	}
	// Meanwhile the other core: the inside asks for this when containerd runs.
	archive := filepath.Join(cfg.Dir, "images", "start.tar")
	if err := writeArchive(archive+".part", images(p.Bins)...); err != nil {
		return err
	}
	if err := os.Rename(archive+".part", archive); err != nil {
		return err
	}

	answer := make(chan error, 1)
	go func() {
		var a insideAnswer
		err := json.NewDecoder(bufio.NewReader(said)).Decode(&a)
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, os.ErrClosed):
			return // it died: the crew says so
		case err != nil:
			answer <- fmt.Errorf("the cluster's first process answers what is not JSON: %w", err)
		case a.Error != "":
			answer <- errors.New(a.Error)
		default:
			answer <- nil
		}
	}()
	select {
	case err := <-answer:
		return err
	case err := <-k.crew.died:
		return err
	case <-ctx.Done():
		return fmt.Errorf("%w; %w", context.Cause(ctx), k.crew.report("inside", "it has not answered"))
	}
}

// downFull removes what a full cluster has outside its namespaces. All processes
// in them have ended when this runs: the kernel has reaped them before it lets
// their first process be waited for.
func (k *Keeper) downFull() error {
	var errs []error
	if name := k.Info.Network.Interface; name != "" {
		// The kernel removes it with the namespace, a moment later. The next
		// cluster wants its subnet now.
		out, err := exec.Command("ip", "link", "delete", name).CombinedOutput()
		if err != nil && interfaceExists(name) {
			errs = append(errs, fmt.Errorf("removing the interface %s: %w: %s", name, err, strings.TrimSpace(string(out))))
		}
	}
	if k.cgroup != "" {
		errs = append(errs, removeCgroups(k.cgroup))
	}
	return errors.Join(errs...)
}

func interfaceExists(name string) bool {
	_, err := net.InterfaceByName(name)
	return err == nil
}

// The host's end of a cluster's veth pair is helm-tenantN, and its subnet
// 10.99.N.0/30. The kernel refuses a second interface of the same name, which
// makes taking N safe between clusters that start at once.
const (
	interfacePrefix = "helm-tenant"
	insideInterface = "eth0"
)

func joinNetwork(ctx context.Context, pid int) (Network, error) {
	for n := range 200 {
		network := Network{
			Interface: interfacePrefix + strconv.Itoa(n),
			Subnet:    fmt.Sprintf("10.99.%d.0/30", n),
			Host:      fmt.Sprintf("10.99.%d.1", n),
			Node:      fmt.Sprintf("10.99.%d.2", n),
		}
		if interfaceExists(network.Interface) || addressInUse(network.Subnet) {
			continue
		}
		err := ip(ctx, "link", "add", network.Interface, "type", "veth", "peer", "name", insideInterface, "netns", strconv.Itoa(pid))
		if err != nil {
			if interfaceExists(network.Interface) {
				continue // another cluster was quicker
			}
			return Network{}, err
		}
		err = ip(ctx, "address", "add", network.Host+"/30", "dev", network.Interface)
		if err == nil {
			err = ip(ctx, "link", "set", network.Interface, "up")
		}
		return network, err
	}
	return Network{}, errors.New("all 200 subnets below 10.99.0.0/16 are taken: are there clusters to end? see: ip -br address")
}

// addressInUse tells whether the host is in that subnet already.
func addressInUse(subnet string) bool {
	_, ours, err := net.ParseCIDR(subnet)
	if err != nil {
		return true
	}
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return false
	}
	for _, a := range addresses {
		if other, ok := a.(*net.IPNet); ok && (ours.Contains(other.IP) || other.Contains(ours.IP)) {
			return true
		}
	}
	return false
}

func ip(ctx context.Context, args ...string) error {
	out, err := exec.CommandContext(ctx, "ip", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("ip %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}
