package engine

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// A plan is everything that the processes of one cluster are started with. It
// is made by the process that keeps the cluster, and carried to the one that
// runs inside its namespaces.
type plan struct {
	Root          string            // the cluster's folder as its processes see it
	Shown         string            // the same folder as people see it
	Bins          map[string]string // as its processes see them
	Address       string            // of the API server
	Port          int
	EtcdPort      int
	EtcdPeerPort  int
	AuditLog      string // as the API server sees it; none if empty
	APIServerArgs []string
	minor         int // of an older Kubernetes: 24 for 1.24; 0 for the present one

	// Of the full size alone.
	Network  Network
	AuditDir string // the audit log's folder on the host
}

// serviceCIDR is where services live, and serviceIP is the API server's own,
// the first of it.
const (
	serviceCIDR = "10.96.0.0/16"
	serviceIP   = "10.96.0.1"
	dnsIP       = "10.96.0.10" // what kubeadm and most installers give to kube-dns
	podCIDR     = "10.244.0.0/16"
	clusterName = "test"
	nodeName    = "node"
)

func (p *plan) path(elem ...string) string {
	return filepath.Join(append([]string{p.Root}, elem...)...)
}

func (p *plan) server() string {
	return fmt.Sprintf("https://%s", net.JoinHostPort(p.Address, fmt.Sprint(p.Port)))
}

// writeCredentials fills the pki and kubeconfig folders. Root is where they are
// written; the kubeconfigs hold their certificates, so they are read from
// anywhere.
func (p *plan) writeCredentials(root string) error {
	dir := filepath.Join(root, "pki")
	ca, err := newPKI()
	if err != nil {
		return err
	}
	if err := ca.save(dir); err != nil {
		return err
	}
	serving, err := ca.server("kube-apiserver", p.Address, "127.0.0.1", serviceIP, "localhost",
		"kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local")
	if err != nil {
		return err
	}
	if err := serving.save(dir, "apiserver"); err != nil {
		return err
	}
	// Signs service account tokens. Its certificate is but a form of its public key.
	tokens, err := ca.Client("service-accounts")
	if err != nil {
		return err
	}
	if err := tokens.save(dir, "service-accounts"); err != nil {
		return err
	}
	toKubelet, err := ca.Client("kube-apiserver", "system:masters")
	if err != nil {
		return err
	}
	if err := toKubelet.save(dir, "kubelet-client"); err != nil {
		return err
	}
	if p.Network.Node != "" {
		kubelet, err := ca.server(nodeName, p.Network.Node, nodeName)
		if err != nil {
			return err
		}
		if err := kubelet.save(dir, "kubelet"); err != nil {
			return err
		}
	}
	// What the bootstrap RBAC policy grants the components is bound to these
	// names: kubernetes.io/docs/reference/access-authn-authz/rbac.
	for file, who := range map[string][]string{
		"admin":                   {"admin", "system:masters"},
		"kube-controller-manager": {"system:kube-controller-manager"},
		"kube-scheduler":          {"system:kube-scheduler"},
		"kube-proxy":              {"system:kube-proxy"},
		"kubelet":                 {"system:node:" + nodeName, "system:nodes"},
		// Nothing is bound to these two: bindings would be in every test's view of
		// who may do what.
		"kube-router": {"kube-router", "system:masters"},
		"coredns":     {"coredns", "system:masters"},
	} {
		if err := ca.Kubeconfig(filepath.Join(root, "kubeconfig", file), p.server(), who[0], who[1:]...); err != nil {
			return err
		}
	}
	return nil
}

// Kubeconfig writes a kubeconfig with one context, test, in which the user is
// the one given. The certificates are in it.
func (p *PKI) Kubeconfig(path, server, user string, groups ...string) error {
	pair, err := p.Client(user, groups...)
	if err != nil {
		return err
	}
	return clientcmd.WriteToFile(clientcmdapi.Config{ // mode 0600
		Clusters:       map[string]*clientcmdapi.Cluster{clusterName: {Server: server, CertificateAuthorityData: p.CACert}},
		AuthInfos:      map[string]*clientcmdapi.AuthInfo{user: {ClientCertificateData: pair.Cert, ClientKeyData: pair.Key}},
		Contexts:       map[string]*clientcmdapi.Context{clusterName: {Cluster: clusterName, AuthInfo: user}},
		CurrentContext: clusterName,
	}, path)
}

func (p *plan) kubeconfig(name string) string { return p.path("kubeconfig", name) }

// What an audit log tells of each request: who, what, which object, allowed or
// not; no bodies. One line a request, when it is answered, and one more when a
// watch begins.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- level: Metadata
`

func (p *plan) startEtcd(ctx context.Context, c *crew) error {
	client := fmt.Sprintf("http://127.0.0.1:%d", p.EtcdPort)
	peer := fmt.Sprintf("http://127.0.0.1:%d", p.EtcdPeerPort)
	if err := c.start("etcd", exec.Command(p.Bins["etcd"],
		"--name=etcd",
		"--data-dir="+p.path("etcd"),
		"--listen-client-urls="+client,
		"--advertise-client-urls="+client,
		"--listen-peer-urls="+peer,
		"--initial-advertise-peer-urls="+peer,
		"--initial-cluster=etcd="+peer,
		"--unsafe-no-fsync", // the data is thrown away with the cluster
		"--log-level=warn",
	)); err != nil {
		return err
	}
	return c.await(ctx, "etcd", "etcd", func(ctx context.Context) error {
		return get(ctx, http.DefaultClient, client+"/health", nil)
	})
}

func (p *plan) startAPIServer(c *crew) error {
	args := []string{
		"--etcd-servers=" + fmt.Sprintf("http://127.0.0.1:%d", p.EtcdPort),
		"--secure-port=" + fmt.Sprint(p.Port),
		"--bind-address=" + p.bindAddress(),
		"--advertise-address=" + p.Address,
		"--tls-cert-file=" + p.path("pki", "apiserver.crt"),
		"--tls-private-key-file=" + p.path("pki", "apiserver.key"),
		"--client-ca-file=" + p.path("pki", "ca.crt"),
		"--authorization-mode=Node,RBAC",
		// As every hosted cluster and kubeadm's have it. PodSecurity, on by
		// default, is what forbids privileged pods.
		"--allow-privileged=true",
		"--service-cluster-ip-range=" + serviceCIDR,
		"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
		"--service-account-key-file=" + p.path("pki", "service-accounts.crt"),
		"--service-account-signing-key-file=" + p.path("pki", "service-accounts.key"),
		"--kubelet-client-certificate=" + p.path("pki", "kubelet-client.crt"),
		"--kubelet-client-key=" + p.path("pki", "kubelet-client.key"),
		"--kubelet-certificate-authority=" + p.path("pki", "ca.crt"),
		// The node's name resolves nowhere.
		"--kubelet-preferred-address-types=InternalIP",
		// A test suite is one busy client: it must not be measured by, nor
		// starve behind, the server's fairness between many.
		"--max-requests-inflight=1000",
		"--max-mutating-requests-inflight=500",
	}
	if p.Network.Node == "" {
		// An Endpoints object must not hold a loopback address, and nobody looks
		// for the API server by service where no pod runs.
		args = append(args, "--endpoint-reconciler-type=none")
	}
	if p.minor == 0 {
		// What sorts requests by fairness asks the processor for a share of each.
		args = append(args, "--enable-priority-and-fairness=false")
	}
	if p.before(20) {
		args = append(args, "--insecure-port=0") // anybody on this machine would be an admin
	}
	if p.AuditLog != "" {
		args = append(args,
			"--audit-policy-file="+p.path("config", "audit-policy.yaml"),
			"--audit-log-path="+p.AuditLog,
			"--audit-log-maxsize=10000", // MB: never rotated under the reader
		)
	}
	return c.start("kube-apiserver", exec.Command(p.Bins["kube-apiserver"], append(args, p.APIServerArgs...)...))
}

// In namespaces of its own the API server listens everywhere: to the host, to
// the pods by way of the service address, and on loopback. On the host it
// listens on loopback alone.
func (p *plan) bindAddress() string {
	if p.Network.Node != "" {
		return "0.0.0.0"
	}
	return p.Address
}

func (p *plan) startControllerManager(c *crew) error {
	args := []string{
		"--kubeconfig=" + p.kubeconfig("kube-controller-manager"),
		// Each controller acts by the RBAC rights it has on a real cluster.
		"--use-service-account-credentials",
		"--root-ca-file=" + p.path("pki", "ca.crt"),
		"--service-account-private-key-file=" + p.path("pki", "service-accounts.key"),
		"--leader-elect=false",
		"--secure-port=0", // nobody asks for its metrics: one port less
		// Its default is a folder below /usr, which it makes.
		"--flex-volume-plugin-dir=" + p.path("flexvolumes"),
		// Tests make and delete namespaces by the thousand.
		"--kube-api-qps=500",
		"--kube-api-burst=1000",
		"--concurrent-namespace-syncs=20",
		"--concurrent-serviceaccount-token-syncs=20",
		// A node whose cores are busy with something else reports late.
		"--node-monitor-grace-period=10m",
	}
	if p.before(23) {
		args = append(args, "--port=0") // of plain HTTP
	}
	return c.start("kube-controller-manager", exec.Command(p.Bins["kube-controller-manager"], args...))
}

// before reports whether the cluster is of a Kubernetes before that minor version.
func (p *plan) before(minor int) bool { return p.minor != 0 && p.minor < minor }

// minorOf returns the minor version's number of a version such as 1.24; 0 for the
// empty one, which is the present Kubernetes.
func minorOf(version string) (int, error) {
	if version == "" {
		return 0, nil
	}
	_, minor, _ := strings.Cut(version, ".")
	return strconv.Atoi(minor)
}

// awaitServer returns when the API server is ready, its bootstrap RBAC policy
// included: that is one of the things /readyz checks.
func (p *plan) awaitServer(ctx context.Context, c *crew, admin *http.Client) error {
	return c.await(ctx, "the API server", "kube-apiserver", func(ctx context.Context) error {
		return get(ctx, admin, p.server()+"/readyz", nil)
	})
}

// awaitControllers returns when the controller manager does its work: the
// default service account and the root certificate come with every namespace.
func (p *plan) awaitControllers(ctx context.Context, c *crew, admin *http.Client) error {
	return c.await(ctx, "the controller manager", "kube-controller-manager", func(ctx context.Context) error {
		namespace := p.server() + "/api/v1/namespaces/default"
		if err := get(ctx, admin, namespace+"/serviceaccounts/default", nil); err != nil {
			return err
		}
		if p.before(20) { // which made none
			return nil
		}
		return get(ctx, admin, namespace+"/configmaps/kube-root-ca.crt", nil)
	})
}

// admin returns an HTTP client that the API server lets do everything.
func (p *plan) admin() (*http.Client, error) {
	dir := p.path("pki")
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "kubelet-client.crt"), filepath.Join(dir, "kubelet-client.key"))
	if err != nil {
		return nil, err
	}
	ca, err := os.ReadFile(filepath.Join(dir, "ca.crt"))
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	return &http.Client{
		Timeout: 5 * time.Second,
		Transport: &http.Transport{
			TLSClientConfig: &tls.Config{Certificates: []tls.Certificate{pair}, RootCAs: roots},
		},
	}, nil
}

// get fails unless url answers 200, and reads the JSON of the answer into into.
func get(ctx context.Context, client *http.Client, url string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		lines := strings.Fields(string(body))
		return fmt.Errorf("%s answers %s: %.300s", url, resp.Status, strings.Join(lines, " "))
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(body, into)
}
