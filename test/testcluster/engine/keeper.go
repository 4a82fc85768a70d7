// Package engine runs the test cluster's processes. The testcluster command is
// made of it; tests use package testcluster, which runs that command.
//
// One process, the keeper, holds a cluster: whatever ends the keeper ends the
// cluster. In the api size the components are its children. In the full size it
// has one child, which is the first process of new PID, mount and network
// namespaces; the components and all pods are in there, so that nothing outlives
// that child, and nothing of the host changes but one veth pair.
package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"helm-tenant/test/parts"
)

// Config is what a cluster is started with.
type Config struct {
	Size          Size
	Dir           string    // created if it does not exist; has all files of the cluster
	AuditLog      string    // the file for the API server's audit log; empty for none
	APIServerArgs []string  // after the default ones, so that they win
	Kubernetes    string    // an older minor version (parts.Matrix), in the api size; empty for the current one
	Log           io.Writer // narration
}

// A Keeper holds a running cluster.
type Keeper struct {
	Info Info

	crew    *crew
	log     io.Writer
	control io.Closer // of the full size: closing it tells the inside to end
	cgroup  string
}

// ControlPlaneParts are the parts that the api size runs, FullParts all that the
// full size does.
var (
	ControlPlaneParts = parts.ControlPlane("")
	FullParts         = append(append([]string(nil), ControlPlaneParts...),
		"kube-scheduler", "kubelet", "kube-proxy",
		"containerd", "containerd-shim-runc-v2", "ctr", "runc",
		"bridge", "host-local", "loopback", "portmap",
		"kube-router", "coredns",
		"pause", "tiller")
)

// Parts returns the parts that a cluster of that size is made of.
func (s Size) Parts() []string {
	if s == Full {
		return FullParts
	}
	return ControlPlaneParts
}

// The files of a cluster in its folder. A person may have named the folder, so only these are
// ever removed. The logs stay until the next start.
var (
	kept   = []string{"pki", "kubeconfig", "users", "etcd", "flexvolumes", "config", "images", "containerd", "var-lib", "var-log", "run", infoFile, infoFile + ".new"}
	logDir = "logs"
)

// Up starts a cluster and returns when it is ready. If it fails, or ctx ends before that, it
// ends the processes again; after that, see Down.
func Up(ctx context.Context, cfg Config) (_ *Keeper, err error) {
	if cfg.Size != API && cfg.Size != Full {
		return nil, fmt.Errorf("no such size: %q; there are %s and %s", cfg.Size, API, Full)
	}
	if cfg.Log == nil {
		cfg.Log = io.Discard
	}
	if cfg.Dir, err = filepath.Abs(cfg.Dir); err != nil {
		return nil, err
	}
	if cfg.AuditLog != "" {
		if cfg.AuditLog, err = filepath.Abs(cfg.AuditLog); err != nil {
			return nil, err
		}
	}
	if old, err := ReadInfo(cfg.Dir); err == nil && old.Keeper.Alive() {
		return nil, fmt.Errorf("a cluster runs in %s already (process %d); end it with `testcluster down --dir %s`", cfg.Dir, old.Keeper.PID, cfg.Dir)
	}
	bins, err := buildParts(ctx, cfg)
	if err != nil {
		return nil, err
	}

	start := time.Now()
	ctx, cancel := context.WithTimeoutCause(ctx, 10*time.Minute, errors.New("it did not become ready within 10 minutes"))
	defer cancel()
	if err := prepare(cfg.Dir); err != nil {
		return nil, err
	}
	k := &Keeper{log: cfg.Log}
	k.Info = Info{
		Size:  cfg.Size,
		Dir:   cfg.Dir,
		CA:    filepath.Join(cfg.Dir, "pki", "ca.crt"),
		Admin: filepath.Join(cfg.Dir, "kubeconfig", "admin"),
	}
	if k.Info.Keeper, err = thisProcess(); err != nil {
		return nil, err
	}
	p := &plan{Root: cfg.Dir, Shown: cfg.Dir, Bins: bins, AuditLog: cfg.AuditLog, APIServerArgs: cfg.APIServerArgs}
	if p.minor, err = minorOf(cfg.Kubernetes); err != nil {
		return nil, err
	}
	up := k.upAPI
	if cfg.Size == Full {
		up = k.upFull
	}
	if err := up(ctx, p, cfg); err != nil {
		return nil, fmt.Errorf("starting the %s cluster in %s: %w", cfg.Size, cfg.Dir, errors.Join(err, k.Down()))
	}
	k.Info.Server = p.server()
	if err := k.Info.write(); err != nil {
		return nil, errors.Join(err, k.Down())
	}
	fmt.Fprintf(cfg.Log, "%s cluster ready in %s: %s\n", cfg.Size, time.Since(start).Round(10*time.Millisecond), k.Info.Server)
	return k, nil
}

// buildParts builds what the cluster runs, and returns the programs by the names
// that the present Kubernetes' parts have.
func buildParts(ctx context.Context, cfg Config) (map[string]string, error) {
	if cfg.Kubernetes == "" {
		return parts.Build(ctx, cfg.Log, cfg.Size.Parts()...)
	}
	if cfg.Size != API {
		return nil, fmt.Errorf("older versions of Kubernetes, such as %s, run in the %s size alone", cfg.Kubernetes, API)
	}
	if !slices.Contains(parts.Matrix(), cfg.Kubernetes) {
		return nil, fmt.Errorf("no parts of Kubernetes %s; there are %s", cfg.Kubernetes, strings.Join(parts.Matrix(), ", "))
	}
	built, err := parts.Build(ctx, cfg.Log, parts.ControlPlane(cfg.Kubernetes)...)
	if err != nil {
		return nil, err
	}
	bins := map[string]string{}
	for name, binary := range built {
		bins[strings.TrimSuffix(name, "-"+cfg.Kubernetes)] = binary
	}
	return bins, nil
}

func prepare(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := clear(dir, append([]string{logDir}, kept...)); err != nil {
		return fmt.Errorf("clearing what an earlier cluster left: %w", err)
	}
	for _, sub := range []string{"pki", "kubeconfig", "etcd", "config", logDir} {
		mode := os.FileMode(0o755)
		if sub == "pki" || sub == "etcd" {
			mode = 0o700
		}
		if err := os.Mkdir(filepath.Join(dir, sub), mode); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(dir, "config", "audit-policy.yaml"), []byte(auditPolicy), 0o644)
}

func clear(dir string, names []string) error {
	var errs []error
	for _, name := range names {
		errs = append(errs, os.RemoveAll(filepath.Join(dir, name)))
	}
	return errors.Join(errs...)
}

func (k *Keeper) upAPI(ctx context.Context, p *plan, cfg Config) error {
	for try := 1; ; try++ {
		err := k.tryAPI(ctx, p)
		// The ports were free when we asked: somebody was quicker.
		if try == 3 || !portTaken(err) {
			return err
		}
		fmt.Fprintf(cfg.Log, "a port was taken by another process: trying others\n")
		k.stopCrew()
		if err := prepare(cfg.Dir); err != nil {
			return err
		}
	}
}

func (k *Keeper) tryAPI(ctx context.Context, p *plan) error {
	ports, err := freePorts(3)
	if err != nil {
		return err
	}
	p.Address, p.Port, p.EtcdPort, p.EtcdPeerPort = "127.0.0.1", ports[0], ports[1], ports[2]
	if err := p.writeCredentials(p.Root); err != nil {
		return err
	}
	admin, err := p.admin()
	if err != nil {
		return err
	}
	defer admin.CloseIdleConnections()
	k.crew = newCrew(p.path(logDir), filepath.Join(p.Shown, logDir))
	if err := p.startEtcd(ctx, k.crew); err != nil {
		return err
	}
	if err := p.startAPIServer(k.crew); err != nil {
		return err
	}
	if err := p.awaitServer(ctx, k.crew, admin); err != nil {
		return err
	}
	if err := p.startControllerManager(k.crew); err != nil {
		return err
	}
	return p.awaitControllers(ctx, k.crew, admin)
}

// freePorts returns ports that nothing listens on. They are found together, so
// that none is named twice.
func freePorts(n int) ([]int, error) {
	var ports []int
	for range n {
		l, err := net.Listen("tcp4", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("looking for a free port: %w", err)
		}
		defer l.Close()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}

// Died yields why the cluster ended, if it does so by itself.
func (k *Keeper) Died() <-chan error { return k.crew.died }

func (k *Keeper) stopCrew() {
	if k.crew != nil {
		k.crew.stop()
		k.crew.close()
		k.crew = nil
	}
}

// Down ends the cluster and removes its files, except the logs.
func (k *Keeper) Down() error {
	if k.control != nil {
		k.control.Close()
	}
	k.stopCrew()
	var errs []error
	if k.Info.Size == Full {
		errs = append(errs, k.downFull())
	}
	return errors.Join(append(errs, clear(k.Info.Dir, kept))...)
}
