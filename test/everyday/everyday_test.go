// Package everyday installs, upgrades, rolls back and uninstalls typical charts in a tenant
// with the default guard rails, with each Helm: the guard rails must not refuse what people
// need. No pod runs: if a Helm waits for one, the test reports it as ended.
package everyday

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"helm-tenant/test/harness"
	"helm-tenant/test/testcluster"
)

func TestMain(m *testing.M) {
	os.Exit(testcluster.Main(m, testcluster.Options{}))
}

// helms is how many Helms there are. Each chart is made with one of them, and in a soak with
// all: what the rails refuse is the API server's answer, and each Helm makes a third of them.
const helms = 3

// atOnce is how many charts are made side by side by one Helm.
const atOnce = 3

// helm is one of the three, acting for a tenant.
type helm struct {
	major     int
	namespace string
	binary    string
	args      []string // before the command
	env       []string
}

func TestCharts(t *testing.T) {
	c := testcluster.Get(t)
	config := c.RootConfig(t)
	root := kubernetes.NewForConfigOrDie(config)
	binary, err := harness.Installed()
	if err != nil {
		t.Fatal(err)
	}
	go endPods(t.Context(), root)
	dir := t.TempDir()
	writeCharts(t, dir)

	for _, major := range []int{2, 3, 4} {
		t.Run(fmt.Sprintf("Helm %d", major), func(t *testing.T) {
			t.Parallel()
			h := newHelm(t, c, root, binary, major)
			slots := make(chan struct{}, atOnce)
			for i, name := range slices.Sorted(maps.Keys(charts)) {
				if !harness.Soak() && (i%helms != major%helms || testing.Short() && i%2 == 0) {
					continue
				}
				t.Run(name, func(t *testing.T) {
					t.Parallel()
					slots <- struct{}{}
					defer func() { <-slots }()
					h.lives(t, root, filepath.Join(dir, name), name)
				})
			}
		})
	}
}

// lives takes a chart through its life.
func (h *helm) lives(t *testing.T, root kubernetes.Interface, chart, name string) {
	install := []string{"install", name, chart}
	uninstall := []string{"uninstall", name}
	if h.major == 2 {
		install = []string{"install", "--name", name, chart}
		uninstall = []string{"delete", "--purge", name}
	}
	for _, step := range []struct {
		args []string
		rev  string
	}{
		{append(install, "--set", "rev=1"), "1"},
		{[]string{"upgrade", name, chart, "--set", "rev=2"}, "2"},
		{[]string{"rollback", name, "1"}, "1"},
		{uninstall, ""},
	} {
		if !h.run(t, step.args...) {
			return
		}
		got := ""
		live, err := root.CoreV1().ConfigMaps(h.namespace).Get(t.Context(), name+"-revision", metav1.GetOptions{})
		switch {
		case err == nil:
			got = live.Data["rev"]
		case !apierrors.IsNotFound(err):
			t.Fatal(err)
		}
		if got != step.rev {
			t.Fatalf("after helm %s revision %q is in force, not %q", strings.Join(step.args, " "), got, step.rev)
		}
	}
}

func (h *helm) run(t *testing.T, args ...string) bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), harness.Patience)
	defer cancel()
	if h.major == 2 && args[0] == "install" || h.major > 2 {
		args = append(args, "--namespace", h.namespace)
	}
	cmd := exec.CommandContext(ctx, h.binary, append(slices.Clone(h.args), args...)...)
	cmd.Env = h.env
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("helm %s: %v\n%s", strings.Join(args, " "), err, out)
		return false
	}
	return true
}

// newHelm makes a tenant with the default guard rails and a Helm that acts for it.
// Helm 3 and 4 impersonate the deployer as a member does; Helm 2 talks to a Tiller
// that runs as a process with a token of the deployer's.
func newHelm(t *testing.T, c *testcluster.Cluster, root *kubernetes.Clientset, binary string, major int) *helm {
	t.Helper()
	tenant := fmt.Sprintf("everyday%d", major)
	engine, home := "impersonation", tenant+"-helm"
	if major == 2 {
		engine, home = "tiller", tenant+"-tiller"
	}
	h := &helm{major: major, namespace: tenant + "-a", binary: c.Bin(fmt.Sprintf("helm%d", major))}
	admin, err := c.Kubeconfig("admin", "system:masters")
	if err != nil {
		t.Fatal(err)
	}
	member, err := c.Kubeconfig("alice")
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	h.env = []string{"HOME=" + folder, "PATH=/none", "KUBECONFIG=" + member, "HELM_BIN=" + h.binary, harness.Collector()}
	init := exec.CommandContext(t.Context(), binary, "init", tenant, "--namespaces", h.namespace, "--create-namespaces",
		"--engine", engine, "--user", "alice", "--wait=false")
	init.Env = append(slices.Clone(h.env), "KUBECONFIG="+admin)
	if out, err := init.CombinedOutput(); err != nil {
		t.Fatalf("init: %v\n%s", err, out)
	}
	deployer := "system:serviceaccount:" + home + ":helm"
	if major == 2 {
		deployer = "system:serviceaccount:" + home + ":tiller"
	}
	guarded(t, root, tenant, h.namespace)
	holds(t, c, deployer, h.namespace) // or else the charts show nothing
	if major > 2 {
		h.args = []string{"--kube-as-user", deployer}
		return h
	}
	h.args = []string{"--host", startTiller(t, c, root, home, folder)}
	if err := os.MkdirAll(filepath.Join(folder, ".helm", "plugins"), 0o755); err != nil {
		t.Fatal(err)
	}
	return h
}

// startTiller runs a Tiller as the deployer in that home, and returns its address.
func startTiller(t *testing.T, c *testcluster.Cluster, root *kubernetes.Clientset, home, folder string) string {
	t.Helper()
	token, err := root.CoreV1().ServiceAccounts(home).CreateToken(t.Context(), "tiller", &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	kubeconfig := filepath.Join(folder, "tiller")
	if err := clientcmd.WriteToFile(clientcmdapi.Config{
		Clusters:       map[string]*clientcmdapi.Cluster{"c": {Server: c.Server, CertificateAuthority: c.CAFile}},
		AuthInfos:      map[string]*clientcmdapi.AuthInfo{"t": {Token: token.Status.Token}},
		Contexts:       map[string]*clientcmdapi.Context{"c": {Cluster: "c", AuthInfo: "t"}},
		CurrentContext: "c",
	}, kubeconfig); err != nil {
		t.Fatal(err)
	}
	environ := []string{"KUBECONFIG=" + kubeconfig, "TILLER_NAMESPACE=" + home, "HOME=" + folder, "TMPDIR=" + folder}
	var said []byte
	for range 5 { // another process may take a port before Tiller does
		addresses := freeAddresses(t, 2)
		args := []string{"--listen", addresses[0], "--probe-listen", addresses[1], "--storage", "secret", "--history-max", "20"}
		if said = tryTiller(t, c.Bin("tiller"), args, environ, filepath.Join(folder, "tiller.log"), addresses[0]); said == nil {
			return addresses[0]
		}
	}
	t.Fatalf("Tiller does not listen:\n%s", said)
	return ""
}

// tryTiller starts a Tiller, which ends with the test, and waits until it listens. It returns the
// Tiller's log if it ends before, nil if it listens.
func tryTiller(t *testing.T, program string, args, environ []string, logFile, address string) []byte {
	t.Helper()
	log, err := os.Create(logFile)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Env, cmd.Stdout, cmd.Stderr = environ, log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		cmd.Wait()
		log.Close()
		close(ended)
	}()
	t.Cleanup(func() {
		cmd.Process.Kill()
		<-ended
	})
	for deadline := time.Now().Add(harness.Patience); ; time.Sleep(50 * time.Millisecond) {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			conn.Close()
		}
		select {
		case <-ended: // so that another process listens, or nobody
			text, _ := os.ReadFile(logFile)
			return append(text, "it ended\n"...)
		default:
		}
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			text, _ := os.ReadFile(logFile)
			t.Fatalf("Tiller does not listen: %v\n%s", err, text)
		}
	}
}

// freeAddresses returns different addresses at which nobody listens.
func freeAddresses(t *testing.T, n int) (addresses []string) {
	t.Helper()
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close() // all of them at the end, so that none is returned twice
		addresses = append(addresses, l.Addr().String())
	}
	return addresses
}

// endPods says of the pods of Jobs that they have succeeded, as nodes would: hooks
// are waited for.
func endPods(ctx context.Context, root kubernetes.Interface) {
	for ctx.Err() == nil {
		pods, err := root.CoreV1().Pods("").List(ctx, metav1.ListOptions{LabelSelector: "batch.kubernetes.io/job-name"})
		if err == nil {
			for _, pod := range pods.Items {
				if pod.Status.Phase == corev1.PodPending {
					patch := []byte(`{"status":{"phase":"Succeeded"}}`)
					root.CoreV1().Pods(pod.Namespace).Patch(ctx, pod.Name, "application/merge-patch+json", patch, metav1.PatchOptions{}, "status")
				}
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func writeCharts(t *testing.T, dir string) {
	t.Helper()
	if len(charts) < 30 {
		t.Errorf("%d charts are fewer than 30", len(charts))
	}
	for name, text := range charts {
		about, err := json.Marshal(map[string]string{"apiVersion": "v1", "name": name, "version": "0.1.0"})
		if err != nil {
			t.Fatal(err)
		}
		for file, content := range map[string]string{"Chart.yaml": string(about), "values.yaml": "rev: 0\n", "templates/all.yaml": text + revision} {
			path := filepath.Join(dir, name, file)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}
