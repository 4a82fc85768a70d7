package apitest

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
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
	w, team, other := start(t), newTeam(), newTeam()
	team.home = team.name + "-helm"
	member := w.newUser(t, "member")
	member.env = []string{"HELM_BIN=" + w.Bin("helm3")}
	w.makeTenant(t, team, "--engine", "impersonation", "--user", member.name, "--service-account", team.a+":ci")
	w.makeTenant(t, other)
	for _, name := range []string{"ci", "reads", "nobodys"} {
		_, err := w.root.CoreV1().ServiceAccounts(team.a).Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
		must(t, err)
	}
	w.admin(t).must(t, "grant", team.name, "--reader", "--service-account", team.a+":reads", "--accept-risk=reads-secrets")

	file := filepath.Join(t.TempDir(), "team.kubeconfig")
	r := member.must(t, "kubeconfig", team.name, "--output-file", file, "--dry-run")
	if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) || r.Stderr != "would write "+file+" with the context "+team.name+"\n" {
		t.Errorf("a dry run wrote the file: %v, %v", r, err)
	}
	if r := member.must(t, "kubeconfig", team.name, "--output-file", file, "--dry-run", "-o", "json"); !strings.Contains(r.Stdout, `"`+team.name+"/"+member.name+`"`) || !strings.Contains(r.Stdout, strconv.Quote(file)) {
		t.Errorf("a dry run as JSON: %v", r)
	}
	asJSON := filepath.Join(t.TempDir(), "team.json")
	must(t, os.WriteFile(asJSON, []byte(member.must(t, "kubeconfig", team.name, "-o", "json").Stdout), 0o600))
	if out, err := w.with(t, asJSON, "kubectl", "auth", "whoami", "-o", "name"); err != nil {
		t.Errorf("kubectl with JSON: %v\n%s", err, out)
	}
	r = member.must(t, "kubeconfig", team.name, "--output-file", file, "--each-namespace")
	if r.Stdout != "" || !strings.Contains(r.Stderr, team.name+"/"+team.b) {
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
		{"kubectl", []string{"auth", "whoami", "-o", "jsonpath={.status.userInfo.username}"}, "system:serviceaccount:" + team.home + ":helm", false},
		{"kubectl", []string{"create", "configmap", "made-here"}, "created", false},
		{"kubectl", []string{"get", "configmap", "made-here", "--namespace", team.a}, "made-here", false},
		{"kubectl", []string{"get", "secrets", "--namespace", other.a}, "forbidden", true},
		{"kubectl", []string{"get", "secrets", "--namespace", team.home}, "forbidden", true},
		{"helm3", []string{"install", "three", hello()}, "deployed", false},
		{"helm4", []string{"install", "four", hello(), "--kube-context", team.name + "/" + team.b}, "deployed", false},
		{"helm3", []string{"list", "--namespace", team.b}, "four", false},
	} {
		out, err := w.with(t, file, c.program, c.args...)
		if !strings.Contains(out, c.want) || (err != nil) != c.fails {
			t.Errorf("%s %q: %v\n%s", c.program, c.args, err, out)
		}
	}
	same := *member
	same.kubeconfig = file
	if r := same.run(t, "releases", "-o", "name"); r.Stdout != team.b+"/four\n"+team.a+"/three\n" {
		t.Errorf("helm-tenant with that kubeconfig: %v", r)
	}

	// A grant to the tenant's account would help nobody.
	if r := same.run(t, "use", other.name); r.Code != 1 || !strings.Contains(r.Stderr, "\"system:serviceaccount:"+team.home+":helm\" (\"as\"); with a context whose user acts as itself: helm tenant --context CONTEXT use "+other.name) ||
		strings.Contains(r.Stderr, "ask an admin") {
		t.Errorf("another tenant with that kubeconfig: %v", r)
	}
	elsewhere := *member
	elsewhere.env = append(slices.Clone(member.env), "HELM_NAMESPACE="+other.a)
	if r := elsewhere.run(t, "--tenant", team.name, "whoami"); r.Code != 1 || !strings.Contains(r.Stdout, other.a+", which is not the tenant's (those are: "+team.a+", "+team.b+")") ||
		!strings.Contains(r.Stderr, "which -n or HELM_NAMESPACE names, is not one of the tenant's") {
		t.Errorf("whoami in another tenant's namespace: %v", r)
	}

	// The settings of others stay; the tenant's are written again.
	member.must(t, "kubeconfig", team.name, "--output-file", file, "--each-namespace")
	before, err := os.ReadFile(member.kubeconfig)
	must(t, err)
	if r := member.run(t, "kubeconfig", team.name, "--output-file", member.kubeconfig); r.Code != 1 || !strings.Contains(r.Stderr, "which is not this tenant's") {
		t.Errorf("over the user's own: %v", r)
	}
	if after, err := os.ReadFile(member.kubeconfig); err != nil || string(after) != string(before) {
		t.Errorf("the user's own kubeconfig was changed: %v", err)
	}

	// A token of an account in the tenant's namespace, which is a member.
	began := time.Now()
	r = member.must(t, "kubeconfig", team.name, "--for-service-account", team.a+":ci", "--duration", "20m")
	config, err := clientcmd.Load([]byte(r.Stdout))
	must(t, err)
	for name, user := range config.AuthInfos {
		if user.Token == "" || len(user.ClientCertificateData) > 0 || user.Impersonate == "" {
			t.Errorf("user %s is %+v", name, user)
		}
	}
	_, stamp, _ := strings.Cut(strings.TrimSpace(r.Stderr), "ends at ")
	if ends, err := time.Parse(time.RFC3339, strings.TrimSuffix(stamp, ".")); err != nil || ends.Before(began.Add(15*time.Minute)) || ends.After(began.Add(40*time.Minute)) {
		t.Errorf("it says %q: %v", r.Stderr, err)
	}
	ci := filepath.Join(t.TempDir(), "ci.kubeconfig")
	must(t, os.WriteFile(ci, []byte(r.Stdout), 0o600))
	if out, err := w.with(t, ci, "helm3", "list"); err != nil || !strings.Contains(out, "three") {
		t.Errorf("helm as the account: %v\n%s", err, out)
	}
	// A reader's kubeconfig acts as the readers' account, and one of nobody's is not without a word.
	for account, want := range map[string]struct{ as, note string }{
		"ci": {"helm", ""}, "reads": {"helm-reader", ""},
		"nobodys": {"helm", "Note: service account " + team.a + ":nobodys is neither a member nor a reader of tenant " + team.name +
			", and is refused until an owner or an admin types: helm tenant grant " + team.name + " --service-account=" + team.a + ":nobodys\n"},
	} {
		r := member.must(t, "kubeconfig", team.name, "--for-service-account", team.a+":"+account)
		if _, note, _ := strings.Cut(r.Stderr, ".\n"); note != want.note || !strings.Contains(r.Stdout, "as: system:serviceaccount:"+team.home+":"+want.as+"\n") {
			t.Errorf("for %s: %v", account, r)
		}
	}

	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{team.name, "--duration", "20m"}, 2, "--for-service-account too"},
		{[]string{team.name, "--for-service-account", team.a + ":ci", "--duration", "1m"}, 2, "at least 10m"},
		{[]string{team.name, "--for-service-account", "ci"}, 2, "is not NAMESPACE:NAME"},
		{[]string{team.name, "--for-service-account", team.a + ":nobody"}, 1, `"nobody" not found`},
		{[]string{team.name, "--for-service-account", other.a + ":default"}, 1, "serviceaccounts/token"},
		{[]string{"no-such-team"}, 1, "no-such-team"},
		{[]string{other.name}, 1, other.name},
	} {
		if r := member.run(t, append([]string{"kubeconfig"}, c.args...)...); r.Code != c.code || !strings.Contains(r.Stderr, c.want) || r.Stdout != "" {
			t.Errorf("wanted %d and %q: %v", c.code, c.want, r)
		}
	}
}

// TestKubeconfigMerge merges a tenant into a member's own kubeconfig, uses it with
// kubectl, helm, terraform's loading rules and helm-tenant, and takes it out again.
func TestKubeconfigMerge(t *testing.T) {
	t.Parallel()
	w, team := start(t), newTeam()
	team.home = team.name + "-helm"
	member := w.newUser(t, "member")
	member.env = []string{"HELM_BIN=" + w.Bin("helm3")}
	w.makeTenant(t, team, "--engine", "impersonation", "--user", member.name)
	text, err := os.ReadFile(member.kubeconfig)
	must(t, err)
	own := append([]byte("# mine\n"), text...)
	must(t, os.WriteFile(member.kubeconfig, own, 0o600))
	// As in a folder of dotfiles.
	link := filepath.Join(t.TempDir(), "config")
	must(t, os.Symlink(member.kubeconfig, link))
	person := *member
	person.kubeconfig = link

	before, err := os.ReadFile(link)
	must(t, err)
	r := person.must(t, "kubeconfig", team.name, "--merge", "--dry-run", "-o", "json")
	if after, err := os.ReadFile(link); err != nil || string(after) != string(before) || !strings.Contains(r.Stdout, `"dryRun": true`) || !strings.Contains(r.Stdout, strconv.Quote(link)) || !strings.Contains(r.Stdout, `"`+team.name+"/") {
		t.Errorf("a dry run: %v, and the file is %s, %v", r, after, err)
	}
	r = person.must(t, "kubeconfig", team.name, "--merge")
	if r.Stdout != "" || !strings.Contains(r.Stderr, "kubectl config use-context "+team.name) {
		t.Errorf("it says %v", r)
	}
	for _, c := range []struct {
		program string
		args    []string
		want    string
	}{
		{"kubectl", []string{"--context", team.name, "auth", "whoami", "-o", "jsonpath={.status.userInfo.username}"}, "system:serviceaccount:" + team.home + ":helm"},
		{"kubectl", []string{"auth", "whoami", "-o", "jsonpath={.status.userInfo.username}"}, member.name}, // the current context stays
		{"helm3", []string{"--kube-context", team.name, "install", "three", hello()}, "deployed"},
		{"helm4", []string{"--kube-context", team.name, "list"}, "three"},
		{"kubectl", []string{"config", "use-context", team.name}, "Switched"}, // kubectl rewrites the file
	} {
		if out, err := w.with(t, link, c.program, c.args...); err != nil || !strings.Contains(out, c.want) {
			t.Errorf("%s %q: %v\n%s", c.program, c.args, err, out)
		}
	}
	for _, c := range [][]string{{"list"}, {"whoami"}, {"releases"}, {"status", "three"}} {
		if r := person.must(t, c...); !strings.Contains(r.Stdout, team.a) {
			t.Errorf("helm tenant %q on that context: %v", c, r)
		}
	}
	person.must(t, "kubeconfig", "--merge") // a refresh, from the context itself
	other := filepath.Join(t.TempDir(), "empty")
	must(t, os.WriteFile(other, nil, 0o600))
	for _, env := range []map[string]string{
		{"KUBE_CONFIG_PATH": link, "KUBE_CTX": team.name},
		{"KUBE_CONFIG_PATH": link},
		{"KUBE_CONFIG_PATHS": other + string(os.PathListSeparator) + link, "KUBE_CTX": team.name},
	} {
		config, err := terraformConfig(env)
		must(t, err)
		client, err := kubernetes.NewForConfig(config)
		must(t, err)
		review, err := client.AuthenticationV1().SelfSubjectReviews().Create(t.Context(), &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
		must(t, err)
		if name := review.Status.UserInfo.Username; name != "system:serviceaccount:"+team.home+":helm" {
			t.Errorf("with %v terraform is %s", env, name)
		}
		if _, err := client.CoreV1().ConfigMaps(team.a).List(t.Context(), metav1.ListOptions{}); err != nil {
			t.Errorf("with %v terraform can't read: %v", env, err)
		}
	}

	// It goes though the tenant is gone.
	w.admin(t).must(t, "revoke", team.name, "--user", member.name)
	if r := person.must(t, "kubeconfig", team.name, "--unmerge", "--dry-run"); !strings.Contains(r.Stderr, "would remove the context "+team.name+" from "+link+"\n") {
		t.Errorf("a dry run says %v", r)
	}
	if r := person.must(t, "kubeconfig", team.name, "--unmerge"); !strings.Contains(r.Stderr, "Warning: it was the current context") {
		t.Errorf("it says %v", r)
	}
	if out, err := w.with(t, link, "kubectl", "config", "get-contexts", "-o", "name"); err != nil || strings.Contains(out, team.name) {
		t.Errorf("contexts: %v\n%s", err, out)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link is a file now: %v, %v", info, err)
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--unmerge"}, "needs the tenant's name"},
		{[]string{team.name, "--unmerge", "--merge"}, "contradict"},
		{[]string{team.name, "--merge", "--output-file", "x"}, "give one of them"},
		{[]string{team.name, "--dry-run"}, "--dry-run goes with"},
	} {
		if r := person.run(t, append([]string{"kubeconfig"}, c.args...)...); r.Code != 2 || !strings.Contains(r.Stderr, c.want) {
			t.Errorf("wanted %q: %v", c.want, r)
		}
	}
}

// terraformConfig is what the Kubernetes and Helm providers of terraform make of their
// variables (initializeConfiguration of hashicorp/terraform-provider-kubernetes,
// kubernetes/provider.go): loading rules of their own, which read no KUBECONFIG.
func terraformConfig(env map[string]string) (*rest.Config, error) {
	rules := &clientcmd.ClientConfigLoadingRules{}
	if path := env["KUBE_CONFIG_PATH"]; path != "" {
		rules.ExplicitPath = path
	} else {
		rules.Precedence = filepath.SplitList(env["KUBE_CONFIG_PATHS"])
	}
	overrides := &clientcmd.ConfigOverrides{CurrentContext: env["KUBE_CTX"]}
	return clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, overrides).ClientConfig()
}
