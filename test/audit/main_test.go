// Package audit tests `helm-tenant audit` against a real API server: that it finds the planted
// misconfigurations and nothing else; that the API server grants what the audit reports; that
// the pages and files are valid. No pod runs.
package audit

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"helm-tenant/rails"
	"helm-tenant/tenant"
	"helm-tenant/test/harness"
	"helm-tenant/test/testcluster"
)

func TestMain(m *testing.M) {
	code := testcluster.Main(m, clusterOptions())
	if second.cluster != nil {
		if err := second.cluster.Stop(); err != nil {
			fmt.Fprintf(os.Stderr, "stopping the second test cluster: %v\n", err)
			code = 1
		}
	}
	for _, id := range typed.missing() {
		fmt.Fprintf(os.Stderr, "no command of a finding %s was typed\n", id)
		code = 1
	}
	os.Exit(code)
}

// clusterOptions returns those of both clusters: as in clusters of kubeadm's, the API server
// does not verify the certificates of kubelets.
func clusterOptions() testcluster.Options {
	return testcluster.Options{APIServerArgs: []string{"--kubelet-certificate-authority="}}
}

// world is a cluster that tests use one after the other: each has it to itself, and
// leaves it without findings.
type world struct {
	*testcluster.Cluster
	dir  string
	root *kubernetes.Clientset
	// reviews is for many SubjectAccessReviews.
	reviews *kubernetes.Clientset
	env     []string
	// residue is what a test found, and could not take away.
	residue []string
}

// slot is a cluster that starts when the first test takes it.
type slot struct {
	cluster *testcluster.Cluster
	w       *world
	err     error
}

// first and second are the two clusters, so that the tests take half the time. free are
// those that no test has.
var (
	first, second slot
	free          = func() chan *slot {
		slots := make(chan *slot, 2)
		slots <- &first
		slots <- &second
		return slots
	}()
)

// start returns a cluster that no other test has until this one ends, in which there are
// three tenants, and nothing to find: alpha and beta with Tillers, gamma for Helm 3.
func start(t *testing.T) *world {
	t.Helper()
	t.Parallel()
	testcluster.Require(t, testcluster.API)
	s := <-free
	t.Cleanup(func() { free <- s })
	switch {
	case s.w != nil || s.err != nil:
	case s == &first:
		s.cluster = testcluster.Get(t)
		s.w, s.err = prepare(s.cluster)
	default:
		if s.cluster, s.err = testcluster.Start(context.Background(), clusterOptions()); s.err == nil {
			s.w, s.err = prepare(s.cluster)
		}
	}
	if s.err != nil {
		t.Fatal(s.err)
	}
	return s.w
}

const markers = "markers" // the namespace for settle

func prepare(cluster *testcluster.Cluster) (*world, error) {
	w := &world{Cluster: cluster, dir: filepath.Join(cluster.Dir, "audit-test")}
	if err := os.MkdirAll(filepath.Join(w.dir, "bin"), 0o755); err != nil {
		return nil, err
	}
	binary, err := harness.Binary()
	if err != nil {
		return nil, err
	}
	if err := os.Symlink(binary, filepath.Join(w.dir, "helm-tenant")); err != nil {
		return nil, err
	}
	// So that the commands that findings tell can be typed.
	script := "#!/bin/sh\n[ \"$1\" = tenant ] && shift\nexec " + filepath.Join(w.dir, "helm-tenant") + " \"$@\"\n"
	if err := os.WriteFile(filepath.Join(w.dir, "bin", "helm"), []byte(script), 0o755); err != nil {
		return nil, err
	}
	if err := os.Symlink(cluster.Bin("kubectl"), filepath.Join(w.dir, "bin", "kubectl")); err != nil {
		return nil, err
	}
	w.env = []string{"PATH=" + filepath.Join(w.dir, "bin") + ":/usr/bin:/bin", "HOME=" + w.dir, "XDG_CACHE_HOME=" + w.dir, "HELM_BIN=" + cluster.Bin("helm2"), harness.Collector()}
	config, err := cluster.RESTConfig("root", "system:masters")
	if err != nil {
		return nil, err
	}
	w.root = kubernetes.NewForConfigOrDie(config)
	quick := rest.CopyConfig(config)
	quick.ContentType = "application/vnd.kubernetes.protobuf"
	w.reviews = kubernetes.NewForConfigOrDie(quick)
	ctx := context.Background()
	for _, ns := range []string{markers, "ci", "outside"} {
		// Pods there take no node.
		labels := map[string]string{rails.LabelEnforce: string(tenant.PodSecurityBaseline)}
		if _, err := w.root.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns, Labels: labels}}, metav1.CreateOptions{}); err != nil {
			return nil, err
		}
	}
	if _, err := w.root.CoreV1().ServiceAccounts("ci").Create(ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "robot"}}, metav1.CreateOptions{}); err != nil {
		return nil, err
	}
	for _, args := range [][]string{
		{"init", "alpha", "--namespaces", "alpha-a,alpha-b", "--create-namespaces", "--user", "alice", "--group", "alpha-devs", "--service-account", "ci:robot", "--wait=false"},
		{"init", "beta", "--namespaces", "beta-a", "--create-namespaces", "--user", "bob", "--wait=false"},
		{"init", "gamma", "--engine", "impersonation", "--namespaces", "gamma-a", "--create-namespaces", "--user", "gail"},
	} {
		if r := w.run(cluster.Admin(), args...); r.Code != 0 {
			return nil, fmt.Errorf("helm-tenant %s: exit code %d\n%s", strings.Join(args, " "), r.Code, r.Stderr)
		}
	}
	// The controllers make the pods, and nobody runs them.
	for deadline := time.Now().Add(harness.Patience); ; time.Sleep(100 * time.Millisecond) {
		pods, err := w.root.CoreV1().Pods("alpha-tiller").List(ctx, metav1.ListOptions{})
		if err != nil {
			return nil, err
		}
		if len(pods.Items) > 0 {
			return w, nil
		}
		if time.Now().After(deadline) {
			return nil, errors.New("no pod of alpha's Tiller was made")
		}
	}
}

// run runs helm-tenant with that kubeconfig.
func (w *world) run(kubeconfig string, args ...string) harness.Result {
	ctx, cancel := context.WithTimeout(context.Background(), harness.Patience)
	defer cancel()
	r, err := harness.Run(ctx, w.environ(kubeconfig), strings.NewReader(""), args...)
	if err != nil {
		r.Code, r.Stderr = -1, err.Error()
	}
	return r
}

func (w *world) environ(kubeconfig string) []string {
	return append([]string{"KUBECONFIG=" + kubeconfig}, w.env...)
}

func (w *world) command(kubeconfig, program string, args ...string) harness.Result {
	ctx, cancel := context.WithTimeout(context.Background(), harness.Patience)
	defer cancel()
	r, err := harness.Exec(ctx, w.environ(kubeconfig), nil, program, args...)
	if err != nil {
		r.Code, r.Stderr = -1, err.Error()
	}
	return r
}

// report is the part of an audit's JSON that tests look at.
type report struct {
	Result   string    `json:"result"`
	Findings []finding `json:"findings"`
	Ignored  []finding `json:"ignored"`
	Unseen   []struct {
		What string `json:"what"`
	} `json:"unseen"`
	Deployers []struct {
		Tenant    string   `json:"tenant"`
		Home      string   `json:"home"`
		Account   string   `json:"serviceAccount"`
		Access    []access `json:"access"`
		Namespace []string `json:"namespaces"`
	} `json:"deployers"`
	ClusterWide    []wideAccess `json:"clusterWide"`
	Administrators []access     `json:"administrators"`
	CanReach       []struct {
		Tenant  string   `json:"tenant"`
		Home    string   `json:"home"`
		Member  bool     `json:"member"`
		Through []string `json:"through"`
		Paths   []path   `json:"paths"`
	} `json:"canReach"`
}

type access struct {
	Subject string `json:"subject"`
	Member  bool   `json:"member"`
	Own     bool   `json:"own"`
}

// wideAccess is an access by cluster-wide rights.
type wideAccess struct {
	access
	Paths []path `json:"paths"`
}

type path struct {
	ID     string     `json:"id"`
	Chains [][]string `json:"chains"`
}

type finding struct {
	ID       string     `json:"id"`
	Severity string     `json:"severity"`
	Tenants  []string   `json:"tenants"`
	Subject  string     `json:"subject"`
	Text     string     `json:"text"`
	Why      string     `json:"why"`
	Chains   [][]string `json:"chains"`
	Fix      string     `json:"fix"`
	// Fixes are what mends it, any one of them.
	Fixes []fix `json:"fixes"`
}

// fix has commands, which are run one after the other, and a note.
type fix struct {
	Commands [][]string `json:"commands"`
	Note     string     `json:"note"`
}

func (f finding) String() string {
	return fmt.Sprintf("%s %s (%s): %s", f.ID, strings.Join(f.Tenants, ","), f.Subject, f.Text)
}

// brief is what is compared: "ID tenants subject".
func (f finding) brief() string {
	return f.ID + " " + strings.Join(f.Tenants, ",") + " " + f.Subject
}

// audit runs an audit as an administrator; its exit code must fit its result.
func (w *world) audit(t *testing.T, args ...string) report {
	t.Helper()
	r := w.run(w.Admin(), append([]string{"audit", "-o", "json"}, args...)...)
	var got report
	if err := json.Unmarshal([]byte(r.Stdout), &got); err != nil {
		t.Fatalf("audit %s: exit code %d: %v\n%s", strings.Join(args, " "), r.Code, err, r.Stderr)
	}
	want := map[string]int{"clean": 0, "findings": 4, "unknown": 5}[got.Result]
	if len(got.CanReach) == 0 && !strings.Contains(strings.Join(args, " "), "--fail-on") && !strings.Contains(strings.Join(args, " "), "--can-reach") && r.Code != want {
		t.Errorf("audit %s: the result is %s and the exit code %d", strings.Join(args, " "), got.Result, r.Code)
	}
	return got
}

// settle waits until the API server's authorizer knows all that was written.
func (w *world) settle(t *testing.T) {
	t.Helper()
	must(t, harness.Settle(t.Context(), w.root, markers))
}

// may asks the API server's authorizer.
func (w *world) may(t *testing.T, user string, groups []string, about authorizationv1.ResourceAttributes) bool {
	t.Helper()
	review, err := w.root.AuthorizationV1().SubjectAccessReviews().Create(context.Background(), &authorizationv1.SubjectAccessReview{
		Spec: authorizationv1.SubjectAccessReviewSpec{User: user, Groups: append([]string{"system:authenticated"}, groups...), ResourceAttributes: &about}}, metav1.CreateOptions{})
	must(t, err)
	return review.Status.Allowed
}

var must = harness.Must

// create drops the object that a create returns with its error.
func create[T any](_ T, err error) error { return err }

// subjects reads "user alice", "group devs", "account ns:name".
func subjects(texts ...string) []rbacv1.Subject {
	var all []rbacv1.Subject
	for _, text := range texts {
		kind, name, _ := strings.Cut(text, " ")
		switch kind {
		case "user":
			all = append(all, rbacv1.Subject{Kind: "User", APIGroup: rbacv1.GroupName, Name: name})
		case "group":
			all = append(all, rbacv1.Subject{Kind: "Group", APIGroup: rbacv1.GroupName, Name: name})
		case "account":
			ns, name, _ := strings.Cut(name, ":")
			all = append(all, rbacv1.Subject{Kind: "ServiceAccount", Namespace: ns, Name: name})
		default:
			panic("no subject: " + text)
		}
	}
	return all
}

// rules reads "VERB,VERB GROUP:RESOURCE NAME...", the group being left out for the
// core's: "create pods/exec", "patch apps:deployments tiller-deploy". Some groups'
// names are short. The name EMPTY is the empty one.
func rules(texts ...string) []rbacv1.PolicyRule {
	var all []rbacv1.PolicyRule
	for _, text := range texts {
		words := strings.Fields(text)
		group, resource, found := strings.Cut(words[1], ":")
		if !found {
			group, resource = "", words[1]
		}
		group = cmp.Or(shortGroups[group], group)
		var names []string
		for _, name := range words[2:] {
			if name == "EMPTY" {
				name = ""
			}
			names = append(names, name)
		}
		all = append(all, rbacv1.PolicyRule{Verbs: strings.Split(words[0], ","), APIGroups: []string{group}, Resources: strings.Split(resource, ","), ResourceNames: names})
	}
	return all
}

// shortGroups are the names of API groups by those that tests use.
var shortGroups = map[string]string{
	"rbac": rbacv1.GroupName, "authn": "authentication.k8s.io", "admission": "admissionregistration.k8s.io", "certs": "certificates.k8s.io",
}
