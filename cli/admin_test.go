package cli_test

import (
	"bytes"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"helm-tenant/cli"
	"helm-tenant/cluster"
	"helm-tenant/cluster/clustertest"
	"helm-tenant/helm"
)

// answered is what a run printed, and its exit code.
type answered struct {
	stdout, stderr string
	code           int
}

// administrator runs verbs against an API server in memory, with no helm on PATH and no
// terminal.
type administrator struct {
	t          *testing.T
	server     *clustertest.Server
	kubeconfig string
}

func newAdministrator(t *testing.T) administrator {
	t.Helper()
	server := clustertest.Start(t, &rbacv1.ClusterRole{TypeMeta: metav1.TypeMeta{APIVersion: "rbac.authorization.k8s.io/v1", Kind: "ClusterRole"},
		ObjectMeta: metav1.ObjectMeta{Name: "admin"}})
	return administrator{t, server, server.Kubeconfig()}
}

// tries runs a verb that may fail, with stdin as its input.
func (a administrator) tries(stdin string, args ...string) answered {
	a.t.Helper()
	var stdout, stderr bytes.Buffer
	code := cli.Run(a.t.Context(), cli.Environment{
		Args: append(args, "--kubeconfig="+a.kubeconfig), Stdin: strings.NewReader(stdin), Stdout: &stdout, Stderr: &stderr,
		Executable: os.Args[0], PID: 1, Now: time.Now,
		CommandLine: func(int) ([]string, error) { return nil, nil },
		Exec:        func(helm.Invocation) (int, error) { return 0, io.EOF },
	})
	return answered{stdout.String(), stderr.String(), code}
}

// runs runs a verb that must succeed.
func (a administrator) runs(args ...string) answered {
	a.t.Helper()
	got := a.tries("", args...)
	if got.code != 0 {
		a.t.Fatalf("%s: exit code %d:\n%s%s", strings.Join(args, " "), got.code, got.stdout, got.stderr)
	}
	return got
}

func (a administrator) record(name string) string {
	a.t.Helper()
	object := a.server.Get(cluster.Key{Kind: "ConfigMap", Namespace: name + "-tiller", Name: "helm-tenant"})
	if object == nil {
		a.t.Fatalf("tenant %s has no record", name)
	}
	data, _ := object.Object["data"].(map[string]any)
	text, _ := data["tenant.yaml"].(string)
	return text
}

// TestUnsetFlags: a flag with an empty value takes back what an earlier run set.
func TestUnsetFlags(t *testing.T) {
	a := newAdministrator(t)
	a.runs("init", "t", "--namespaces=a", "--create-namespaces", "--wait=false")
	plain := a.record("t")
	for _, set := range []string{
		"--node-selector=pool=system", "--resources=requests.memory=128Mi,limits.memory=512Mi", "--image-pull-secret=registry",
		"--tiller-image=registry.example.com/tiller", "--tiller-version=v2.16.1", "--contact=#team", "--quota=pods=5", "--labels=cost=42",
		"--limits=max.memory=8Gi", "--hosts=a.example.com", "--priority-classes=batch",
	} {
		flag, _, _ := strings.Cut(set, "=")
		a.runs("init", "t", "--wait=false", set)
		if a.record("t") == plain {
			t.Errorf("%s sets nothing", set)
		}
		a.runs("init", "t", "--wait=false", flag+"=")
		if got := a.record("t"); got != plain {
			t.Errorf("after %s= the record is:\n%s\nbefore:\n%s", flag, got, plain)
		}
	}
	for _, empty := range []string{"--role=", "--storage=", "--engine=", "--home-namespace=", "--default-namespace=", "--namespaces="} {
		if got := a.tries("", "init", "t", empty); got.code != 2 || !strings.Contains(got.stderr, "is empty") {
			t.Errorf("%s: exit code %d:\n%s", empty, got.code, got.stderr)
		}
	}
	for _, wrong := range []string{"--node-selector=pool", "--labels==x", "--quota=pods=1,"} {
		if got := a.tries("", "init", "t", wrong); got.code != 2 || !strings.Contains(got.stderr, "is not NAME=VALUE") {
			t.Errorf("%s: exit code %d:\n%s", wrong, got.code, got.stderr)
		}
	}
}

// TestNothingToWrite: kubectl apply refuses empty input, and takes an empty List.
func TestNothingToWrite(t *testing.T) {
	a := newAdministrator(t)
	a.runs("init", "t", "--namespaces=a", "--create-namespaces", "--wait=false")
	for output, want := range map[string]string{
		"yaml": "apiVersion: v1\nitems: []\nkind: List\n",
		"json": "{\n  \"apiVersion\": \"v1\",\n  \"items\": [],\n  \"kind\": \"List\"\n}\n",
		"name": "",
	} {
		if got := a.runs("init", "t", "--dry-run", "-o", output); got.stdout != want {
			t.Errorf("-o %s: got %q, want %q", output, got.stdout, want)
		}
	}
}

// TestMembersUseAgain: who changes what kubeconfigs remember is told what members type.
func TestMembersUseAgain(t *testing.T) {
	a := newAdministrator(t)
	const second = "type again: helm tenant use t"
	if got := a.runs("init", "t", "--namespaces=a", "--create-namespaces", "--wait=false", "--user=ann"); strings.Contains(got.stderr, second) {
		t.Errorf("a new tenant: %s", got.stderr)
	}
	if got := a.runs("init", "t", "--namespaces=b", "--create-namespaces", "--wait=false"); !strings.Contains(got.stderr, second) {
		t.Errorf("another namespace: %s", got.stderr)
	}
	if got := a.runs("init", "t", "--wait=false"); strings.Contains(got.stderr, second) {
		t.Errorf("nothing changed: %s", got.stderr)
	}
	file := "apiVersion: helm-tenant/v1\ntenants:\n- {name: t, namespaces: [a], members: {users: [ann]}}\n"
	if got := a.tries(file, "apply", "-f", "-"); got.code != 0 || !strings.Contains(got.stderr, second) {
		t.Errorf("a file: exit code %d: %s", got.code, got.stderr)
	}
}

// TestDocumentedAdministrator compares docs/administrator-role.yaml with the output.
func TestDocumentedAdministrator(t *testing.T) {
	const file = "../docs/administrator-role.yaml"
	got := newAdministrator(t).runs("init", "--print-role")
	if *update {
		if err := os.WriteFile(file, []byte(got.stdout), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil || string(want) != got.stdout {
		t.Errorf("%s is not what init --print-role prints (go test ./cli -update): %v", file, err)
	}
}

// TestPruneDryRun: a dry run names the tenants that the real run could not destroy, and
// ends as that does.
func TestPruneDryRun(t *testing.T) {
	a := newAdministrator(t)
	a.runs("init", "t", "--namespaces=a", "--create-namespaces", "--wait=false")
	a.runs("init", "u", "--namespaces=b", "--create-namespaces", "--wait=false")
	a.server.Put(&corev1.Secret{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
		ObjectMeta: metav1.ObjectMeta{Namespace: "u-tiller", Name: "web.v1", Labels: map[string]string{"OWNER": "TILLER", "NAME": "web", "VERSION": "1", "STATUS": "DEPLOYED"}}})
	file := "apiVersion: helm-tenant/v1\ntenants:\n- {name: t, namespaces: [a]}\n"
	dry := a.tries(file, "apply", "-f", "-", "--prune", "--dry-run")
	if dry.code != 3 || !strings.Contains(dry.stderr, "it has a release") || strings.Contains(dry.stdout, "destroy") {
		t.Errorf("the dry run: exit code %d\n%s%s", dry.code, dry.stdout, dry.stderr)
	}
	if got := a.tries(file, "apply", "-f", "-", "--prune", "--yes"); got.code != dry.code || !strings.Contains(got.stderr, "it has a release") {
		t.Errorf("the run: exit code %d\n%s%s", got.code, got.stdout, got.stderr)
	}
	if got := a.tries(file, "apply", "-f", "-", "--prune", "--dry-run", "--keep-releases"); got.code != 0 || !strings.Contains(got.stdout, "tenant u: destroy") {
		t.Errorf("with --keep-releases: exit code %d\n%s%s", got.code, got.stdout, got.stderr)
	}
	for _, how := range []string{"--dry-run", "--yes"} { // without the helm that the release needs
		if got := a.tries(file, "apply", "-f", "-", "--prune", "--delete-releases", how); got.code != 3 || !strings.Contains(got.stderr, "no helm was found") || strings.Contains(got.stderr, "backed up") {
			t.Errorf("--delete-releases %s: exit code %d\n%s%s", how, got.code, got.stdout, got.stderr)
		}
	}
}

// TestNearFlags: a mistyped flag brings the one that may have been meant, and a letter none.
func TestNearFlags(t *testing.T) {
	a := newAdministrator(t)
	for line, want := range map[string]string{
		"init t --namespace=a":         "did you mean: --namespaces",
		"grant t --users=bob":          "did you mean: --user",
		"apply --dryrun -f x":          "did you mean: --dry-run",
		"destroy t --keep-release":     "did you mean: --keep-releases",
		"init t --client-only":         "helm's own init is typed without \"tenant\": helm init --client-only",
		"tenants --tenant=t":           "--tenant goes before a command of helm's",
		"tenants -x":                   "",
		"tenants --completely-unknown": "",
	} {
		got := a.tries("", strings.Fields(line)...)
		if got.code != 2 || !strings.Contains(got.stderr, want) || want == "" && strings.Contains(got.stderr, "did you mean") {
			t.Errorf("%s: exit code %d: %s", line, got.code, got.stderr)
		}
	}
}
