// Package matrix runs a short story of helm-tenant on API servers of several versions of
// Kubernetes, without nodes: a feature that an old server lacks is a line of output, and not an
// error.
//
// HELM_TENANT_MATRIX names the versions, separated by commas, or "all". Without it the current
// version runs, and those of two older ones that are already built: building one takes minutes.
package matrix

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"helm-tenant/test/harness"
	"helm-tenant/test/parts"
	"helm-tenant/test/testcluster"
)

// present is what the version is called that all other tests run on.
const present = "present"

// usual are the older versions of a normal run: the first with admission policies, and
// one without.
var usual = []string{"1.30", "1.24"}

// chosen returns the versions to run.
func chosen(t *testing.T) []string {
	t.Helper()
	all := append([]string{present}, parts.Matrix()...)
	asked := os.Getenv("HELM_TENANT_MATRIX")
	switch {
	case asked == "all" || asked == "" && harness.Soak():
		return all
	case asked != "":
		versions := strings.Split(asked, ",")
		for _, version := range versions {
			if !slices.Contains(all, version) {
				t.Fatalf("HELM_TENANT_MATRIX: no version %q; there are %s", version, strings.Join(all, ", "))
			}
		}
		return versions
	}
	versions := []string{present}
	for _, version := range usual {
		cached, err := parts.Cached(t.Context(), parts.ControlPlane(version)...)
		if err != nil {
			t.Fatal(err)
		}
		if !cached {
			t.Logf("Kubernetes %s is not built, and not run: make matrix builds it", version)
			continue
		}
		versions = append(versions, version)
	}
	return versions
}

// server is an API server of one version, and its administrator.
type server struct {
	*testcluster.Cluster
	version string
	dir     string
	binary  string
	root    *kubernetes.Clientset
	config  *rest.Config
}

func startServer(t *testing.T, version string) *server {
	t.Helper()
	testcluster.Require(t, testcluster.API)
	options := testcluster.Options{Size: testcluster.API}
	if version != present {
		options.Kubernetes = version
	}
	cluster, err := testcluster.Start(t.Context(), options)
	must(t, err)
	t.Cleanup(func() { must(t, cluster.Stop()) })
	s := &server{Cluster: cluster, version: version, dir: t.TempDir()}
	s.binary, err = harness.Binary()
	must(t, err)
	s.config = cluster.RootConfig(t)
	s.root = kubernetes.NewForConfigOrDie(s.config)
	return s
}

// as returns a client that acts as somebody.
func (s *server) as(user string, groups ...string) *rest.Config {
	config := rest.CopyConfig(s.config)
	config.Impersonate = rest.ImpersonationConfig{UserName: user, Groups: append(groups, "system:authenticated")}
	return config
}

// person runs helm-tenant as a user of the API server.
type person struct {
	s          *server
	kubeconfig string
	helm       string
}

func (s *server) person(t *testing.T, helm, name string, groups ...string) *person {
	t.Helper()
	kubeconfig, err := s.Kubeconfig(name, groups...)
	must(t, err)
	return &person{s, kubeconfig, s.Bin(helm)}
}

// try runs helm-tenant and returns what it printed, and its exit code.
func (p *person) try(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), harness.Patience)
	defer cancel()
	home := filepath.Join(p.s.dir, "home")
	environ := []string{"PATH=/none", "HOME=" + home, "XDG_CACHE_HOME=" + home, "KUBECONFIG=" + p.kubeconfig, "HELM_BIN=" + p.helm}
	r, err := harness.Exec(ctx, environ, nil, p.s.binary, args...)
	must(t, err)
	return r.Stdout, r.Stderr, r.Code
}

// must runs helm-tenant, which has to succeed, and returns all that it printed.
func (p *person) must(t *testing.T, args ...string) string {
	t.Helper()
	stdout, stderr, code := p.try(t, args...)
	if code != 0 {
		t.Fatalf("on Kubernetes %s: helm-tenant %s: exit code %d\n%s%s", p.s.version, strings.Join(args, " "), code, stdout, stderr)
	}
	return stdout + stderr
}

var must = harness.Must

// dynamicAs returns a dynamic client that acts as somebody.
func dynamicAs(s *server, user string) dynamic.Interface {
	return dynamic.NewForConfigOrDie(s.as(user))
}
