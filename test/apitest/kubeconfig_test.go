package apitest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
)

// with runs a program with a kubeconfig, and returns what it printed.
func (w *world) with(t *testing.T, kubeconfig, program string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.Command(w.Bin(program), args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+kubeconfig, "HOME="+t.TempDir())
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// TestKubeconfig makes kubeconfigs that are the tenant, and uses them with kubectl,
// with plain Helm 3 and 4, and with helm-tenant itself.
func TestKubeconfig(t *testing.T) {
	t.Parallel()
	w, of, other := start(t), newTeam(), newTeam()
	of.home = of.name + "-helm"
	member := w.newUser(t, "member")
	member.env = []string{"HELM_BIN=" + w.Bin("helm3")}
	w.makeTenant(t, of, "--engine", "impersonation", "--user", member.name, "--service-account", of.a+":ci")
	w.makeTenant(t, other)
	_, err := w.root.CoreV1().ServiceAccounts(of.a).Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "ci"}}, metav1.CreateOptions{})
	must(t, err)

	file := filepath.Join(t.TempDir(), "team.kubeconfig")
	r := member.must(t, "kubeconfig", of.name, "--output-file", file, "--each-namespace")
	if r.stdout != "" || !strings.Contains(r.stderr, of.name+"/"+of.b) {
		t.Errorf("it says %v", r)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file: %v, %v", info.Mode(), err)
	}
	for _, c := range []struct {
		program string
		args    []string
		want    string
		fails   bool
	}{
		{"kubectl", []string{"auth", "whoami", "-o", "jsonpath={.status.userInfo.username}"}, "system:serviceaccount:" + of.home + ":helm", false},
		{"kubectl", []string{"create", "configmap", "made-here"}, "created", false},
		{"kubectl", []string{"get", "configmap", "made-here", "--namespace", of.a}, "made-here", false},
		{"kubectl", []string{"get", "secrets", "--namespace", other.a}, "forbidden", true},
		{"kubectl", []string{"get", "secrets", "--namespace", of.home}, "forbidden", true},
		{"helm3", []string{"install", "three", hello()}, "deployed", false},
		{"helm4", []string{"install", "four", hello(), "--kube-context", of.name + "/" + of.b}, "deployed", false},
		{"helm3", []string{"list", "--namespace", of.b}, "four", false},
	} {
		out, err := w.with(t, file, c.program, c.args...)
		if !strings.Contains(out, c.want) || (err != nil) != c.fails {
			t.Errorf("%s %q: %v\n%s", c.program, c.args, err, out)
		}
	}
	same := *member
	same.kubeconfig = file
	if r := same.run(t, "releases", "-o", "name"); r.stdout != of.b+"/four\n"+of.a+"/three\n" {
		t.Errorf("helm-tenant with that kubeconfig: %v", r)
	}

	// Nothing that somebody else wrote is lost; what is ours is written anew.
	member.must(t, "kubeconfig", of.name, "--output-file", file, "--each-namespace")
	before, err := os.ReadFile(member.kubeconfig)
	must(t, err)
	if r := member.run(t, "kubeconfig", of.name, "--output-file", member.kubeconfig); r.code != 1 || !strings.Contains(r.stderr, "which is not this tenant's") {
		t.Errorf("over the user's own: %v", r)
	}
	if after, err := os.ReadFile(member.kubeconfig); err != nil || string(after) != string(before) {
		t.Errorf("the user's own kubeconfig was changed: %v", err)
	}

	// A token of an account in the tenant's namespace, which is a member.
	began := time.Now()
	r = member.must(t, "kubeconfig", of.name, "--for-service-account", of.a+":ci", "--duration", "20m")
	config, err := clientcmd.Load([]byte(r.stdout))
	must(t, err)
	for name, user := range config.AuthInfos {
		if user.Token == "" || len(user.ClientCertificateData) > 0 || user.Impersonate == "" {
			t.Errorf("user %s is %+v", name, user)
		}
	}
	_, stamp, _ := strings.Cut(strings.TrimSpace(r.stderr), "ends at ")
	if ends, err := time.Parse(time.RFC3339, strings.TrimSuffix(stamp, ".")); err != nil || ends.Before(began.Add(15*time.Minute)) || ends.After(began.Add(40*time.Minute)) {
		t.Errorf("it says %q: %v", r.stderr, err)
	}
	ci := filepath.Join(t.TempDir(), "ci.kubeconfig")
	must(t, os.WriteFile(ci, []byte(r.stdout), 0o600))
	if out, err := w.with(t, ci, "helm3", "list"); err != nil || !strings.Contains(out, "three") {
		t.Errorf("helm as the account: %v\n%s", err, out)
	}

	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{of.name, "--duration", "20m"}, 2, "--for-service-account too"},
		{[]string{of.name, "--for-service-account", of.a + ":ci", "--duration", "1m"}, 2, "at least 10m"},
		{[]string{of.name, "--for-service-account", "ci"}, 1, "is not NAMESPACE:NAME"},
		{[]string{of.name, "--for-service-account", of.a + ":nobody"}, 1, `"nobody" not found`},
		{[]string{of.name, "--for-service-account", other.a + ":default"}, 1, "serviceaccounts/token"},
		{[]string{"no-such-team"}, 1, "no-such-team"},
		{[]string{other.name}, 1, other.name},
	} {
		if r := member.run(t, append([]string{"kubeconfig"}, c.args...)...); r.code != c.code || !strings.Contains(r.stderr, c.want) || r.stdout != "" {
			t.Errorf("wanted %d and %q: %v", c.code, c.want, r)
		}
	}
}
