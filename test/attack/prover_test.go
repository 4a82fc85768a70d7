package attack

import (
	"context"
	"fmt"
	"net/http"
	"os/exec"
	"strings"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"helm-tenant/test/harness"
	"helm-tenant/test/testcluster"
)

// prover is a cluster, its root, and helm-tenant.
type prover struct {
	cluster *testcluster.Cluster
	root    *kubernetes.Clientset
	client  *http.Client // root's
	binary  string
}

func newProver(t *testing.T) *prover {
	t.Helper()
	p := &prover{cluster: testcluster.Get(t)}
	config := p.cluster.RootConfig(t)
	var err error
	p.root = kubernetes.NewForConfigOrDie(config)
	if p.client, err = rest.HTTPClientFor(config); err != nil {
		t.Fatal(err)
	}
	if p.binary, err = harness.Binary(); err != nil {
		t.Fatal(err)
	}
	return p
}

// helmTenant runs helm-tenant as root, in the test's process, and returns what it printed on
// stdout. The error has what it printed on stderr.
func (p *prover) helmTenant(ctx context.Context, args ...string) ([]byte, error) {
	env, err := p.environ()
	if err != nil {
		return nil, err
	}
	r, err := harness.Run(ctx, env, strings.NewReader(""), args...)
	if err == nil && r.Code != 0 {
		err = fmt.Errorf("exit status %d: %s", r.Code, r.Stderr)
	}
	return []byte(r.Stdout), err
}

func (p *prover) environ() ([]string, error) {
	kubeconfig, err := p.cluster.Kubeconfig("root", "system:masters")
	return []string{"PATH=/none", "HOME=/none", "KUBECONFIG=" + kubeconfig, "HELM_BIN=" + p.cluster.Bin("helm3"), harness.Collector()}, err
}

// command is helm-tenant as root.
func (p *prover) command(ctx context.Context, args ...string) (*exec.Cmd, error) {
	env, err := p.environ()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, p.binary, args...)
	cmd.Env = env
	return cmd, nil
}

// memberOf returns the one member of a tenant, who is in no other tenant of the cluster: rights
// in both would make the attack meaningless.
func memberOf(tenant string) string { return tenant + "-member" }

func (p *prover) tenant(t *testing.T, flag, engine, name, namespace string) {
	t.Helper()
	if _, err := p.helmTenant(t.Context(), "init", name, flag, engine, "--namespaces", namespace, "--create-namespaces", "--user", memberOf(name), "--wait=false"); err != nil {
		t.Fatalf("init %s: %v", name, err)
	}
}

// withToken returns a client with a new token of a service account.
func (p *prover) withToken(t *testing.T, namespace, account string) *http.Client {
	t.Helper()
	return httpClient(t, p.tokenConfig(t, namespace, account))
}

// tokenConfig returns the configuration of a client with a new token of a service account.
func (p *prover) tokenConfig(t *testing.T, namespace, account string) *rest.Config {
	t.Helper()
	config := p.cluster.Config(t, "nobody")
	token, err := p.root.CoreV1().ServiceAccounts(namespace).CreateToken(t.Context(), account, &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	config = rest.AnonymousClientConfig(config)
	config.BearerToken = token.Status.Token
	return config
}

// withCertificate returns a client with a certificate of a person.
func (p *prover) withCertificate(t *testing.T, user string, groups ...string) *http.Client {
	t.Helper()
	config := p.cluster.Config(t, user, groups...)
	return httpClient(t, config)
}

func httpClient(t *testing.T, config *rest.Config) *http.Client {
	t.Helper()
	config.NextProtos = []string{"http/1.1"} // for the streams
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	return client
}
