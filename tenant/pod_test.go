package tenant

import (
	"encoding/base64"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/client-go/tools/clientcmd"

	"helm-tenant/envvar"
)

// podFolder is what the kubelet mounts for a service account.
func podFolder(t *testing.T, files map[string]string) string {
	t.Helper()
	folder := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

func TestThisPod(t *testing.T) {
	account := map[string]string{"token": "secret", "ca.crt": "ca", "namespace": "ci\n"}
	for _, test := range []struct {
		name    string
		env     map[string]string
		files   map[string]string
		found   bool
		server  string
		inSpace string
	}{
		{"no pod", nil, account, false, "", ""},
		{"a pod", map[string]string{"KUBERNETES_SERVICE_HOST": "10.96.0.1", "KUBERNETES_SERVICE_PORT": "6443"}, account, true, "https://10.96.0.1:6443", "ci"},
		{"IPv6", map[string]string{"KUBERNETES_SERVICE_HOST": "fd00::1", "KUBERNETES_SERVICE_PORT": "443"}, account, true, "https://[fd00::1]:443", "ci"},
		{"POD_NAMESPACE wins, as in client-go", map[string]string{"KUBERNETES_SERVICE_HOST": "h", "KUBERNETES_SERVICE_PORT": "443", "POD_NAMESPACE": "other"}, account, true, "https://h:443", "other"},
		{"no namespace file", map[string]string{"KUBERNETES_SERVICE_HOST": "h", "KUBERNETES_SERVICE_PORT": "443"}, nil, true, "https://h:443", "default"},
	} {
		t.Run(test.name, func(t *testing.T) {
			p, found := thisPod(func(name string) string { return test.env[name] }, podFolder(t, test.files))
			if found != test.found || p.server != test.server || p.namespace != test.inSpace {
				t.Errorf("got %+v, %t", p, found)
			}
		})
	}
}

// The kubeconfig of a pod holds paths and no secret, and reads as client-go's own
// in-cluster configuration.
func TestPodConfig(t *testing.T) {
	folder := podFolder(t, map[string]string{"token": "the-secret", "ca.crt": "ca", "namespace": "ci"})
	p, _ := thisPod(func(name string) string {
		return map[string]string{"KUBERNETES_SERVICE_HOST": "10.0.0.1", "KUBERNETES_SERVICE_PORT": "443"}[name]
	}, folder)
	text, err := clientcmd.Write(*p.config())
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(text), "the-secret") {
		t.Errorf("the token is in:\n%s", text)
	}
	k := &Kubeconfig{pod: &p, config: p.config(), rules: clientcmd.NewDefaultClientConfigLoadingRules()}
	config, err := k.RESTConfig()
	if err != nil {
		t.Fatal(err)
	}
	got := []string{config.Host, config.BearerTokenFile, config.TLSClientConfig.CAFile}
	want := []string{"https://10.0.0.1:443", filepath.Join(folder, "token"), filepath.Join(folder, "ca.crt")}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestPodWithoutToken(t *testing.T) {
	p := pod{server: "https://h:443", namespace: "ci", folder: podFolder(t, nil)}
	k := &Kubeconfig{pod: &p, config: p.config()}
	want := "there is no kubeconfig, and this pod has no service account token at " + p.token() + ": set KUBECONFIG, or leave automountServiceAccountToken on"
	if _, err := k.RESTConfig(); errorText(err) != want {
		t.Errorf("RESTConfig: got %v", err)
	}
	if _, err := k.PodFile(); errorText(err) != want {
		t.Errorf("PodFile: got %v", err)
	}
}

func TestPodFile(t *testing.T) {
	p := pod{server: "https://h:443", namespace: "ci", folder: podFolder(t, map[string]string{"token": "x"})}
	k := &Kubeconfig{pod: &p, config: p.config()}
	cache, temp := t.TempDir(), t.TempDir()
	k.env = envvar.Environment{"HOME=" + cache, "XDG_CACHE_HOME=" + cache, "TMPDIR=" + temp}
	file, err := k.PodFile()
	if err != nil {
		t.Fatal(err)
	}
	if filepath.Base(file) != podFile || !strings.HasPrefix(file, cache) {
		t.Errorf("got %s, want it below %s", file, cache)
	}
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
	// It is written once, and again where it was changed.
	second, err := k.PodFile()
	if now, statErr := os.Stat(second); err != nil || statErr != nil || !os.SameFile(info, now) {
		t.Errorf("it was written again: %v, %v", err, statErr)
	}
	if err := os.WriteFile(file, []byte("server: https://elsewhere"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := k.PodFile(); err != nil {
		t.Fatal(err)
	}
	config, err := clientcmd.LoadFromFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got := config.Clusters[podContext].Server; got != p.server {
		t.Errorf("the server is %q", got)
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(file), "*")); len(left) != 1 {
		t.Errorf("left there: %q", left)
	}

	// A folder in which others may write is passed over: who changes the address gets
	// the token.
	if err := os.Chmod(filepath.Dir(file), 0o777); err != nil {
		t.Fatal(err)
	}
	file, err = k.PodFile()
	if err != nil || !strings.HasPrefix(file, temp) {
		t.Errorf("got %s, %v; want it below %s", file, err, temp)
	}
}

// TestPodUser: the account's name is known without an answer of the API server.
func TestPodUser(t *testing.T) {
	token := func(claims string) string {
		return "e30." + base64.RawURLEncoding.EncodeToString([]byte(claims)) + ".c2ln"
	}
	for _, test := range []struct{ name, token, want string }{
		{"an account's", token(`{"iss": "x", "sub": "system:serviceaccount:ci:deployer"}`) + "\n", "system:serviceaccount:ci:deployer"},
		{"somebody else's", token(`{"sub": "alice"}`), ""},
		{"without a subject", token(`{}`), ""},
		{"with something else within", token(`system:serviceaccount:ci:deployer`), ""},
		{"no base64", "e30.%%%.c2ln", ""},
		{"no token", "bogus", ""},
		{"empty", "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			k := &Kubeconfig{pod: &pod{folder: podFolder(t, map[string]string{"token": test.token})}}
			if got := k.PodUser(); got != test.want {
				t.Errorf("got %q", got)
			}
		})
	}
	if got := (&Kubeconfig{}).PodUser(); got != "" {
		t.Errorf("outside of a pod: %q", got)
	}
	if got := (&Kubeconfig{pod: &pod{folder: t.TempDir()}}).PodUser(); got != "" {
		t.Errorf("without a token: %q", got)
	}
}
