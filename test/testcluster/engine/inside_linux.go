package engine

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"
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

// Inside runs twice in a cluster's namespaces. The first process only reaps: orphans of the
// whole namespace become its children. Its child, the second one, starts the components and
// stops them when its standard input closes. When the first process ends, the kernel kills all
// others. cgroup is the name of the cgroups to join.
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
		p.startKubelet, p.startControllerManager, p.startScheduler, p.startProxy, p.startNameServer,
	} {
		if err := start(c); err != nil {
			return c, err
		}
	}
	if err := p.awaitControllers(ctx, c, admin); err != nil {
		return c, err
	}
	if err := p.awaitServices(ctx, c, admin); err != nil {
		return c, err
	}
	if err := p.startPolicies(c); err != nil {
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
