package admin

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"helm-tenant/audit"
	"helm-tenant/rbac"
	"helm-tenant/tenant"
)

var freezing = FreezeRequest("t", "INC-1", noon)

// steps returns all steps of a request, guard rails among them, and its notes.
func (w world) steps(t *testing.T, r Request) (steps, notes []string, now *tenant.Freeze) {
	t.Helper()
	prepared, err := decide(w.facts(t, r), r)
	if err != nil {
		return []string{"error: " + err.Error()}, nil, nil
	}
	return stepsOf(prepared.Plan), prepared.Notes, prepared.Tenant.Frozen
}

// checkSteps fails unless the steps are those that contain the texts, in any order.
func checkSteps(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	left := slices.Clone(got)
	for _, text := range want {
		index := slices.IndexFunc(left, func(step string) bool { return strings.Contains(step, text) })
		if index < 0 {
			t.Errorf("%s: no step %q in %q", what, text, got)
			continue
		}
		left = slices.Delete(left, index, index+1)
	}
	if len(left) > 0 {
		t.Errorf("%s: also %q", what, left)
	}
}

func TestFreezeByPolicy(t *testing.T) {
	w := empty().after(t, asked())
	// Drift stays as it is: in an incident nothing else is to change.
	w = edited(w, memberKey("t-tiller"), func(b *rbacv1.RoleBinding) { b.Labels["drifted"] = "yes" })
	w.objects = slices.DeleteFunc(w.objects, func(o runtime.Object) bool { _, ok := o.(*appsv1.Deployment); return ok })
	const frozen, accounts = "helm-tenant/frozen", "guard.helm-tenant/frozen-accounts"
	steps, notes, now := w.steps(t, freezing)
	checkSteps(t, "freeze", steps, "update Namespace a: ", "update Namespace b: ", "update Namespace t-tiller: ",
		"create ValidatingAdmissionPolicy helm-tenant-guard-frozen", "create ValidatingAdmissionPolicyBinding helm-tenant-guard-frozen-warn", "create ValidatingAdmissionPolicyBinding helm-tenant-guard-frozen",
		"update ConfigMap helm-tenant in namespace t-tiller: data.tenant.yaml")
	for _, step := range steps {
		if strings.HasPrefix(step, "update Namespace") && !(strings.Contains(step, "labels["+frozen+"]") && strings.Contains(step, accounts)) {
			t.Errorf("the step is %q", step)
		}
	}
	if diff := cmp.Diff(&tenant.Freeze{Reason: "INC-1", Since: "2026-01-31T12:00:00Z", Means: tenant.FreezeByPolicy}, now); diff != "" || notes != nil {
		t.Errorf("notes %q, -want +got:\n%s", notes, diff)
	}
	w = empty().after(t, asked()).after(t, freezing)
	for _, object := range w.objects {
		if ns, ok := object.(*corev1.Namespace); ok && ns.Name == "a" && ns.Annotations[accounts] != "a,b,t-tiller:tiller" {
			t.Errorf("the accounts are %q", ns.Annotations[accounts])
		}
	}

	later := FreezeRequest("t", "INC-1", noon.Add(time.Hour))
	steps, _, now = w.steps(t, later)
	checkSteps(t, "again", steps)
	if now.Since != "2026-01-31T12:00:00Z" {
		t.Errorf("again: since %s", now.Since)
	}
	steps, notes, _ = w.steps(t, FreezeRequest("t", "INC-2", noon))
	checkSteps(t, "another reason", steps, "update Namespace a: ", "update Namespace b: ", "update Namespace t-tiller: ", "update ConfigMap")
	if !slices.Equal(notes, []string{"it was frozen since 2026-01-31T12:00:00Z: INC-1"}) {
		t.Errorf("another reason: %q", notes)
	}
	steps, notes, _ = w.steps(t, asked())
	checkSteps(t, "init", steps)
	if !slices.Contains(notes, "the tenant is frozen since 2026-01-31T12:00:00Z: INC-1; that stays") {
		t.Errorf("init: %q", notes)
	}
	steps, _, _ = w.steps(t, asked(exactly))
	checkSteps(t, "apply of a file without it", steps)
	steps, _, _ = w.steps(t, asked(namespaces("a", "c"), func(r *Request) { r.CreateNamespaces = true }))
	checkSteps(t, "another namespace", steps, "update Namespace a: ", "update Namespace b: ", "update Namespace t-tiller: ", "create Namespace c", "update ConfigMap", "create RoleBinding helm-tenant.t.admin in namespace c")

	thawed := w.after(t, ThawRequest("t"))
	steps, _, now = thawed.steps(t, asked())
	checkSteps(t, "after a thaw", steps)
	for _, object := range thawed.objects {
		if meta, ok := object.(interface {
			GetName() string
			GetLabels() map[string]string
			GetAnnotations() map[string]string
		}); ok && (meta.GetLabels()[frozen] != "" || meta.GetAnnotations()[accounts] != "") {
			t.Errorf("%s still says that it is frozen", meta.GetName())
		}
	}
	if now != nil {
		t.Errorf("after a thaw: %v", now)
	}
	steps, _, _ = thawed.steps(t, ThawRequest("t"))
	checkSteps(t, "thawed again", steps)
}

func TestFreezeByRole(t *testing.T) {
	view := clusterRole("view", "get")
	old := empty().with(view)
	old.unserved = []string{"ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"}
	wide := empty().with(view).after(t, asked(everywhere, accept(RiskClusterWide)))
	writer := clusterRole("wide", "*")
	writer.Rules[0].Resources = []string{"namespaces"}
	for _, test := range []struct {
		name  string
		world world
		why   string
		// the deployer's role before and during the freeze
		steps []string
	}{
		{"an old API server", old.after(t, asked()), "Kubernetes 1.30", []string{
			"create ClusterRole helm-tenant-reads-secrets", "update Role helm-tenant-records in namespace t-tiller: rules", "update ConfigMap",
			"create RoleBinding helm-tenant.t.view in namespace a", "create RoleBinding helm-tenant.t.helm-tenant-reads-secrets in namespace a", "delete RoleBinding helm-tenant.t.admin in namespace a",
			"create RoleBinding helm-tenant.t.view in namespace b", "create RoleBinding helm-tenant.t.helm-tenant-reads-secrets in namespace b", "delete RoleBinding helm-tenant.t.admin in namespace b"}},
		{"all namespaces", wide, "has all namespaces", []string{
			"create ClusterRole helm-tenant-reads-secrets", "update Role helm-tenant-records in namespace t-tiller: rules", "update ConfigMap",
			"create ClusterRoleBinding helm-tenant.t.view", "create ClusterRoleBinding helm-tenant.t.helm-tenant-reads-secrets", "delete ClusterRoleBinding helm-tenant.t.cluster-admin"}},
		{"a role that could undo it", empty().with(view, writer).after(t, asked(role("wide"), accept(RiskNamespaceWriter))), "could take the admission policy off", []string{
			"create ClusterRole helm-tenant-reads-secrets", "update Role helm-tenant-records in namespace t-tiller: rules", "update ConfigMap",
			"create RoleBinding helm-tenant.t.view in namespace a", "create RoleBinding helm-tenant.t.helm-tenant-reads-secrets in namespace a", "delete RoleBinding helm-tenant.t.wide in namespace a",
			"create RoleBinding helm-tenant.t.view in namespace b", "create RoleBinding helm-tenant.t.helm-tenant-reads-secrets in namespace b", "delete RoleBinding helm-tenant.t.wide in namespace b"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			steps, notes, now := test.world.steps(t, freezing)
			checkSteps(t, "freeze", steps, test.steps...)
			if len(notes) != 1 || !strings.Contains(notes[0], test.why) || now == nil || now.Means != tenant.FreezeByRole {
				t.Errorf("it is %v, and notes %q", now, notes)
			}
			frozen := test.world.after(t, freezing)
			steps, _, _ = frozen.steps(t, freezing)
			checkSteps(t, "again", steps)
			steps, _, _ = frozen.steps(t, Request{Tenant: tenant.Tenant{Name: "t"}, Accepted: Risks})
			checkSteps(t, "init", steps)
			thawed := frozen.after(t, ThawRequest("t"))
			for _, object := range thawed.objects {
				if b, ok := object.(*rbacv1.RoleBinding); ok && strings.HasPrefix(b.Name, rbac.DeployerBinding("t", "")) && b.RoleRef.Name != "admin" && b.RoleRef.Name != "wide" {
					t.Errorf("%s is left", b.Name)
				}
			}
			steps, _, _ = thawed.steps(t, Request{Tenant: tenant.Tenant{Name: "t"}, Accepted: Risks})
			checkSteps(t, "init after a thaw", steps)
		})
	}
}

// A file freezes a tenant that is not frozen, and leaves one that is.
func TestFreezeByFile(t *testing.T) {
	asks := asked(exactly, func(r *Request) { r.Tenant.Frozen, r.Now = &tenant.Freeze{Reason: "by file"}, noon })
	_, _, now := empty().steps(t, asks)
	if now == nil || now.Reason != "by file" || now.Since != "2026-01-31T12:00:00Z" || now.Means != tenant.FreezeByPolicy {
		t.Errorf("a new tenant is %v", now)
	}
	_, _, now = empty().after(t, asked()).after(t, freezing).steps(t, asks)
	if now == nil || now.Reason != "INC-1" {
		t.Errorf("a frozen tenant is %v", now)
	}
}

func TestFreezeRefuses(t *testing.T) {
	migrating := edited(empty().after(t, asked()), recordKey("t-tiller"), func(m *corev1.ConfigMap) {
		m.Annotations = map[string]string{tenant.AnnotationMigration: `{"phase":"frozen"}`}
	})
	for _, test := range []struct {
		name    string
		world   world
		request Request
		want    string
	}{
		{"no tenant", empty(), freezing, `no tenant "t"`},
		{"nothing to thaw", empty(), ThawRequest("t"), `no tenant "t"`},
		{"a migration", migrating, freezing, "being migrated"},
		{"no reason", empty().after(t, asked()), FreezeRequest("t", "", noon), "reason"},
		{"several lines", empty().after(t, asked()), FreezeRequest("t", "a\nb", noon), "several lines"},
	} {
		if steps, _, _ := test.world.steps(t, test.request); len(steps) != 1 || !strings.Contains(steps[0], "error: ") || !strings.Contains(steps[0], test.want) {
			t.Errorf("%s: %q", test.name, steps)
		}
	}
	_, c := empty().after(t, asked()).after(t, freezing).start(t)
	if _, err := prepareRemoval(t.Context(), c, "t", false); err == nil || !strings.Contains(err.Error(), "is frozen since 2026-01-31T12:00:00Z: INC-1") {
		t.Errorf("destroy: %v", err)
	}
	if _, err := (&Migrate{Client: c, Name: "t", DryRun: true}).Begin(t.Context()); err == nil || !strings.Contains(err.Error(), "is frozen") {
		t.Errorf("migrate: %v", err)
	}
}

// TestFreezeByRoleHoldsFlux: the account for Flux has what the deployer has, frozen and
// thawed.
func TestFreezeByRoleHoldsFlux(t *testing.T) {
	old := empty().with(clusterRole("view", "get"))
	old.unserved = []string{"ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"}
	existing := old.after(t, asked(fluxAccount("flux")))
	roles := func(w world) (roles []string) {
		for _, object := range w.objects {
			if b, ok := object.(*rbacv1.RoleBinding); ok && slices.ContainsFunc(b.Subjects, func(s rbacv1.Subject) bool { return s.Namespace == b.Namespace && s.Name == "flux" }) {
				roles = append(roles, b.Namespace+": "+b.RoleRef.Name)
			}
		}
		slices.Sort(roles)
		return roles
	}
	frozen := existing.after(t, freezing)
	for _, test := range []struct {
		what  string
		world world
		want  []string
	}{
		{"before", existing, []string{"a: admin", "b: admin"}},
		{"frozen", frozen, []string{"a: helm-tenant-reads-secrets", "a: view", "b: helm-tenant-reads-secrets", "b: view"}},
		{"thawed", frozen.after(t, ThawRequest("t")), []string{"a: admin", "b: admin"}},
	} {
		if got := roles(test.world); !slices.Equal(got, test.want) {
			t.Errorf("%s: the account has %q, not %q", test.what, got, test.want)
		}
	}
	steps, notes, _ := existing.steps(t, freezing)
	if joined := strings.Join(notes, "\n"); !strings.Contains(joined, "service account flux") || len(steps) == 0 {
		t.Errorf("that Flux fails is not said: %q", notes)
	}
}

// A namespace that is gone does not keep the rest from being frozen.
func TestFreezeWithoutANamespace(t *testing.T) {
	w := empty().after(t, asked())
	w.objects = slices.DeleteFunc(w.objects, func(o runtime.Object) bool {
		meta, ok := o.(interface {
			GetName() string
			GetNamespace() string
		})
		return ok && (meta.GetName() == "b" && meta.GetNamespace() == "" || meta.GetNamespace() == "b")
	})
	steps, _, _ := w.steps(t, freezing)
	checkSteps(t, "freeze", steps, "update Namespace a: ", "update Namespace t-tiller: ", "create ValidatingAdmissionPolicy ", "create ValidatingAdmissionPolicyBinding ", "create ValidatingAdmissionPolicyBinding ", "update ConfigMap")
}

func TestWriters(t *testing.T) {
	team := tenant.Tenant{Name: "t", Namespaces: []string{"a"}, Engine: tenant.EngineTiller, Frozen: &tenant.Freeze{Means: tenant.FreezeByPolicy}}
	roles := []audit.Role{
		{Name: "admin", Rules: []rbacv1.PolicyRule{{APIGroups: []string{"apps"}, Resources: []string{"deployments"}, Verbs: []string{"get", "update"}}}},
		{Name: "view", Rules: []rbacv1.PolicyRule{{APIGroups: []string{"*"}, Resources: []string{"*"}, Verbs: []string{"get", "list", "watch"}}}},
		{Name: "nodes", Rules: []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"nodes/status", "events"}, Verbs: []string{"*"}}}},
		{Namespace: "a", Name: "own", Rules: []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"pods/exec"}, Verbs: []string{"create"}}}},
	}
	deployer, chart, gitops := audit.Account("t-tiller", "tiller"), audit.Account("a", "operator"), audit.Account("argocd", "controller")
	bind := func(namespace, name, kind, role string, subjects ...audit.Subject) audit.Binding {
		return audit.Binding{Namespace: namespace, Name: name, RoleKind: kind, RoleName: role, Subjects: subjects, Tenant: "t"}
	}
	bindings := []audit.Binding{
		bind("a", "helm-tenant.t.admin", "ClusterRole", "admin", deployer),
		bind("a", "by-chart", "ClusterRole", "admin", chart, deployer),
		bind("a", "own", "Role", "own", audit.User("dana")),
		bind("a", "look", "ClusterRole", "view", audit.User("eve")),
		bind("b", "elsewhere", "ClusterRole", "admin", audit.User("bob")),
		bind("", "gitops", "ClusterRole", "admin", gitops, audit.Account("kube-system", "deployment-controller"), audit.User("system:kube-scheduler")),
		bind("", "nodes", "ClusterRole", "nodes", audit.User("machine")),
	}
	names := func() []string {
		var found []string
		for _, w := range audit.Writers(team.Namespaces, roles, bindings, heldBy(team)) {
			found = append(found, w.Name+" by "+w.Binding)
		}
		return found
	}
	outsiders := []string{"service account argocd:controller by ClusterRoleBinding gitops", "user dana by RoleBinding own in namespace a"}
	if diff := cmp.Diff(outsiders, slices.Sorted(slices.Values(names()))); diff != "" {
		t.Errorf("by policy, -want +got:\n%s", diff)
	}
	team.Frozen.Means = tenant.FreezeByRole
	byChart := append([]string{"service account a:operator by RoleBinding by-chart in namespace a", "service account t-tiller:tiller by RoleBinding by-chart in namespace a"}, outsiders...)
	if diff := cmp.Diff(slices.Sorted(slices.Values(byChart)), slices.Sorted(slices.Values(names()))); diff != "" {
		t.Errorf("by role, -want +got:\n%s", diff)
	}
}
