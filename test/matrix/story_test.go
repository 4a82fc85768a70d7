package matrix

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/yaml"

	"helm-tenant/test/harness"
	"helm-tenant/test/records"
	"helm-tenant/test/testcluster"
)

func TestMain(m *testing.M) { os.Exit(testcluster.Main(m, testcluster.Options{})) }

// allRails are flags of init for every guard rail.
var allRails = []string{"--quota", "pods=50,services=20", "--limits", "default.cpu=500m,default.memory=64Mi", "--network", "isolated", "--allow-from", "10.0.0.0/24",
	"--hosts", "*.team.example.com", "--labels", "cost-center=42", "--contact", "#platform"}

// The messages if an API server lacks a feature.
const (
	noGuard       = "this API server has no ValidatingAdmissionPolicy"
	noPodSecurity = "this API server does not enforce PodSecurity"
)

func TestMatrix(t *testing.T) {
	for _, version := range chosen(t) {
		t.Run(version, func(t *testing.T) {
			s := startServer(t, version)
			admin, alice := s.person(t, "helm3", "root", "system:masters"), s.person(t, "helm3", "alice")
			output := admin.must(t, append([]string{"init", "new", "--engine", "impersonation", "--namespaces", "n1,n2", "--create-namespaces", "--user", "alice,carol"}, allRails...)...)
			f := s.facts(t, "n1")
			s.checkFacts(t, f)
			for words, absent := range map[string]bool{noGuard: f.policies, noPodSecurity: f.podSecurity} {
				for verb, text := range map[string]string{"init": output, "describe": admin.must(t, "describe", "new")} {
					if strings.Contains(text, words) == absent {
						t.Errorf("%s: %q is said: %t\n%s", verb, words, !absent, text)
					}
				}
			}
			s.checkLabel(t, "n1")
			s.useReleases(t, admin, alice)
			s.lookAround(t, admin, f)
			s.moveRecords(t, admin)
			output = admin.must(t, "revoke", "new", "--user", "alice", "--disconnect")
			if !strings.Contains(output, "a watch as the deployer") || !strings.Contains(output, "delete --namespace=n1 serviceaccount") {
				t.Errorf("revoke --disconnect says:\n%s", output)
			}
			s.await(t, "alice to be out", func(_ context.Context) (bool, error) {
				_, _, code := alice.try(t, "list")
				return code != 0, nil
			})
			for _, name := range []string{"new", "old"} {
				admin.must(t, "destroy", name, "--keep-releases", "--yes", "--backup", filepath.Join(s.dir, name+".yaml"))
			}
			left, err := s.root.CoreV1().Namespaces().List(t.Context(), metav1.ListOptions{LabelSelector: "helm-tenant/guard"})
			must(t, err)
			if len(left.Items) > 0 {
				t.Errorf("guard rails are left on %d namespaces", len(left.Items))
			}
		})
	}
}

func (s *server) await(t *testing.T, what string, look func(context.Context) (bool, error)) {
	t.Helper()
	must(t, harness.Await(t.Context(), what, look))
}

// checkLabel looks for the label by which NetworkPolicies select a namespace.
func (s *server) checkLabel(t *testing.T, namespace string) {
	t.Helper()
	found, err := s.root.CoreV1().Namespaces().Get(t.Context(), namespace, metav1.GetOptions{})
	must(t, err)
	if found.Labels[corev1.LabelMetadataName] != namespace {
		t.Errorf("Kubernetes %s: namespace %s has the labels %v", s.version, namespace, found.Labels)
	}
}

// useReleases has a member install, upgrade, list and uninstall with Helm 3 and 4.
func (s *server) useReleases(t *testing.T, admin, alice *person) {
	t.Helper()
	chart := filepath.Join("..", "charts", "hello")
	for _, helm := range []string{"helm3", "helm4"} {
		member := &person{s, alice.kubeconfig, s.Bin(helm)}
		harness.AwaitGrant(func() (int, string) {
			_, stderr, code := member.try(t, "use", "new")
			return code, stderr
		})
		member.must(t, "use", "new")
		// Rights come into force a moment after they are written.
		s.await(t, "the member to be let in", func(context.Context) (bool, error) {
			_, stderr, code := member.try(t, "list")
			if code != 0 && !strings.Contains(stderr, "forbidden") {
				return false, fmt.Errorf("%s", stderr)
			}
			return code == 0, nil
		})
		member.must(t, "install", helm, chart)
		member.must(t, "upgrade", helm, chart, "--set", "greeting=again")
		if out := member.must(t, "list", "--short"); strings.TrimSpace(out) != helm {
			t.Errorf("%s lists %q", helm, out)
		}
		if out := admin.must(t, "releases", "new"); !strings.Contains(out, helm) {
			t.Errorf("releases does not list %s:\n%s", helm, out)
		}
		member.must(t, "uninstall", helm)
	}
	admin.must(t, "grant", "new", "--user", "bob", "--group", "devs")
	admin.must(t, "revoke", "new", "--user", "carol")
}

// lookAround has an administrator read the cluster: audit and prove may find something,
// and must not fail.
func (s *server) lookAround(t *testing.T, admin *person, f facts) {
	t.Helper()
	for _, args := range [][]string{{"audit"}, {"audit", "-o", "json"}, {"prove", "new"}} {
		stdout, stderr, code := admin.try(t, args...)
		if code != 0 && code != 4 && (f.policies || code != 5) {
			t.Errorf("%v: exit code %d\n%s%s", args, code, stdout, stderr)
		}
		if args[0] == "prove" && f.guardRefuses && code != 0 {
			t.Errorf("prove: exit code %d\n%s%s", code, stdout, stderr)
		}
	}
	if out := admin.must(t, "tenants"); !strings.Contains(out, "new") {
		t.Errorf("tenants:\n%s", out)
	}
	exported, _, code := admin.try(t, "export")
	file := filepath.Join(s.dir, "tenants.yaml")
	must(t, os.WriteFile(file, []byte(exported), 0o644))
	if code != 0 || !strings.Contains(exported, "network: isolated") {
		t.Errorf("export: exit code %d\n%s", code, exported)
	}
	for _, args := range [][]string{{"--dry-run", "--detailed-exitcode"}, nil} {
		admin.must(t, append([]string{"apply", "-f", file}, args...)...)
	}
	must(t, os.WriteFile(file, []byte(strings.Replace(exported, "pods: \"50\"", "pods: \"40\"", 1)), 0o644))
	admin.must(t, "apply", "-f", file)
	quota, err := s.root.CoreV1().ResourceQuotas("n1").Get(t.Context(), "helm-tenant", metav1.GetOptions{})
	must(t, err)
	if hard := quota.Spec.Hard["pods"]; hard.String() != "40" {
		t.Errorf("the quota of pods is %s after an apply of 40", hard.String())
	}
}

// moveRecords migrates the records of a Tiller's releases to Helm 3, whose Tiller
// never runs: the cluster has no node.
func (s *server) moveRecords(t *testing.T, admin *person) {
	t.Helper()
	admin.must(t, append([]string{"init", "old", "--engine", "tiller", "--namespaces", "o1", "--create-namespaces", "--user", "alice", "--wait=false"}, allRails...)...)
	_, err := s.root.CoreV1().Secrets("old-tiller").Create(t.Context(), records.Secret(records.Release{Name: "web", Namespace: "o1", Revision: 1, Status: "DEPLOYED"}), metav1.CreateOptions{})
	must(t, err)
	// A field that the API server drops would be written again by each run.
	if out := admin.must(t, "init", "old", "--wait=false", "--dry-run"); !strings.Contains(out, "is as asked") {
		t.Errorf("init a second time:\n%s", out)
	}
	admin.must(t, "migrate", "old", "--dry-run")
	admin.must(t, "migrate", "old", "--backup", filepath.Join(s.dir, "migrate.yaml"))
	admin.must(t, "migrate", "old", "--finish", "--yes", "--backup", filepath.Join(s.dir, "finish.yaml"))
	moved, err := s.root.CoreV1().Secrets("o1").List(t.Context(), metav1.ListOptions{LabelSelector: "owner=helm,name=web"})
	must(t, err)
	if len(moved.Items) != 1 {
		t.Errorf("Helm 3 has %d records of the release", len(moved.Items))
	}
}

// refusals are what the guard refuses, by its policies' kinds.
var refusals = map[string]string{
	"services":               "{apiVersion: v1, kind: Service, spec: {externalIPs: [192.0.2.1], ports: [{port: 80}]}}",
	"rolebindings":           "{apiVersion: rbac.authorization.k8s.io/v1, kind: RoleBinding, roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: view}, subjects: [{kind: User, apiGroup: rbac.authorization.k8s.io, name: eve}]}",
	"roles":                  "{apiVersion: rbac.authorization.k8s.io/v1, kind: Role, metadata: {name: given}, rules: [{apiGroups: [''], resources: [configmaps], verbs: [get]}]}",
	"pods":                   "{apiVersion: v1, kind: Pod, spec: {priorityClassName: system-node-critical, containers: [{name: c, image: i}]}}",
	"deployments":            "{apiVersion: apps/v1, kind: Deployment, spec: {selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {priorityClassName: system-node-critical, containers: [{name: c, image: i}]}}}}",
	"persistentvolumeclaims": "{apiVersion: v1, kind: PersistentVolumeClaim, spec: {volumeName: pv, accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Mi}}}}",
	"ingresses":              "{apiVersion: networking.k8s.io/v1, kind: Ingress, spec: {rules: [{host: shop.example.com}]}}",
	"networkpolicies":        "{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, spec: {podSelector: {}, policyTypes: [Egress], egress: [{}]}}",
	"protected":              "{apiVersion: v1, kind: ConfigMap, metadata: {labels: {helm-tenant/protected: 'true'}}}",
}

var served = map[string]schema.GroupVersionResource{
	"Service": {Version: "v1", Resource: "services"}, "Pod": {Version: "v1", Resource: "pods"}, "ConfigMap": {Version: "v1", Resource: "configmaps"},
	"PersistentVolumeClaim": {Version: "v1", Resource: "persistentvolumeclaims"}, "Deployment": {Group: "apps", Version: "v1", Resource: "deployments"},
	"RoleBinding": {Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "rolebindings"}, "Role": {Group: "rbac.authorization.k8s.io", Version: "v1", Resource: "roles"},
	"Ingress": {Group: "networking.k8s.io", Version: "v1", Resource: "ingresses"}, "NetworkPolicy": {Group: "networking.k8s.io", Version: "v1", Resource: "networkpolicies"},
}

// guardActs tries, as the deployer, requests that each of the guard's policies refuses and
// allows, and checks that the server finds no type error in the policies.
func (s *server) guardActs(t *testing.T, ns string) bool {
	t.Helper()
	_, err := s.root.RbacV1().RoleBindings(ns).Create(t.Context(), &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "given"},
		RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "given"},
		Subjects: []rbacv1.Subject{{Kind: "User", APIGroup: rbacv1.GroupName, Name: "outsider"}}}, metav1.CreateOptions{})
	must(t, err)
	deployer := dynamicAs(s, "system:serviceaccount:new-helm:helm")
	for kind, text := range refusals {
		var object unstructured.Unstructured
		must(t, yaml.Unmarshal([]byte(text), &object.Object))
		if object.GetName() == "" {
			object.SetName("tried")
		}
		var answer error
		if err := harness.Await(t.Context(), "a refusal by the guard", func(ctx context.Context) (bool, error) {
			_, answer = deployer.Resource(served[object.GetKind()]).Namespace(ns).Create(ctx, &object, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
			return answer != nil && strings.Contains(answer.Error(), "'helm-tenant-guard-"+kind+"'"), nil
		}); err != nil {
			t.Fatalf("%s: %v: the answer is %v", kind, err, answer)
		}
	}
	typed := kubernetes.NewForConfigOrDie(s.as("system:serviceaccount:new-helm:helm"))
	_, err = typed.CoreV1().Services(ns).Create(t.Context(), &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "plain"},
		Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 80}}}}, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
	must(t, err)
	s.await(t, "the check of the policies' types", func(ctx context.Context) (bool, error) {
		policies, err := s.root.AdmissionregistrationV1().ValidatingAdmissionPolicies().List(ctx, metav1.ListOptions{LabelSelector: "app.kubernetes.io/managed-by=helm-tenant"})
		if err != nil {
			return false, err
		}
		for _, policy := range policies.Items {
			if policy.Status.ObservedGeneration < policy.Generation {
				return false, nil
			}
			if policy.Status.TypeChecking != nil && len(policy.Status.TypeChecking.ExpressionWarnings) > 0 {
				t.Errorf("Kubernetes %s: %s: %+v", s.version, policy.Name, policy.Status.TypeChecking.ExpressionWarnings)
			}
		}
		return len(policies.Items) > 15, nil
	})
	return true
}
