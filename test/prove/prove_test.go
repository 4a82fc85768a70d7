package prove

import (
	"context"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"helm-tenant/prove"
	"helm-tenant/test/harness"
)

// find returns the rows of an attempt in a namespace.
func find(t *testing.T, rows []prove.Row, attempt string, as prove.Role, namespace string) prove.Row {
	t.Helper()
	for _, row := range rows {
		if row.Attempt == attempt && (as == "" || row.As == as) && (namespace == "" || row.Namespace == namespace) {
			return row
		}
	}
	t.Fatalf("no row of %s as %q in %q", attempt, as, namespace)
	return prove.Row{}
}

// It changes no object of any kind, in a cluster with tenants of both engines, and
// costs no more requests than it says.
func TestWritesNothing(t *testing.T) {
	w := start(t)
	w.must(t, "init", "still", "--namespaces", "still-a,still-b", "--create-namespaces", "--user", "alice", "--wait=false")
	w.must(t, "init", "quiet", "--namespaces", "quiet-a", "--create-namespaces", "--engine", "impersonation", "--user", "bob")
	before := w.everything(t)
	since := logSize(t)
	rows := w.proves(t, "still")
	count := w.impersonated(t, since)
	if diff := cmp.Diff(before, w.everything(t)); diff != "" {
		t.Errorf("objects before (-) and after (+):\n%s", diff)
	}
	if limit := prove.TenantRequests + 2*prove.NamespaceRequests; count == 0 || count > limit {
		t.Errorf("%d requests for a tenant of 2 namespaces, want 1 to %d", count, limit)
	}
	t.Logf("%d requests, %d rows", count, len(rows))
	for _, row := range rows {
		if row.Result == prove.Untried {
			t.Errorf("could not be tried: %+v", row)
		}
		if row.Tenant != "still" {
			t.Errorf("a row of another tenant: %+v", row)
		}
	}
	w.proves(t, "quiet", "still")
	if diff := cmp.Diff(before, w.everything(t)); diff != "" {
		t.Errorf("objects before (-) and after (+):\n%s", diff)
	}
}

// The report names what refused an attempt, and shows attempts that are allowed.
func TestReportedRefusals(t *testing.T) {
	w := start(t)
	w.must(t, "init", "said", "--namespaces", "said-a,said-b", "--create-namespaces", "--engine", "impersonation", "--user", "alice")
	w.label(t, "said-a", map[string]string{"pod-security.kubernetes.io/enforce": "baseline"})
	w.label(t, "said-b", map[string]string{"pod-security.kubernetes.io/enforce": "restricted"})
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "any"}, Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "any", Image: "any"}}}}
	if err := harness.Await(t.Context(), "the level restricted in said-b", func(ctx context.Context) (bool, error) {
		_, err := w.root.CoreV1().Pods("said-b").Create(ctx, pod, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		return err != nil && strings.Contains(err.Error(), `violates PodSecurity "restricted`), nil
	}); err != nil {
		t.Fatal(err)
	}
	rows := w.proves(t, "said")
	for _, attempt := range []string{"privileged-container", "host-path", "host-network", "host-port", "host-pid", "host-ipc", "capabilities", "seccomp-unconfined"} {
		for namespace, by := range map[string]string{"said-a": "PodSecurity baseline", "said-b": "PodSecurity restricted"} {
			if row := find(t, rows, attempt, prove.Deployer, namespace); row.Result != prove.Refused || row.By != by {
				t.Errorf("%s in %s: %s by %q: %s", attempt, namespace, row.Result, row.By, row.Answer)
			}
		}
	}
	for _, attempt := range []string{"run-as-root", "privilege-escalation"} {
		if row := find(t, rows, attempt, prove.Deployer, "said-a"); row.Result != prove.Open {
			t.Errorf("%s under baseline: %+v", attempt, row)
		}
		if row := find(t, rows, attempt, prove.Deployer, "said-b"); row.Result != prove.Refused {
			t.Errorf("%s under restricted: %+v", attempt, row)
		}
	}
	for attempt, by := range map[string]string{
		"quota": "RBAC", "label-namespace": "RBAC", "role-escalation": "RBAC's escalation check", "cluster-binding": "RBAC", "read-nodes": "RBAC",
		"system-secrets": "RBAC", "home-pod": "RBAC", "token": "RBAC",
	} {
		if row := find(t, rows, attempt, prove.Deployer, ""); row.Result != prove.Refused || row.By != by {
			t.Errorf("%s: %s by %q: %s", attempt, row.Result, row.By, row.Answer)
		}
	}
	// A subject that got access by mistake is reported, whoever it is.
	if row := find(t, rows, "home-secrets", prove.Account, ""); row.Result != prove.Refused {
		t.Errorf("%+v", row)
	}
	if _, err := w.root.RbacV1().RoleBindings("said-helm").Create(t.Context(), &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "mistake"}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "edit"},
		Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: "said-a", Name: "default"}},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	w.settle(t, "said-helm")
	rows = w.proves(t, "said")
	for _, attempt := range []string{"home-secrets", "home-pod", "token"} {
		if row := find(t, rows, attempt, prove.Account, ""); row.Result != prove.Allowed {
			t.Errorf("%s by a binding made by mistake: %+v", attempt, row)
		}
	}
}

// A tenant as init makes it is refused everything; one without guard rails is not.
func TestDefaults(t *testing.T) {
	w := start(t)
	w.must(t, "init", "railed", "--namespaces", "railed-a,railed-b", "--create-namespaces", "--user", "alice", "--wait=false")
	rows := w.provesAt(t, "railed")
	for _, row := range rows {
		if row.Result == prove.Allowed || row.Result == prove.Untried {
			t.Errorf("%s as %s in %q: %s", row.Attempt, row.As, row.Namespace, row.Result)
		}
	}
	for attempt, by := range map[string]string{
		"priority": "helm-tenant-guard-pods", "external-ips": "helm-tenant-guard-services", "outsider-binding": "helm-tenant-guard-rolebindings",
		"claim-names-volume": "helm-tenant-guard-persistentvolumeclaims", "own-binding": "helm-tenant-guard-protected", "host-path": "PodSecurity baseline",
	} {
		for _, namespace := range []string{"railed-a", "railed-b"} {
			if row := find(t, rows, attempt, prove.Deployer, namespace); !strings.Contains(row.By, by) {
				t.Errorf("%s in %s was refused by %q", attempt, namespace, row.By)
			}
		}
	}
	for _, control := range []string{"control-network-policy", "control-role-binding"} {
		if row := find(t, rows, control, prove.Deployer, ""); row.Result != prove.Accepted {
			t.Errorf("%+v", row)
		}
	}
	w.must(t, "init", "bare", "--namespaces", "bare-a", "--create-namespaces", "--user", "alice", "--wait=false",
		"--pod-security", "privileged", "--guard", "off", "--accept-risk=node-access,no-guard")
	rows = w.proves(t, "bare")
	for _, attempt := range []string{"privileged-container", "host-path", "priority", "external-ips", "outsider-binding", "claim-names-volume", "direct-storage", "inline-storage", "own-binding"} {
		if row := find(t, rows, attempt, prove.Deployer, "bare-a"); row.Result != prove.Allowed || row.Closes == "" {
			t.Errorf("%s without guard rails: %+v", attempt, row)
		}
	}
}

// What a setting of the tenant forbids must be refused, by that setting.
func TestSettings(t *testing.T) {
	w := start(t)
	w.must(t, "init", "set", "--namespaces", "set-a", "--create-namespaces", "--wait=false", "--network", "isolated",
		"--hosts", "*.set.example.com", "--quota", "services.nodeports=0,pods=50", "--pod-security", "restricted")
	rows := w.provesAt(t, "set")
	for attempt, by := range map[string]string{
		"run-as-root": "PodSecurity restricted", "privilege-escalation": "PodSecurity restricted", "node-port": "quota helm-tenant",
		"foreign-host": "helm-tenant-guard-ingresses", "metadata-egress": "helm-tenant-guard-networkpolicies", "no-quota": "quota", "no-object-quota": "quota",
	} {
		if row := find(t, rows, attempt, prove.Deployer, ""); row.Result != prove.Refused || !strings.Contains(row.By, by) {
			t.Errorf("%s: %s by %q: %s", attempt, row.Result, row.By, row.Answer)
		}
	}
}

// Members that are groups are tried as somebody in one of them.
func TestInGroup(t *testing.T) {
	w := start(t)
	w.must(t, "init", "grouped", "--namespaces", "grouped-a", "--create-namespaces", "--engine", "impersonation", "--group", "devs")
	if row := find(t, w.proves(t, "grouped"), "control-member", prove.Member, ""); row.Result != prove.Untried || !strings.Contains(row.Answer, "--in-group") {
		t.Errorf("%+v", row)
	}
	if row := find(t, w.proves(t, "grouped", "--in-group", "devs"), "control-member", prove.Member, ""); row.Result != prove.Accepted {
		t.Errorf("%+v", row)
	}
}

// Readers are refused every write; a right that somebody added to their account is reported. In
// a frozen tenant nothing is tried.
func TestReaders(t *testing.T) {
	w := start(t)
	w.must(t, "init", "beside", "--namespaces", "beside-a", "--create-namespaces", "--engine", "impersonation") // whose releases a reader tries to read
	w.must(t, "init", "readable", "--namespaces", "readable-a", "--create-namespaces", "--engine", "impersonation", "--user", "alice")
	for _, row := range w.proves(t, "readable") {
		if row.As == prove.Reader {
			t.Errorf("without readers: %+v", row)
		}
	}
	w.must(t, "grant", "readable", "--reader", "--user", "pam", "--accept-risk=reads-secrets")
	rows := w.proves(t, "readable")
	tried := 0
	for _, row := range rows {
		if row.As == prove.Reader && row.Result == prove.Refused {
			tried++
		} else if row.As == prove.Reader && row.Result != prove.Accepted {
			t.Errorf("%+v", row)
		}
	}
	if tried < 16 {
		t.Errorf("%d attempts as the reader", tried)
	}
	if row := find(t, rows, "control-reader", prove.Reader, ""); row.Result != prove.Accepted {
		t.Errorf("%+v", row)
	}
	if _, err := w.root.RbacV1().RoleBindings("readable-a").Create(t.Context(), &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "mistake"}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "edit"},
		Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Namespace: "readable-helm", Name: "helm-reader"}},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	w.settle(t, "readable-a")
	rows = w.proves(t, "readable")
	for _, attempt := range []string{"reader-create", "reader-workload", "reader-release", "reader-change", "reader-delete", "reader-exec", "reader-scale", "reader-evict", "reader-token"} {
		if row := find(t, rows, attempt, prove.Reader, ""); row.Result != prove.Allowed {
			t.Errorf("%s by a binding made by mistake: %+v", attempt, row)
		}
	}
	w.must(t, "freeze", "readable", "--reason", "INC-12")
	if r := w.admin(t, "prove", "readable"); r.Code != 5 || !strings.Contains(r.Stdout, "INC-12") || strings.Contains(r.Stdout, "privileged-container") {
		t.Errorf("a frozen tenant: %+v", r)
	}
}

// Without the right to impersonate the result is unknown, and the output says why.
func TestWithoutImpersonation(t *testing.T) {
	w := start(t)
	w.must(t, "init", "barred", "--namespaces", "barred-a", "--create-namespaces", "--wait=false")
	rule := func(resource string) rbacv1.PolicyRule {
		return rbacv1.PolicyRule{APIGroups: []string{"", "rbac.authorization.k8s.io"}, Resources: []string{resource}, Verbs: []string{"get", "list"}}
	}
	role := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "looker"}, Rules: []rbacv1.PolicyRule{rule("namespaces"), rule("configmaps"), rule("rolebindings"), rule("resourcequotas")}}
	if _, err := w.root.RbacV1().ClusterRoles().Create(t.Context(), role, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.root.RbacV1().ClusterRoleBindings().Create(t.Context(), &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "looker"},
		RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "looker"}, Subjects: []rbacv1.Subject{{Kind: "User", APIGroup: rbacv1.GroupName, Name: "looker"}}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	w.settle(t, "barred-a")
	r := w.run(t, "looker", nil, "prove", "barred")
	if r.Code != 5 || !strings.Contains(r.Stdout, "cannot impersonate") || strings.Contains(r.Stdout, "refused   ") {
		t.Error(r)
	}
}

// A caller who may act as the deployer for pods only, by constrained impersonation: no other
// attempt is refused to the tenant, whatever the API server refuses to the caller.
func TestImpersonationForPodsOnly(t *testing.T) {
	w := start(t)
	w.must(t, "init", "partly", "--namespaces", "partly-a", "--create-namespaces", "--engine", "impersonation")
	role := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "partly"}, Rules: []rbacv1.PolicyRule{
		{APIGroups: []string{"", "rbac.authorization.k8s.io"}, Resources: []string{"namespaces", "configmaps", "rolebindings", "resourcequotas"}, Verbs: []string{"get", "list"}},
		{APIGroups: []string{"authentication.k8s.io"}, Resources: []string{"serviceaccounts"}, Verbs: []string{"impersonate:serviceaccount"}},
		{APIGroups: []string{""}, Resources: []string{"pods"}, Verbs: []string{"impersonate-on:serviceaccount:create"}},
	}}
	if _, err := w.root.RbacV1().ClusterRoles().Create(t.Context(), role, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.root.RbacV1().ClusterRoleBindings().Create(t.Context(), &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "partly"},
		RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "partly"}, Subjects: []rbacv1.Subject{{Kind: "User", APIGroup: rbacv1.GroupName, Name: "partly"}}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	w.settle(t, "partly-a")
	r := w.run(t, "partly", nil, "prove", "partly", "-o", "json")
	var report struct{ Rows []prove.Row }
	if err := json.Unmarshal([]byte(r.Stdout), &report); err != nil {
		t.Fatal(err, r)
	}
	if pod := find(t, report.Rows, "privileged-container", prove.Deployer, "partly-a"); pod.Result != prove.Refused {
		t.Errorf("pods are tried: %+v", pod)
	}
	for _, row := range report.Rows {
		if row.Result == prove.Refused && strings.Contains(row.Answer, "cannot impersonate") {
			t.Errorf("what the caller may not try is refused to the tenant: %+v", row)
		}
	}
	if service := find(t, report.Rows, "external-ips", prove.Deployer, "partly-a"); service.Result != prove.Untried || r.Code != 5 {
		t.Errorf("exit code %d: %+v", r.Code, service)
	}
}

func TestUnknownTenant(t *testing.T) {
	w := start(t)
	if r := w.admin(t, "prove", "nobodys"); r.Code != 1 || !strings.Contains(r.Stderr, "nobodys") || r.Stdout != "" {
		t.Error(r)
	}
}

func TestFormats(t *testing.T) {
	w := start(t)
	w.must(t, "init", "shown", "--namespaces", "shown-a", "--create-namespaces", "--wait=false")
	for format, words := range map[string]string{
		"table": "RESULT", "wide": "BENCHMARKS", "yaml": "kind: ProofReport", "sarif": `"version": "2.1.0"`, "junit": "<testsuite name=\"shown\"", "html": "<!doctype html>",
	} {
		r := w.admin(t, "prove", "shown", "-o", format)
		if r.Code != 0 && r.Code != 4 || !strings.Contains(r.Stdout, words) || r.Stderr != "" {
			t.Errorf("%s: %v", format, r)
		}
		var err error
		switch format {
		case "sarif":
			err = json.Unmarshal([]byte(r.Stdout), &map[string]any{})
		case "junit":
			err = xml.Unmarshal([]byte(r.Stdout), &struct{ XMLName xml.Name }{})
		}
		if err != nil {
			t.Errorf("%s: %v", format, err)
		}
	}
}

// Many tenants are proved side by side, with progress on stderr.
func TestManyTenants(t *testing.T) {
	w := start(t)
	var file strings.Builder
	file.WriteString("apiVersion: helm-tenant/v1\ntenants:\n")
	for i := range 100 {
		fmt.Fprintf(&file, "- {name: many%[1]d, namespaces: [many%[1]d-a], engine: impersonation}\n", i)
	}
	path := dir + "/many.yaml"
	if err := writeFile(path, file.String()); err != nil {
		t.Fatal(err)
	}
	w.must(t, "apply", "-f", path, "--create-namespaces")
	r := w.admin(t, "prove")
	if r.Code != 0 && r.Code != 4 || !strings.Contains(r.Stderr, "100 of 1") {
		t.Errorf("no progress: %d\n%s", r.Code, r.Stderr)
	}
}
