package admin

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	schedulingv1 "k8s.io/api/scheduling/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"helm-tenant/audit"
	"helm-tenant/cluster"
	"helm-tenant/rails"
	"helm-tenant/tenant"
)

func railed(rails tenant.Rails) func(*Request) {
	return func(r *Request) { r.Tenant.Rails = rails }
}

// railSteps returns the steps for guard rails: those on namespaces, quotas and the like in
// full, and how many of the guard's policies and bindings are written.
func railSteps(t *testing.T, w world, r Request) (steps []string, policies int) {
	t.Helper()
	prepared, err := decide(w.facts(t, r), r)
	if err != nil {
		t.Fatal(err)
	}
	for _, change := range prepared.Plan.Ordered() {
		if slices.Contains(keysOf(rails.Reserving()), change.Key) {
			continue // TestReserving
		}
		if strings.HasPrefix(change.Key.Name, rails.PolicyPrefix) {
			policies++
			continue
		}
		if change.Key.Namespace == "t-tiller" || change.Key.Name == "t-tiller" {
			continue
		}
		for _, f := range change.Fields {
			if strings.HasPrefix(f.Path, "metadata.labels") && !strings.Contains(f.Path, tenant.LabelTenant) {
				steps = append(steps, fmt.Sprintf("%s %s %v -> %v", change.Key.Name, strings.TrimPrefix(f.Path, "metadata.labels"), f.Live, f.Wanted))
			}
		}
		if slices.Contains([]string{"ResourceQuota", "LimitRange", "NetworkPolicy"}, change.Key.Kind) {
			steps = append(steps, fmt.Sprintf("%s %s", change.Action, change.Key))
		}
	}
	return steps, policies
}

// TestRails: what guard rails come to when a tenant gets them, changes them and loses
// a namespace.
func TestRails(t *testing.T) {
	existing := empty().after(t, asked())
	_, all := railSteps(t, empty(), asked())
	if all < 30 {
		t.Errorf("%d policies and bindings for a new tenant", all)
	}
	full := tenant.Rails{Quota: map[string]string{"pods": "5"}, Network: tenant.NetworkIsolated, Limits: &tenant.Limits{Max: map[string]string{"cpu": "1"}}}
	rich := empty().after(t, asked(namespaces("a"), railed(full)))
	before := empty().after(t, asked(namespaces("a"), railed(tenant.RailsOfBefore()), accept(RiskNoGuard)))
	old := empty()
	old.unserved = []string{"ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"}
	apart := asked(namespaces("a"), railed(tenant.Rails{PodSecurity: tenant.PodSecurityUnmanaged, Network: tenant.NetworkIsolated}), accept(RiskNodeAccess))
	shared := empty().after(t, Request{Tenant: tenant.Tenant{Name: "o", Namespaces: []string{"a"}}}).
		after(t, asked(namespaces("a"), func(r *Request) {
			r.Share, r.Tenant.Rails = true, tenant.Rails{PodSecurity: "restricted", Quota: full.Quota}
		}))
	for _, test := range []struct {
		name     string
		world    world
		request  Request
		want     []string
		policies int
	}{
		{"a second time", existing, asked(), nil, 0},
		{"isolated by a label that the API server sets", empty(), apart, []string{"create NetworkPolicy helm-tenant in namespace a", "a [helm-tenant/guard] <nil> -> enforce"}, all},
		{"isolated by a label that an old API server lacks", old, apart, []string{"create NetworkPolicy helm-tenant in namespace a", "a [helm-tenant/guard] <nil> -> enforce",
			"a [kubernetes.io/metadata.name] <nil> -> a"}, 0},
		{"isolated, a second time", old.after(t, apart), apart, nil, 0},
		{"a tenant of before stays as it is", before, asked(namespaces("a")), nil, 0},
		{"a tenant of before is exactly what a file says that is silent", before, asked(namespaces("a"), exactly), nil, 0},
		{"a tenant of before gets the guard", before, asked(namespaces("a"), railed(tenant.Rails{Guard: "audit"})), []string{"a [helm-tenant/guard] <nil> -> audit"}, all},
		{"the guard goes to another mode", existing, asked(railed(tenant.Rails{Guard: "warn"})), []string{"a [helm-tenant/guard] enforce -> warn", "b [helm-tenant/guard] enforce -> warn"}, all / 2},
		{"everything", existing, asked(namespaces("a"), railed(full)), []string{
			"create LimitRange helm-tenant in namespace a", "create NetworkPolicy helm-tenant in namespace a", "create ResourceQuota helm-tenant in namespace a",
			"create LimitRange helm-tenant in namespace b", "create NetworkPolicy helm-tenant in namespace b", "create ResourceQuota helm-tenant in namespace b"}, 0},
		{"everything goes that a file leaves out", rich, asked(namespaces("a"), exactly), []string{
			"delete LimitRange helm-tenant in namespace a", "delete NetworkPolicy helm-tenant in namespace a", "delete ResourceQuota helm-tenant in namespace a"}, 0},
		{"a namespace is taken away", rich, asked(namespaces("b"), pruning), []string{
			"b [helm-tenant/guard] <nil> -> enforce",
			"b [pod-security.kubernetes.io/audit] <nil> -> baseline", "b [pod-security.kubernetes.io/enforce] <nil> -> baseline", "b [pod-security.kubernetes.io/warn] <nil> -> baseline",
			"create LimitRange helm-tenant in namespace b", "create NetworkPolicy helm-tenant in namespace b", "create ResourceQuota helm-tenant in namespace b",
			"a [helm-tenant/guard] enforce -> <nil>",
			"a [pod-security.kubernetes.io/audit] baseline -> <nil>", "a [pod-security.kubernetes.io/enforce] baseline -> <nil>", "a [pod-security.kubernetes.io/warn] baseline -> <nil>",
			"delete LimitRange helm-tenant in namespace a", "delete NetworkPolicy helm-tenant in namespace a", "delete ResourceQuota helm-tenant in namespace a"}, 0},
		{"a shared namespace is left to the other tenant", shared, asked(namespaces("b"), pruning, railed(tenant.Rails{Quota: map[string]string{}, PodSecurity: "baseline"})), []string{
			"b [helm-tenant/guard] <nil> -> enforce",
			"b [pod-security.kubernetes.io/audit] <nil> -> baseline", "b [pod-security.kubernetes.io/enforce] <nil> -> baseline", "b [pod-security.kubernetes.io/warn] <nil> -> baseline",
			"a [pod-security.kubernetes.io/audit] restricted -> baseline", "a [pod-security.kubernetes.io/enforce] restricted -> baseline", "a [pod-security.kubernetes.io/warn] restricted -> baseline",
			"delete ResourceQuota helm-tenant-t in namespace a"}, 0},
		{"a system namespace has none", empty(), asked(namespaces("kube-system"), railed(full), accept(RiskSystemNamespace)), nil, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			steps, policies := railSteps(t, test.world, test.request)
			slices.Sort(steps)
			slices.Sort(test.want)
			if diff := cmp.Diff(test.want, steps); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if policies != test.policies {
				t.Errorf("%d policies and bindings are written, not %d", policies, test.policies)
			}
		})
	}
}

func TestLoosenedRails(t *testing.T) {
	existing := empty().after(t, asked())
	loose := empty().after(t, asked(railed(tenant.Rails{PodSecurity: "privileged", Guard: "off"}), accept(RiskNodeAccess, RiskNoGuard)))
	const node = `node-access: with podSecurity: %s a chart of tenant "t" can take over the node, and every tenant on it`
	const guard = `no-guard: with guard: off a chart of tenant "t" can let outsiders in, take over addresses and host names of others, and evict their pods`
	for _, test := range []struct {
		name  string
		world world
		rails tenant.Rails
		want  string
	}{
		{"a new privileged one", empty(), tenant.Rails{PodSecurity: "privileged"}, fmt.Sprintf(node, "privileged")},
		{"from baseline to privileged", existing, tenant.Rails{PodSecurity: "privileged"}, fmt.Sprintf(node, "privileged")},
		{"from baseline to nothing", existing, tenant.Rails{PodSecurity: "unmanaged"}, fmt.Sprintf(node, "unmanaged")},
		{"a new one without a level", empty(), tenant.Rails{PodSecurity: "unmanaged"}, ""},
		{"a new one without a guard", empty(), tenant.Rails{Guard: "off"}, guard},
		{"the guard goes", existing, tenant.Rails{Guard: "off"}, guard},
		{"what is loose already", loose, tenant.Rails{PodSecurity: "privileged", Guard: "off"}, ""},
		{"a guard that warns", existing, tenant.Rails{Guard: "warn"}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := test.world.decide(t, asked(railed(test.rails))).Err; got != test.want {
				t.Errorf("want %q, got %q", test.want, got)
			}
		})
	}
}

func TestQuotaNotes(t *testing.T) {
	for _, test := range []struct {
		name  string
		rails tenant.Rails
		want  int
	}{
		{"nothing", tenant.Rails{}, 0},
		{"node ports", tenant.Rails{Quota: map[string]string{"services.nodeports": "0"}}, 1},
		{"limits without defaults", tenant.Rails{Quota: map[string]string{"limits.cpu": "1"}}, 1},
		{"limits with the default of another", tenant.Rails{Quota: map[string]string{"limits.cpu": "1"}, Limits: &tenant.Limits{Default: map[string]string{"memory": "1Gi"}}}, 1},
		{"limits with defaults", tenant.Rails{Quota: map[string]string{"limits.cpu": "1", "requests.cpu": "1"}, Limits: &tenant.Limits{Default: map[string]string{"cpu": "1"}}}, 0},
		{"requests with a default of limits only", tenant.Rails{Quota: map[string]string{"memory": "1Gi"}, Limits: &tenant.Limits{Max: map[string]string{"memory": "1Gi"}}}, 0},
		{"no node ports and limits", tenant.Rails{Quota: map[string]string{"services.nodeports": "0", "limits.memory": "1Gi"}}, 2},
	} {
		if got := quotaNotes(test.rails); len(got) != test.want {
			t.Errorf("%s: %q", test.name, got)
		}
	}
}

func TestPriorities(t *testing.T) {
	class := func(name string, value int32, isDefault bool) *schedulingv1.PriorityClass {
		return &schedulingv1.PriorityClass{TypeMeta: metav1.TypeMeta{APIVersion: "scheduling.k8s.io/v1", Kind: "PriorityClass"}, ObjectMeta: metav1.ObjectMeta{Name: name}, Value: value, GlobalDefault: isDefault}
	}
	for _, test := range []struct {
		name  string
		world world
		want  rails.Priorities
	}{
		{"no default", world{}.with(class("low", -1, false), class("zero", 0, false), class("high", 1, false)), rails.Priorities{Harmless: []string{"low", "zero"}}},
		{"a default", world{}.with(class("low", -1, false), class("normal", 100, true), class("high", 101, false)), rails.Priorities{Default: 100, Harmless: []string{"low", "normal"}}},
		{"two defaults", world{}.with(class("b", 5, true), class("a", 100, true)), rails.Priorities{Default: 5, Harmless: []string{"b"}}},
		{"a default below zero", world{}.with(class("low", -5, true), class("zero", 0, false)), rails.Priorities{Default: -5, Harmless: []string{"low"}}},
	} {
		live, err := cluster.LiveOf(test.world.objects)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(test.want, priorities(live)); diff != "" {
			t.Errorf("%s, -want +got:\n%s", test.name, diff)
		}
	}
}

// TestPriorityNote: without the right to list PriorityClasses, a note names the missing
// policies that are created.
func TestPriorityNote(t *testing.T) {
	const first, strict = "you may not list priorityclasses: ", " as for a cluster without any, so that they refuse pods"
	grouped := func(name string) bool {
		return strings.HasSuffix(name, "podgroups") || strings.HasSuffix(name, "-workloads")
	}
	for _, test := range []struct {
		name string
		has  func(policy string) bool
		want string
	}{
		{"no policy", func(string) bool { return false }, first + "the guard's policies for pods are written" + strict},
		{"those of an older helm-tenant", func(name string) bool { return !grouped(name) },
			first + "the guard's policies for pods stay as they are; those for podgroups, compositepodgroups, workloads are missing and are written" + strict},
		{"all", func(string) bool { return true }, first + "the guard's policies for pods stay as they are"},
	} {
		var objects []runtime.Object
		for _, object := range rails.Policies(rails.Priorities{}) {
			if test.has(cluster.KeyOf(object).Name) {
				objects = append(objects, object)
			}
		}
		live, err := cluster.LiveOf(objects)
		if err != nil {
			t.Fatal(err)
		}
		if got := priorityNote(live); !strings.HasPrefix(got, test.want) || strings.Contains(got, strict) != strings.Contains(test.want, strict) {
			t.Errorf("%s: %s", test.name, got)
		}
	}
}

// TestGuardStateOfClasses: after any change of the PriorityClasses from which the guard's
// policies were made, the policies that name them are reported, and no others.
func TestGuardStateOfClasses(t *testing.T) {
	class := func(name string, value int32, isDefault bool) *schedulingv1.PriorityClass {
		return &schedulingv1.PriorityClass{TypeMeta: metav1.TypeMeta{APIVersion: "scheduling.k8s.io/v1", Kind: "PriorityClass"}, ObjectMeta: metav1.ObjectMeta{Name: name}, Value: value, GlobalDefault: isDefault}
	}
	written := append(rails.Policies(rails.Priorities{Default: 100, Harmless: []string{"low", "normal"}}, tenant.GuardEnforce), rails.Reserving()...)
	for _, test := range []struct {
		name    string
		classes []runtime.Object
		stale   bool
	}{
		{"the same", []runtime.Object{class("low", -1, false), class("normal", 100, true), class("high", 101, false)}, false},
		{"another high class", []runtime.Object{class("low", -1, false), class("normal", 100, true), class("higher", 1000, false)}, false},
		{"another low class", []runtime.Object{class("low", -1, false), class("lower", -2, false), class("normal", 100, true)}, true},
		{"no default any more", []runtime.Object{class("low", -1, false), class("normal", 100, false)}, true},
		{"a higher default", []runtime.Object{class("low", -1, false), class("normal", 100, false), class("high", 101, true)}, true},
		{"a second, higher default", []runtime.Object{class("low", -1, false), class("normal", 100, true), class("high", 101, true)}, false},
		{"a second, lower default", []runtime.Object{class("low", -1, true), class("normal", 100, true)}, true},
	} {
		live, err := cluster.LiveOf(world{}.with(append(test.classes, written...)...).objects)
		if err != nil {
			t.Fatal(err)
		}
		state, _, err := guardState(live, []audit.Record{{Tenant: tenant.Tenant{Name: "t", Namespaces: []string{"a"}, Rails: tenant.Rails{Guard: tenant.GuardEnforce}}}})
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range state.Problems {
			if p.Missing || !rails.DependsOnPriorities(p.Object.Name) {
				t.Errorf("%s: %+v is reported", test.name, p)
			}
		}
		if (len(state.Problems) > 0) != test.stale {
			t.Errorf("%s: reported is %+v", test.name, state.Problems)
		}
	}
}

// TestViolations: a level that pods violate is refused before anything is written.
func TestViolations(t *testing.T) {
	bad := empty()
	bad.violations = map[string]violations{"b": {found: []string{"Pod x: host namespaces (hostNetwork=true)", "CronJob y: privileged"}}}
	request := asked()
	_, err := decide(bad.facts(t, request), request)
	refused, ok := errors.AsType[*ViolationsError](err)
	if !ok || refused.Risk != RiskViolatingPods {
		t.Fatalf("got %v", err)
	}
	if diff := cmp.Diff([]string{"namespace b: Pod x: host namespaces (hostNetwork=true)", "namespace b: CronJob y: privileged"}, refused.Details()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	for name, request := range map[string]Request{
		"accepted": asked(accept(RiskViolatingPods)), "unmanaged": asked(railed(tenant.Rails{PodSecurity: "unmanaged"})), "elsewhere": asked(namespaces("a")),
	} {
		if got := bad.decide(t, request).Err; got != "" {
			t.Errorf("%s: %s", name, got)
		}
	}
	warned := empty()
	warned.violations = map[string]violations{"b": {warned: []string{"b has no owner", "2", "3", "4", "5", "6", "7"}}}
	if got := warned.decide(t, asked()); got.Err != "" || !slices.Contains(got.Notes, `the API server warned of podSecurity: baseline of namespace "b": b has no owner`) ||
		!slices.Contains(got.Notes, `the API server warned 2 more times of podSecurity: baseline of namespace "b"`) {
		t.Errorf("what others warn of: %+v", got)
	}
	unseen := empty()
	unseen.fail = map[string]error{"pods in a": apierrors.NewForbidden(schema.GroupResource{Resource: "namespaces"}, "a", nil)}
	if got := unseen.decide(t, asked()); got.Err != "" || len(got.Notes) != 1 {
		t.Errorf("what can't be seen: %+v", got)
	}
}

// TestReserving: the policies that reserve helm-tenant's labels are written with every tenant
// that needs admission policies, whatever the mode of its guard, and once.
func TestReserving(t *testing.T) {
	reserving := func(w world, r Request) (steps []string) {
		for _, step := range stepsOf(w.decidedPlan(t, r)) {
			if strings.HasSuffix(step, rails.PolicyPrefix+"namespaces") || strings.HasSuffix(step, rails.PolicyPrefix+"configmaps") {
				steps = append(steps, step)
			}
		}
		return steps
	}
	off := func(r *Request) { r.Tenant.Guard, r.Accepted = tenant.GuardOff, []Risk{RiskNoGuard} }
	for name, test := range map[string]struct {
		request Request
		want    int
	}{
		"guarded": {asked(), 4}, "a Tiller": {asked(off, engine(tenant.EngineTiller)), 4}, "no policy needed": {asked(off, engine(tenant.EngineImpersonation)), 0},
		"all namespaces": {asked(everywhere, accept(RiskClusterWide)), 4},
	} {
		w := empty()
		if got := reserving(w, test.request); len(got) != test.want {
			t.Errorf("%s: %q", name, got)
		}
		if got := reserving(w.after(t, test.request), test.request); got != nil {
			t.Errorf("%s, again: %q", name, got)
		}
		w.unserved = []string{"ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"}
		test.request.Accepted = append(test.request.Accepted, RiskOpenRecords)
		if got := reserving(w, test.request); got != nil {
			t.Errorf("%s, on an API server without such policies: %q", name, got)
		}
	}
}

func (w world) decidedPlan(t *testing.T, r Request) cluster.Plan {
	t.Helper()
	prepared, err := decide(w.facts(t, r), r)
	if err != nil {
		t.Fatal(err)
	}
	return prepared.Plan
}
