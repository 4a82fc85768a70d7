// Package testcluster gives tests a real Kubernetes cluster: a real API server
// with real RBAC, admission and controllers, and in the full size a node on
// which pods run.
//
// A cluster is held by a process of its own, the testcluster command, which ends
// it when the test process does, however that ends. Several clusters run side by
// side. What runs is built from module sources at the first use (package parts),
// which takes some minutes with a cold cache: `go run ./cmd/testcluster build`
// does it ahead, outside any test's time limit.
package testcluster

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"k8s.io/client-go/rest"

	"helm-tenant/test/parts"
	"helm-tenant/test/testcluster/engine"
)

// Size is how much of a cluster runs.
type Size = engine.Size

const (
	// API is etcd, the API server and the controller manager. No pod ever runs,
	// and no root is needed.
	API = engine.API
	// Full adds a node on which pods run, Tiller's image among them. Needs root
	// on Linux.
	Full = engine.Full
)

// Options says what to start. The zero value is an API size cluster in a
// temporary folder.
type Options struct {
	Size Size

	// Log gets the progress of the start: what is being built, and how long it took. os.Stderr
	// if nil.
	Log io.Writer

	// Dir holds all that the cluster writes. A temporary folder, removed by
	// Stop, if empty. The folder given stays, with the logs in it.
	Dir string

	// AuditLog is a file to which the API server writes one line of JSON for
	// each request that it answers (audit.k8s.io/v1, level Metadata).
	AuditLog string

	// APIServerArgs come after our own flags, so that they win.
	APIServerArgs []string

	// Kubernetes is an older minor version, such as 1.24 (parts.Matrix), for the
	// API size. The present one if empty.
	Kubernetes string
}

// A Cluster is a running cluster. Its methods may be called by several
// goroutines at once.
type Cluster struct {
	// Server is the API server's URL. It answers from this host, and in the full
	// size from inside the cluster's network as well.
	Server string
	// CAFile holds the certificate of the authority that signed the server's.
	CAFile string
	// Dir is the cluster's folder; the components' logs are in its logs folder.
	Dir string
	// Info is all that is known of it.
	Info engine.Info

	log    io.Writer
	pki    *engine.PKI
	keeper *keeper // nil if another process keeps it

	mu   sync.Mutex
	bins map[string]string
}

// keeper is the process that holds a cluster for us.
type keeper struct {
	cmd   *exec.Cmd
	stdin io.Closer // closing it ends the cluster
	ended chan struct{}
	err   error // valid when ended is closed
}

// Start starts a cluster and returns when it can be used: the API server is
// ready, the controllers work, and in the full size the node is Ready.
func Start(ctx context.Context, o Options) (*Cluster, error) {
	if o.Size == "" {
		o.Size = API
	}
	if o.Log == nil {
		o.Log = os.Stderr
	}
	if err := Missing(o.Size); err != nil {
		return nil, err
	}
	command, err := buildCommand(ctx)
	if err != nil {
		return nil, err
	}
	temporary := o.Dir == ""
	if temporary {
		if o.Dir, err = os.MkdirTemp("", "testcluster-"); err != nil {
			return nil, err
		}
	}
	args := []string{"up", "--until-stdin-closes", "--size", string(o.Size), "--dir", o.Dir, "--audit-log", o.AuditLog}
	if temporary {
		args = append(args, "--temporary")
	}
	if o.Kubernetes != "" {
		args = append(args, "--kubernetes", o.Kubernetes)
	}
	for _, a := range o.APIServerArgs {
		args = append(args, "--apiserver-arg", a)
	}
	cmd := exec.Command(command, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a Ctrl-C reaches it by way of our end, once
	// A pipe even to an *os.File: a keeper that holds our stderr would have `go
	// test` wait for it.
	var said bytes.Buffer
	cmd.Stderr = io.MultiWriter(o.Log, &said)
	cmd.WaitDelay = 10 * time.Second
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting the cluster's keeper: %w", err)
	}
	k := &keeper{cmd: cmd, stdin: stdin, ended: make(chan struct{})}
	ready := make(chan bool, 1)
	go func() {
		line, _ := bufio.NewReader(stdout).ReadString('\n')
		ready <- line == "ready\n"
		k.err = cmd.Wait()
		close(k.ended)
	}()

	select {
	case ok := <-ready:
		if !ok {
			<-k.ended
			return nil, fmt.Errorf("the %s cluster did not start: %w\n%s", o.Size, k.err, strings.TrimSpace(said.String()))
		}
	case <-ctx.Done():
		k.stop()
		return nil, fmt.Errorf("starting the %s cluster: %w", o.Size, context.Cause(ctx))
	}
	c, err := Attach(o.Dir)
	if err != nil {
		return nil, errors.Join(err, k.stop())
	}
	c.keeper, c.log = k, o.Log
	return c, nil
}

// Attach returns the cluster that runs in dir and that somebody else holds: Stop
// does not end it.
func Attach(dir string) (*Cluster, error) {
	info, err := engine.ReadInfo(dir)
	if err != nil {
		return nil, err
	}
	if !info.Keeper.Alive() {
		return nil, fmt.Errorf("the cluster in %s has ended; start one with `testcluster up`", dir)
	}
	pki, err := engine.LoadPKI(info.Dir)
	if err != nil {
		return nil, fmt.Errorf("reading the certificate authority of the cluster in %s: %w", dir, err)
	}
	return &Cluster{
		Server: info.Server, CAFile: info.CA, Dir: info.Dir, Info: info,
		log: os.Stderr, pki: pki, bins: map[string]string{},
	}, nil
}

// Stop ends the cluster and everything that runs in it. It may be called more
// than once.
func (c *Cluster) Stop() error {
	if c.keeper == nil {
		return nil
	}
	return c.keeper.stop()
}

func (k *keeper) stop() error {
	k.stdin.Close()
	select {
	case <-k.ended:
		return k.err
	case <-time.After(2 * time.Minute):
		k.cmd.Process.Kill() // and the kernel ends all that it started
		<-k.ended
		return errors.New("the cluster's keeper did not end within 2 minutes and was killed")
	}
}

// Died is closed when the cluster has ended, by Stop or because a component failed; Options.Log
// got the reason.
func (c *Cluster) Died() <-chan struct{} {
	if c.keeper == nil {
		return nil
	}
	return c.keeper.ended
}

// Admin returns the path of a kubeconfig for a member of system:masters, whom RBAC does not
// limit. All callers share the file: do not change it.
func (c *Cluster) Admin() string { return c.Info.Admin }

// Kubeconfig writes a kubeconfig for that user in those groups, and returns its path. It has
// one context, test, of the cluster test. Each call writes a new file, which the caller may
// change; it is removed with the cluster's folder. The user has only the rights of
// system:authenticated until somebody grants more.
func (c *Cluster) Kubeconfig(user string, groups ...string) (string, error) {
	dir := filepath.Join(c.Dir, "users")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	f, err := os.CreateTemp(dir, "kubeconfig-")
	if err != nil {
		return "", err
	}
	if err := f.Close(); err != nil {
		return "", err
	}
	if err := c.pki.Kubeconfig(f.Name(), c.Server, user, groups...); err != nil {
		return "", fmt.Errorf("writing a kubeconfig for %s: %w", user, err)
	}
	return f.Name(), nil
}

// RESTConfig is what Kubeconfig's file says, for client-go, without client-go's
// limit of 5 requests a second, and without the API server's warnings.
func (c *Cluster) RESTConfig(user string, groups ...string) (*rest.Config, error) {
	pair, err := c.pki.Client(user, groups...)
	if err != nil {
		return nil, fmt.Errorf("signing a certificate for %s: %w", user, err)
	}
	return &rest.Config{
		Host: c.Server,
		TLSClientConfig: rest.TLSClientConfig{
			CAData: c.pki.CACert, CertData: pair.Cert, KeyData: pair.Key,
		},
		QPS: -1, WarningHandlerWithContext: rest.NoWarnings{},
	}, nil
}

// Bin returns the path of a program of package parts, such as kubectl, helm2,
// helm3, helm4 or tiller, and builds it if nobody has yet. The helms' files are
// called helm, alone in their folders. It panics if there is no such part or it
// does not build: a test can do nothing about either.
func (c *Cluster) Bin(name string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if path := c.bins[name]; path != "" {
		return path
	}
	built, err := parts.Build(context.Background(), c.log, name)
	if err != nil {
		panic(err)
	}
	c.bins[name] = built[name]
	return built[name]
}

// InNetwork has cmd, which is not started yet, run inside the network of a full
// cluster, where the addresses of pods and services are reached as from the
// node. In an API size cluster, which has no network of its own, cmd stays as it
// is.
func (c *Cluster) InNetwork(cmd *exec.Cmd) {
	if c.Info.Inside == 0 {
		return
	}
	args := []string{"nsenter", "--net=" + c.namespace("net"), "--", cmd.Path}
	if len(cmd.Args) > 1 {
		args = append(args, cmd.Args[1:]...)
	}
	if path, err := exec.LookPath("nsenter"); err == nil {
		cmd.Path = path
	} else {
		cmd.Path, cmd.Err = "nsenter", err
	}
	cmd.Args = args
}

func (c *Cluster) namespace(kind string) string {
	return filepath.Join("/proc", strconv.Itoa(c.Info.Inside), "ns", kind)
}

// LoadImage gives the node of a full cluster an image that holds one static
// binary and nothing else, under that name, which needs a tag: the binary is at
// entrypoint, which is what runs, as user. Pods that use it must not ask for
// imagePullPolicy Always: there is no registry.
//
// The node has from the start: registry.k8s.io/pause:3.10 (/pause, see package
// parts/pause), and ghcr.io/helm/tiller:v2.17.0 (/tiller, user 65534).
func (c *Cluster) LoadImage(ctx context.Context, name, binary, entrypoint, user string) error {
	if c.Info.Size != Full {
		return fmt.Errorf("loading image %s: an %s cluster has no node", name, c.Info.Size)
	}
	return c.Info.LoadImage(ctx, c.Bin("ctr"), engine.Image{Name: name, Binary: binary, Entrypoint: entrypoint, User: user})
}

// LoadLayout gives the node of a full cluster the image of an archived OCI layout, under
// that name and the tags that are in the archive.
func (c *Cluster) LoadLayout(ctx context.Context, archive, name string) error {
	if c.Info.Size != Full {
		return fmt.Errorf("loading image %s: an %s cluster has no node", name, c.Info.Size)
	}
	return c.Info.LoadLayout(ctx, c.Bin("ctr"), archive, name)
}

// buildCommand returns the path of the testcluster command, built from the
// sources beside this package. It takes a moment when they have not changed.
func buildCommand(ctx context.Context) (string, error) {
	source, err := parts.Source()
	if err != nil {
		return "", err
	}
	cache, err := parts.CacheDir()
	if err != nil {
		return "", err
	}
	return parts.Command(ctx, filepath.Dir(source), "./cmd/testcluster", "testcluster", filepath.Join(cache, "bin"))
}
