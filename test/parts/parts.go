// Package parts builds the programs that the tests run against, from module
// sources: Kubernetes, etcd, containerd and the Helm versions. Nothing is
// downloaded but Go modules, which go.sum vouches for.
//
// Each folder below this one pins one source tree in a go.mod of its own, so
// that no part's dependencies meet another's, nor the ones of the tests. What
// was built is kept in the user's cache folder and built again only when its
// pins, its flags or the Go version change.
package parts

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// A Part is one program and how it is built.
type Part struct {
	Name    string // what Build calls it
	File    string // its file name if it is not Name
	Version string // as its folder's go.mod pins it (a test holds the two together)
	Folder  string // the folder below this package whose go.mod pins its source
	Package string // the main package to build
	CGo     bool   // needs a C compiler; the others are static binaries
	Tags    string // build tags
	LDFlags string // beyond the -s -w that all get
	Minutes string // how long a cold build takes on two cores, for the waiting
	// NoOpenAPI says that the sources lack the generated OpenAPI definitions, which the package
	// _openapi replaces.
	NoOpenAPI bool `json:",omitempty"`
	// Matrix is the older minor version of Kubernetes that the part belongs to.
	// Left out where empty, so that the keys of the other parts do not change.
	Matrix string `json:",omitempty"`
}

const (
	helm2Version      = "v2.17.0"
	helm3Version      = "v3.22.0"
	helm4Version      = "v4.3.1"
	kubernetesVersion = "v1.37.2"
	etcdVersion       = "v3.6.16"
	containerdVersion = "v2.3.7"
	runcVersion       = "v1.4.3"
	cniVersion        = "v1.9.1"
	kubeRouterVersion = "v2.1.0"
	coreDNSVersion    = "v1.15.0"

	// Without these kube-apiserver reports v0.0.0-master, and charts' checks of
	// the cluster's version fail.
	kubernetesFlags = gitVersion + kubernetesVersion + clientGitVersion + kubernetesVersion

	gitVersion       = "-X k8s.io/component-base/version.gitVersion="
	clientGitVersion = " -X k8s.io/client-go/pkg/version.gitVersion="

	// Without these Helm 2 calls itself v2.17+unreleased, which makes Tiller's
	// image tag and the client's version check wrong.
	helm2Flags = "-X k8s.io/helm/pkg/version.Version=" + helm2Version +
		" -X k8s.io/helm/pkg/version.BuildMetadata="

	// As in their release builds; without it they call themselves v3.22 and v4.3.
	helm3Flags = "-X helm.sh/helm/v3/internal/version.version=" + helm3Version
	helm4Flags = "-X helm.sh/helm/v4/internal/version.version=" + helm4Version

	cniPlugins = "github.com/containernetworking/plugins/plugins/"
	containerd = "github.com/containerd/containerd/v2/cmd/"
	kubernetes = "k8s.io/kubernetes/cmd/"
)

var table = []Part{
	{Name: "helm2", File: "helm", Version: helm2Version, Folder: "helm2", Package: "k8s.io/helm/cmd/helm", LDFlags: helm2Flags, Minutes: "1.5 min"},
	{Name: "tiller", Version: helm2Version, Folder: "helm2", Package: "k8s.io/helm/cmd/tiller", LDFlags: helm2Flags, Minutes: "1.5 min, 15 s after helm2"},
	{Name: "helm3", File: "helm", Version: helm3Version, Folder: "helm3", Package: "helm.sh/helm/v3/cmd/helm", LDFlags: helm3Flags, Minutes: "1.5 min"},
	{Name: "helm4", File: "helm", Version: helm4Version, Folder: "helm4", Package: "helm.sh/helm/v4/cmd/helm", LDFlags: helm4Flags, Minutes: "2 min"},

	{Name: "etcd", Version: etcdVersion, Folder: "etcd", Package: "go.etcd.io/etcd/server/v3", Minutes: "40 s"},
	{Name: "kube-apiserver", Version: kubernetesVersion, Folder: "kubernetes", Package: kubernetes + "kube-apiserver", LDFlags: kubernetesFlags, Minutes: "6 min"},
	{Name: "kube-controller-manager", Version: kubernetesVersion, Folder: "kubernetes", Package: kubernetes + "kube-controller-manager", LDFlags: kubernetesFlags, Minutes: "1 min after kube-apiserver"},
	{Name: "kubectl", Version: kubernetesVersion, Folder: "kubernetes", Package: kubernetes + "kubectl", LDFlags: kubernetesFlags, Minutes: "30 s after kube-apiserver"},
	{Name: "kube-scheduler", Version: kubernetesVersion, Folder: "kubernetes", Package: kubernetes + "kube-scheduler", LDFlags: kubernetesFlags, Minutes: "30 s after kube-apiserver"},
	{Name: "kube-proxy", Version: kubernetesVersion, Folder: "kubernetes", Package: kubernetes + "kube-proxy", LDFlags: kubernetesFlags, Minutes: "30 s after kube-apiserver"},
	{Name: "kubelet", Version: kubernetesVersion, Folder: "kubernetes", Package: kubernetes + "kubelet", LDFlags: kubernetesFlags, Minutes: "1 min after kube-apiserver"},

	{Name: "containerd", Version: containerdVersion, Folder: "containerd", Package: containerd + "containerd", Minutes: "50 s"},
	{Name: "containerd-shim-runc-v2", Version: containerdVersion, Folder: "containerd", Package: containerd + "containerd-shim-runc-v2", Minutes: "5 s after containerd"},
	{Name: "ctr", Version: containerdVersion, Folder: "containerd", Package: containerd + "ctr", Minutes: "10 s after containerd"},
	// containerd requests a seccomp filter from runc if a pod sets RuntimeDefault; a runc
	// without the tag refuses such pods.
	{Name: "runc", Version: runcVersion, Folder: "runc", Package: "github.com/opencontainers/runc", CGo: true, Tags: "seccomp", Minutes: "10 s"},
	{Name: "bridge", Version: cniVersion, Folder: "cni", Package: cniPlugins + "main/bridge", Minutes: "5 s"},
	{Name: "loopback", Version: cniVersion, Folder: "cni", Package: cniPlugins + "main/loopback", Minutes: "2 s"},
	{Name: "host-local", Version: cniVersion, Folder: "cni", Package: cniPlugins + "ipam/host-local", Minutes: "2 s"},
	{Name: "portmap", Version: cniVersion, Folder: "cni", Package: cniPlugins + "meta/portmap", Minutes: "2 s"},
	{Name: "kube-router", Version: kubeRouterVersion, Folder: "kube-router", Package: ".", Minutes: "1.5 min"},
	{Name: "coredns", Version: coreDNSVersion, Folder: "coredns", Package: ".", Minutes: "1.5 min"},
	{Name: "pause", Version: "v1", Folder: "pause", Package: ".", Minutes: "1 s"},
}

// All returns every part, in the order in which a cold cache is filled fastest.
func All() []Part { return slices.Concat(table, matrixTable()) }

// Find returns the part of that name.
func Find(name string) (Part, error) {
	var known []string
	for _, p := range All() {
		if p.Name == name {
			return p, nil
		}
		known = append(known, p.Name)
	}
	return Part{}, fmt.Errorf("no part is called %q; there are: %s", name, strings.Join(known, ", "))
}

// CacheDir is where built parts are kept: HELM_TENANT_CACHE, or helm-tenant in
// the user's cache folder.
func CacheDir() (string, error) {
	if dir := os.Getenv("HELM_TENANT_CACHE"); dir != "" {
		return filepath.Abs(dir)
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("finding a folder to keep built programs in: %w; set HELM_TENANT_CACHE", err)
	}
	return filepath.Join(dir, "helm-tenant"), nil
}

// Build returns the path of each named part's binary, by name, and builds those
// that are not in the cache, telling log what takes so long. Several processes
// may call it at once: each part is built by one of them. A build that is
// killed leaves nothing that a later one takes for whole.
//
// A binary lies alone in its folder under the name its users know, so that the
// folder can be put on PATH: helm2's file is called helm.
func Build(ctx context.Context, log io.Writer, names ...string) (map[string]string, error) {
	b, err := newBuilder(log)
	if err != nil {
		return nil, err
	}
	built := map[string]string{}
	for _, name := range names {
		p, err := Find(name)
		if err != nil {
			return nil, err
		}
		if built[name], err = b.build(ctx, p); err != nil {
			return nil, err
		}
	}
	return built, nil
}

// Source is this package's folder, below which the parts' modules lie. Their
// files cannot be embedded: an embed pattern does not cross into another module.
func Source() (string, error) {
	if _, file, _, ok := runtime.Caller(0); ok && filepath.IsAbs(file) {
		return filepath.Dir(file), nil
	}
	// Built with -trimpath: the file's name says nothing about the disk.
	out, err := exec.Command("go", "list", "-f", "{{.Dir}}", "helm-tenant/test/parts").Output()
	if err != nil {
		return "", fmt.Errorf("finding the sources of helm-tenant/test/parts: %w; run it from the test folder", err)
	}
	return strings.TrimSpace(string(out)), nil
}
